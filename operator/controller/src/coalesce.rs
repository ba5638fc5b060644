//! Requests for the same object in the same moment become one.
//!
//! What is made in a step comes as a burst: a StatefulSet, its pods, their addresses, their readiness. Looked at one by one, each would
//! be a reconcile and most of them a status; the last of them tells all. The more objects are busy, the longer requests are gathered.
//! What a plan asks for itself, as a look at the edge of a window, does not come by here and so does not wait: when many windows open
//! at eight, what follows from the first ones comes later than the opening of the others, as far as there is time for both.

use std::{collections::HashSet, hash::Hash, time::Duration};

use futures::{Stream, StreamExt};
use kube::{Resource, runtime::controller::ReconcileRequest, runtime::reflector::ObjectRef};
use tokio_util::time::DelayQueue;

use crate::watch::Request;

/// How long the first request for an object waits for others. Those do not prolong it: an object to which something happens all the
/// time is looked at nevertheless.
pub(crate) const WITHIN: Duration = Duration::from_millis(150);
/// How much longer it waits for each other object that waits: what a look costs this process and the API server, on two cores.
const FOR_EACH: Duration = Duration::from_millis(5);

/// Each request once, `within` and [`FOR_EACH`] after the first one for its object.
pub(crate) fn coalesced<K>(
    requests: impl Stream<Item = Request<K>> + Unpin,
    within: Duration,
) -> impl Stream<Item = Request<K>>
where
    K: Resource,
    K::DynamicType: Clone + Eq + Hash,
{
    let waiting: (DelayQueue<ReconcileRequest<K>>, HashSet<ObjectRef<K>>) = Default::default();
    futures::stream::unfold(
        (requests, waiting),
        move |(mut requests, (mut queue, mut waiting))| async move {
            loop {
                tokio::select! {
                    Some(due) = queue.next() => {
                        let request = due.into_inner();
                        waiting.remove(&request.obj_ref);
                        return Some((Ok(request), (requests, (queue, waiting))));
                    }
                    Some(request) = requests.next() => {
                        let Ok(request) = request;
                        if waiting.insert(request.obj_ref.clone()) {
                            let others = u32::try_from(queue.len()).unwrap_or(u32::MAX);
                            queue.insert(request, within + FOR_EACH.saturating_mul(others));
                        }
                    }
                    else => return None,
                }
            }
        },
    )
}

#[cfg(test)]
mod tests;
