//! Which partition takes a row.

use arrow::{
    array::{Array, ArrayRef, AsArray},
    datatypes::{
        DataType as ArrowType, Date32Type, Decimal128Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit,
        TimestampMicrosecondType,
    },
};
use datafusion::common::ScalarValue;
use springtide_model::{DataType, LoadTarget, PartitionBound};

use crate::{WriteError, cast::shown, scalar_of_literal};

#[cfg(test)]
mod tests;

/// A value of the partition column in a form that orders as SQL does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Number(i128),
    Text(Vec<u8>),
}

/// `MINVALUE` is below `NULL`, which is below every value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Bound {
    Min,
    Null,
    At(Key),
    Max,
}

#[derive(Clone, Debug)]
struct Range {
    lower: Bound,
    upper: Bound,
    /// Position in the target's list.
    partition: usize,
}

/// Routes rows to the partitions of a load's target.
#[derive(Clone, Debug)]
pub struct PartitionRouter {
    table: String,
    column: Option<(usize, String)>,
    /// In order of `lower`, without overlap.
    ranges: Vec<Range>,
}

impl PartitionRouter {
    /// Reads the ranges of `target`.
    ///
    /// # Errors
    /// [`WriteError::Target`] when there is no partition, a bound is no value of the column, or ranges overlap.
    pub fn new(target: &LoadTarget) -> Result<Self, WriteError> {
        let table = target.table_name.clone();
        let fault = |problem: String| WriteError::Target {
            table: table.clone(),
            problem,
        };
        if target.partitions.is_empty() {
            return Err(fault("has no partition; add one before loading".to_owned()));
        }
        let Some(index) = target.schema.partition_column else {
            return Ok(Self {
                table,
                column: None,
                ranges: Vec::new(),
            });
        };
        let column = target
            .schema
            .columns
            .get(index)
            .ok_or_else(|| fault(format!("has no column {index} to partition by")))?;
        let mut ranges = Vec::with_capacity(target.partitions.len());
        for (position, partition) in target.partitions.iter().enumerate() {
            let (lower, upper) = match &partition.range {
                None => (Some(Bound::Min), Some(Bound::Max)),
                Some(range) => (
                    bound(&range.lower, &column.data_type),
                    bound(&range.upper, &column.data_type),
                ),
            };
            let (Some(lower), Some(upper)) = (lower, upper) else {
                return Err(fault(format!(
                    "a bound of partition `{}` is no value of column `{}`",
                    partition.name, column.name
                )));
            };
            ranges.push(Range {
                lower,
                upper,
                partition: position,
            });
        }
        ranges.sort_by(|a, b| a.lower.cmp(&b.lower));
        if ranges.windows(2).any(|pair| pair[0].upper > pair[1].lower) {
            return Err(fault("has partitions that overlap".to_owned()));
        }
        Ok(Self {
            table,
            column: Some((index, column.name.clone())),
            ranges,
        })
    }

    /// Index of the partition column; `None` where one partition takes all rows.
    #[must_use]
    pub fn column(&self) -> Option<usize> {
        self.column.as_ref().map(|(index, _)| *index)
    }

    /// For each row of the partition column, the position of its partition in the target's list.
    ///
    /// # Errors
    /// [`WriteError::NoPartition`] names the first value that no partition takes; [`WriteError::Type`] when the column's
    /// type has no order here.
    pub fn partitions_of(&self, values: &ArrayRef) -> Result<Vec<usize>, WriteError> {
        let Some((_, column)) = &self.column else {
            return Ok(vec![0; values.len()]);
        };
        let keys = keys_of(values).ok_or_else(|| WriteError::Type {
            column: column.clone(),
            from: values.data_type().to_string(),
            to: "a range partition".to_owned(),
        })?;
        // Neighbouring rows mostly go to the same partition.
        let mut last: Option<&Range> = None;
        keys.iter()
            .enumerate()
            .map(|(row, key)| {
                if let Some(range) = last
                    && range.lower <= *key
                    && *key < range.upper
                {
                    return Ok(range.partition);
                }
                let position = self.ranges.partition_point(|range| range.lower <= *key);
                let found = position
                    .checked_sub(1)
                    .map(|position| &self.ranges[position])
                    .filter(|range| *key < range.upper);
                last = found;
                found
                    .map(|range| range.partition)
                    .ok_or_else(|| WriteError::NoPartition {
                        column: column.clone(),
                        table: self.table.clone(),
                        row: row as u64 + 1,
                        value: shown(values, row),
                    })
            })
            .collect()
    }
}

fn bound(bound: &PartitionBound, data_type: &DataType) -> Option<Bound> {
    Some(match bound {
        PartitionBound::MinValue => Bound::Min,
        PartitionBound::MaxValue => Bound::Max,
        PartitionBound::Value(literal) => Bound::At(key_of(&scalar_of_literal(literal, data_type)?)?),
    })
}

fn key_of(value: &ScalarValue) -> Option<Key> {
    let array = value.to_array().ok()?;
    match keys_of(&array)?.pop()? {
        Bound::At(key) => Some(key),
        _ => None,
    }
}

fn keys_of(values: &ArrayRef) -> Option<Vec<Bound>> {
    macro_rules! numbers {
        ($kind:ty) => {{
            let values = values.as_primitive::<$kind>();
            values
                .iter()
                .map(|value| value.map_or(Bound::Null, |value| Bound::At(Key::Number(i128::from(value)))))
                .collect()
        }};
    }
    Some(match values.data_type() {
        ArrowType::Int8 => numbers!(Int8Type),
        ArrowType::Int16 => numbers!(Int16Type),
        ArrowType::Int32 => numbers!(Int32Type),
        ArrowType::Int64 => numbers!(Int64Type),
        ArrowType::Date32 => numbers!(Date32Type),
        ArrowType::Timestamp(TimeUnit::Microsecond, None) => numbers!(TimestampMicrosecondType),
        ArrowType::Decimal128(_, _) => numbers!(Decimal128Type),
        ArrowType::Utf8View => values
            .as_string_view()
            .iter()
            .map(|value| value.map_or(Bound::Null, |value| Bound::At(Key::Text(value.as_bytes().to_vec()))))
            .collect(),
        _ => return None,
    })
}
