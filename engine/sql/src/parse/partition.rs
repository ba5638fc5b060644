//! `PARTITION BY RANGE`.

use std::{cmp::Ordering, collections::HashSet};

use chrono::{Datelike, Days, Months, NaiveDate, NaiveDateTime};
use springtide_model::{Column, DataType, Literal, PartitionBound, PartitionRange};
use sqlparser::tokenizer::Token;

use crate::{PartitionDefinition, SqlError, tokens::Cursor};

/// Partitions that one statement may make.
const MAX_PARTITIONS: usize = 4096;

/// `RANGE(column) (items)`.
#[derive(Debug)]
pub(super) struct PartitionClause {
    column: String,
    items: Vec<Item>,
}

#[derive(Debug)]
enum Item {
    /// Upper bound only: the lower is the end of the partition before.
    LessThan {
        name: String,
        upper: PartitionBound,
        if_not_exists: bool,
    },
    Fixed(PartitionDefinition),
    Every {
        start: String,
        end: String,
        step: u32,
        unit: Option<Unit>,
    },
}

#[derive(Clone, Copy, Debug)]
enum Unit {
    Hour,
    Day,
    Week,
    Month,
    Year,
}

pub(super) fn partition_by(cursor: &mut Cursor) -> Result<PartitionClause, SqlError> {
    if !cursor.take("RANGE") {
        return Err(SqlError::unsupported(
            "PARTITION BY with LIST or an expression",
            "use PARTITION BY RANGE(column)",
        ));
    }
    let mut columns = cursor.parenthesized(Cursor::identifier)?;
    let (Some(column), true) = (columns.pop(), columns.is_empty()) else {
        return Err(SqlError::unsupported(
            "PARTITION BY RANGE of several columns",
            "use one column",
        ));
    };
    cursor.require_token(&Token::LParen)?;
    let mut items = Vec::new();
    if !cursor.take_token(&Token::RParen) {
        items = cursor.comma_separated(item)?;
        cursor.require_token(&Token::RParen)?;
    }
    Ok(PartitionClause { column, items })
}

fn item(cursor: &mut Cursor) -> Result<Item, SqlError> {
    if cursor.take("START") {
        return every(cursor);
    }
    cursor.require("PARTITION")?;
    named(cursor)
}

/// `name VALUES LESS THAN (…)|MAXVALUE` or `name VALUES [(…), (…))`, after the word `PARTITION`.
fn named(cursor: &mut Cursor) -> Result<Item, SqlError> {
    let if_not_exists = cursor.take_all(&["IF", "NOT", "EXISTS"]);
    let name = cursor.identifier()?;
    cursor.require("VALUES")?;
    if cursor.take_all(&["LESS", "THAN"]) {
        let upper = if cursor.take("MAXVALUE") {
            PartitionBound::MaxValue
        } else {
            bound(cursor)?
        };
        return Ok(Item::LessThan {
            name,
            upper,
            if_not_exists,
        });
    }
    if !cursor.take_token(&Token::LBracket) {
        return cursor.expected("'LESS THAN', '['");
    }
    let lower = bound(cursor)?;
    cursor.require_token(&Token::Comma)?;
    let upper = bound(cursor)?;
    cursor.require_token(&Token::RParen)?;
    let range = PartitionRange { lower, upper };
    Ok(Item::Fixed(PartitionDefinition {
        name,
        range,
        if_not_exists,
    }))
}

/// `("value")`, `(value)`, `(MAXVALUE)` or `(MINVALUE)`.
fn bound(cursor: &mut Cursor) -> Result<PartitionBound, SqlError> {
    let mut bounds = cursor.parenthesized(|cursor| {
        if cursor.take("MAXVALUE") {
            return Ok(PartitionBound::MaxValue);
        }
        if cursor.take("MINVALUE") {
            return Ok(PartitionBound::MinValue);
        }
        if cursor.is_string() {
            return cursor.string().map(|text| PartitionBound::Value(Literal::Text(text)));
        }
        let negative = cursor.take_token(&Token::Minus);
        let value: i128 = cursor.integer()?;
        Ok(PartitionBound::Value(Literal::Int(if negative {
            -value
        } else {
            value
        })))
    })?;
    match (bounds.pop(), bounds.is_empty()) {
        (Some(bound), true) => Ok(bound),
        _ => Err(SqlError::invalid(
            "A partition's bound has one value, as there is one partition column.",
        )),
    }
}

