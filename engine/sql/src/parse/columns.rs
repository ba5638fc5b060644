//! Column definitions.

use springtide_model::{Column, DataType, Literal};
use sqlparser::tokenizer::Token;

use crate::{SqlError, tokens::Cursor};

/// Bytes of a `STRING`, and most bytes of a `VARCHAR` without a length given.
pub(crate) const STRING_BYTES: u32 = 65_533;
/// Most bytes of a `VARCHAR`.
const MAX_VARCHAR_BYTES: u32 = 1_048_576;

/// `name type [NULL|NOT NULL] [DEFAULT value] [COMMENT "…"] [KEY]`, in any order after the type.
pub(super) fn column(cursor: &mut Cursor) -> Result<Column, SqlError> {
    let name = cursor.identifier()?;
    let data_type = data_type(cursor)?;
    let mut column = Column {
        name,
        data_type,
        nullable: true,
        default: None,
        comment: String::new(),
    };
    loop {
        if cursor.take_all(&["NOT", "NULL"]) {
            column.nullable = false;
        } else if cursor.take("NULL") {
            column.nullable = true;
        } else if cursor.take("DEFAULT") {
            column.default = Some(default_value(cursor, &column)?);
        } else if cursor.take("COMMENT") {
            column.comment = cursor.string()?;
        } else if cursor.take("CHARSET") || cursor.take("COLLATE") || cursor.take_all(&["CHARACTER", "SET"]) {
            cursor.name()?;
        } else if cursor.is_word("AUTO_INCREMENT") {
            return Err(SqlError::unsupported("AUTO_INCREMENT", "give the values in the load"));
        } else if let Token::Word(word) = cursor.peek()
            && [
                "SUM",
                "MAX",
                "MIN",
                "REPLACE",
                "HLL_UNION",
                "BITMAP_UNION",
                "REPLACE_IF_NOT_NULL",
            ]
            .iter()
            .any(|function| word.value.eq_ignore_ascii_case(function))
        {
            return Err(SqlError::unsupported("AGGREGATE KEY", "use DUPLICATE KEY"));
        } else {
            return Ok(column);
        }
    }
}

fn default_value(cursor: &mut Cursor, column: &Column) -> Result<Literal, SqlError> {
    let negative = cursor.take_token(&Token::Minus);
    let sign = if negative { "-" } else { "" };
    let literal = match cursor.peek() {
        Token::Number(digits, _) => {
            let text = format!("{sign}{digits}");
            text.parse().map(Literal::Int).unwrap_or(Literal::Text(text))
        }
        Token::SingleQuotedString(text) | Token::DoubleQuotedString(text) if !negative => Literal::Text(text.clone()),
        Token::Word(word) if !negative && word.value.eq_ignore_ascii_case("NULL") => Literal::Null,
        Token::Word(word) if !negative && word.value.eq_ignore_ascii_case("TRUE") => Literal::Boolean(true),
        Token::Word(word) if !negative && word.value.eq_ignore_ascii_case("FALSE") => Literal::Boolean(false),
        Token::Word(word) if word.value.eq_ignore_ascii_case("CURRENT_TIMESTAMP") => {
            return Err(SqlError::unsupported(
                format!("DEFAULT CURRENT_TIMESTAMP (column '{}')", column.name),
                "give the value in the load",
            ));
        }
        _ => return cursor.expected("a number, a string, TRUE, FALSE, NULL"),
    };
    cursor.advance();
    Ok(fitted(literal, &column.data_type))
}

/// Integers in quotes are integers where the column is: `INT DEFAULT "0"` is how StarRocks writes it.
fn fitted(literal: Literal, data_type: &DataType) -> Literal {
    match (literal, data_type) {
        (Literal::Text(text), DataType::TinyInt | DataType::SmallInt | DataType::Int | DataType::BigInt) => {
            text.trim().parse().map(Literal::Int).unwrap_or(Literal::Text(text))
        }
        (Literal::Text(text), DataType::Boolean) => match text.to_ascii_lowercase().as_str() {
            "true" | "1" => Literal::Boolean(true),
            "false" | "0" => Literal::Boolean(false),
            _ => Literal::Text(text),
        },
        (Literal::Int(value @ (0 | 1)), DataType::Boolean) => Literal::Boolean(value == 1),
        (
            Literal::Int(value),
            DataType::Float
            | DataType::Double
            | DataType::Decimal { .. }
            | DataType::Char { .. }
            | DataType::Varchar { .. }
            | DataType::Date
            | DataType::DateTime
            | DataType::Json,
        ) => Literal::Text(value.to_string()),
        (literal, _) => literal,
    }
}

