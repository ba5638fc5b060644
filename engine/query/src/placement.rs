//! Which piece of a scan goes to which worker: the same piece to the same worker while workers stay the same, so that its
//! cache is of use, and no worker far above its share.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use datafusion::{
    common::{Result, tree_node::TreeNode, tree_node::TreeNodeRecursion},
    datasource::listing::PartitionedFile,
    physical_plan::ExecutionPlan,
    prelude::SessionConfig,
};
use datafusion_distributed::{
    DesiredTaskCountEvent, DesiredTaskCountEventResponse, DistributedLeafExec, RouteTasksEvent,
    RouteTasksEventResponse, ScaleUpLeafNodeEvent, ScaleUpLeafNodeEventResponse, WorkerResolver,
    get_distributed_worker_resolver,
};
use springtide_tablet::SegmentLocation;
use url::Url;

use crate::scan::LakeScan;

#[cfg(test)]
mod tests;

/// A worker takes at most this many hundredths of the average load.
const LOAD_BOUND_PERCENT: u64 = 125;

/// The workers of one session: fixed for its life, so that planning and routing see the same.
#[derive(Clone, Debug)]
pub(crate) struct FixedWorkers(Vec<Url>);

impl FixedWorkers {
    pub(crate) fn new(mut urls: Vec<Url>) -> Self {
        urls.sort();
        urls.dedup();
        Self(urls)
    }
}

impl WorkerResolver for FixedWorkers {
    fn get_urls(&self) -> Result<Vec<Url>> {
        Ok(self.0.clone())
    }
}

/// Workers of the session; none when statements run in this process.
pub(crate) fn worker_count(config: &SessionConfig) -> usize {
    get_distributed_worker_resolver(config)
        .and_then(|resolver| resolver.get_urls())
        .map_or(0, |urls| urls.len())
}

/// As many tasks as there are pieces: the planner cuts it to the number of workers.
pub(crate) fn desired_tasks(event: DesiredTaskCountEvent<'_>) -> Option<Result<DesiredTaskCountEventResponse>> {
    let scan = event.plan.downcast_ref::<LakeScan>()?;
    Some(
        scan.files()
            .map(|files| DesiredTaskCountEventResponse::desired(files.len().max(1))),
    )
}

/// Gives each task its own scan of its own pieces.
pub(crate) fn scale_up(event: ScaleUpLeafNodeEvent<'_>) -> Option<Result<ScaleUpLeafNodeEventResponse>> {
    let scan = event.plan.downcast_ref::<LakeScan>()?;
    Some(scale_up_scan(scan, &event))
}

fn scale_up_scan(scan: &LakeScan, event: &ScaleUpLeafNodeEvent<'_>) -> Result<ScaleUpLeafNodeEventResponse> {
    let tasks = event.task_count.max(1);
    let urls = get_distributed_worker_resolver(event.session_config)?.get_urls()?;
    let chosen = choose_workers(urls, tasks, scan.name());
    let names: Vec<String> = (0..tasks)
        .map(|task| chosen.get(task).map_or_else(|| task.to_string(), Url::to_string))
        .collect();
    let mut shares: Vec<Vec<PartitionedFile>> = vec![Vec::new(); tasks];
    let files = scan.files()?;
    let loads: Vec<(u64, u64)> = files
        .iter()
        .map(|file| (piece_key(file), file.effective_size()))
        .collect();
    for (file, task) in files.into_iter().zip(assign(&loads, &names)) {
        shares[task].push(file);
    }
    let variants = shares
        .into_iter()
        .enumerate()
        .map(|(task, files)| {
            let variant = scan.for_worker(files, chosen.get(task).cloned())?;
            Ok(Arc::new(variant) as Arc<dyn ExecutionPlan>)
        })
        .collect::<Result<Vec<_>>>()?;
    let leaf = DistributedLeafExec::try_new(Arc::clone(event.plan), variants)?;
    Ok(ScaleUpLeafNodeEventResponse::new(Arc::new(leaf)))
}

