//! Which segments a filter can match, by partition range, bucket and key range: decided in the frontend, before any read.

use std::collections::HashSet;

use arrow::{
    array::{ArrayRef, BooleanArray, RecordBatch, UInt64Array},
    datatypes::SchemaRef,
};
use datafusion::{
    catalog::Session,
    common::{Column, DFSchema, Result, ScalarValue, pruning::PruningStatistics},
    logical_expr::{BinaryExpr, Expr, Operator, utils::conjunction, utils::split_conjunction},
    physical_optimizer::pruning::PruningPredicateBuilder,
};
use springtide_model::{PartitionBound, Segment};
use springtide_tablet::{BucketHasher, arrow_type, scalar_of_literal};

use crate::snapshot::{SnapshotPartition, TableSnapshot};

/// A segment, and where it belongs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<'a> {
    pub(super) partition: &'a SnapshotPartition,
    pub(super) bucket: usize,
    pub(super) segment: &'a Segment,
}

pub(super) fn candidates(snapshot: &TableSnapshot) -> Vec<Candidate<'_>> {
    snapshot
        .partitions
        .iter()
        .flat_map(|partition| {
            partition
                .metadata
                .tablets
                .iter()
                .enumerate()
                .flat_map(move |(bucket, tablet)| {
                    tablet.segments.iter().map(move |segment| Candidate {
                        partition,
                        bucket,
                        segment,
                    })
                })
        })
        .filter(|candidate| candidate.segment.rows > 0)
        .collect()
}

/// The segments that may hold rows that all `filters` let pass.
pub(super) fn prune<'a>(
    snapshot: &'a TableSnapshot,
    schema: &SchemaRef,
    session: &dyn Session,
    filters: &[Expr],
) -> Result<Vec<Candidate<'a>>> {
    let mut kept = candidates(snapshot);
    if let Some(bucket) = only_bucket(snapshot, schema, filters) {
        kept.retain(|candidate| candidate.bucket == bucket as usize);
    }
    let Some(filter) = conjunction(filters.iter().cloned()) else {
        return Ok(kept);
    };
    let filter = session.create_physical_expr(filter, &DFSchema::try_from(SchemaRef::clone(schema))?)?;
    // A filter that cannot be used for pruning is no error: everything is kept.
    let builder = PruningPredicateBuilder::new().with_file_schema(SchemaRef::clone(schema));
    let Ok(predicate) = builder.try_build(filter) else {
        return Ok(kept);
    };
    let statistics = SegmentStatistics {
        snapshot,
        segments: &kept,
    };
    let Ok(matches) = predicate.prune(&statistics) else {
        return Ok(kept);
    };
    Ok(kept
        .into_iter()
        .zip(matches)
        .filter_map(|(candidate, may_match)| may_match.then_some(candidate))
        .collect())
}

/// The bucket of all matching rows, where the filters fix every column of the distribution.
fn only_bucket(snapshot: &TableSnapshot, schema: &SchemaRef, filters: &[Expr]) -> Option<u32> {
    let table = &snapshot.schema;
    let hasher = BucketHasher::new(table);
    if hasher.is_random() || hasher.buckets() == 1 {
        return None;
    }
    let terms: Vec<&Expr> = filters.iter().flat_map(split_conjunction).collect();
    let mut values: Vec<ArrayRef> = Vec::with_capacity(table.columns.len());
    for (index, column) in table.columns.iter().enumerate() {
        let data_type = arrow_type(&column.data_type);
        let value = if table.distribution.columns.contains(&index) {
            let value = terms
                .iter()
                .find_map(|term| fixed_value(term, schema.field(index).name()))?;
            let cast = value.cast_to(&data_type).ok()?;
            // The literal may have been wider than the column: then no row matches, but that is not decided here.
            (!cast.is_null() && cast.cast_to(&value.data_type()).ok()? == value).then_some(cast)?
        } else {
            ScalarValue::try_from(&data_type).ok()?
        };
        values.push(value.to_array().ok()?);
    }
    let nullable = schema
        .fields()
        .iter()
        .map(|field| field.as_ref().clone().with_nullable(true));
    let schema = arrow::datatypes::Schema::new(nullable.collect::<Vec<_>>());
    let row = RecordBatch::try_new(schema.into(), values).ok()?;
    hasher.buckets_of(&row).ok()?.first().copied()
}

