//! Runs the reconciles of one kind: each with an id, a time limit, metrics and a wait after failures. A panic fails that one
//! reconcile and nothing else.

use std::{
    future::Future,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{StreamExt, channel::mpsc, stream::FuturesUnordered};
use kube::{Resource, ResourceExt};
use springtide_plan::Foreseen;
use tracing::Instrument;

use crate::{
    agenda::{Agenda, Look},
    cache::{Key, TypedCache},
    context::{Caches, Context},
    reconcile::{self, Failed, ReconcileError},
    watch::Request,
};

/// A reconcile that takes longer is given up and tried again: each call within has a limit of its own, so this is a net.
const RECONCILE_TIMEOUT: Duration = Duration::from_secs(180);

/// What a reconcile asks for when it has nothing to complain about.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Done {
    /// Look again after this, if nothing happens before.
    pub(crate) again_after: Duration,
    /// Something is due after this, as at the edge of a window: that look goes before those at other objects.
    pub(crate) edge_after: Option<Duration>,
    /// What is to be done then, if nothing changes before: the edge is not looked at in full.
    pub(crate) foreseen: Option<Foreseen>,
}

/// When to look again after a failure.
struct Again {
    after: Duration,
    /// When the object's next edge is, if that is known.
    edge_after: Option<Duration>,
}

impl Done {
    /// The same, where the edge is counted from `then` on: what was done meanwhile does not make it late.
    pub(crate) fn planned_at(self, then: Instant) -> Self {
        Self {
            edge_after: self.edge_after.map(|after| after.saturating_sub(then.elapsed())),
            ..self
        }
    }

    /// The same, with what that edge will need.
    pub(crate) fn foreseeing(self, foreseen: Option<Foreseen>) -> Self {
        Self { foreseen, ..self }
    }

    /// The same, but for looking again after `wait` at the latest.
    pub(crate) fn at_most(self, wait: Duration) -> Self {
        Self {
            again_after: self.again_after.min(wait),
            ..self
        }
    }
}

/// Reconciles the objects of one kind, as `requests` names them, until the requests end.
pub(crate) async fn drive<K, Reconciled>(
    context: Arc<Context>,
    cache: fn(&Caches) -> &TypedCache<K>,
    mut requests: mpsc::Receiver<Request>,
    reconcile: fn(Arc<Context>, Arc<K>) -> Reconciled,
) where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
    Reconciled: Future<Output = Result<Done, Failed>> + Send + 'static,
{
    let at_once = usize::from(context.settings.concurrency);
    let mut agenda: Agenda<Key, Foreseen> = Agenda::new(Instant::now());
    let mut under_way = FuturesUnordered::new();
    // What was foreseen is done beside the looks, which may all wait for frontends that hang.
    let mut acting = FuturesUnordered::new();
    loop {
        while agenda.acting() < at_once
            && let Some((key, foreseen)) = agenda.take_foreseen(Instant::now())
        {
            let Some(object) = cache(&context.caches).get(&key) else {
                agenda.acted(&key);
                continue;
            };
            let context = Arc::clone(&context);
            acting.push(async move {
                let enacted = reconcile::enact(Arc::clone(&context), Arc::clone(&object), foreseen);
                (
                    key,
                    one(enacted, &*object, "its edge has come, as was foreseen", &context).await,
                )
            });
        }
        while agenda.under_way() < at_once
            && let Some(look) = agenda.take(Instant::now())
        {
            let Look { key, cause, at_edge } = look;
            // Nothing is left to do about an object that is gone, nor to tell.
            let Some(object) = cache(&context.caches).get(&key) else {
                let namespace = key.namespace.as_deref().unwrap_or_default();
                context.metrics.conditions(kind_of::<K>(), namespace, &key.name, &[]);
                agenda.done(&key);
                continue;
            };
            let context = Arc::clone(&context);
            under_way.push(async move {
                let cause = cause.as_deref().unwrap_or("it was time to look again");
                let reconciled = reconcile(Arc::clone(&context), Arc::clone(&object));
                (key, at_edge, one(reconciled, &*object, cause, &context).await)
            });
        }
        let may_look = agenda.under_way() < at_once && !agenda.acts_wait(Instant::now());
        let next_look_at = agenda.next_look_at().filter(|_| may_look);
        let next_act_at = agenda.next_act_at().filter(|_| agenda.acting() < at_once);
        let next_at = next_look_at.into_iter().chain(next_act_at).min();
        tokio::select! {
            request = requests.next() => match request {
                Some(Request { key, cause }) => agenda.changed(key, cause, Instant::now()),
                None => return,
            },
            Some((key, at_edge, looked)) = under_way.next() => {
                agenda.done(&key);
                let now = Instant::now();
                match looked {
                    Ok(done) => {
                        agenda.plan_edge(key.clone(), done.edge_after.map(|after| now + after), done.foreseen);
                        agenda.look_after(key, done.again_after, now);
                    }
                    // This edge is still to be done, and the next one may come first.
                    Err(Again { after, edge_after }) if at_edge => {
                        let after = edge_after.map_or(after, |edge_after| after.min(edge_after));
                        agenda.plan_edge(key, Some(now + after), None);
                    }
                    Err(Again { after, edge_after }) => {
                        // One that was planned before stays otherwise.
                        if let Some(edge_after) = edge_after {
                            agenda.plan_edge(key.clone(), Some(now + edge_after), None);
                        }
                        agenda.look_after(key, after, now);
                    }
                }
            }
            Some((key, acted)) = acting.next() => {
                agenda.acted(&key);
                let now = Instant::now();
                match acted {
                    Ok(done) => {
                        // A look that was under way beside it may have planned another edge.
                        if let Some(after) = done.edge_after {
                            agenda.plan_edge(key.clone(), Some(now + after), None);
                        }
                        agenda.look_after(key, done.again_after, now);
                    }
                    Err(Again { after, .. }) => agenda.plan_edge(key, Some(now + after), None),
                }
            }
            () = until(next_at) => {}
        }
    }
}

