//! Back from schemas to text, in StarRocks' layout.

use std::fmt::Write as _;

use springtide_model::{Column, DataType, Literal, PartitionBound, PartitionRange, TableSchema};

/// A table as `SHOW CREATE TABLE` describes it.
#[derive(Clone, Debug)]
pub struct TableDescription<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its columns, key and distribution.
    pub schema: &'a TableSchema,
    /// Names and ranges of its partitions, in order; those of an unpartitioned table are not shown.
    pub partitions: Vec<(&'a str, &'a PartitionRange)>,
    /// `COMMENT`; StarRocks shows `OLAP` where it is empty.
    pub comment: &'a str,
}

/// What `SHOW CREATE TABLE` answers. Parsing it again gives the same table.
#[must_use]
pub fn create_table_text(table: &TableDescription<'_>) -> String {
    let TableDescription {
        name,
        schema,
        partitions,
        comment,
    } = table;
    let columns: Vec<String> = schema.columns.iter().map(column_text).collect();
    let mut text = format!(
        "CREATE TABLE {} (\n  {}\n) ENGINE=OLAP \n",
        quote_identifier(name),
        columns.join(",\n  ")
    );
    let key = schema.columns.iter().take(schema.key_columns);
    let _ = writeln!(text, "DUPLICATE KEY({})", identifiers(key));
    let comment = if comment.is_empty() { "OLAP" } else { comment };
    let _ = writeln!(text, "COMMENT {}", quote_text(comment));
    if let Some(column) = schema.partition_column.and_then(|index| schema.columns.get(index)) {
        let ranges: Vec<String> = partitions
            .iter()
            .map(|(name, range)| partition_text(name, range))
            .collect();
        let _ = writeln!(text, "PARTITION BY RANGE({})", quote_identifier(&column.name));
        let _ = writeln!(text, "({})", ranges.join(",\n"));
    }
    let hashed = schema
        .distribution
        .columns
        .iter()
        .filter_map(|index| schema.columns.get(*index));
    let distribution = if schema.distribution.columns.is_empty() {
        "RANDOM".to_owned()
    } else {
        format!("HASH({})", identifiers(hashed))
    };
    let buckets = schema.distribution.buckets;
    let _ = write!(text, "DISTRIBUTED BY {distribution} BUCKETS {buckets} \nPROPERTIES (\n");
    text.push_str("\"compression\" = \"ZSTD\",\n\"replication_num\" = \"1\"\n);");
    text
}

fn identifiers<'a>(columns: impl Iterator<Item = &'a Column>) -> String {
    columns
        .map(|column| quote_identifier(&column.name))
        .collect::<Vec<_>>()
        .join(", ")
}

fn column_text(column: &Column) -> String {
    let Column {
        name,
        data_type,
        nullable,
        default,
        comment,
    } = column;
    let null = if *nullable { "NULL" } else { "NOT NULL" };
    let default = match default {
        None | Some(Literal::Null) => String::new(),
        Some(literal) => format!("DEFAULT {} ", literal_text(literal)),
    };
    format!(
        "{} {} {null} {default}COMMENT {}",
        quote_identifier(name),
        full_type_name(data_type),
        quote_text(comment)
    )
}

fn partition_text(name: &str, range: &PartitionRange) -> String {
    let bound = |bound: &PartitionBound| match bound {
        PartitionBound::MinValue => "(MINVALUE)".to_owned(),
        PartitionBound::MaxValue => "(MAXVALUE)".to_owned(),
        PartitionBound::Value(literal) => format!("({})", literal_text(literal)),
    };
    let name = quote_unless_plain(name);
    format!(
        "PARTITION {name} VALUES [{}, {})",
        bound(&range.lower),
        bound(&range.upper)
    )
}

fn literal_text(literal: &Literal) -> String {
    match literal {
        Literal::Null => "NULL".to_owned(),
        Literal::Boolean(value) => quote_text(if *value { "1" } else { "0" }),
        Literal::Int(value) => quote_text(&value.to_string()),
        Literal::Text(text) => quote_text(text),
    }
}

/// An identifier in backticks.
#[must_use]
pub fn quote_identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

fn quote_unless_plain(name: &str) -> String {
    let plain = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    if plain { name.to_owned() } else { quote_identifier(name) }
}

fn quote_text(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\0' => quoted.push_str("\\0"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// A type as `SHOW CREATE TABLE` has it, for example `bigint(20)`.
#[must_use]
pub fn full_type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::TinyInt => "tinyint(4)".to_owned(),
        DataType::SmallInt => "smallint(6)".to_owned(),
        DataType::Int => "int(11)".to_owned(),
        DataType::BigInt => "bigint(20)".to_owned(),
        DataType::Decimal { precision, scale } => format!("decimal({precision}, {scale})"),
        other => column_type_name(other),
    }
}

/// A type as `DESC` and `information_schema` have it, for example `bigint`.
#[must_use]
pub fn column_type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "boolean".to_owned(),
        DataType::TinyInt => "tinyint".to_owned(),
        DataType::SmallInt => "smallint".to_owned(),
        DataType::Int => "int".to_owned(),
        DataType::BigInt => "bigint".to_owned(),
        DataType::Float => "float".to_owned(),
        DataType::Double => "double".to_owned(),
        DataType::Decimal { precision, scale } => format!("decimal({precision},{scale})"),
        DataType::Char { length } => format!("char({length})"),
        DataType::Varchar { length } => format!("varchar({length})"),
        DataType::Date => "date".to_owned(),
        DataType::DateTime => "datetime".to_owned(),
        DataType::Varbinary => "varbinary".to_owned(),
        DataType::Json => "json".to_owned(),
    }
}

#[cfg(test)]
mod tests;
