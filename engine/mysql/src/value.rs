//! One value of a row, written once and encoded for either protocol.
//!
//! The text protocol sends every value as text; the binary protocol (prepared statements) as the type of its column
//! says. A value that its column's type cannot hold exactly is an error, never a silent change.

use std::borrow::Cow;
use std::io::Write;

use bytes::BufMut;
use mysql_common::io::BufMutExt;
use mysql_common::proto::MySerialize;
use mysql_common::value::Value as WireValue;

use crate::column::{Column, ColumnType};

/// First byte of a NULL in the text protocol, where a length would be.
const TEXT_NULL: u8 = 0xfb;

/// One value of a row, or of a parameter of a prepared statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// NULL.
    Null,
    /// A signed number; booleans are 0 and 1.
    Int(i64),
    /// An unsigned number.
    UInt(u64),
    /// FLOAT.
    Float(f32),
    /// DOUBLE.
    Double(f64),
    /// Text in UTF-8, bytes, or a DECIMAL, LARGEINT or JSON in its text form.
    Bytes(Cow<'a, [u8]>),
    /// DATE.
    Date {
        /// 0 to 9999.
        year: u16,
        /// 1 to 12.
        month: u8,
        /// 1 to 31.
        day: u8,
    },
    /// DATETIME, without time zone.
    DateTime {
        /// 0 to 9999.
        year: u16,
        /// 1 to 12.
        month: u8,
        /// 1 to 31.
        day: u8,
        /// 0 to 23.
        hour: u8,
        /// 0 to 59.
        minute: u8,
        /// 0 to 59.
        second: u8,
        /// 0 to 999,999.
        microsecond: u32,
    },
    /// TIME: a duration.
    Time {
        /// Whether the whole duration is negative.
        negative: bool,
        /// Whole days.
        days: u32,
        /// 0 to 23.
        hours: u8,
        /// 0 to 59.
        minutes: u8,
        /// 0 to 59.
        seconds: u8,
        /// 0 to 999,999.
        microseconds: u32,
    },
}

impl<'a> Value<'a> {
    /// Text or bytes, borrowed.
    pub fn bytes(bytes: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        Self::Bytes(Cow::Borrowed(bytes.as_ref()))
    }

    /// Appends the value as the text protocol sends it.
    pub(crate) fn write_text(&self, payload: &mut Vec<u8>) {
        match self {
            Self::Null => payload.put_u8(TEXT_NULL),
            Self::Bytes(bytes) => payload.put_lenenc_str(bytes),
            _ => {
                let mut text = ShortText::default();
                self.print(&mut text);
                payload.put_lenenc_str(text.as_bytes());
            }
        }
    }

    /// Appends the value as the binary protocol sends it in this column; NULL is not written but set in the bitmap by
    /// the caller. Says what does not fit.
    pub(crate) fn write_binary(&self, column: &Column, payload: &mut Vec<u8>) -> Result<(), String> {
        match column.column_type {
            ColumnType::MYSQL_TYPE_TINY
            | ColumnType::MYSQL_TYPE_SHORT
            | ColumnType::MYSQL_TYPE_YEAR
            | ColumnType::MYSQL_TYPE_INT24
            | ColumnType::MYSQL_TYPE_LONG
            | ColumnType::MYSQL_TYPE_LONGLONG => self.write_integer(column, payload),
            ColumnType::MYSQL_TYPE_FLOAT => match self {
                Self::Float(number) => {
                    payload.put_f32_le(*number);
                    Ok(())
                }
                _ => self.misfit(column),
            },
            ColumnType::MYSQL_TYPE_DOUBLE => match self {
                Self::Float(number) => {
                    payload.put_f64_le(f64::from(*number));
                    Ok(())
                }
                Self::Double(number) => {
                    payload.put_f64_le(*number);
                    Ok(())
                }
                _ => self.misfit(column),
            },
            ColumnType::MYSQL_TYPE_DATE
            | ColumnType::MYSQL_TYPE_NEWDATE
            | ColumnType::MYSQL_TYPE_DATETIME
            | ColumnType::MYSQL_TYPE_TIMESTAMP
            | ColumnType::MYSQL_TYPE_TIME => self.write_temporal(column, payload),
            ColumnType::MYSQL_TYPE_NULL => self.misfit(column),
            // All other types travel as text with a length, so any value has a form there.
            _ => {
                self.write_text(payload);
                Ok(())
            }
        }
    }

    fn write_integer(&self, column: &Column, payload: &mut Vec<u8>) -> Result<(), String> {
        let number = match self {
            Self::Int(number) => i128::from(*number),
            Self::UInt(number) => i128::from(*number),
            _ => return self.misfit(column),
        };
        let width: u32 = match column.column_type {
            ColumnType::MYSQL_TYPE_TINY => 1,
            ColumnType::MYSQL_TYPE_SHORT | ColumnType::MYSQL_TYPE_YEAR => 2,
            ColumnType::MYSQL_TYPE_INT24 | ColumnType::MYSQL_TYPE_LONG => 4,
            _ => 8,
        };
        let range = if column.is_unsigned() {
            0..=(1_i128 << (8 * width)) - 1
        } else {
            -(1_i128 << (8 * width - 1))..=(1_i128 << (8 * width - 1)) - 1
        };
        if !range.contains(&number) {
            return self.misfit(column);
        }
        // Within the range the lowest bytes of the two's complement are the number in that width.
        payload.put_slice(&number.to_le_bytes()[..width as usize]);
        Ok(())
    }

