//! The prepared statements of one connection: ids, parameter types and long data.

use std::borrow::Cow;
use std::collections::HashMap;

use mysql_common::constants::{ColumnFlags, ColumnType};
use mysql_common::io::ParseBuf;
use mysql_common::value::{BinValue, Value as WireValue, ValueDeserializer};

use crate::error::codes;
use crate::{MysqlError, Parameter, PreparedStatement, Value};

/// In the two bytes of a parameter's type: the number is unsigned.
const UNSIGNED: u8 = 0x80;

/// The prepared statements of one connection. Bounded: so many statements, so many bytes of long data in all.
#[derive(Debug)]
pub(crate) struct Statements {
    open: HashMap<u32, Statement>,
    next_id: u32,
    max_open: usize,
    max_long_data: usize,
    long_data: usize,
}

#[derive(Debug, Default)]
struct Statement {
    /// One for each `?`; empty until the first execution has told them.
    types: Vec<ParameterType>,
    parameter_count: usize,
    long_data: HashMap<u16, Vec<u8>>,
    /// `COM_STMT_SEND_LONG_DATA` has no answer, so its failure waits here for the next execution.
    failure: Option<MysqlError>,
}

#[derive(Debug, Clone, Copy)]
struct ParameterType {
    column_type: ColumnType,
    unsigned: bool,
}

impl Statements {
    pub(crate) fn new(max_open: usize, max_long_data: usize) -> Self {
        Self {
            open: HashMap::new(),
            next_id: 1,
            max_open,
            max_long_data,
            long_data: 0,
        }
    }

    /// An id for a statement about to be prepared.
    pub(crate) fn reserve(&mut self) -> Result<u32, MysqlError> {
        if self.open.len() >= self.max_open {
            return Err(MysqlError::new(
                codes::TOO_MANY_STATEMENTS,
                b"42000",
                format!(
                    "Can't create more than {} prepared statements on one connection; close some",
                    self.max_open
                ),
            ));
        }
        loop {
            let candidate = self.next_id;
            self.next_id = self.next_id.wrapping_add(1);
            if candidate != 0 && !self.open.contains_key(&candidate) {
                return Ok(candidate);
            }
        }
    }

    pub(crate) fn open(&mut self, statement_id: u32, prepared: &PreparedStatement) {
        self.open.insert(
            statement_id,
            Statement {
                parameter_count: prepared.parameters.len(),
                ..Statement::default()
            },
        );
    }

    /// Forgets a statement; `false` where there is none of this id.
    pub(crate) fn close(&mut self, statement_id: u32) -> bool {
        self.forget_long_data(statement_id);
        self.open.remove(&statement_id).is_some()
    }

    pub(crate) fn close_all(&mut self) {
        self.open.clear();
        self.long_data = 0;
    }

    /// Forgets the long data of a statement.
    pub(crate) fn reset(&mut self, statement_id: u32) -> Result<(), MysqlError> {
        self.forget_long_data(statement_id);
        let statement = self.open.get_mut(&statement_id).ok_or_else(|| unknown(statement_id))?;
        statement.failure = None;
        Ok(())
    }

    /// Adds a piece to a parameter.
    pub(crate) fn add_long_data(&mut self, statement_id: u32, parameter: u16, data: &[u8]) {
        let Some(statement) = self.open.get_mut(&statement_id) else {
            return;
        };
        if statement.failure.is_some() {
            return;
        }
        if usize::from(parameter) >= statement.parameter_count {
            statement.failure = Some(MysqlError::malformed("long data for a parameter that is not there"));
        } else if self.long_data + data.len() > self.max_long_data {
            statement.failure = Some(MysqlError::packet_too_large(self.max_long_data));
            self.forget_long_data(statement_id);
        } else {
            self.long_data += data.len();
            statement
                .long_data
                .entry(parameter)
                .or_default()
                .extend_from_slice(data);
        }
    }

    /// Reads the parameters of an execution; `rest` is what follows the statement's id. Long data is used up.
    pub(crate) fn parameters(&mut self, statement_id: u32, rest: &[u8]) -> Result<Vec<Parameter>, MysqlError> {
        let statement = self.open.get_mut(&statement_id).ok_or_else(|| unknown(statement_id))?;
        if let Some(failure) = statement.failure.take() {
            return Err(failure);
        }
        let mut long_data = std::mem::take(&mut statement.long_data);
        self.long_data -= long_data.values().map(Vec::len).sum::<usize>();
        statement.decode(rest, &mut long_data)
    }

    fn forget_long_data(&mut self, statement_id: u32) {
        if let Some(statement) = self.open.get_mut(&statement_id) {
            let forgotten: usize = statement.long_data.drain().map(|(_, data)| data.len()).sum();
            self.long_data -= forgotten;
        }
    }
}

