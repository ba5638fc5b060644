//! Files as a table.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::{
    catalog::{Session, TableProvider},
    common::{
        Column, Result, Statistics,
        config::{CsvOptions, TableParquetOptions},
        stats::Precision,
    },
    datasource::{
        TableType, ViewTable,
        file_format::{FileFormat, csv::CsvFormat, parquet::ParquetFormat},
        listing::PartitionedFile,
        physical_plan::{CsvSource, FileScanConfigBuilder, FileSource, ParquetSource},
        provider_as_source,
    },
    logical_expr::{Expr, LogicalPlanBuilder, TableProviderFilterPushDown},
    physical_plan::ExecutionPlan,
};
use object_store::{Error as StoreError, ObjectMeta};

use super::{
    arguments::{CsvArguments, FilesArguments, FilesFormat, FilesPlace},
    external::ExternalLocation,
    listing::{Listing, MOST_FILES, list},
};
use crate::{
    error::QueryError,
    placement::worker_count,
    resources::NodeResources,
    scan::{LakeScan, ScanOrigin, spread},
};

/// Pieces smaller than this are not worth a task of their own, in bytes.
const LEAST_PIECE_BYTES: u64 = 8 << 20;
/// Lines of the first CSV file from which types are guessed.
const CSV_SAMPLE_LINES: usize = 10_000;

/// Finds the files, reads the schema of the first, and gives a table over all of them.
///
/// # Errors
/// [`QueryError::Files`] naming the path: no such bucket or file, wrong keys, a file that is not what it should be.
pub(crate) async fn open(
    arguments: &FilesArguments,
    session: &dyn Session,
) -> Result<Arc<dyn TableProvider>, QueryError> {
    let resources = NodeResources::of(session.config())?;
    let (location, pattern) = match &arguments.place {
        FilesPlace::S3 { location, key } => (ExternalLocation::S3(location.clone()), key),
        FilesPlace::Local { path } => (ExternalLocation::Local, path),
    };
    let path = &arguments.path;
    let store = resources.external.register(&location, session.runtime_env())?;
    let files = match list(store.as_ref(), pattern).await {
        Ok(Listing::Files(files)) => files,
        Ok(Listing::TooMany) => {
            return Err(QueryError::Files(format!(
                "'{path}' names more than {MOST_FILES} files; name fewer at a time"
            )));
        }
        Err(error) => return Err(QueryError::Files(store_problem(path, &error))),
    };
    let Some(first) = files.first() else {
        return Err(QueryError::Files(format!("'{path}' names no file that is not empty")));
    };
    let sample = std::slice::from_ref(first);
    let format: Arc<dyn FileFormat> = match &arguments.format {
        FilesFormat::Parquet => Arc::new(ParquetFormat::default()),
        FilesFormat::Csv(csv) => Arc::new(CsvFormat::default().with_options(csv_options(csv))),
    };
    let schema = format
        .infer_schema(session, &store, sample)
        .await
        .map_err(|error| QueryError::Files(format!("cannot read '{}' of '{path}': {error}", first.location)))?;
    let schema = match &arguments.format {
        FilesFormat::Csv(csv) if !csv.header => number_columns(&schema),
        _ => schema,
    };
    let table: Arc<dyn TableProvider> = Arc::new(FilesTable {
        path: path.clone(),
        location,
        format: arguments.format.clone(),
        schema,
        files,
    });
    Ok(with_lower_names(table)?)
}

fn store_problem(path: &str, error: &StoreError) -> String {
    match error {
        StoreError::NotFound { .. } => format!("'{path}' does not exist"),
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => {
            format!("the keys do not open '{path}'")
        }
        other => {
            let text = other.to_string();
            if text.contains("NoSuchBucket") {
                format!("the bucket of '{path}' does not exist")
            } else if text.contains("403") || text.contains("AccessDenied") || text.contains("InvalidAccessKeyId") {
                format!("the keys do not open '{path}'")
            } else {
                format!("cannot list '{path}': {text}")
            }
        }
    }
}