    fn write_temporal(&self, column: &Column, payload: &mut Vec<u8>) -> Result<(), String> {
        let is_time = column.column_type == ColumnType::MYSQL_TYPE_TIME;
        let is_date = matches!(
            column.column_type,
            ColumnType::MYSQL_TYPE_DATE | ColumnType::MYSQL_TYPE_NEWDATE
        );
        let wire = match *self {
            Self::Date { year, month, day } if !is_time => WireValue::Date(year, month, day, 0, 0, 0, 0),
            Self::DateTime {
                year,
                month,
                day,
                hour,
                minute,
                second,
                microsecond,
            } if !is_time && (!is_date || (hour, minute, second, microsecond) == (0, 0, 0, 0)) => {
                WireValue::Date(year, month, day, hour, minute, second, microsecond)
            }
            Self::Time {
                negative,
                days,
                hours,
                minutes,
                seconds,
                microseconds,
            } if is_time => WireValue::Time(negative, days, hours, minutes, seconds, microseconds),
            _ => return self.misfit(column),
        };
        wire.serialize(payload);
        Ok(())
    }

    fn misfit(&self, column: &Column) -> Result<(), String> {
        let sign = if column.is_unsigned() { "unsigned " } else { "" };
        // The value itself is left out: errors are logged, and rows are the customer's.
        let kind = match self {
            Self::Null => "NULL",
            Self::Int(_) | Self::UInt(_) => "this integer",
            Self::Float(_) | Self::Double(_) => "a floating point number",
            Self::Bytes(_) => "text or bytes",
            Self::Date { .. } => "a date",
            Self::DateTime { .. } => "a date with a time",
            Self::Time { .. } => "a duration",
        };
        Err(format!("{kind} does not fit {sign}{:?}", column.column_type))
    }

    fn print(&self, text: &mut ShortText) {
        // Writing into a ShortText cannot fail: every form below is shorter than its capacity.
        let _ = match *self {
            Self::Null | Self::Bytes(_) => Ok(()),
            Self::Int(number) => write!(text, "{number}"),
            Self::UInt(number) => write!(text, "{number}"),
            Self::Float(number) => print_float(text, f64::from(number), &number),
            Self::Double(number) => print_float(text, number, &number),
            Self::Date { year, month, day } => write!(text, "{year:04}-{month:02}-{day:02}"),
            Self::DateTime {
                year,
                month,
                day,
                hour,
                minute,
                second,
                microsecond,
            } => write!(text, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
                .and_then(|()| print_microseconds(text, microsecond)),
            Self::Time {
                negative,
                days,
                hours,
                minutes,
                seconds,
                microseconds,
            } => {
                let sign = if negative { "-" } else { "" };
                let hours = u64::from(days) * 24 + u64::from(hours);
                write!(text, "{sign}{hours:02}:{minutes:02}:{seconds:02}")
                    .and_then(|()| print_microseconds(text, microseconds))
            }
        };
    }
}

/// Six digits after the point, or none at all, as StarRocks prints them.
fn print_microseconds(text: &mut ShortText, microseconds: u32) -> std::io::Result<()> {
    if microseconds == 0 {
        return Ok(());
    }
    write!(text, ".{microseconds:06}")
}

/// The shortest text that reads back as the same number; with an exponent where MySQL has one (from 1e15 up, below
/// 1e-5). Infinities and NaN are spelled as most clients' number parsers read them.
fn print_float(
    text: &mut ShortText,
    size: f64,
    number: &(impl std::fmt::Display + std::fmt::LowerExp),
) -> std::io::Result<()> {
    let magnitude = size.abs();
    if size.is_infinite() {
        text.write_all(if size > 0.0 { b"Infinity" } else { b"-Infinity" })
    } else if magnitude != 0.0 && !(1e-5..1e15).contains(&magnitude) && !size.is_nan() {
        write!(text, "{number:e}")
    } else {
        write!(text, "{number}")
    }
}

/// Room for the longest printed number or date, without an allocation per value.
struct ShortText {
    bytes: [u8; 64],
    length: usize,
}

impl Default for ShortText {
    fn default() -> Self {
        Self {
            bytes: [0; 64],
            length: 0,
        }
    }
}

impl ShortText {
    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Write for ShortText {
    fn write(&mut self, input: &[u8]) -> std::io::Result<usize> {
        let taken = input.len().min(self.bytes.len() - self.length);
        self.bytes[self.length..self.length + taken].copy_from_slice(&input[..taken]);
        self.length += taken;
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Self::Int(i64::from(value))
    }
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<u64> for Value<'_> {
    fn from(value: u64) -> Self {
        Self::UInt(value)
    }
}

impl From<f64> for Value<'_> {
    fn from(value: f64) -> Self {
        Self::Double(value)
    }
}

impl From<String> for Value<'_> {
    fn from(value: String) -> Self {
        Self::Bytes(Cow::Owned(value.into_bytes()))
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Self::bytes(value)
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

#[cfg(test)]
mod tests;
