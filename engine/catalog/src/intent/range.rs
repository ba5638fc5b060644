//! The order of partition bounds, and their canonical form.

use springtide_model::{Column, DataType, Literal, PartitionBound, PartitionRange};

use crate::error::{CatalogError, ErrorKind};

/// Whether the partition with lower bound `a` comes before the one with lower bound `b`. No range at all counts as least.
pub(crate) fn bound_is_less(a: Option<&PartitionBound>, b: Option<&PartitionBound>) -> bool {
    match (a, b) {
        (None, other) => other.is_some(),
        (Some(_), None) => false,
        (Some(a), Some(b)) => position(a) < position(b),
    }
}

/// Bounds in their order. Values of one partition column are literals of one variant, whose order is theirs: dates are kept in
/// their canonical spelling, which sorts as text.
pub(super) fn position(bound: &PartitionBound) -> (u8, Option<&Literal>) {
    match bound {
        PartitionBound::MinValue => (0, None),
        PartitionBound::Value(value) => (1, Some(value)),
        PartitionBound::MaxValue => (2, None),
    }
}

/// Whether `column` may be the column of `PARTITION BY RANGE`.
pub(super) fn check_partition_column(column: &Column) -> Result<(), CatalogError> {
    match column.data_type {
        DataType::TinyInt
        | DataType::SmallInt
        | DataType::Int
        | DataType::BigInt
        | DataType::Date
        | DataType::DateTime => Ok(()),
        _ => Err(CatalogError::invalid(format!(
            "partition column '{}' must be an integer, DATE or DATETIME",
            column.name
        ))),
    }
}

/// The range with its values in canonical form.
pub(super) fn canonical_range(
    column: &Column,
    partition: &str,
    range: &PartitionRange,
) -> Result<PartitionRange, CatalogError> {
    let range = PartitionRange {
        lower: canonical_bound(column, partition, &range.lower)?,
        upper: canonical_bound(column, partition, &range.upper)?,
    };
    if position(&range.lower) >= position(&range.upper) {
        return Err(CatalogError::invalid(format!(
            "range of partition '{partition}' is empty: its lower bound must be below its upper bound"
        )));
    }
    Ok(range)
}

fn canonical_bound(column: &Column, partition: &str, bound: &PartitionBound) -> Result<PartitionBound, CatalogError> {
    let PartitionBound::Value(value) = bound else {
        return Ok(bound.clone());
    };
    let wrong = |what: &str| {
        CatalogError::invalid(format!(
            "bound of partition '{partition}' must be {what}, as column '{}' is",
            column.name
        ))
    };
    let value = match (&column.data_type, value) {
        (DataType::Date, Literal::Text(text)) => {
            let text = text.strip_suffix(" 00:00:00").unwrap_or(text);
            if !is_date(text) {
                return Err(wrong("a date 'YYYY-MM-DD'"));
            }
            Literal::Text(text.to_owned())
        }
        (DataType::DateTime, Literal::Text(text)) if is_date(text) => Literal::Text(format!("{text} 00:00:00")),
        (DataType::DateTime, Literal::Text(text)) if is_date_time(text) => Literal::Text(text.clone()),
        (DataType::Date, _) => return Err(wrong("a date 'YYYY-MM-DD'")),
        (DataType::DateTime, _) => return Err(wrong("a datetime 'YYYY-MM-DD hh:mm:ss'")),
        (_, Literal::Int(value)) => Literal::Int(*value),
        (_, Literal::Text(text)) => Literal::Int(text.trim().parse().map_err(|_| wrong("an integer"))?),
        _ => return Err(wrong("an integer")),
    };
    Ok(PartitionBound::Value(value))
}

fn is_date(text: &str) -> bool {
    let number = |range: std::ops::Range<usize>| {
        let digits = text.get(range)?;
        digits
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| digits.parse::<u32>().ok())?
    };
    let bytes = text.as_bytes();
    let (Some(year), Some(month), Some(day)) = (number(0..4), number(5..7), number(8..10)) else {
        return false;
    };
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return false,
    };
    bytes.len() == 10 && bytes[4] == b'-' && bytes[7] == b'-' && (1..=days).contains(&day)
}

fn is_date_time(text: &str) -> bool {
    let Some((date, time)) = text.split_once(' ') else {
        return false;
    };
    let parts: Vec<&str> = time.split(':').collect();
    let below = |part: &str, limit: u32| {
        part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit()) && part.parse::<u32>().is_ok_and(|n| n < limit)
    };
    is_date(date)
        && matches!(parts.as_slice(), [hour, minute, second] if below(hour, 24) && below(minute, 60) && below(second, 60))
}

/// Refuses two ranges that share a value; `ranges` need not be in order.
pub(super) fn check_overlap(ranges: &[(&str, Option<&PartitionRange>)]) -> Result<(), CatalogError> {
    let mut sorted: Vec<(&str, &PartitionRange)> = Vec::with_capacity(ranges.len());
    for (name, range) in ranges {
        match range {
            Some(range) => sorted.push((name, range)),
            None if ranges.len() > 1 => {
                return Err(CatalogError::invalid(format!(
                    "partition '{name}' takes every row, so it must be the only one"
                )));
            }
            None => return Ok(()),
        }
    }
    sorted.sort_by(|(_, a), (_, b)| position(&a.lower).cmp(&position(&b.lower)));
    for pair in sorted.windows(2) {
        let [(first, a), (second, b)] = pair else { continue };
        if position(&b.lower) < position(&a.upper) {
            return Err(CatalogError::new(
                ErrorKind::PartitionOverlap,
                format!("range of partition '{second}' overlaps that of partition '{first}'"),
            ));
        }
    }
    Ok(())
}
