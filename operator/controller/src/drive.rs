//! Runs the reconciles of one kind: each with an id, a time limit, metrics and a wait after failures. A panic fails that one
//! reconcile and nothing else.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{StreamExt, channel::mpsc};
use kube::{
    Resource, ResourceExt,
    runtime::{
        applier,
        controller::{Action, Config},
        reflector::Store,
    },
};
use tracing::Instrument;

use crate::{
    coalesce::{WITHIN, coalesced},
    context::Context,
    reconcile::ReconcileError,
    watch::Request,
};

/// A reconcile that takes longer is given up and tried again: each call within has a limit of its own, so this is a net.
const RECONCILE_TIMEOUT: Duration = Duration::from_secs(180);

/// What a reconcile asks for when it has nothing to complain about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    /// Look again after this, if nothing happens before.
    pub(crate) again_after: Duration,
}

/// Reconciles the objects of one kind, as `requests` names them, until the requests end.
pub(crate) async fn drive<K, Reconciled>(
    context: Arc<Context>,
    store: Store<K>,
    requests: mpsc::Receiver<Request<K>>,
    reconcile: fn(Arc<Context>, Arc<K>) -> Reconciled,
) where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
    Reconciled: Future<Output = Result<Done, ReconcileError>> + Send + 'static,
{
    let concurrency = context.settings.concurrency;
    let reconciler = move |object: Arc<K>, context: Arc<Context>| Box::pin(one(reconcile, object, context));
    let results = applier(
        reconciler,
        wait_after_failure,
        context,
        store,
        Box::pin(coalesced(requests, WITHIN)),
        Config::default().concurrency(concurrency),
    );
    results
        .for_each(|result| async {
            // Failures of reconciles are logged where they happen; what remains are objects that are gone.
            if let Err(error) = result {
                tracing::debug!(error = %error, "reconcile ended");
            }
        })
        .await;
}

/// One reconcile, from its id to its metrics.
async fn one<K, Reconciled>(
    reconcile: fn(Arc<Context>, Arc<K>) -> Reconciled,
    object: Arc<K>,
    context: Arc<Context>,
) -> Result<Action, ReconcileError>
where
    K: Resource<DynamicType = ()>,
    Reconciled: Future<Output = Result<Done, ReconcileError>> + Send + 'static,
{
    static IDS: AtomicU64 = AtomicU64::new(1);
    let kind = kind_of::<K>();
    let key = key_of(object.as_ref());
    let begun = Instant::now();
    let span = tracing::info_span!("reconcile", id = IDS.fetch_add(1, Ordering::Relaxed));
    tracing::debug!(parent: &span, "begins");
    let mut task = AbortOnDrop(tokio::spawn(
        reconcile(Arc::clone(&context), object).instrument(span.clone()),
    ));
    let result = match tokio::time::timeout(RECONCILE_TIMEOUT, &mut task.0).await {
        Ok(Ok(result)) => result,
        Ok(Err(join)) => Err(ReconcileError::Panicked {
            message: panic_message(join),
        }),
        Err(_) => Err(ReconcileError::TooLong {
            limit: RECONCILE_TIMEOUT,
        }),
    };
    let outcome = match &result {
        Ok(_) => "ok",
        Err(error) if error.is_routine() => "retry",
        Err(_) => "failed",
    };
    context.metrics.reconciled(kind, outcome, begun.elapsed());
    match &result {
        Ok(done) => {
            context.backoff.succeeded(&key);
            tracing::debug!(parent: &span, again_after_ms = done.again_after.as_millis() as u64, "done");
        }
        Err(error) if error.is_routine() => tracing::debug!(parent: &span, error = error.chain(), "tries again"),
        Err(error) => tracing::warn!(parent: &span, object = key, error = error.chain(), "reconcile failed"),
    }
    result.map(|done| Action::requeue(done.again_after))
}

#[allow(clippy::needless_pass_by_value, reason = "kube asks for this signature")]
fn wait_after_failure<K: Resource<DynamicType = ()>>(
    object: Arc<K>,
    _: &ReconcileError,
    context: Arc<Context>,
) -> Action {
    Action::requeue(context.backoff.failed(key_of(object.as_ref())))
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