fn fixed_value(term: &Expr, name: &str) -> Option<ScalarValue> {
    let Expr::BinaryExpr(BinaryExpr {
        left,
        op: Operator::Eq,
        right,
    }) = term
    else {
        return None;
    };
    match (left.as_ref(), right.as_ref()) {
        (Expr::Column(column), Expr::Literal(value, _)) | (Expr::Literal(value, _), Expr::Column(column))
            if column.name == name && !value.is_null() =>
        {
            Some(value.clone())
        }
        _ => None,
    }
}

/// The greatest value below the end of a range, which is not in the range itself; the end where there is no such value.
fn last_before(end: ScalarValue) -> ScalarValue {
    use ScalarValue::{Date32, Int8, Int16, Int32, Int64, TimestampMicrosecond};
    let before = match &end {
        Int8(Some(value)) => value.checked_sub(1).map(|value| Int8(Some(value))),
        Int16(Some(value)) => value.checked_sub(1).map(|value| Int16(Some(value))),
        Int32(Some(value)) => value.checked_sub(1).map(|value| Int32(Some(value))),
        Int64(Some(value)) => value.checked_sub(1).map(|value| Int64(Some(value))),
        Date32(Some(days)) => days.checked_sub(1).map(|days| Date32(Some(days))),
        TimestampMicrosecond(Some(micros), zone) => micros
            .checked_sub(1)
            .map(|micros| TimestampMicrosecond(Some(micros), zone.clone())),
        _ => None,
    };
    before.unwrap_or(end)
}

#[cfg(test)]
mod tests;

struct SegmentStatistics<'a> {
    snapshot: &'a TableSnapshot,
    segments: &'a [Candidate<'a>],
}

impl SegmentStatistics<'_> {
    fn bounds(&self, column: &Column, is_min: bool) -> Option<ArrayRef> {
        let index = self.snapshot.schema.column_index(&column.name)?;
        let data_type = &self.snapshot.schema.columns[index].data_type;
        let is_key = index == 0 && self.snapshot.schema.key_columns > 0;
        let is_partition = self.snapshot.schema.partition_column == Some(index);
        if !is_key && !is_partition {
            return None;
        }
        let unknown = ScalarValue::try_from(&arrow_type(data_type)).ok()?;
        let values = self.segments.iter().map(|candidate| {
            let key = candidate
                .segment
                .key_range
                .as_ref()
                .filter(|_| is_key)
                .and_then(|range| scalar_of_literal(if is_min { &range.min } else { &range.max }, data_type));
            let partition = candidate
                .partition
                .range
                .as_ref()
                .filter(|_| is_partition)
                .and_then(|range| match if is_min { &range.lower } else { &range.upper } {
                    PartitionBound::Value(literal) => scalar_of_literal(literal, data_type),
                    _ => None,
                })
                .map(|bound| if is_min { bound } else { last_before(bound) });
            key.or(partition).unwrap_or_else(|| unknown.clone())
        });
        ScalarValue::iter_to_array(values).ok()
    }
}

impl PruningStatistics for SegmentStatistics<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, true)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, false)
    }

    fn num_containers(&self) -> usize {
        self.segments.len()
    }

    fn null_counts(&self, _: &Column) -> Option<ArrayRef> {
        None
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        let rows = self.segments.iter().map(|candidate| candidate.segment.rows);
        Some(std::sync::Arc::new(UInt64Array::from_iter_values(rows)))
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
