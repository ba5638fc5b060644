//! The end of `INSERT … SELECT`: each task writes its rows through a `TabletWriter` and answers with one row that lists the
//! data objects it wrote.

use std::{
    fmt::{self, Formatter},
    sync::Arc,
};

use arrow::{
    array::{Array, AsArray, BinaryArray, RecordBatch},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use async_trait::async_trait;
use datafusion::{
    catalog::Session,
    common::{DataFusionError, Result, internal_datafusion_err, internal_err, tree_node::TreeNodeRecursion},
    execution::{SendableRecordBatchStream, TaskContext, context::QueryPlanner},
    logical_expr::LogicalPlan,
    physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr},
    physical_plan::{
        DisplayAs, DisplayFormatType, EmptyRecordBatchStream, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
        coalesce_partitions::CoalescePartitionsExec,
        execution_plan::{Boundedness, EmissionType},
        stream::RecordBatchStreamAdapter,
    },
    physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner},
};
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use springtide_model::{DataObject, LoadTarget};
use springtide_tablet::TabletWriter;

use crate::{error::mark_write, resources::NodeResources};

/// What one task wrote.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct TaskOutcome {
    pub(crate) objects: Vec<DataObject>,
    pub(crate) rows: u64,
}

fn outcome_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("outcome", DataType::Binary, false)]))
}

/// Writes the rows of `input`, whose columns are the table's in order, to `target`.
///
/// All partitions of a task go into one writer, so that a task makes one segment per tablet: partition 0 does the work,
/// the others are empty. There are as many as the input has, since the planner spreads only such stages over workers.
#[derive(Debug)]
pub(crate) struct TabletSink {
    target: Arc<LoadTarget>,
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl TabletSink {
    pub(crate) fn new(target: Arc<LoadTarget>, input: Arc<dyn ExecutionPlan>) -> Self {
        let partitions = input.output_partitioning().partition_count();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(outcome_schema()),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self {
            target,
            input,
            properties: Arc::new(properties),
        }
    }

    pub(crate) fn target(&self) -> &LoadTarget {
        &self.target
    }
}

impl DisplayAs for TabletSink {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "TabletSink: table={} txn={}",
            self.target.table_name, self.target.txn
        )
    }
}

impl ExecutionPlan for TabletSink {
    fn name(&self) -> &'static str {
        "TabletSink"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let [input] = children.as_slice() else {
            return internal_err!("a tablet sink has one input, not {}", children.len());
        };
        Ok(Arc::new(Self::new(Arc::clone(&self.target), Arc::clone(input))))
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let schema = outcome_schema();
        if partition > 0 {
            return Ok(Box::pin(EmptyRecordBatchStream::new(schema)));
        }
        let resources = NodeResources::of_task(&context)?;
        let rows = CoalescePartitionsExec::new(Arc::clone(&self.input)).execute(0, context)?;
        let target = Arc::clone(&self.target);
        let answer = futures::stream::once(async move { write(&target, &resources, rows).await?.to_batch() });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, answer)))
    }
}

async fn write(
    target: &LoadTarget,
    resources: &NodeResources,
    mut rows: SendableRecordBatchStream,
) -> Result<TaskOutcome> {
    let mut writer = TabletWriter::new(target, Arc::clone(&resources.store), resources.writer.clone())
        .map_err(|error| mark_write(&error))?;
    while let Some(batch) = rows.next().await {
        let written = match batch {
            Ok(batch) => writer.write(batch).await.map_err(|error| mark_write(&error)),
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            writer.abort().await;
            return Err(error);
        }
    }
    let rows = writer.rows();
    let objects = writer.finish().await.map_err(|error| mark_write(&error))?;
    resources.add_written(rows);
    Ok(TaskOutcome { objects, rows })
}

impl TaskOutcome {
    fn to_batch(&self) -> Result<RecordBatch> {
        let json = serde_json::to_vec(self).map_err(|error| DataFusionError::External(Box::new(error)))?;
        let column = BinaryArray::from_iter_values([json]);
        Ok(RecordBatch::try_new(outcome_schema(), vec![Arc::new(column)])?)
    }

    /// The outcomes that a batch of answers holds.
    pub(crate) fn from_batch(batch: &RecordBatch) -> Result<Vec<Self>> {
        let column = batch
            .column(0)
            .as_binary_opt::<i32>()
            .ok_or_else(|| internal_datafusion_err!("a tablet sink answered with {}", batch.column(0).data_type()))?;
        (0..column.len())
            .map(|row| {
                serde_json::from_slice(column.value(row)).map_err(|error| DataFusionError::External(Box::new(error)))
            })
            .collect()
    }
}

/// Plans a statement as usual and puts the sink on top, below what the distributed planner adds.
#[derive(Debug)]
pub(crate) struct SinkPlanner {
    pub(crate) target: Arc<LoadTarget>,
}

#[async_trait]
impl QueryPlanner for SinkPlanner {
    async fn create_physical_plan(
        &self,
        logical_plan: &LogicalPlan,
        session: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = DefaultPhysicalPlanner::default()
            .create_physical_plan(logical_plan, session)
            .await?;
        Ok(Arc::new(TabletSink::new(Arc::clone(&self.target), input)))
    }
}
