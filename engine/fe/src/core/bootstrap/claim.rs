//! Whose the data prefix is: the `CLUSTER` object, and whether the store can be trusted to tell two writers apart.

use std::time::Duration;

use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, PutMode, PutPayload, path::Path};
use springtide_catalog::Identity;
use springtide_contract::config::{Refusal, RefusalReason};
use springtide_format::{ClusterObject, FORMAT_VERSION, FormatError, names};
use springtide_model::ClusterId;
use uuid::Uuid;

use super::refuse;
use crate::core::STORE_TIMEOUT;

/// How often an unreachable store is tried at start; after that the process ends and is started again by whoever runs it.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// Whether the claim is new.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// The catalog does not know yet that the prefix is claimed.
    Now,
    /// It does.
    Before,
}

/// Creates one object twice: a store that lets both pass would let two frontends claim one prefix.
pub(super) async fn check_store(store: &dyn ObjectStore) -> Result<(), Refusal> {
    let path = Path::from(format!("probe/{}", Uuid::new_v4().as_simple()));
    let create = async || create(store, &path, b"probe").await;
    match with_tries(create).await {
        // A repeated request may find its own object.
        Ok(()) | Err(StoreError::AlreadyExists { .. }) => {}
        Err(error) => return Err(store_refusal("create an object in", &error)),
    }
    let second = with_tries(create).await;
    if let Err(error) = store.delete(&path).await {
        tracing::warn!(%error, %path, "cannot delete the probe object");
    }
    match second {
        Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => Ok(()),
        Ok(()) => Err(refuse(
            RefusalReason::StoreUnsafe,
            "the object store created the same object twice although told not to: it ignores If-None-Match, so two \
             frontends could not be told apart; use a store with conditional writes",
        )),
        Err(error) => Err(store_refusal("create an object in", &error)),
    }
}

/// Reads the `CLUSTER` object, if it is there.
pub(in crate::core) async fn read(store: &dyn ObjectStore) -> Result<Option<ClusterObject>, Refusal> {
    let path = Path::from(names::CLUSTER);
    let got = with_tries(async || store.get(&path).await?.bytes().await).await;
    match got {
        Ok(bytes) => match ClusterObject::from_bytes(&bytes) {
            Ok(object) => Ok(Some(object)),
            Err(error @ FormatError::TooNew { .. }) => Err(refuse(RefusalReason::MetadataTooNew, error.to_string())),
            Err(error) => Err(refuse(
                RefusalReason::ForeignCluster,
                format!(
                    "{error}; it was not written by this engine, so the prefix is someone else's: choose another prefix"
                ),
            )),
        },
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(store_refusal("read the CLUSTER object of", &error)),
    }
}

/// With no local metadata: refuses a prefix that has data, of whichever cluster.
pub(super) fn check_before_bootstrap(cluster_id: ClusterId, found: Option<&ClusterObject>) -> Result<(), Refusal> {
    match found {
        None => Ok(()),
        Some(found) if found.cluster_id == cluster_id => Err(refuse(
            RefusalReason::MetadataLost,
            format!(
                "the data prefix holds the data of this cluster ({cluster_id}), but the metadata volume is empty: an empty \
                 catalog would hide all of it. Mount the volume that was lost, or restore the metadata from a backup"
            ),
        )),
        Some(found) => Err(foreign(found.cluster_id, cluster_id)),
    }
}

