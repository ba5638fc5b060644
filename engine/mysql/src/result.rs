//! [`ResultWriter`]: how a handler answers a statement.
//!
//! ```text
//!                    ┌──────── more_results() before the end ────────┐
//!                    ▼                                               │
//!   statement ─► Awaiting ─── ok() ─────────────────────────────────►┤
//!                    │                                               ├─► Done
//!                    ├─ result_set() ─► Rows ─ row()* ─ finish() ───►┘    ▲
//!                    │                   │                                │
//!                    └───────────────────┴──────── error() ───────────────┘
//! ```

use bytes::BufMut;
use mysql_common::constants::{CapabilityFlags, StatusFlags};
use mysql_common::io::BufMutExt;
use tokio_util::sync::CancellationToken;

use crate::column::Column;
use crate::packet::{PacketWriter, Position};
use crate::{MysqlError, Value, WriteError};

/// Rows are sent when this much is buffered (and nothing is held, see [`ResultWriter::hold`]).
const FLUSH_BYTES: usize = 64 * 1024;

/// The row buffer is given back when one row has grown it beyond this.
const KEPT_ROW_BYTES: usize = 1024 * 1024;

/// A statement without rows has done its work.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OkResult {
    /// Rows inserted, deleted or changed.
    pub affected_rows: u64,
    /// Last generated key, or 0.
    pub last_insert_id: u64,
    /// Number of warnings.
    pub warnings: u16,
    /// For people, for example the label of a load; may be empty.
    pub info: String,
}

/// How rows travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowProtocol {
    /// Of `COM_QUERY`.
    Text,
    /// Of `COM_STMT_EXECUTE`.
    Binary,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Awaiting,
    Rows,
    Done,
}

/// Writes the results of one statement text. Rows are buffered up to 64 KiB and then wait for the client: a slow client
/// slows the query down and holds no memory.
pub struct ResultWriter {
    packets: PacketWriter,
    deprecate_eof: bool,
    protocol: RowProtocol,
    phase: Phase,
    columns: Vec<Column>,
    more_results: bool,
    in_transaction: bool,
    result_start: Position,
    hold_bytes: usize,
    default_hold_bytes: usize,
    rows_written: u64,
    cancelled: CancellationToken,
    payload: Vec<u8>,
}

impl std::fmt::Debug for ResultWriter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ResultWriter")
            .field("protocol", &self.protocol)
            .field("phase", &self.phase)
            .field("buffered", &self.packets.buffered())
            .finish_non_exhaustive()
    }
}

impl ResultWriter {
    pub(crate) fn new(packets: PacketWriter, default_hold_bytes: usize) -> Self {
        Self {
            deprecate_eof: false,
            protocol: RowProtocol::Text,
            phase: Phase::Done,
            columns: Vec::new(),
            more_results: false,
            in_transaction: false,
            result_start: packets.position(),
            hold_bytes: default_hold_bytes,
            default_hold_bytes,
            rows_written: 0,
            cancelled: CancellationToken::new(),
            payload: Vec::new(),
            packets,
        }
    }

    /// What was agreed with the client at login.
    pub(crate) fn set_capabilities(&mut self, capabilities: CapabilityFlags) {
        self.deprecate_eof = capabilities.contains(CapabilityFlags::CLIENT_DEPRECATE_EOF);
    }

    /// Readies the writer for the next statement.
    pub(crate) fn begin(&mut self, protocol: RowProtocol, sequence: u8, cancelled: CancellationToken) {
        self.packets.set_sequence(sequence);
        self.protocol = protocol;
        self.phase = Phase::Awaiting;
        self.more_results = false;
        self.hold_bytes = self.default_hold_bytes;
        self.rows_written = 0;
        self.cancelled = cancelled;
        self.result_start = self.packets.position();
    }

    /// Cancelled when this statement is to end: KILL, the client has gone, or the server stops. The handler should
    /// return [`MysqlError::interrupted`] soon.
    pub fn cancelled(&self) -> &CancellationToken {
        &self.cancelled
    }

