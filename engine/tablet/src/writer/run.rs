//! A sorted run of one tablet, and its encoding as a segment.

use arrow::{
    array::{Array, ArrayRef, RecordBatch},
    compute::{SortColumn, SortOptions, concat_batches, lexsort_to_indices, take_record_batch},
};
use bytes::Bytes;
use datafusion::common::ScalarValue;
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::{
        metadata::SortingColumn,
        properties::{EnabledStatistics, WriterProperties, WriterVersion},
    },
};
use springtide_model::{KeyRange, LoadTarget, PartitionId, TabletId};

use crate::{WriteError, arrow_schema, error::arrow_in, literal_of_scalar};

const DATA_PAGE_ROWS: usize = 20_000;
const ZSTD_LEVEL: i32 = 1;

/// Rows of one tablet in order of the table's key columns, `NULL` first.
///
/// Here a run is made from what fits in memory. A load larger than memory makes many runs per tablet, spills them, and
/// merges them into one before encoding: the noun is the same, only [`SortedRun::sort`] has a sibling then.
#[derive(Debug)]
pub(super) struct SortedRun {
    partition: PartitionId,
    tablet: TabletId,
    rows: RecordBatch,
}

/// A run as a Parquet file, ready to be put somewhere in an object.
#[derive(Debug)]
pub(super) struct EncodedSegment {
    pub(super) partition: PartitionId,
    pub(super) tablet: TabletId,
    pub(super) bytes: Bytes,
    pub(super) rows: u64,
    pub(super) uncompressed_bytes: u64,
    pub(super) key_range: Option<KeyRange>,
}

impl SortedRun {
    /// Sorts the rows of `batches`, which are not empty and have the table's schema.
    pub(super) fn sort(
        target: &LoadTarget,
        partition: PartitionId,
        tablet: TabletId,
        batches: &[RecordBatch],
    ) -> Result<Self, WriteError> {
        let table = &target.table_name;
        let schema = arrow_schema(&target.schema);
        let all = match batches {
            [batch] => batch.clone(),
            _ => concat_batches(&schema, batches).map_err(arrow_in(table))?,
        };
        let keys: Vec<SortColumn> = (0..target.schema.key_columns)
            .map(|column| SortColumn {
                values: std::sync::Arc::clone(all.column(column)),
                options: Some(SortOptions {
                    descending: false,
                    nulls_first: true,
                }),
            })
            .collect();
        let rows = if keys.is_empty() {
            all
        } else {
            let order = lexsort_to_indices(&keys, None).map_err(arrow_in(table))?;
            take_record_batch(&all, &order).map_err(arrow_in(table))?
        };
        Ok(Self {
            partition,
            tablet,
            rows,
        })
    }

    /// Encodes the run: zstd, bounded row groups, statistics per page, page index.
    pub(super) fn encode(self, target: &LoadTarget, row_group_rows: usize) -> Result<EncodedSegment, WriteError> {
        let table = target.table_name.as_str();
        let zstd = ZstdLevel::try_new(ZSTD_LEVEL).map_err(|error| WriteError::encode(table, error))?;
        let sorting = (0..target.schema.key_columns)
            .map(|column| SortingColumn {
                column_idx: column as i32,
                descending: false,
                nulls_first: true,
            })
            .collect();
        let properties = WriterProperties::builder()
            .set_writer_version(WriterVersion::PARQUET_2_0)
            .set_compression(Compression::ZSTD(zstd))
            .set_max_row_group_row_count(Some(row_group_rows.max(1)))
            .set_data_page_row_count_limit(DATA_PAGE_ROWS)
            .set_statistics_enabled(EnabledStatistics::Page)
            .set_sorting_columns(Some(sorting))
            .build();
        let mut writer = ArrowWriter::try_new(Vec::new(), self.rows.schema(), Some(properties))
            .map_err(|error| WriteError::encode(table, error))?;
        writer
            .write(&self.rows)
            .map_err(|error| WriteError::encode(table, error))?;
        let bytes = writer.into_inner().map_err(|error| WriteError::encode(table, error))?;
        Ok(EncodedSegment {
            partition: self.partition,
            tablet: self.tablet,
            bytes: Bytes::from(bytes),
            rows: self.rows.num_rows() as u64,
            uncompressed_bytes: self.rows.get_array_memory_size() as u64,
            key_range: self.key_range(target),
        })
    }

    /// The rows are sorted by the first key column, `NULL` first: the range is its first and last value.
    fn key_range(&self, target: &LoadTarget) -> Option<KeyRange> {
        if target.schema.key_columns == 0 {
            return None;
        }
        let keys: &ArrayRef = self.rows.column(0);
        let first = keys.null_count();
        let last = keys.len().checked_sub(1)?;
        let value = |row: usize| literal_of_scalar(&ScalarValue::try_from_array(keys, row).ok()?);
        (first <= last).then_some(())?;
        Some(KeyRange {
            min: value(first)?,
            max: value(last)?,
        })
    }
}
