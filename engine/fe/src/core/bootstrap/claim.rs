//! Whose the data prefix is: the `CLUSTER` object, and whether the store can be trusted to tell two writers apart.

use std::time::Duration;

use object_store::{
    Error as StoreError, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, UpdateVersion, path::Path,
};
use springtide_catalog::Identity;
use springtide_contract::config::{EngineConfig, Refusal, RefusalReason};
use springtide_format::{ClusterObject, FORMAT_VERSION, FormatError, names};
use springtide_model::ClusterId;
use uuid::Uuid;

use super::refuse;
use crate::core::STORE_TIMEOUT;

/// How often an unreachable store is tried at start; after that the process ends and is started again by whoever runs it.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// The `CLUSTER` object that was found.
#[derive(Debug)]
pub(super) struct Found {
    object: ClusterObject,
    version: UpdateVersion,
}

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
pub(super) async fn read(store: &dyn ObjectStore) -> Result<Option<Found>, Refusal> {
    let path = Path::from(names::CLUSTER);
    let got = with_tries(async || {
        let result = store.get(&path).await?;
        let version = UpdateVersion {
            e_tag: result.meta.e_tag.clone(),
            version: result.meta.version.clone(),
        };
        Ok((result.bytes().await?, version))
    })
    .await;
    match got {
        Ok((bytes, version)) => match ClusterObject::from_bytes(&bytes) {
            Ok(object) => Ok(Some(Found { object, version })),
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

/// With no local metadata: refuses a prefix that has data of this cluster, or of another that may not be adopted.
pub(super) fn check_before_bootstrap(
    config: &EngineConfig,
    cluster_id: ClusterId,
    found: Option<&Found>,
) -> Result<(), Refusal> {
    match found {
        None => Ok(()),
        Some(found) if found.object.cluster_id == cluster_id => Err(refuse(
            RefusalReason::MetadataLost,
            format!(
                "the data prefix holds the data of this cluster ({cluster_id}), but the metadata volume is empty: an empty \
                 catalog would hide all of it. Mount the volume that was lost, or restore the metadata from a backup"
            ),
        )),
        Some(found) if may_adopt(config, found) => Ok(()),
        Some(found) => Err(foreign(found.object.cluster_id, cluster_id)),
    }
}

/// Writes the `CLUSTER` object where it is missing or adopted, and refuses what is not ours.
pub(super) async fn take(
    store: &dyn ObjectStore,
    config: &EngineConfig,
    identity: &Identity,
    found: Option<Found>,
) -> Result<Taken, Refusal> {
    let taken = if identity.claimed { Taken::Before } else { Taken::Now };
    let ours = ClusterObject {
        format_version: FORMAT_VERSION,
        cluster_id: identity.cluster_id,
        metadata_id: identity.metadata_id,
        epoch: identity.epoch,
    };
    let mode = match found {
        Some(found) if found.object.cluster_id == identity.cluster_id => {
            return check_same_metadata(identity, &found.object).map(|()| taken);
        }
        Some(found) if !identity.claimed && may_adopt(config, &found) => {
            tracing::warn!(adopted = %found.object.cluster_id, "taking over the data prefix of another cluster");
            PutMode::Update(found.version)
        }
        Some(found) => return Err(foreign(found.object.cluster_id, identity.cluster_id)),
        None if identity.claimed => {
            return Err(refuse(
                RefusalReason::DataLost,
                "the metadata knows the data prefix as claimed, but its CLUSTER object is gone: the configuration names \
                 another bucket or prefix, or the data was deleted",
            ));
        }
        None => PutMode::Create,
    };
    put(store, &ours, mode).await?;
    // A repeated request may be told that it lost against itself, and a store may lie: what is there now decides.
    match read(store).await? {
        Some(found) if found.object.cluster_id == identity.cluster_id => {
            check_same_metadata(identity, &found.object).map(|()| taken)
        }
        Some(found) => Err(foreign(found.object.cluster_id, identity.cluster_id)),
        None => Err(refuse(
            RefusalReason::StoreUnsafe,
            "the object store took the CLUSTER object and does not have it now",
        )),
    }
}

async fn put(store: &dyn ObjectStore, object: &ClusterObject, mode: PutMode) -> Result<(), Refusal> {
    let path = Path::from(names::CLUSTER);
    let payload = PutPayload::from(object.to_bytes());
    let result = with_tries(async || {
        store
            .put_opts(&path, payload.clone(), mode.clone().into())
            .await
            .map(drop)
    })
    .await;
    let result = match result {
        // A directory of this machine cannot compare and swap; only `standalone` uses one, and it is alone.
        Err(StoreError::NotImplemented { .. } | StoreError::NotSupported { .. })
            if matches!(mode, PutMode::Update(_)) =>
        {
            store.put_opts(&path, payload, PutOptions::default()).await.map(drop)
        }
        other => other,
    };
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

fn may_adopt(config: &EngineConfig, found: &Found) -> bool {
    let adopt = config
        .bootstrap
        .adopt
        .as_deref()
        .and_then(|id| Uuid::try_parse(id).ok());
    adopt == Some(found.object.cluster_id.0)
}

fn foreign(found: ClusterId, ours: ClusterId) -> Refusal {
    refuse(
        RefusalReason::ForeignCluster,
        format!(
            "the data prefix belongs to cluster {found}, this is cluster {ours}: choose another prefix, or name it in \
             bootstrap.adopt if that cluster is gone for good"
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
