//! What a client asks: one packet, read without trust.

use mysql_common::constants::Command as Code;
use mysql_common::io::ParseBuf;

use crate::MysqlError;
use crate::error::codes;

/// A command after the login. Borrows from its packet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command<'a> {
    Quit,
    InitDb(&'a str),
    Query(&'a str),
    FieldList {
        table: &'a str,
        wildcard: &'a str,
    },
    Statistics,
    Ping,
    /// The whole packet: its form depends on the capabilities.
    ChangeUser(&'a [u8]),
    Prepare(&'a str),
    /// What follows the command byte: its form depends on the statement.
    Execute {
        statement_id: u32,
        rest: &'a [u8],
    },
    LongData {
        statement_id: u32,
        parameter: u16,
        data: &'a [u8],
    },
    CloseStatement(u32),
    ResetStatement(u32),
    SetMultiStatements(bool),
    ResetConnection,
}

/// Why a packet is not a command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The client waits for an answer: this error.
    Answer(MysqlError),
    /// The command is one that has no answer, so an error would be taken for the answer to the next one.
    Silence,
}

impl<'a> Command<'a> {
    pub(crate) fn parse(packet: &'a [u8]) -> Result<Self, Refusal> {
        let Some((&code, body)) = packet.split_first() else {
            return Err(Refusal::Answer(MysqlError::malformed("an empty packet")));
        };
        let mut buffer = ParseBuf(body);
        let malformed = || Refusal::Answer(MysqlError::malformed("shorter than its command"));
        let command = match code {
            code if code == Code::COM_QUIT as u8 => Self::Quit,
            code if code == Code::COM_INIT_DB as u8 => Self::InitDb(text(body)?),
            code if code == Code::COM_QUERY as u8 => Self::Query(text(body)?),
            code if code == Code::COM_FIELD_LIST as u8 => Self::FieldList {
                table: text(buffer.eat_null_str())?,
                wildcard: text(buffer.eat_all())?,
            },
            code if code == Code::COM_STATISTICS as u8 => Self::Statistics,
            code if code == Code::COM_PING as u8 => Self::Ping,
            code if code == Code::COM_CHANGE_USER as u8 => Self::ChangeUser(packet),
            code if code == Code::COM_STMT_PREPARE as u8 => Self::Prepare(text(body)?),
            code if code == Code::COM_STMT_EXECUTE as u8 => Self::Execute {
                statement_id: buffer.checked_eat_u32_le().ok_or_else(malformed)?,
                rest: buffer.eat_all(),
            },
            code if code == Code::COM_STMT_SEND_LONG_DATA as u8 => Self::LongData {
                statement_id: buffer.checked_eat_u32_le().ok_or(Refusal::Silence)?,
                parameter: buffer.checked_eat_u16_le().ok_or(Refusal::Silence)?,
                data: buffer.eat_all(),
            },
            code if code == Code::COM_STMT_CLOSE as u8 => {
                Self::CloseStatement(buffer.checked_eat_u32_le().ok_or(Refusal::Silence)?)
            }
            code if code == Code::COM_STMT_RESET as u8 => {
                Self::ResetStatement(buffer.checked_eat_u32_le().ok_or_else(malformed)?)
            }
            code if code == Code::COM_SET_OPTION as u8 => match buffer.checked_eat_u16_le() {
                Some(0) => Self::SetMultiStatements(true),
                Some(1) => Self::SetMultiStatements(false),
                _ => return Err(Refusal::Answer(MysqlError::unknown_command(code))),
            },
            code if code == Code::COM_RESET_CONNECTION as u8 => Self::ResetConnection,
            code => return Err(Refusal::Answer(MysqlError::unknown_command(code))),
        };
        Ok(command)
    }
}

fn text(bytes: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(bytes).map_err(|error| {
        Refusal::Answer(MysqlError::new(
            codes::INVALID_CHARACTERS,
            b"HY000",
            format!(
                "Invalid UTF-8 at byte {}; set the client's character set to utf8mb4",
                error.valid_up_to()
            ),
        ))
    })
}

#[cfg(test)]
mod tests;