/// `("…") END ("…") EVERY (INTERVAL n unit)` or `EVERY (n)`, after the word `START`.
fn every(cursor: &mut Cursor) -> Result<Item, SqlError> {
    let start = one_text(cursor)?;
    cursor.require("END")?;
    let end = one_text(cursor)?;
    cursor.require("EVERY")?;
    cursor.require_token(&Token::LParen)?;
    let unit = if cursor.take("INTERVAL") {
        let step = cursor.integer()?;
        let unit = if cursor.take("HOUR") {
            Unit::Hour
        } else if cursor.take("DAY") {
            Unit::Day
        } else if cursor.take("WEEK") {
            Unit::Week
        } else if cursor.take("MONTH") {
            Unit::Month
        } else if cursor.take("YEAR") {
            Unit::Year
        } else {
            return cursor.expected("'HOUR', 'DAY', 'WEEK', 'MONTH', 'YEAR'");
        };
        (step, Some(unit))
    } else {
        (cursor.integer()?, None)
    };
    cursor.require_token(&Token::RParen)?;
    let (step, unit) = unit;
    if step == 0 {
        return Err(SqlError::invalid("EVERY must be greater than 0."));
    }
    Ok(Item::Every { start, end, step, unit })
}

fn one_text(cursor: &mut Cursor) -> Result<String, SqlError> {
    let mut texts = cursor.parenthesized(|cursor| {
        if matches!(cursor.peek(), Token::Number(..)) {
            cursor.integer::<i64>().map(|number| number.to_string())
        } else {
            cursor.string()
        }
    })?;
    match (texts.pop(), texts.is_empty()) {
        (Some(text), true) => Ok(text),
        _ => Err(SqlError::invalid(
            "START and END have one value, as there is one partition column.",
        )),
    }
}

/// What `ALTER TABLE … ADD PARTITION` adds; bounds are checked against the column later, by [`check_bound`].
pub(super) fn added(cursor: &mut Cursor) -> Result<PartitionDefinition, SqlError> {
    let definition = match named(cursor)? {
        Item::LessThan {
            name,
            upper,
            if_not_exists,
        } => PartitionDefinition {
            name,
            range: PartitionRange {
                lower: PartitionBound::MinValue,
                upper,
            },
            if_not_exists,
        },
        Item::Fixed(definition) => definition,
        Item::Every { .. } => {
            return Err(SqlError::unsupported(
                "ADD PARTITIONS START … END",
                "add them one by one",
            ));
        }
    };
    // Distribution and properties of a single partition cannot differ from the table's.
    if cursor.take("PROPERTIES") {
        super::table::property_list(cursor)?;
    }
    Ok(definition)
}

impl PartitionClause {
    /// The column's index, and the partitions in order of range.
    pub(super) fn resolve(self, columns: &[Column]) -> Result<(usize, Vec<PartitionDefinition>), SqlError> {
        let index = columns
            .iter()
            .position(|column| column.name.eq_ignore_ascii_case(&self.column))
            .ok_or_else(|| {
                SqlError::invalid(format!(
                    "Partition column[{}] does not exist in column list.",
                    self.column
                ))
            })?;
        let data_type = &columns[index].data_type;
        let mut partitions: Vec<PartitionDefinition> = Vec::new();
        for item in self.items {
            match item {
                Item::LessThan {
                    name,
                    upper,
                    if_not_exists,
                } => {
                    let lower = partitions
                        .last()
                        .map_or(PartitionBound::MinValue, |before| before.range.upper.clone());
                    partitions.push(PartitionDefinition {
                        name,
                        range: PartitionRange { lower, upper },
                        if_not_exists,
                    });
                }
                Item::Fixed(definition) => partitions.push(definition),
                Item::Every { start, end, step, unit } => expand(&start, &end, step, unit, data_type, &mut partitions)?,
            }
            if partitions.len() > MAX_PARTITIONS {
                return Err(too_many());
            }
        }
        for partition in &mut partitions {
            partition.range.lower = check_bound(&partition.range.lower, data_type)?;
            partition.range.upper = check_bound(&partition.range.upper, data_type)?;
        }
        check_ranges(&mut partitions)?;
        Ok((index, partitions))
    }
}