fn data_type(cursor: &mut Cursor) -> Result<DataType, SqlError> {
    let Token::Word(word) = cursor.peek() else {
        return cursor.expected("a type");
    };
    let name = word.value.to_ascii_uppercase();
    cursor.advance();
    let data_type = match name.as_str() {
        "BOOLEAN" | "BOOL" => DataType::Boolean,
        "TINYINT" => integer(cursor, DataType::TinyInt)?,
        "SMALLINT" => integer(cursor, DataType::SmallInt)?,
        "INT" | "INTEGER" => integer(cursor, DataType::Int)?,
        "BIGINT" => integer(cursor, DataType::BigInt)?,
        "FLOAT" => DataType::Float,
        "DOUBLE" | "REAL" => {
            cursor.take("PRECISION");
            DataType::Double
        }
        "DECIMAL" | "NUMERIC" | "DECIMALV2" | "DECIMAL32" | "DECIMAL64" | "DECIMAL128" => decimal(cursor)?,
        "CHAR" | "CHARACTER" => {
            let length = length(cursor)?.unwrap_or(1);
            if length == 0 || length > 255 {
                return Err(SqlError::invalid(format!(
                    "Char size must be in [1, 255], but was {length}."
                )));
            }
            DataType::Char { length }
        }
        "VARCHAR" | "STRING" | "TEXT" => {
            let length = length(cursor)?.unwrap_or(STRING_BYTES);
            if length == 0 || length > MAX_VARCHAR_BYTES {
                return Err(SqlError::invalid(format!(
                    "Varchar size must be in [1, {MAX_VARCHAR_BYTES}], but was {length}."
                )));
            }
            DataType::Varchar { length }
        }
        "DATE" => DataType::Date,
        "DATETIME" | "TIMESTAMP" => {
            length(cursor)?;
            DataType::DateTime
        }
        "VARBINARY" | "BINARY" => {
            length(cursor)?;
            DataType::Varbinary
        }
        "JSON" => DataType::Json,
        "LARGEINT" | "ARRAY" | "MAP" | "STRUCT" | "HLL" | "BITMAP" | "PERCENTILE" | "TIME" => {
            return Err(SqlError::unsupported(
                format!("Type {name}"),
                "use BIGINT, DECIMAL, VARCHAR or JSON",
            ));
        }
        _ => {
            cursor.rewind(cursor.position() - 1);
            return cursor.expected(
                "'BOOLEAN', 'TINYINT', 'SMALLINT', 'INT', 'BIGINT', 'FLOAT', 'DOUBLE', 'DECIMAL', 'CHAR', 'VARCHAR', \
                 'STRING', 'DATE', 'DATETIME', 'VARBINARY', 'JSON'",
            );
        }
    };
    Ok(data_type)
}

/// An integer's display width means nothing and is dropped.
fn integer(cursor: &mut Cursor, data_type: DataType) -> Result<DataType, SqlError> {
    length(cursor)?;
    if cursor.take("UNSIGNED") {
        return Err(SqlError::unsupported("UNSIGNED", "use the next larger type"));
    }
    cursor.take("SIGNED");
    Ok(data_type)
}

fn length(cursor: &mut Cursor) -> Result<Option<u32>, SqlError> {
    if !cursor.take_token(&Token::LParen) {
        return Ok(None);
    }
    let length = if cursor.take_token(&Token::Mul) {
        MAX_VARCHAR_BYTES
    } else {
        cursor.integer()?
    };
    cursor.require_token(&Token::RParen)?;
    Ok(Some(length))
}

fn decimal(cursor: &mut Cursor) -> Result<DataType, SqlError> {
    if !cursor.take_token(&Token::LParen) {
        return Ok(DataType::Decimal {
            precision: 10,
            scale: 0,
        });
    }
    let precision: u8 = cursor.integer()?;
    let scale: u8 = if cursor.take_token(&Token::Comma) {
        cursor.integer()?
    } else {
        0
    };
    cursor.require_token(&Token::RParen)?;
    if precision == 0 || precision > 38 {
        return Err(SqlError::invalid(format!(
            "DECIMAL's precision should range from 1 to 38, but was {precision}."
        )));
    }
    if scale > precision {
        return Err(SqlError::invalid(format!(
            "DECIMAL's scale should not exceed its precision {precision}, but was {scale}."
        )));
    }
    Ok(DataType::Decimal {
        precision,
        scale: i8::try_from(scale).unwrap_or(38),
    })
}