/// One reconcile, from its id to its metrics. Returns when to look again, as an error after a failure.
async fn one<K: Resource<DynamicType = ()>>(
    reconcile: impl Future<Output = Result<Done, Failed>> + Send + 'static,
    object: &K,
    cause: &str,
    context: &Context,
) -> Result<Done, Again> {
    let kind = kind_of::<K>();
    let key = key_of(object);
    let begun = Instant::now();
    let span = span_of(
        kind,
        object.meta().namespace.as_deref().unwrap_or_default(),
        object.meta().name.as_deref().unwrap_or_default(),
        cause,
    );
    tracing::debug!(parent: &span, "begins");
    let mut task = AbortOnDrop(tokio::spawn(reconcile.instrument(span.clone())));
    let result = match tokio::time::timeout(RECONCILE_TIMEOUT, &mut task.0).await {
        Ok(Ok(result)) => result,
        Ok(Err(join)) => Err(Failed::from(ReconcileError::Panicked {
            message: panic_message(join),
        })),
        Err(_) => Err(Failed::from(ReconcileError::TooLong {
            limit: RECONCILE_TIMEOUT,
        })),
    };
    let outcome = match &result {
        Ok(_) => "ok",
        Err(failed) if failed.error.is_routine() => "retry",
        Err(_) => "failed",
    };
    context
        .metrics
        .reconciled(kind, outcome, begun.elapsed(), context.clock.now());
    match result {
        Ok(done) => {
            context.backoff.succeeded(&key);
            tracing::debug!(parent: &span, again_after_ms = done.again_after.as_millis() as u64, "done");
            Ok(done)
        }
        Err(Failed { error, edge_after }) => {
            let routine = error.is_routine();
            if routine {
                tracing::debug!(parent: &span, error = error.chain(), "tries again");
            } else {
                tracing::warn!(parent: &span, error = error.chain(), "reconcile failed");
            }
            Err(Again {
                after: context.backoff.failed(key),
                edge_after,
            })
        }
    }
}

/// What every log line of a reconcile carries. The id is another one after a restart, and in another replica; the object's name is not
/// `name`, which in JSON is that of the span.
pub(crate) fn span_of(kind: &str, namespace: &str, object: &str, cause: &str) -> tracing::Span {
    static PROCESS: LazyLock<u32> = LazyLock::new(rand::random);
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let reconcile_id = format!("{:08x}-{}", *PROCESS, COUNT.fetch_add(1, Ordering::Relaxed));
    tracing::info_span!("reconcile", reconcile_id, kind, namespace, object, cause)
}

/// Returns at that moment; never, if there is none.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

pub(crate) fn kind_of<K: Resource<DynamicType = ()>>() -> &'static str {
    // The kinds are few and fixed, and a label wants a static text.
    match K::kind(&()).as_ref() {
        "Department" => "Department",
        "LakeCluster" => "LakeCluster",
        _ => "ComputeGroup",
    }
}

fn key_of<K: Resource<DynamicType = ()>>(object: &K) -> String {
    let namespace = object.namespace().unwrap_or_default();
    format!("{} {namespace}/{}", K::kind(&()), object.name_any())
}

fn panic_message(join: tokio::task::JoinError) -> String {
    match join.try_into_panic() {
        Ok(payload) => payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned()),
        Err(_) => "cancelled".to_owned(),
    }
}

/// A task that ends with whoever waits for it.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
