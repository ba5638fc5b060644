//! Long work ends its turn now and then, so that others have theirs and a cancellation is noticed.
//!
//! A task computes until it has to wait for something. DataFusion makes those wait a little, now and then, that read rows or pass them
//! on, batch by batch; but a join has everything at hand for each of these batches, and may make millions out of one, or compare for
//! minutes without making any. Meanwhile nothing else runs on its thread, and a statement that was ended long ago goes on. So each join
//! gives way once its turn was long enough, and rows that are compared with many others come few at a time.

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
        JoinType, Result, Statistics, internal_err,
        tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion},
    },
    execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext},
    physical_expr::PhysicalExpr,
    physical_plan::{
        ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
        joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec},
        statistics::{ChildStats, StatisticsArgs},
    },
};
use futures::{Stream, StreamExt};

/// Joins of a plan that each has its own turns.
const MOST_JOINS_WITH_TURNS: usize = 10;

/// After so long a task lets others run.
const LONGEST_TURN: Duration = Duration::from_millis(20);

/// Rows that a join compares with all of its other side before it may give way: so few that a million rows on the other side are compared in
/// seconds, and more than what DataFusion's nested loop join takes for a tiny input, which it compares in another and slower way.
const COMPARED_AT_ONCE: usize = 1024;

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

/// Puts turns into a plan as it is sent to workers: distribution has put joins the other way round before.
///
/// A [`TurnExec`] comes around each join. One that slices comes before the rows that a join looks up or compares, where it may look at very
/// many for one of them without giving a row. In a plan of many joins, those by equal keys alone go without: DataFusion's decoder
/// takes plans of 50 levels.
pub(crate) fn take_turns(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let mut joins = 0;
    plan.apply(|node| {
        joins += usize::from(Join::of(node).is_some());
        Ok(TreeNodeRecursion::Continue)
    })?;
    let turned = plan.transform_up(|node| {
        let join = match Join::of(&node) {
            Some(Join::ByKeys) if joins > MOST_JOINS_WITH_TURNS => None,
            join => join,
        };
        let node = match join {
            None => return Ok(Transformed::no(node)),
            Some(Join::ByKeys) => node,
            Some(Join::Comparing) => sliced(node)?,
        };
        Ok(Transformed::yes(
            Arc::new(TurnExec::new(node, None)) as Arc<dyn ExecutionPlan>
        ))
    });
    turned.data()
}

/// What a join does with the rows of its right side.
#[derive(Clone, Copy, Debug)]
enum Join {
    /// It looks up equal ones, and gives on what it finds.
    ByKeys,
    /// It compares them with many others that may all be refused, or tells of what it found at the end only.
    Comparing,
}

impl Join {
    fn of(node: &Arc<dyn ExecutionPlan>) -> Option<Self> {
        if let Some(join) = node.downcast_ref::<HashJoinExec>() {
            let tells_late = matches!(
                join.join_type(),
                JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark
            );
            let compares = tells_late || join.filter().is_some();
            return Some(if compares { Self::Comparing } else { Self::ByKeys });
        }
        if node.is::<NestedLoopJoinExec>() {
            return Some(Self::Comparing);
        }
        (node.is::<CrossJoinExec>() || node.is::<SortMergeJoinExec>()).then_some(Self::ByKeys)
    }
}

/// The join with its right side in slices.
fn sliced(join: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let sides: Vec<Arc<dyn ExecutionPlan>> = join.children().into_iter().cloned().collect();
    let [left, right] = sides.as_slice() else {
        return internal_err!("a join has two inputs, not {}", sides.len());
    };
    let right = Arc::new(TurnExec::new(Arc::clone(right), Some(COMPARED_AT_ONCE)));
    let anew = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    join.replace_children(vec![Arc::clone(left), right], anew)
}