    /// Whether rows go out in the binary protocol (a prepared statement).
    pub fn is_binary(&self) -> bool {
        self.protocol == RowProtocol::Binary
    }

    /// Whether any byte of the current result has been handed to the network. While it has not, the statement may be
    /// run again after [`ResultWriter::restart`] without the client noticing.
    pub fn any_byte_sent(&self) -> bool {
        self.packets.has_sent_since(self.result_start)
    }

    /// Rows of the current result so far.
    pub fn rows_written(&self) -> u64 {
        self.rows_written
    }

    /// Holds the current statement's results back until `bytes` of one result are buffered, in place of
    /// [`crate::ServerOptions::result_hold_bytes`]. Memory of this connection grows to as much.
    pub fn hold(&mut self, bytes: usize) {
        self.hold_bytes = bytes;
    }

    /// Takes back what the current result has written, to begin it anew; `false` (and nothing is changed) where a byte
    /// of it has been sent.
    pub fn restart(&mut self) -> bool {
        if !self.packets.take_back_to(self.result_start) {
            return false;
        }
        self.phase = Phase::Awaiting;
        self.more_results = false;
        self.rows_written = 0;
        true
    }

    /// Says that another result follows the current one. To be called before `ok` or `finish` of every result but the
    /// last.
    pub fn more_results(&mut self) {
        self.more_results = true;
    }

    /// What the client is told of the session's transaction, with every result from now on.
    pub fn set_in_transaction(&mut self, in_transaction: bool) {
        self.in_transaction = in_transaction;
    }

    /// A result without rows.
    pub async fn ok(&mut self, result: OkResult) -> Result<(), WriteError> {
        self.expect(Phase::Awaiting, "ok() after result_set() or after the end")?;
        self.push_ok(0x00, &result)?;
        self.end_result().await
    }

    /// The statement failed; nothing may follow. Legal also after rows: the client then discards them.
    pub async fn error(&mut self, error: &MysqlError) -> Result<(), WriteError> {
        if self.phase == Phase::Done {
            return Err(WriteError::OutOfOrder("error() after the end"));
        }
        self.push_error(error)?;
        self.phase = Phase::Done;
        self.packets.flush().await
    }

    /// Begins a result with rows. At least one column.
    pub async fn result_set(&mut self, columns: &[Column]) -> Result<(), WriteError> {
        self.expect(Phase::Awaiting, "result_set() within a result or after the end")?;
        if columns.is_empty() {
            return Err(WriteError::OutOfOrder("result_set() without columns; use ok()"));
        }
        self.payload.clear();
        self.payload.put_lenenc_int(columns.len() as u64);
        self.packets.push(&self.payload)?;
        self.push_definitions(columns)?;
        self.columns.clear();
        self.columns.extend_from_slice(columns);
        self.phase = Phase::Rows;
        self.rows_written = 0;
        self.flush_if_full().await
    }

