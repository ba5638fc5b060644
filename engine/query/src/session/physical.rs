//! Where the parts of a physical plan run.

use std::sync::Arc;

use datafusion::{
    common::{
        Result, internal_err,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    physical_plan::{ExecutionPlan, coalesce_partitions::CoalescePartitionsExec},
};
use datafusion_distributed::{
    DistributedExec, DistributedLeafExec, NetworkBoundary, NetworkBoundaryExt, NetworkCoalesceExec, Stage,
};
use uuid::Uuid;

use crate::{scan::LakeScan, sink::TabletSink};

/// Whether a plan reads or writes stored rows.
pub(crate) fn needs_workers(plan: &Arc<dyn ExecutionPlan>) -> Result<bool> {
    plan.exists(|node| Ok(is_workers_business(node)))
}

fn is_workers_business(node: &Arc<dyn ExecutionPlan>) -> bool {
    node.is::<TabletSink>()
        || node.is::<LakeScan>()
        || node
            .downcast_ref::<DistributedLeafExec>()
            .is_some_and(|leaf| leaf.original().is::<LakeScan>())
}

/// Makes sure that no scan and no sink runs in the frontend: the planner leaves small plans, and plans for one worker, in
/// the coordinator. Where the part of the plan that would run here has such work, it becomes one more stage of one task.
pub(crate) fn keep_off_frontend(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let base = match plan.downcast_ref::<DistributedExec>() {
        Some(distributed) => match distributed.children().as_slice() {
            [base] => Arc::clone(base),
            _ => return internal_err!("a distributed plan has one child"),
        },
        None => Arc::clone(&plan),
    };
    let mut here = false;
    let mut stages = 0;
    base.apply(|node| {
        if let Some(boundary) = node.as_network_boundary() {
            stages = stages.max(boundary.input_stage().num());
            return Ok(TreeNodeRecursion::Jump);
        }
        here |= is_workers_business(node);
        Ok(TreeNodeRecursion::Continue)
    })?;
    if !here {
        return Ok(plan);
    }
    let boundary = NetworkCoalesceExec::try_new(base, 1, 1)?;
    let Stage::Local(mut stage) = boundary.input_stage().clone() else {
        return internal_err!("a new stage is local");
    };
    stage.query_id = Uuid::new_v4();
    stage.num = stages + 1;
    let boundary: Arc<dyn NetworkBoundary> = boundary.with_input_stage(Stage::Local(stage))?;
    let head: Arc<dyn ExecutionPlan> = Arc::new(CoalescePartitionsExec::new(boundary));
    Ok(Arc::new(DistributedExec::new(head).with_metrics_collection(true)))
}
