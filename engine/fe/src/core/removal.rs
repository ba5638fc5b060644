//! The end of a cluster's data on the store, when the cluster has gone.
//!
//! Nouns:
//! - *extent*: what of a place is the cluster's. This engine knows: all below its id, and the claim. Another one leaves no claim, and
//!   everything below the prefix is taken for its own, unless there is a claim of this one.
//! - *claim*: the `CLUSTER` object. It goes last, so that whoever goes on with a deletion that was interrupted finds whose the place is.

use std::{future, sync::Arc};

use futures::{StreamExt, TryStreamExt, stream};
use object_store::{Error as StoreError, ObjectMeta, ObjectStore, ObjectStoreExt, path::Path};
use springtide_contract::config::{Refusal, RefusalReason, StorageConfig};
use springtide_format::names;
use springtide_model::ClusterId;
use tokio_util::sync::CancellationToken;

use super::bootstrap::{claim, name_bucket, refuse};

/// Objects that are deleted by one request.
const PAGE: usize = 1000;
/// How often the store is listed until nothing is left: a write that was under way may end after the first time.
const MOST_PASSES: u32 = 3;
/// Characters of a store's answer that are told: it may name every object of a request.
const MOST_TOLD: usize = 500;
/// Where the objects are by which a frontend tries the store at its start.
const PROBES: &str = "probe";

/// What of a place is the cluster's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// The data of this cluster, and its claim.
    Claimed(ClusterId),
    /// Everything: the place of an engine that leaves no claim.
    Whole,
}

/// What was deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Why not everything is deleted.
#[derive(Debug, thiserror::Error)]
pub enum RemovalError {
    /// The place is somebody else's, or the store refuses.
    #[error("{}", .0.message)]
    Refused(Refusal),
    /// It was told to end.
    #[error("ended after {} objects", .0.objects)]
    Stopped(Deleted),
}

impl From<Refusal> for RemovalError {
    fn from(refusal: Refusal) -> Self {
        RemovalError::Refused(refusal)
    }
}

/// Deletes the data of a cluster. `store` is rooted at the configured prefix. Doing it again goes on where it ended; nothing to delete is
/// no error.
///
/// # Errors
/// See [`RemovalError`].
pub async fn delete_data(
    store: &Arc<dyn ObjectStore>,
    storage: &StorageConfig,
    extent: Extent,
    shutdown: &CancellationToken,
) -> Result<Deleted, RemovalError> {
    let mut removal = Removal {
        store,
        storage,
        shutdown,
        deleted: Deleted::default(),
    };
    match extent {
        Extent::Claimed(cluster) => removal.claimed(cluster).await?,
        Extent::Whole => removal.whole().await?,
    }
    Ok(removal.deleted)
}

struct Removal<'a> {
    store: &'a Arc<dyn ObjectStore>,
    storage: &'a StorageConfig,
    shutdown: &'a CancellationToken,
    deleted: Deleted,
}