/// Sends each task to the worker its pieces were dealt to. A stage with several scans follows the largest.
#[allow(
    clippy::needless_pass_by_value,
    reason = "datafusion-distributed asks for this signature"
)]
pub(crate) fn route(event: RouteTasksEvent<'_>) -> Option<Result<RouteTasksEventResponse>> {
    let mut best: Option<(u64, Vec<Url>)> = None;
    let visited = event.plan.apply(|node| {
        if let Some(leaf) = node.downcast_ref::<DistributedLeafExec>()
            && let Some((bytes, urls)) = workers_of(leaf, event.task_count)
            && best.as_ref().is_none_or(|(most, _)| bytes > *most)
        {
            best = Some((bytes, urls));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    if let Err(error) = visited {
        return Some(Err(error));
    }
    best.map(|(_, urls)| Ok(RouteTasksEventResponse::new(urls)))
}

fn workers_of(leaf: &DistributedLeafExec, tasks: usize) -> Option<(u64, Vec<Url>)> {
    let scans: Vec<&LakeScan> = leaf
        .variants()
        .iter()
        .map(|variant| variant.downcast_ref::<LakeScan>())
        .collect::<Option<_>>()?;
    let urls: Vec<Url> = scans.iter().map(|scan| scan.worker().cloned()).collect::<Option<_>>()?;
    let bytes = scans
        .iter()
        .filter_map(|scan| scan.files().ok())
        .flatten()
        .map(|file| file.effective_size())
        .sum();
    (urls.len() == tasks).then_some((bytes, urls))
}

/// The workers of a scan with `tasks` tasks: all, or those that the table's name picks.
fn choose_workers(mut urls: Vec<Url>, tasks: usize, name: &str) -> Vec<Url> {
    urls.sort();
    if tasks < urls.len() {
        urls.sort_by_key(|url| std::cmp::Reverse(score(url.as_str(), name)));
        urls.truncate(tasks);
        urls.sort();
    }
    urls
}

fn piece_key(file: &PartitionedFile) -> u64 {
    let mut hasher = stable_hasher();
    match file.extension::<SegmentLocation>() {
        Some(location) => location.hash(&mut hasher),
        None => file.object_meta.location.as_ref().hash(&mut hasher),
    }
    file.range.as_ref().map(|range| range.start).hash(&mut hasher);
    hasher.finish()
}

/// The same in every process of one version, which is all that placement needs.
fn stable_hasher() -> DefaultHasher {
    DefaultHasher::new()
}

fn score(worker: &str, piece: impl Hash) -> u64 {
    let mut hasher = stable_hasher();
    worker.hash(&mut hasher);
    piece.hash(&mut hasher);
    hasher.finish()
}

/// For each piece (key, bytes) the index of its worker: rendezvous hashing with a bound on the load.
///
/// Each piece asks for the workers in order of its score and takes the first whose load stays below the bound, largest
/// pieces first; the last resort is the worker with least. No worker is left idle while another has two pieces.
fn assign(pieces: &[(u64, u64)], workers: &[String]) -> Vec<usize> {
    let total: u64 = pieces.iter().map(|(_, bytes)| *bytes).sum();
    let largest = pieces.iter().map(|(_, bytes)| *bytes).max().unwrap_or(0);
    let average = total / workers.len().max(1) as u64;
    let bound = (average * LOAD_BOUND_PERCENT / 100).max(largest);
    let mut order: Vec<usize> = (0..pieces.len()).collect();
    order.sort_by_key(|index| (std::cmp::Reverse(pieces[*index].1), pieces[*index].0));
    let mut loads = vec![0_u64; workers.len()];
    let mut counts = vec![0_usize; workers.len()];
    let mut assigned = vec![0_usize; pieces.len()];
    for index in order {
        let (key, bytes) = pieces[index];
        let least = (0..workers.len()).min_by_key(|worker| loads[*worker]).unwrap_or(0);
        let wanted = (0..workers.len())
            .filter(|worker| loads[*worker] + bytes <= bound)
            .max_by_key(|worker| score(&workers[*worker], key))
            .unwrap_or(least);
        loads[wanted] += bytes;
        counts[wanted] += 1;
        assigned[index] = wanted;
    }
    occupy_idle(pieces, &mut assigned, &mut counts);
    assigned
}

/// Gives each idle worker the smallest piece of the worker that has most.
fn occupy_idle(pieces: &[(u64, u64)], assigned: &mut [usize], counts: &mut [usize]) {
    for idle in 0..counts.len() {
        if counts[idle] > 0 {
            continue;
        }
        let Some(busiest) = (0..counts.len()).max_by_key(|worker| counts[*worker]) else {
            return;
        };
        if counts[busiest] < 2 {
            return;
        }
        let smallest = (0..pieces.len())
            .filter(|piece| assigned[*piece] == busiest)
            .min_by_key(|piece| pieces[*piece]);
        if let Some(piece) = smallest {
            assigned[piece] = idle;
            counts[busiest] -= 1;
            counts[idle] += 1;
        }
    }
}
