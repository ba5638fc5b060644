//! The leaf of every plan over stored rows: segments of a table, or files of `FILES(...)`.

use std::{
    fmt::{self, Formatter},
    sync::Arc,
};

use datafusion::{
    common::{Result, Statistics, config::ConfigOptions, internal_datafusion_err, tree_node::TreeNodeRecursion},
    datasource::{
        listing::PartitionedFile,
        physical_plan::{FileGroup, FileScanConfig},
        source::DataSourceExec,
    },
    execution::{SendableRecordBatchStream, TaskContext},
    physical_expr::{PhysicalExpr, PhysicalSortExpr},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SortOrderPushdownResult, StatisticsArgs,
        filter_pushdown::{ChildPushdownResult, FilterPushdownPhase, FilterPushdownPropagation},
        metrics::MetricsSet,
        projection::ProjectionExec,
        stream::RecordBatchStreamAdapter,
    },
};
use futures::StreamExt;
use url::Url;

use crate::{error::mark_files, files::ExternalLocation, resources::NodeResources};

/// Where the files of a scan are.
#[derive(Clone, Debug)]
pub(crate) enum ScanOrigin {
    /// Segments on the cluster's store: every file has a `SegmentLocation`.
    Segments,
    /// Whole files somewhere else. Holds credentials: shown nowhere.
    Files(ExternalLocation),
}

/// A scan that knows which worker its files are meant for. All but placement and counting is `DataSourceExec`'s.
#[derive(Clone, Debug)]
pub(crate) struct LakeScan {
    inner: Arc<dyn ExecutionPlan>,
    /// `database.table`, or the path of `FILES`.
    name: String,
    origin: ScanOrigin,
    worker: Option<Url>,
}

impl LakeScan {
    pub(crate) fn new(config: FileScanConfig, name: String, origin: ScanOrigin) -> Self {
        Self {
            inner: DataSourceExec::from_data_source(config),
            name,
            origin,
            worker: None,
        }
    }

    pub(crate) fn inner(&self) -> &Arc<dyn ExecutionPlan> {
        &self.inner
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn origin(&self) -> &ScanOrigin {
        &self.origin
    }

    pub(crate) fn worker(&self) -> Option<&Url> {
        self.worker.as_ref()
    }

    pub(crate) fn config(&self) -> Result<&FileScanConfig> {
        file_scan_config(&self.inner)
    }

    pub(crate) fn files(&self) -> Result<Vec<PartitionedFile>> {
        Ok(self
            .config()?
            .file_groups
            .iter()
            .flat_map(|group| group.files().to_vec())
            .collect())
    }

    /// The same scan of other files, in as many groups as it had, for a worker.
    pub(crate) fn for_worker(&self, files: Vec<PartitionedFile>, worker: Option<Url>) -> Result<Self> {
        let mut config = self.config()?.clone();
        // Joins may have been planned for this number of partitions: it must not change.
        config.file_groups = spread(files, config.file_groups.len().max(1));
        Ok(Self {
            inner: DataSourceExec::from_data_source(config),
            worker,
            ..self.clone()
        })
    }

    fn with_inner(&self, inner: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self { inner, ..self.clone() })
    }
}

pub(crate) fn file_scan_config(plan: &Arc<dyn ExecutionPlan>) -> Result<&FileScanConfig> {
    plan.downcast_ref::<DataSourceExec>()
        .and_then(|source| source.data_source().downcast_ref::<FileScanConfig>())
        .ok_or_else(|| internal_datafusion_err!("a lake scan holds no file scan"))
}

/// Deals files out to `count` groups, largest first, each to the group that has least.
pub(crate) fn spread(mut files: Vec<PartitionedFile>, count: usize) -> Vec<FileGroup> {
    files.sort_by_key(|file| std::cmp::Reverse(file.effective_size()));
    let mut groups: Vec<(u64, Vec<PartitionedFile>)> = vec![(0, Vec::new()); count.max(1)];
    for file in files {
        if let Some((bytes, group)) = groups.iter_mut().min_by_key(|(bytes, _)| *bytes) {
            *bytes += file.effective_size();
            group.push(file);
        }
    }
    groups.into_iter().map(|(_, files)| FileGroup::new(files)).collect()
}

impl DisplayAs for LakeScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut Formatter<'_>) -> fmt::Result {
        let files: usize = self.config().map_or(0, |config| {
            config
                .file_groups
                .iter()
                .map(datafusion::datasource::physical_plan::FileGroup::len)
                .sum()
        });
        let kind = match self.origin {
            ScanOrigin::Segments => "table",
            ScanOrigin::Files(_) => "files",
        };
        write!(f, "LakeScan: {kind}={} pieces={files}", self.name)?;
        if let Some(worker) = &self.worker {
            write!(f, " worker={}", worker.authority())?;
        }
        let columns: Vec<String> = self
            .schema()
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect();
        write!(f, " columns=[{}]", columns.join(", "))?;
        if let Ok(config) = self.config()
            && let Some(filter) = config.file_source().filter()
        {
            write!(f, " predicate={filter}")?;
        }
        if let Some(limit) = self.inner.fetch() {
            write!(f, " limit={limit}")?;
        }
        Ok(())
    }
}

impl ExecutionPlan for LakeScan {
    fn name(&self) -> &'static str {
        "LakeScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.inner.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.inner.apply_expressions(f)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        self.inner.metrics()
    }

    fn statistics_from_inputs(&self, inputs: &[Arc<Statistics>], args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        self.inner.statistics_from_inputs(inputs, args)
    }

    fn fetch(&self) -> Option<usize> {
        self.inner.fetch()
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        self.inner.with_fetch(limit).map(|inner| self.with_inner(inner))
    }

    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self.with_inner(Arc::clone(&self.inner).reset_state()?))
    }

    fn try_swapping_with_projection(&self, projection: &ProjectionExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let swapped = self.inner.try_swapping_with_projection(projection)?;
        // Only a scan can take this one's place: anything above it would be lost from view.
        Ok(swapped
            .filter(|inner| inner.is::<DataSourceExec>())
            .map(|inner| self.with_inner(inner)))
    }

    fn try_pushdown_sort(&self, order: &[PhysicalSortExpr]) -> Result<SortOrderPushdownResult<Arc<dyn ExecutionPlan>>> {
        self.inner
            .try_pushdown_sort(order)?
            .try_map(|inner| Ok(self.with_inner(inner)))
    }

    fn handle_child_pushdown_result(
        &self,
        phase: FilterPushdownPhase,
        result: ChildPushdownResult,
        config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        let result = self.inner.handle_child_pushdown_result(phase, result, config)?;
        Ok(FilterPushdownPropagation {
            filters: result.filters,
            updated_node: result.updated_node.map(|inner| self.with_inner(inner)),
        })
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let resources = NodeResources::of_task(&context)?;
        let schema = self.schema();
        let rows = self.inner.execute(partition, context)?;
        // Only files outside the cluster can be damaged by their owner: say which were read.
        let path = matches!(self.origin, ScanOrigin::Files(_)).then(|| self.name.clone());
        let counted = rows.map(move |batch| match batch {
            Ok(batch) => {
                resources.add_scanned(batch.num_rows());
                Ok(batch)
            }
            Err(error) => Err(match &path {
                Some(path) => mark_files(format!("cannot read a file of '{path}': {}", error.strip_backtrace())),
                None => error,
            }),
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, counted)))
    }
}