impl Statement {
    fn decode(&mut self, rest: &[u8], long_data: &mut HashMap<u16, Vec<u8>>) -> Result<Vec<Parameter>, MysqlError> {
        let short = || MysqlError::malformed("an execution shorter than its parameters");
        let mut buffer = ParseBuf(rest);
        // The kind of cursor and the number of iterations (always 1). A cursor is a wish: rows are streamed anyway.
        buffer.checked_eat(1 + 4).ok_or_else(short)?;
        if self.parameter_count == 0 {
            return Ok(Vec::new());
        }
        let nulls = buffer.checked_eat(self.parameter_count.div_ceil(8)).ok_or_else(short)?;
        if buffer.checked_eat_u8().ok_or_else(short)? == 1 {
            let types = buffer.checked_eat(2 * self.parameter_count).ok_or_else(short)?;
            self.types = types
                .chunks_exact(2)
                .map(|pair| parameter_type(pair[0], pair[1]))
                .collect::<Result<_, _>>()?;
        }
        if self.types.len() != self.parameter_count {
            return Err(MysqlError::malformed(
                "an execution that never told its parameters' types",
            ));
        }
        let mut parameters = Vec::with_capacity(self.parameter_count);
        for (index, parameter_type) in self.types.iter().enumerate() {
            let sent_before = u16::try_from(index).ok().and_then(|index| long_data.remove(&index));
            let value = if let Some(data) = sent_before {
                Value::Bytes(Cow::Owned(data))
            } else if nulls[index / 8] & (1 << (index % 8)) != 0 {
                Value::Null
            } else {
                decode_value(*parameter_type, &mut buffer)?
            };
            parameters.push(Parameter {
                value,
                column_type: parameter_type.column_type,
            });
        }
        Ok(parameters)
    }
}

/// Only the types that a client may send: the decoder of values panics on the others.
fn parameter_type(code: u8, flags: u8) -> Result<ParameterType, MysqlError> {
    let unknown = || MysqlError::malformed("a parameter of an unknown type");
    let column_type = ColumnType::try_from(code).map_err(|_| unknown())?;
    match column_type {
        ColumnType::MYSQL_TYPE_TIMESTAMP2
        | ColumnType::MYSQL_TYPE_DATETIME2
        | ColumnType::MYSQL_TYPE_TIME2
        | ColumnType::MYSQL_TYPE_TYPED_ARRAY
        | ColumnType::MYSQL_TYPE_UNKNOWN => Err(unknown()),
        _ => Ok(ParameterType {
            column_type,
            unsigned: flags & UNSIGNED != 0,
        }),
    }
}

fn decode_value(parameter_type: ParameterType, buffer: &mut ParseBuf<'_>) -> Result<Value<'static>, MysqlError> {
    let ParameterType { column_type, unsigned } = parameter_type;
    let flags = if unsigned {
        ColumnFlags::UNSIGNED_FLAG
    } else {
        ColumnFlags::empty()
    };
    let wire = buffer
        .parse::<ValueDeserializer<BinValue>>((column_type, flags))
        .map_err(|_| MysqlError::malformed("a parameter's value"))?
        .0;
    Ok(match wire {
        WireValue::NULL => Value::Null,
        WireValue::Bytes(bytes) => Value::Bytes(Cow::Owned(bytes)),
        WireValue::Int(number) => match u64::try_from(number) {
            Ok(number) if unsigned => Value::UInt(number),
            _ => Value::Int(number),
        },
        WireValue::UInt(number) => Value::UInt(number),
        WireValue::Float(number) => Value::Float(number),
        WireValue::Double(number) => Value::Double(number),
        WireValue::Date(year, month, day, 0, 0, 0, 0)
            if matches!(
                column_type,
                ColumnType::MYSQL_TYPE_DATE | ColumnType::MYSQL_TYPE_NEWDATE
            ) =>
        {
            Value::Date { year, month, day }
        }
        WireValue::Date(year, month, day, hour, minute, second, microsecond) => Value::DateTime {
            year,
            month,
            day,
            hour,
            minute,
            second,
            microsecond,
        },
        WireValue::Time(negative, days, hours, minutes, seconds, microseconds) => Value::Time {
            negative,
            days,
            hours,
            minutes,
            seconds,
            microseconds,
        },
    })
}

fn unknown(statement_id: u32) -> MysqlError {
    MysqlError::new(
        codes::UNKNOWN_STATEMENT,
        b"HY000",
        format!("Unknown prepared statement handler ({statement_id})"),
    )
}

#[cfg(test)]
mod tests;