impl Removal<'_> {
    async fn claimed(&mut self, cluster: ClusterId) -> Result<(), RemovalError> {
        self.check_claim(cluster).await?;
        self.clear(Some(&Path::from(names::data_prefix(cluster)))).await?;
        self.clear_probes().await?;
        // Read again: nobody else can have claimed the place meanwhile, and this is the last look at it.
        if self.check_claim(cluster).await? {
            let claim = Path::from(names::CLUSTER);
            let deleted = self.store.delete(&claim).await;
            deleted.map_err(|error| self.failed("delete the claim from", &error))?;
            self.deleted.objects += 1;
        }
        Ok(())
    }

    /// Whether there is a claim; it must be this cluster's.
    async fn check_claim(&self, cluster: ClusterId) -> Result<bool, RemovalError> {
        let found = claim::read(self.store.as_ref()).await;
        let found = found.map_err(|refusal| name_bucket(self.storage, refusal))?;
        match found {
            Some(found) if found.cluster_id != cluster => Err(refuse(
                RefusalReason::ForeignCluster,
                format!(
                    "the prefix belongs to cluster {}, and the data of cluster {cluster} was to be deleted: its claim is left as it is",
                    found.cluster_id
                ),
            )
            .into()),
            found => Ok(found.is_some()),
        }
    }

    async fn whole(&mut self) -> Result<(), RemovalError> {
        let mut objects = self.store.list(None);
        while let Some(object) = objects.next().await {
            let object = object.map_err(|error| self.failed("list", &error))?;
            if object.location.filename() == Some(names::CLUSTER) {
                return Err(refuse(
                    RefusalReason::ForeignCluster,
                    format!(
                        "below the prefix there is {}, by which a cluster of the bundled engine has claimed its place: nothing was deleted",
                        object.location
                    ),
                )
                .into());
            }
        }
        self.clear(None).await
    }

    /// Deletes everything below `prefix`.
    async fn clear(&mut self, prefix: Option<&Path>) -> Result<(), RemovalError> {
        let mut last = None;
        for _ in 0..MOST_PASSES {
            last = None;
            let mut pages = self.store.list(prefix).try_chunks(PAGE);
            while let Some(page) = pages.next().await {
                let page = page.map_err(|error| self.failed("list", &error.1))?;
                last = page.last().map(|object| object.location.clone()).or(last);
                self.delete(page).await?;
            }
            if last.is_none() {
                return Ok(());
            }
        }
        let left = last.map_or_else(String::new, |left| format!(", {left} among them"));
        Err(refuse(
            RefusalReason::StorageUnreachable,
            format!(
                "the store says that objects are deleted, and lists them still{left}: they are locked, somebody writes them, or their names \
                 cannot be told; look at them by other means"
            ),
        )
        .into())
    }

    /// Deletes what a frontend that ended in its first moments has left. Whatever else has such a name is not touched.
    async fn clear_probes(&mut self) -> Result<(), RemovalError> {
        let probes = self.store.list(Some(&Path::from(PROBES)));
        let probes = probes.try_filter(|object| future::ready(is_probe(&object.location)));
        let probes: Vec<ObjectMeta> = probes
            .try_collect()
            .await
            .map_err(|error| self.failed("list", &error))?;
        self.delete(probes).await
    }

    async fn delete(&mut self, page: Vec<ObjectMeta>) -> Result<(), RemovalError> {
        if page.is_empty() {
            return Ok(());
        }
        let (objects, bytes) = (page.len() as u64, page.iter().map(|object| object.size).sum::<u64>());
        let paths = stream::iter(page.into_iter().map(|object| Ok(object.location))).boxed();
        let deletion = self.store.delete_stream(paths).try_for_each(|_| future::ready(Ok(())));
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => return Err(RemovalError::Stopped(self.deleted)),
            deleted = deletion => deleted.map_err(|error| self.failed("delete objects from", &error))?,
        }
        self.deleted.objects += objects;
        self.deleted.bytes += bytes;
        tracing::info!(
            objects = self.deleted.objects,
            bytes = self.deleted.bytes,
            "deleting the data"
        );
        Ok(())
    }

    fn failed(&self, action: &str, error: &StoreError) -> RemovalError {
        RemovalError::Refused(name_bucket(self.storage, failure(action, error)))
    }
}

/// Whether a frontend made the object to try the store.
fn is_probe(path: &Path) -> bool {
    let name = path
        .as_ref()
        .strip_prefix(PROBES)
        .and_then(|rest| rest.strip_prefix('/'));
    name.is_some_and(|name| name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Lists and deletions of many tell in their text alone what was wrong.
fn failure(action: &str, error: &StoreError) -> Refusal {
    let text = match error {
        // Their path is that of every object of the request.
        StoreError::PermissionDenied { source, .. }
        | StoreError::Unauthenticated { source, .. }
        | StoreError::NotFound { source, .. } => source.to_string(),
        error => error.to_string(),
    };
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let reason = match error {
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => RefusalReason::StorageAccessDenied,
        StoreError::NotFound { .. } => RefusalReason::BucketNotFound,
        _ if says(&["NoSuchBucket"]) => RefusalReason::BucketNotFound,
        _ if says(&["AccessDenied", "403 Forbidden", "401 Unauthorized"]) => RefusalReason::StorageAccessDenied,
        _ => RefusalReason::StorageUnreachable,
    };
    let text: String = text.chars().take(MOST_TOLD).collect();
    refuse(reason, format!("cannot {action} the object store: {text}"))
}
