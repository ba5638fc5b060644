//! What a result says about its columns.

use bytes::BufMut;
pub use mysql_common::constants::{ColumnFlags, ColumnType};
use mysql_common::io::BufMutExt;

/// Collation id of `utf8mb4_general_ci`: text.
pub const CHARSET_UTF8MB4: u16 = 45;
/// Collation id `binary`: numbers, dates and bytes.
pub const CHARSET_BINARY: u16 = 63;

/// Bytes of a column definition behind its names.
const FIXED_FIELDS_BYTES: u8 = 12;

/// One column of a result or one parameter of a prepared statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Name or alias in the result.
    pub name: String,
    /// Name in the table; the same as `name` where there is no alias.
    pub org_name: String,
    /// Table or its alias; empty for an expression.
    pub table: String,
    /// Database; empty for an expression.
    pub schema: String,
    /// Type on the wire; decides how the binary protocol encodes values.
    pub column_type: ColumnType,
    /// For example `UNSIGNED_FLAG`, `NOT_NULL_FLAG`.
    pub flags: ColumnFlags,
    /// Collation id: [`CHARSET_UTF8MB4`] or [`CHARSET_BINARY`].
    pub charset: u16,
    /// Display length, in bytes.
    pub length: u32,
    /// Digits after the point; 31 for floating point without a fixed number.
    pub decimals: u8,
}

impl Column {
    /// A nullable column with the charset, length and decimals that clients expect of its type.
    pub fn new(name: impl Into<String>, column_type: ColumnType) -> Self {
        let name = name.into();
        let is_text = is_text_type(column_type);
        Self {
            org_name: name.clone(),
            name,
            table: String::new(),
            schema: String::new(),
            column_type,
            flags: ColumnFlags::empty(),
            charset: if is_text { CHARSET_UTF8MB4 } else { CHARSET_BINARY },
            length: default_length(column_type),
            decimals: default_decimals(column_type),
        }
    }

    /// A nullable VARCHAR column, as most `SHOW` statements have.
    pub fn text(name: impl Into<String>) -> Self {
        Self::new(name, ColumnType::MYSQL_TYPE_VAR_STRING)
    }

    /// The same column of bytes rather than text.
    #[must_use]
    pub fn binary(mut self) -> Self {
        self.charset = CHARSET_BINARY;
        self.flags |= ColumnFlags::BINARY_FLAG;
        self
    }

    /// The same column, unsigned.
    #[must_use]
    pub fn unsigned(mut self) -> Self {
        self.flags |= ColumnFlags::UNSIGNED_FLAG;
        self
    }

    /// The same column, never NULL.
    #[must_use]
    pub fn not_null(mut self) -> Self {
        self.flags |= ColumnFlags::NOT_NULL_FLAG;
        self
    }

    /// The same column, of this table.
    #[must_use]
    pub fn of_table(mut self, schema: impl Into<String>, table: impl Into<String>) -> Self {
        self.schema = schema.into();
        self.table = table.into();
        self
    }

    pub(crate) fn is_unsigned(&self) -> bool {
        self.flags.contains(ColumnFlags::UNSIGNED_FLAG)
    }

    /// Appends the column definition packet.
    pub(crate) fn write_definition(&self, payload: &mut Vec<u8>) {
        let Self {
            name,
            org_name,
            table,
            schema,
            column_type,
            flags,
            charset,
            length,
            decimals,
        } = self;
        // By hand: mysql_common 0.38.2 reads this packet rightly but writes length and charset in the wrong order.
        for text in ["def", schema, table, table, name, org_name] {
            payload.put_lenenc_str(text.as_bytes());
        }
        payload.put_u8(FIXED_FIELDS_BYTES);
        payload.put_u16_le(*charset);
        payload.put_u32_le(*length);
        payload.put_u8(*column_type as u8);
        payload.put_u16_le(flags.bits());
        payload.put_u8(*decimals);
        payload.put_u16_le(0);
    }
}

fn is_text_type(column_type: ColumnType) -> bool {
    matches!(
        column_type,
        ColumnType::MYSQL_TYPE_VARCHAR
            | ColumnType::MYSQL_TYPE_VAR_STRING
            | ColumnType::MYSQL_TYPE_STRING
            | ColumnType::MYSQL_TYPE_TINY_BLOB
            | ColumnType::MYSQL_TYPE_MEDIUM_BLOB
            | ColumnType::MYSQL_TYPE_LONG_BLOB
            | ColumnType::MYSQL_TYPE_BLOB
            | ColumnType::MYSQL_TYPE_ENUM
            | ColumnType::MYSQL_TYPE_SET
            | ColumnType::MYSQL_TYPE_JSON
    )
}

fn default_length(column_type: ColumnType) -> u32 {
    match column_type {
        ColumnType::MYSQL_TYPE_TINY => 4,
        ColumnType::MYSQL_TYPE_SHORT => 6,
        ColumnType::MYSQL_TYPE_INT24 => 9,
        ColumnType::MYSQL_TYPE_LONG => 11,
        ColumnType::MYSQL_TYPE_LONGLONG => 20,
        ColumnType::MYSQL_TYPE_FLOAT => 12,
        ColumnType::MYSQL_TYPE_DOUBLE => 22,
        ColumnType::MYSQL_TYPE_DECIMAL | ColumnType::MYSQL_TYPE_NEWDECIMAL => 40,
        ColumnType::MYSQL_TYPE_YEAR => 4,
        ColumnType::MYSQL_TYPE_DATE | ColumnType::MYSQL_TYPE_NEWDATE => 10,
        ColumnType::MYSQL_TYPE_TIME => 17,
        ColumnType::MYSQL_TYPE_DATETIME | ColumnType::MYSQL_TYPE_TIMESTAMP => 19,
        ColumnType::MYSQL_TYPE_NULL => 0,
        ColumnType::MYSQL_TYPE_VAR_STRING | ColumnType::MYSQL_TYPE_VARCHAR => 4 * 65_533,
        ColumnType::MYSQL_TYPE_STRING => 4 * 255,
        _ => 4 * 1_048_576,
    }
}

fn default_decimals(column_type: ColumnType) -> u8 {
    match column_type {
        // MySQL's "not fixed": clients then print what they get.
        ColumnType::MYSQL_TYPE_FLOAT | ColumnType::MYSQL_TYPE_DOUBLE => 31,
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