    /// One row: as many values as columns. Waits for the client where the buffer is full.
    pub async fn row(&mut self, values: &[Value<'_>]) -> Result<(), WriteError> {
        self.expect(Phase::Rows, "row() without result_set()")?;
        if values.len() != self.columns.len() {
            return Err(WriteError::OutOfOrder(
                "row() with another number of values than columns",
            ));
        }
        self.payload.clear();
        match self.protocol {
            RowProtocol::Text => values.iter().for_each(|value| value.write_text(&mut self.payload)),
            RowProtocol::Binary => write_binary_row(values, &self.columns, &mut self.payload)?,
        }
        self.packets.push(&self.payload)?;
        if self.payload.capacity() > KEPT_ROW_BYTES {
            self.payload = Vec::new();
        }
        self.rows_written += 1;
        self.flush_if_full().await
    }

    /// Ends the rows.
    pub async fn finish(&mut self) -> Result<(), WriteError> {
        self.finish_with_warnings(0).await
    }

    /// Ends the rows and tells the number of warnings.
    pub async fn finish_with_warnings(&mut self, warnings: u16) -> Result<(), WriteError> {
        self.expect(Phase::Rows, "finish() without result_set()")?;
        if self.deprecate_eof {
            let result = OkResult {
                warnings,
                ..OkResult::default()
            };
            self.push_ok(0xfe, &result)?;
        } else {
            self.push_eof(warnings)?;
        }
        self.end_result().await
    }

    /// Sends what is buffered now, held back or not: after this, no retry.
    pub async fn flush(&mut self) -> Result<(), WriteError> {
        self.packets.flush().await
    }

    pub(crate) fn is_done(&self) -> bool {
        self.phase == Phase::Done
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.packets.is_broken()
    }

    pub(crate) fn packets(&mut self) -> &mut PacketWriter {
        &mut self.packets
    }

    /// A single OK packet, outside of a statement's results.
    pub(crate) async fn plain_ok(&mut self) -> Result<(), WriteError> {
        self.more_results = false;
        self.push_ok(0x00, &OkResult::default())?;
        self.packets.flush().await
    }

    /// A single packet that ends an answer without rows: EOF, or OK where the client has given EOF up.
    pub(crate) async fn plain_end(&mut self) -> Result<(), WriteError> {
        if self.deprecate_eof {
            return self.plain_ok().await;
        }
        self.more_results = false;
        self.push_eof(0)?;
        self.packets.flush().await
    }

    /// A single ERR packet, outside of a statement's results.
    pub(crate) async fn plain_error(&mut self, error: &MysqlError) -> Result<(), WriteError> {
        self.push_error(error)?;
        self.packets.flush().await
    }

    /// Buffers a single ERR packet, to be sent when the connection is closed.
    pub(crate) fn buffer_error(&mut self, error: &MysqlError) -> Result<(), WriteError> {
        self.push_error(error)
    }

    /// The answer to a successful `COM_STMT_PREPARE`.
    pub(crate) async fn prepared(
        &mut self,
        statement_id: u32,
        parameters: &[Column],
        columns: &[Column],
    ) -> Result<(), WriteError> {
        let (Ok(parameter_count), Ok(column_count)) = (u16::try_from(parameters.len()), u16::try_from(columns.len()))
        else {
            return Err(WriteError::OutOfOrder(
                "a prepared statement with more than 65,535 parameters or columns",
            ));
        };
        self.payload.clear();
        self.payload.put_u8(0);
        self.payload.put_u32_le(statement_id);
        self.payload.put_u16_le(column_count);
        self.payload.put_u16_le(parameter_count);
        self.payload.put_u8(0);
        self.payload.put_u16_le(0);
        self.packets.push(&self.payload)?;
        for definitions in [parameters, columns] {
            if !definitions.is_empty() {
                self.push_definitions(definitions)?;
            }
        }
        self.packets.flush().await
    }

    /// The answer to `COM_FIELD_LIST`: definitions that each carry a default value, here NULL.
    pub(crate) async fn field_list(&mut self, columns: &[Column]) -> Result<(), WriteError> {
        for column in columns {
            self.payload.clear();
            column.write_definition(&mut self.payload);
            self.payload.put_u8(0xfb);
            self.packets.push(&self.payload)?;
        }
        self.more_results = false;
        self.push_eof(0)?;
        self.packets.flush().await
    }

    fn expect(&self, phase: Phase, mistake: &'static str) -> Result<(), WriteError> {
        if self.phase == phase {
            Ok(())
        } else {
            Err(WriteError::OutOfOrder(mistake))
        }
    }

    fn status(&self) -> StatusFlags {
        let mut status = StatusFlags::SERVER_STATUS_AUTOCOMMIT;
        status.set(StatusFlags::SERVER_MORE_RESULTS_EXISTS, self.more_results);
        status.set(StatusFlags::SERVER_STATUS_IN_TRANS, self.in_transaction);
        status
    }

    fn push_ok(&mut self, header: u8, result: &OkResult) -> Result<(), WriteError> {
        let OkResult {
            affected_rows,
            last_insert_id,
            warnings,
            info,
        } = result;
        let status = self.status();
        self.payload.clear();
        self.payload.put_u8(header);
        self.payload.put_lenenc_int(*affected_rows);
        self.payload.put_lenenc_int(*last_insert_id);
        self.payload.put_u16_le(status.bits());
        self.payload.put_u16_le(*warnings);
        if !info.is_empty() {
            self.payload.put_lenenc_str(info.as_bytes());
        }
        self.packets.push(&self.payload)
    }

    fn push_eof(&mut self, warnings: u16) -> Result<(), WriteError> {
        let status = self.status();
        self.payload.clear();
        self.payload.put_u8(0xfe);
        self.payload.put_u16_le(warnings);
        self.payload.put_u16_le(status.bits());
        self.packets.push(&self.payload)
    }

    fn push_error(&mut self, error: &MysqlError) -> Result<(), WriteError> {
        write_error_packet(error, &mut self.payload);
        self.packets.push(&self.payload)
    }

    fn push_definitions(&mut self, columns: &[Column]) -> Result<(), WriteError> {
        for column in columns {
            self.payload.clear();
            column.write_definition(&mut self.payload);
            self.packets.push(&self.payload)?;
        }
        if self.deprecate_eof {
            Ok(())
        } else {
            self.push_definitions_end()
        }
    }

    /// The EOF after definitions carries no word of further results.
    fn push_definitions_end(&mut self) -> Result<(), WriteError> {
        let more_results = std::mem::take(&mut self.more_results);
        let pushed = self.push_eof(0);
        self.more_results = more_results;
        pushed
    }

    async fn end_result(&mut self) -> Result<(), WriteError> {
        if std::mem::take(&mut self.more_results) {
            self.phase = Phase::Awaiting;
            self.result_start = self.packets.position();
            return Ok(());
        }
        self.phase = Phase::Done;
        self.packets.flush().await
    }

    async fn flush_if_full(&mut self) -> Result<(), WriteError> {
        let held = !self.any_byte_sent() && self.packets.buffered_since(self.result_start) < self.hold_bytes;
        if held || self.packets.buffered() < FLUSH_BYTES {
            return Ok(());
        }
        self.packets.flush().await
    }
}

/// Replaces `payload` by an ERR packet.
pub(crate) fn write_error_packet(error: &MysqlError, payload: &mut Vec<u8>) {
    payload.clear();
    payload.put_u8(0xff);
    payload.put_u16_le(error.code);
    payload.put_u8(b'#');
    payload.put_slice(&error.sqlstate);
    payload.put_slice(error.message_on_the_wire().as_bytes());
}

/// An ERR packet as it stands in place of the greeting: without SQLSTATE, since no protocol has been agreed on yet.
pub(crate) fn error_packet_before_greeting(error: &MysqlError) -> Vec<u8> {
    let mut payload = vec![0xff];
    payload.put_u16_le(error.code);
    payload.put_slice(error.message_on_the_wire().as_bytes());
    payload
}

/// A header byte, a bitmap of the NULLs that begins at its third bit, and the other values.
fn write_binary_row(values: &[Value<'_>], columns: &[Column], payload: &mut Vec<u8>) -> Result<(), WriteError> {
    const BITMAP_OFFSET: usize = 2;
    payload.put_u8(0);
    let bitmap_start = payload.len();
    payload.resize(bitmap_start + (values.len() + BITMAP_OFFSET).div_ceil(8), 0);
    for (index, (value, column)) in values.iter().zip(columns).enumerate() {
        if *value == Value::Null {
            let bit = index + BITMAP_OFFSET;
            payload[bitmap_start + bit / 8] |= 1 << (bit % 8);
            continue;
        }
        value
            .write_binary(column, payload)
            .map_err(|reason| WriteError::Value {
                column: column.name.clone(),
                reason,
            })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