fn csv_options(csv: &CsvArguments) -> CsvOptions {
    let mut options = CsvOptions::default()
        .with_has_header(csv.header)
        .with_delimiter(csv.separator)
        .with_quote(csv.enclose)
        .with_schema_infer_max_rec(CSV_SAMPLE_LINES);
    options.escape = csv.escape;
    options
}

/// `$1`, `$2`, … as StarRocks names the columns of a CSV file without header.
fn number_columns(schema: &SchemaRef) -> SchemaRef {
    let fields = schema
        .fields()
        .iter()
        .enumerate()
        .map(|(index, field)| field.as_ref().clone().with_name(format!("${}", index + 1)));
    Arc::new(arrow::datatypes::Schema::new(fields.collect::<Vec<_>>()))
}

/// Statements name columns in lower case; files may not: a view translates.
fn with_lower_names(table: Arc<dyn TableProvider>) -> Result<Arc<dyn TableProvider>> {
    let schema = table.schema();
    if schema
        .fields()
        .iter()
        .all(|field| field.name().to_lowercase() == *field.name())
    {
        return Ok(table);
    }
    let columns = schema
        .fields()
        .iter()
        .map(|field| Expr::Column(Column::from_name(field.name())).alias(field.name().to_lowercase()));
    let plan = LogicalPlanBuilder::scan("files", provider_as_source(table), None)?
        .project(columns)?
        .build()?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}

#[derive(Debug)]
struct FilesTable {
    path: String,
    location: ExternalLocation,
    format: FilesFormat,
    schema: SchemaRef,
    files: Vec<ObjectMeta>,
}

impl FilesTable {
    fn source(&self, session: &dyn Session) -> Arc<dyn FileSource> {
        match &self.format {
            FilesFormat::Parquet => {
                let options = TableParquetOptions {
                    global: session.config_options().execution.parquet.clone(),
                    ..TableParquetOptions::default()
                };
                Arc::new(ParquetSource::new(Arc::clone(&self.schema)).with_table_parquet_options(options))
            }
            FilesFormat::Csv(csv) => {
                Arc::new(CsvSource::new(Arc::clone(&self.schema)).with_csv_options(csv_options(csv)))
            }
        }
    }

    /// Parquet pieces take the row groups that begin in them, CSV pieces the lines.
    fn pieces(&self, wanted: u64) -> Vec<PartitionedFile> {
        let total: u64 = self.files.iter().map(|file| file.size).sum();
        let piece = total.div_ceil(wanted.max(1)).max(LEAST_PIECE_BYTES);
        self.files
            .iter()
            .flat_map(|file| {
                let count = file.size.div_ceil(piece).max(1);
                let size = file.size.div_ceil(count);
                (0..count).map(move |index| {
                    let whole = PartitionedFile::new_from_meta(file.clone());
                    if count == 1 {
                        whole
                    } else {
                        whole.with_range((index * size) as i64, ((index + 1) * size).min(file.size) as i64)
                    }
                })
            })
            .collect()
    }
}

#[async_trait]
impl TableProvider for FilesTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let partitions = session.config().target_partitions().max(1);
        let files = self.pieces(worker_count(session.config()).max(1) as u64 * partitions as u64);
        let mut statistics = Statistics::new_unknown(&self.schema);
        let bytes: u64 = self.files.iter().map(|file| file.size).sum();
        statistics.total_byte_size = Precision::Inexact(bytes as usize);
        let groups = partitions.min(files.len()).max(1);
        let config = FileScanConfigBuilder::new(self.location.url()?, self.source(session))
            .with_file_groups(spread(files, groups))
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        let origin = ScanOrigin::Files(self.location.clone());
        Ok(Arc::new(LakeScan::new(config, self.path.clone(), origin)))
    }
}