fn too_many() -> SqlError {
    SqlError::invalid(format!("One statement may make at most {MAX_PARTITIONS} partitions."))
}

/// Puts partitions in order and refuses the same name twice, empty ranges and overlaps.
fn check_ranges(partitions: &mut [PartitionDefinition]) -> Result<(), SqlError> {
    let mut names = HashSet::new();
    for partition in partitions.iter() {
        if !names.insert(partition.name.to_ascii_lowercase()) {
            return Err(SqlError::DuplicatePartition(partition.name.clone()));
        }
        if compare(&partition.range.lower, &partition.range.upper) != Ordering::Less {
            return Err(SqlError::invalid(format!(
                "Partition {}: the upper bound must be greater than the lower bound.",
                partition.name
            )));
        }
    }
    partitions.sort_by(|a, b| compare(&a.range.lower, &b.range.lower));
    for pair in partitions.windows(2) {
        if compare(&pair[0].range.upper, &pair[1].range.lower) == Ordering::Greater {
            return Err(SqlError::invalid(format!(
                "Range of partition {} intersects with range of partition {}.",
                pair[1].name, pair[0].name
            )));
        }
    }
    Ok(())
}

/// Order of bounds of one column whose texts are in their normal form (see [`check_bound`]).
fn compare(a: &PartitionBound, b: &PartitionBound) -> Ordering {
    fn rank(bound: &PartitionBound) -> u8 {
        match bound {
            PartitionBound::MinValue => 0,
            PartitionBound::Value(_) => 1,
            PartitionBound::MaxValue => 2,
        }
    }
    match (a, b) {
        (PartitionBound::Value(a), PartitionBound::Value(b)) => a.cmp(b),
        (a, b) => rank(a).cmp(&rank(b)),
    }
}

/// A bound in the normal form of its column's type: integers as integers, dates as `YYYY-MM-DD`, datetimes as
/// `YYYY-MM-DD HH:MM:SS[.ffffff]`, so that the order of texts is the order of times.
///
/// # Errors
/// The value is none of the column's type.
pub fn check_bound(bound: &PartitionBound, data_type: &DataType) -> Result<PartitionBound, SqlError> {
    let PartitionBound::Value(literal) = bound else {
        return Ok(bound.clone());
    };
    let wrong = |value: &dyn std::fmt::Display| {
        SqlError::invalid(format!("Invalid value {value} for a bound of the partition column."))
    };
    let literal = match (data_type, literal) {
        (DataType::TinyInt | DataType::SmallInt | DataType::Int | DataType::BigInt, literal) => {
            let value = match literal {
                Literal::Int(value) => *value,
                Literal::Text(text) => text.trim().parse().map_err(|_| wrong(text))?,
                Literal::Null | Literal::Boolean(_) => return Err(wrong(&"NULL")),
            };
            let limit = match data_type {
                DataType::TinyInt => i128::from(i8::MAX),
                DataType::SmallInt => i128::from(i16::MAX),
                DataType::Int => i128::from(i32::MAX),
                _ => i128::from(i64::MAX),
            };
            if value > limit || value < -limit - 1 {
                return Err(wrong(&value));
            }
            Literal::Int(value)
        }
        (DataType::Date, Literal::Text(text)) => Literal::Text(date_text(parse_date(text).ok_or_else(|| wrong(text))?)),
        (DataType::DateTime, Literal::Text(text)) => {
            Literal::Text(datetime_text(parse_datetime(text).ok_or_else(|| wrong(text))?))
        }
        (DataType::Date | DataType::DateTime, Literal::Int(value)) => {
            let text = value.to_string();
            return check_bound(&PartitionBound::Value(Literal::Text(text)), data_type);
        }
        (DataType::Char { .. } | DataType::Varchar { .. }, Literal::Text(text)) => Literal::Text(text.clone()),
        _ => {
            return Err(SqlError::invalid(
                "The partition column must be an integer, DATE, DATETIME, CHAR or VARCHAR.",
            ));
        }
    };
    Ok(PartitionBound::Value(literal))
}

