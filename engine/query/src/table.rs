//! A table of the lake as DataFusion's planner sees it.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::{
    catalog::{Session, TableProvider},
    common::{ColumnStatistics, Result, ScalarValue, Statistics, config::TableParquetOptions, stats::Precision},
    datasource::{
        TableType,
        listing::PartitionedFile,
        physical_plan::{FileScanConfigBuilder, ParquetSource},
    },
    execution::object_store::ObjectStoreUrl,
    logical_expr::{Expr, TableProviderFilterPushDown},
    physical_plan::ExecutionPlan,
};
use springtide_model::Segment;
use springtide_tablet::{SegmentLocation, arrow_schema, scalar_of_literal};

use crate::{
    placement::worker_count,
    resources::NodeResources,
    scan::{LakeScan, ScanOrigin, spread},
    snapshot::TableSnapshot,
};

mod pruning;

#[cfg(test)]
mod tests;

/// Pieces smaller than this are not worth a task of their own, in bytes as stored.
const LEAST_PIECE_BYTES: u64 = 4 << 20;
/// Most pieces that one scan is cut into.
const MOST_PIECES: u64 = 4096;

/// Under this name each process registers the cluster's store. Segments are read by the resources' reader factory, but
/// plans are decoded with a reader of their own first.
pub(crate) const SEGMENTS_URL: &str = "springtide://segments";

/// Scans a snapshot of a table.
#[derive(Debug)]
pub(crate) struct LakeTable {
    snapshot: TableSnapshot,
    schema: SchemaRef,
}

impl LakeTable {
    pub(crate) fn new(snapshot: TableSnapshot) -> Self {
        Self {
            schema: arrow_schema(&snapshot.schema),
            snapshot,
        }
    }

    fn statistics_of(&self, segments: &[pruning::Candidate<'_>]) -> Statistics {
        let mut statistics = Statistics::new_unknown(&self.schema);
        let rows: u64 = segments.iter().map(|candidate| candidate.segment.rows).sum();
        let bytes: u64 = segments
            .iter()
            .map(|candidate| candidate.segment.uncompressed_bytes)
            .sum();
        statistics.num_rows = Precision::Exact(rows as usize);
        statistics.total_byte_size = Precision::Inexact(bytes as usize);
        if let Some(first) = statistics.column_statistics.first_mut() {
            self.key_statistics(segments, first);
        }
        statistics
    }

    /// Least and greatest key, exact when every segment says so.
    fn key_statistics(&self, segments: &[pruning::Candidate<'_>], statistics: &mut ColumnStatistics) {
        let Some(column) = self.snapshot.schema.columns.first() else {
            return;
        };
        let mut range: Option<(ScalarValue, ScalarValue)> = None;
        for candidate in segments {
            let Some((min, max)) = candidate.segment.key_range.as_ref().and_then(|keys| {
                Some((
                    scalar_of_literal(&keys.min, &column.data_type)?,
                    scalar_of_literal(&keys.max, &column.data_type)?,
                ))
            }) else {
                return;
            };
            range = Some(match range {
                None => (min, max),
                Some((least, greatest)) => (
                    if min < least { min } else { least },
                    if max > greatest { max } else { greatest },
                ),
            });
        }
        if let Some((min, max)) = range {
            statistics.min_value = Precision::Exact(min);
            statistics.max_value = Precision::Exact(max);
        }
    }
}

#[async_trait]
impl TableProvider for LakeTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn statistics(&self) -> Option<Statistics> {
        Some(self.statistics_of(&pruning::candidates(&self.snapshot)))
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let resources = NodeResources::of(session.config())?;
        let segments = pruning::prune(&self.snapshot, &self.schema, session, filters)?;
        let statistics = self.statistics_of(&segments);
        let partitions = session.config().target_partitions().max(1);
        let pieces = worker_count(session.config()).max(1) as u64 * partitions as u64;
        let files = pieces_of(segments.iter().map(|candidate| candidate.segment), pieces);
        let parquet = TableParquetOptions {
            global: session.config_options().execution.parquet.clone(),
            ..TableParquetOptions::default()
        };
        let source = ParquetSource::new(Arc::clone(&self.schema))
            .with_table_parquet_options(parquet)
            .with_parquet_file_reader_factory(Arc::new(resources.segments.clone()));
        let groups = partitions.min(files.len()).max(1);
        let config = FileScanConfigBuilder::new(ObjectStoreUrl::parse(SEGMENTS_URL)?, Arc::new(source))
            .with_file_groups(spread(files, groups))
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        let name = format!("{}.{}", self.snapshot.database, self.snapshot.name);
        Ok(Arc::new(LakeScan::new(config, name, ScanOrigin::Segments)))
    }
}

/// Cuts segments into pieces, so that `wanted` tasks have about the same to read. A piece takes the row groups that begin
/// in its range of bytes.
fn pieces_of<'a>(segments: impl Iterator<Item = &'a Segment> + Clone, wanted: u64) -> Vec<PartitionedFile> {
    let total: u64 = segments.clone().map(|segment| segment.length).sum();
    let piece = total.div_ceil(wanted.clamp(1, MOST_PIECES)).max(LEAST_PIECE_BYTES);
    segments
        .flat_map(|segment| {
            let count = segment.length.div_ceil(piece).max(1);
            let size = segment.length.div_ceil(count);
            (0..count).map(move |index| {
                let file = PartitionedFile::new(segment.object.clone(), segment.length)
                    .with_extension(SegmentLocation::from(segment));
                if count == 1 {
                    file
                } else {
                    let start = index * size;
                    file.with_range(start as i64, (start + size).min(segment.length) as i64)
                }
            })
        })
        .collect()
}
