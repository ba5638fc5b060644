//! Long work ends its turn now and then, so that others have theirs and a cancellation is noticed.
//!
//! A task computes until it has to wait for something. DataFusion makes those wait a little, now and then, that read rows or pass them
//! on, batch by batch; but a join has everything at hand for each of these batches, and may make millions out of one, or compare for
//! minutes without making any. Meanwhile nothing else runs on its thread, and a statement that was ended long ago goes on. So each join
//! gives way once its turn was long enough, and the rows that a nested loop join compares with all others come to it few at a time.

use std::{
    fmt::{self, Formatter},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::{
    common::{
        Result, Statistics,
        config::ConfigOptions,
        internal_err,
        tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion},
    },
    execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext},
    physical_expr::PhysicalExpr,
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
        joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec},
        statistics::{ChildStats, StatisticsArgs},
    },
};
use futures::{Stream, StreamExt};

/// After so long a task lets others run.
const LONGEST_TURN: Duration = Duration::from_millis(20);

/// Rows that a nested loop join compares with all of its other side before it may give way: enough for Arrow's kernels, and few enough
/// that a million rows on the other side are compared in about a second.
const COMPARED_AT_ONCE: usize = 256;

/// Gives on the rows of its input, as they are, and ends the turn where that has taken long.
#[derive(Clone, Debug)]
pub(crate) struct TurnExec {
    input: Arc<dyn ExecutionPlan>,
    /// Larger batches are given on in slices.
    most_rows: Option<usize>,
}

impl TurnExec {
    pub(crate) fn new(input: Arc<dyn ExecutionPlan>, most_rows: Option<usize>) -> Self {
        Self { input, most_rows }
    }

    pub(crate) fn most_rows(&self) -> Option<usize> {
        self.most_rows
    }
}

impl DisplayAs for TurnExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut Formatter<'_>) -> fmt::Result {
        match self.most_rows {
            Some(most_rows) => write!(f, "TurnExec: most_rows={most_rows}"),
            None => write!(f, "TurnExec"),
        }
    }
}

impl ExecutionPlan for TurnExec {
    fn name(&self) -> &'static str {
        "TurnExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let [input] = children.as_slice() else {
            return internal_err!("a turn has one input, not {}", children.len());
        };
        Ok(Arc::new(Self::new(Arc::clone(input), self.most_rows)))
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(&self, inputs: &[Arc<Statistics>], _: &StatisticsArgs) -> Result<Arc<Statistics>> {
        match inputs {
            [input] => Ok(Arc::clone(input)),
            _ => internal_err!("a turn has one input, not {}", inputs.len()),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        Ok(Box::pin(Turns {
            rows: self.input.execute(partition, context)?,
            most_rows: self.most_rows.unwrap_or(usize::MAX).max(1),
            left: None,
            turn_began: Instant::now(),
            gave_way: false,
        }))
    }
}

struct Turns {
    rows: SendableRecordBatchStream,
    most_rows: usize,
    /// What is left of a batch that was too large.
    left: Option<RecordBatch>,
    turn_began: Instant,
    /// The turn before ended here: this one begins, however long the others' took.
    gave_way: bool,
}

impl Turns {
    /// The next rows of what is left.
    fn slice(&mut self, batch: RecordBatch) -> RecordBatch {
        let rows = batch.num_rows();
        if rows <= self.most_rows {
            return batch;
        }
        self.left = Some(batch.slice(self.most_rows, rows - self.most_rows));
        batch.slice(0, self.most_rows)
    }
}

impl Stream for Turns {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.gave_way {
            self.gave_way = false;
            self.turn_began = Instant::now();
        } else if self.turn_began.elapsed() >= LONGEST_TURN {
            self.gave_way = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(left) = self.left.take() {
            return Poll::Ready(Some(Ok(self.slice(left))));
        }
        match self.rows.poll_next_unpin(context) {
            Poll::Ready(Some(Ok(batch))) => Poll::Ready(Some(Ok(self.slice(batch)))),
            Poll::Pending => {
                // Whoever waits has ended the turn.
                self.gave_way = true;
                Poll::Pending
            }
            ended => ended,
        }
    }
}

impl RecordBatchStream for Turns {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }
}

/// Puts a [`TurnExec`] around each join, and one that slices before the rows that a nested loop join compares with all others.
#[derive(Debug)]
pub(crate) struct JoinsTakeTurns;

impl PhysicalOptimizerRule for JoinsTakeTurns {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let node = if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
                let (all, compared) = (Arc::clone(join.left()), Arc::clone(join.right()));
                let compared = Arc::new(TurnExec::new(compared, Some(COMPARED_AT_ONCE)));
                Arc::clone(&node).with_new_children(vec![all, compared])?
            } else if node.is::<CrossJoinExec>() || node.is::<HashJoinExec>() || node.is::<SortMergeJoinExec>() {
                node
            } else {
                return Ok(Transformed::no(node));
            };
            Ok(Transformed::yes(
                Arc::new(TurnExec::new(node, None)) as Arc<dyn ExecutionPlan>
            ))
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "joins_take_turns"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