fn parse_date(text: &str) -> Option<NaiveDate> {
    let text = text.trim();
    let text = text.strip_suffix(" 00:00:00").unwrap_or(text);
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .or_else(|_| NaiveDate::parse_from_str(text, "%Y%m%d"))
        .ok()?;
    (0..=9999).contains(&date.year()).then_some(date)
}

fn parse_datetime(text: &str) -> Option<NaiveDateTime> {
    let text = text.trim();
    if let Some(date) = parse_date(text) {
        return date.and_hms_opt(0, 0, 0);
    }
    let time = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f")
        .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f"))
        .ok()?;
    (0..=9999).contains(&time.year()).then_some(time)
}

fn date_text(date: NaiveDate) -> String {
    date.format("%Y-%m-%d").to_string()
}

fn datetime_text(time: NaiveDateTime) -> String {
    let whole = time.format("%Y-%m-%d %H:%M:%S").to_string();
    let micros = time.and_utc().timestamp_subsec_micros();
    if micros == 0 {
        whole
    } else {
        format!("{whole}.{micros:06}")
    }
}

/// Adds the partitions of `START … END … EVERY`, named as StarRocks names them.
fn expand(
    start: &str,
    end: &str,
    step: u32,
    unit: Option<Unit>,
    data_type: &DataType,
    partitions: &mut Vec<PartitionDefinition>,
) -> Result<(), SqlError> {
    let fixed = |name: String, lower: Literal, upper: Literal| PartitionDefinition {
        name,
        range: PartitionRange {
            lower: PartitionBound::Value(lower),
            upper: PartitionBound::Value(upper),
        },
        if_not_exists: false,
    };
    let Some(unit) = unit else {
        let (Ok(mut at), Ok(end)) = (start.parse::<i64>(), end.parse::<i64>()) else {
            return Err(SqlError::invalid(
                "EVERY without INTERVAL needs START and END of integers.",
            ));
        };
        while at < end {
            let next = at.saturating_add(i64::from(step)).min(end);
            partitions.push(fixed(
                format!("p{at}"),
                Literal::Int(at.into()),
                Literal::Int(next.into()),
            ));
            if partitions.len() > MAX_PARTITIONS {
                return Err(too_many());
            }
            at = next;
        }
        return Ok(());
    };
    if matches!(unit, Unit::Hour) && *data_type != DataType::DateTime {
        return Err(SqlError::invalid("EVERY (INTERVAL … HOUR) needs a DATETIME column."));
    }
    let wrong = |text: &str| SqlError::invalid(format!("Invalid date {text} in START or END."));
    let mut at = parse_datetime(start).ok_or_else(|| wrong(start))?;
    let end = parse_datetime(end).ok_or_else(|| wrong(end))?;
    let text = |time: NaiveDateTime| {
        Literal::Text(match data_type {
            DataType::Date => date_text(time.date()),
            _ => datetime_text(time),
        })
    };
    while at < end {
        let next = advance(at, step, unit).ok_or_else(|| SqlError::invalid("EVERY leads past the year 9999."))?;
        partitions.push(fixed(name_of(at, unit), text(at), text(next.min(end))));
        if partitions.len() > MAX_PARTITIONS {
            return Err(too_many());
        }
        at = next;
    }
    Ok(())
}

fn advance(time: NaiveDateTime, step: u32, unit: Unit) -> Option<NaiveDateTime> {
    let next = match unit {
        Unit::Hour => time.checked_add_signed(chrono::TimeDelta::try_hours(i64::from(step))?)?,
        Unit::Day => time.checked_add_days(Days::new(u64::from(step)))?,
        Unit::Week => time.checked_add_days(Days::new(u64::from(step) * 7))?,
        Unit::Month => time.checked_add_months(Months::new(step))?,
        Unit::Year => time.checked_add_months(Months::new(step.checked_mul(12)?))?,
    };
    (next.year() <= 9999).then_some(next)
}

fn name_of(time: NaiveDateTime, unit: Unit) -> String {
    let format = match unit {
        Unit::Hour => "p%Y%m%d%H",
        Unit::Day | Unit::Week => "p%Y%m%d",
        Unit::Month => "p%Y%m",
        Unit::Year => "p%Y",
    };
    time.format(format).to_string()
}