/// Writes the `CLUSTER` object where it is missing, and refuses what is not ours.
pub(super) async fn take(
    store: &dyn ObjectStore,
    identity: &Identity,
    found: Option<ClusterObject>,
) -> Result<Taken, Refusal> {
    let taken = if identity.claimed { Taken::Before } else { Taken::Now };
    let ours = ClusterObject {
        format_version: FORMAT_VERSION,
        cluster_id: identity.cluster_id,
        metadata_id: identity.metadata_id,
        epoch: identity.epoch,
    };
    match found {
        Some(found) if found.cluster_id == identity.cluster_id => {
            return check_same_metadata(identity, &found).map(|()| taken);
        }
        Some(found) => return Err(foreign(found.cluster_id, identity.cluster_id)),
        None if identity.claimed => {
            return Err(refuse(
                RefusalReason::DataLost,
                "the metadata knows the data prefix as claimed, but its CLUSTER object is gone: the configuration names \
                 another bucket or prefix, or the data was deleted",
            ));
        }
        None => create_object(store, &ours).await?,
    }
    // A repeated request may be told that it lost against itself, and a store may lie: what is there now decides.
    match read(store).await? {
        Some(found) if found.cluster_id == identity.cluster_id => check_same_metadata(identity, &found).map(|()| taken),
        Some(found) => Err(foreign(found.cluster_id, identity.cluster_id)),
        None => Err(refuse(
            RefusalReason::StoreUnsafe,
            "the object store took the CLUSTER object and does not have it now",
        )),
    }
}

async fn create_object(store: &dyn ObjectStore, object: &ClusterObject) -> Result<(), Refusal> {
    let path = Path::from(names::CLUSTER);
    let payload = PutPayload::from(object.to_bytes());
    let result = with_tries(async || {
        store
            .put_opts(&path, payload.clone(), PutMode::Create.into())
            .await
            .map(drop)
    })
    .await;
    match result {
        Ok(()) | Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => Ok(()),
        Err(error) => Err(store_refusal("write the CLUSTER object of", &error)),
    }
}

fn check_same_metadata(identity: &Identity, found: &ClusterObject) -> Result<(), Refusal> {
    if found.metadata_id != identity.metadata_id {
        return Err(refuse(
            RefusalReason::ForeignCluster,
            format!(
                "the data prefix belongs to cluster {} with other metadata ({}, here is {}): another frontend was started \
                 with the same cluster id, or the wrong metadata volume is mounted",
                identity.cluster_id, found.metadata_id, identity.metadata_id
            ),
        ));
    }
    if found.epoch > identity.epoch {
        return Err(refuse(
            RefusalReason::MetadataLost,
            format!(
                "the data prefix is at epoch {}, the metadata volume at {}: it is older than the data; mount the newer one",
                found.epoch, identity.epoch
            ),
        ));
    }
    Ok(())
}

fn foreign(found: ClusterId, ours: ClusterId) -> Refusal {
    refuse(
        RefusalReason::ForeignCluster,
        format!(
            "the data prefix belongs to cluster {found}, this is cluster {ours}: choose another prefix, or name {found} in \
             bootstrap.adopt if that cluster is gone and this one continues it with its metadata volume"
        ),
    )
}

async fn create(store: &dyn ObjectStore, path: &Path, bytes: &'static [u8]) -> Result<(), StoreError> {
    store
        .put_opts(path, PutPayload::from_static(bytes), PutMode::Create.into())
        .await
        .map(drop)
}

/// Tries a call a few times while the store cannot be reached.
async fn with_tries<T>(call: impl AsyncFn() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let mut tried = 1;
    loop {
        let result = tokio::time::timeout(STORE_TIMEOUT, call()).await.unwrap_or_else(|_| {
            Err(StoreError::Generic {
                store: "any",
                source: format!("no answer within {} s", STORE_TIMEOUT.as_secs()).into(),
            })
        });
        match result {
            Err(error @ (StoreError::Generic { .. } | StoreError::JoinError { .. })) if tried < TRIES => {
                tracing::warn!(%error, tried, "cannot reach the object store; trying again");
                tried += 1;
                tokio::time::sleep(PAUSE).await;
            }
            other => return other,
        }
    }
}

fn store_refusal(action: &str, error: &StoreError) -> Refusal {
    let reason = match error {
        // Only a missing bucket makes a PUT find nothing; a GET of a missing object is not sent here.
        StoreError::NotFound { .. } => RefusalReason::BucketNotFound,
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => RefusalReason::StorageAccessDenied,
        StoreError::NotImplemented { .. } | StoreError::NotSupported { .. } => RefusalReason::StoreUnsafe,
        _ => RefusalReason::StorageUnreachable,
    };
    refuse(reason, format!("cannot {action} the object store: {error}"))
}
