//! From a directory, a store and a configuration to a catalog that may be written: replay, the checks of the store, and
//! the `CLUSTER` object.

use std::{
    fmt,
    path::{Path as FilePath, PathBuf},
    sync::Arc,
};

use object_store::ObjectStore;
use springtide_catalog::{Catalog, Edit, Identity, Record, edit::RecordError, image::ImageError};
use springtide_contract::config::{EngineConfig, Refusal, RefusalReason, StorageConfig};
use springtide_journal::{Journal, JournalError, LocalJournal, LocalOptions, Recovered};
use springtide_model::{ClusterId, Epoch};
use uuid::Uuid;

use super::{Clock, Dirs, accounts};

pub(super) mod claim;

/// Opens the journal in a directory for a cluster.
pub struct JournalOpener(Box<OpenJournal>);

type OpenJournal = dyn FnOnce(&FilePath, &str) -> Result<(Box<dyn Journal>, Recovered), JournalError> + Send;

impl JournalOpener {
    /// An opener that does this.
    pub fn new(
        open: impl FnOnce(&FilePath, &str) -> Result<(Box<dyn Journal>, Recovered), JournalError> + Send + 'static,
    ) -> Self {
        Self(Box::new(open))
    }
}

impl fmt::Debug for JournalOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JournalOpener")
    }
}

/// The journal as files of this machine.
#[must_use]
pub fn local_journal() -> JournalOpener {
    JournalOpener::new(|directory, cluster| {
        let (journal, recovered) = LocalJournal::open(directory, LocalOptions::new(cluster))?;
        Ok((Box::new(journal) as Box<dyn Journal>, recovered))
    })
}

/// What a core begins with.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) journal: Box<dyn Journal>,
    pub(super) catalog: Catalog,
    /// Last record of the newest image, 0 without one.
    pub(super) image_id: u64,
    pub(super) cluster_id: ClusterId,
    pub(super) epoch: Epoch,
}

pub(super) fn refuse(reason: RefusalReason, message: impl Into<String>) -> Refusal {
    Refusal {
        reason,
        message: message.into(),
    }
}

/// Opens the journal and makes sure that the data prefix is this cluster's and this metadata's.
pub(super) async fn open(
    config: &EngineConfig,
    dirs: &Dirs,
    store: &Arc<dyn ObjectStore>,
    clock: &dyn Clock,
    opener: JournalOpener,
) -> Result<Opened, Refusal> {
    let cluster_id = Uuid::try_parse(&config.cluster_id).map(ClusterId).map_err(|error| {
        refuse(
            RefusalReason::ConfigInvalid,
            format!("clusterId '{}' must be a lower-case UUID: {error}", config.cluster_id),
        )
    })?;
    let (mut journal, recovered) = open_journal(opener, dirs.meta.clone(), cluster_id).await?;
    let image_id = recovered.image.as_ref().map_or(0, |(id, _)| *id);
    let mut catalog = replay(recovered)?;
    let named = |refusal| name_bucket(&config.storage, refusal);
    claim::check_store(store.as_ref()).await.map_err(named)?;
    let found = claim::read(store.as_ref()).await.map_err(named)?;
    if catalog.identity().is_none() {
        claim::check_before_bootstrap(cluster_id, found.as_ref())?;
        let edits = first_edits(&catalog, cluster_id, dirs, clock)?;
        write(journal.as_mut(), &mut catalog, edits)?;
        tracing::info!(%cluster_id, "made a new catalog");
    }
    let Some(identity) = catalog.identity().cloned() else {
        return Err(refuse(
            RefusalReason::MetadataCorrupt,
            "the catalog does not say whose it is",
        ));
    };
    let taken = claim::take(store.as_ref(), &identity, found).await.map_err(named)?;
    if taken == claim::Taken::Now {
        write(journal.as_mut(), &mut catalog, vec![Edit::Claim])?;
    }
    Ok(Opened {
        journal,
        catalog,
        image_id,
        cluster_id,
        epoch: identity.epoch,
    })
}

/// Says which bucket it is and what to do, before what the store's client says.
pub(super) fn name_bucket(storage: &StorageConfig, refusal: Refusal) -> Refusal {
    let StorageConfig::S3 { bucket, endpoint, .. } = storage else {
        return refusal;
    };
    let server = endpoint.as_deref().unwrap_or("AWS");
    let advice = match refusal.reason {
        RefusalReason::BucketNotFound => {
            format!("bucket '{bucket}' does not exist at {server}: make it, or correct the storage's bucket")
        }
        RefusalReason::StorageAccessDenied => format!(
            "the keys may not use bucket '{bucket}' at {server}: correct the Secret with the keys, or the bucket's policy"
        ),
        RefusalReason::StorageUnreachable => {
            format!("bucket '{bucket}' cannot be reached at {server}: correct the endpoint, or look after the store")
        }
        _ => return refusal,
    };
    refuse(refusal.reason, format!("{advice} ({})", refusal.message))
}

async fn open_journal(
    JournalOpener(open): JournalOpener,
    directory: PathBuf,
    cluster_id: ClusterId,
) -> Result<(Box<dyn Journal>, Recovered), Refusal> {
    let opened = tokio::task::spawn_blocking(move || open(&directory, &cluster_id.to_string())).await;
    let opened = opened.map_err(|panic| refuse(RefusalReason::MetadataUnavailable, panic.to_string()))?;
    opened.map_err(|error| refuse(journal_reason(&error), error.to_string()))
}

fn journal_reason(error: &JournalError) -> RefusalReason {
    match error {
        JournalError::Damaged { .. } | JournalError::Gap { .. } => RefusalReason::MetadataCorrupt,
        JournalError::TooNew { .. } => RefusalReason::MetadataTooNew,
        JournalError::ForeignCluster { .. } => RefusalReason::ForeignCluster,
        JournalError::Locked { .. } => RefusalReason::MetadataInUse,
        JournalError::Io { .. } | JournalError::TooLong { .. } | JournalError::Failed { .. } => {
            RefusalReason::MetadataUnavailable
        }
    }
}

fn replay(recovered: Recovered) -> Result<Catalog, Refusal> {
    let Recovered { image, records, notes } = recovered;
    for note in notes {
        tracing::warn!("{note}");
    }
    let mut catalog = match image {
        None => Catalog::empty(),
        Some((id, bytes)) => Catalog::from_image(&bytes).map_err(|error| {
            let reason = match error {
                ImageError::TooNew { .. } | ImageError::UnknownWord { .. } => RefusalReason::MetadataTooNew,
                ImageError::Malformed(_) => RefusalReason::MetadataCorrupt,
            };
            refuse(reason, format!("image {id} of the catalog: {error}"))
        })?,
    };
    let count = records.len();
    for (id, bytes) in records {
        let record = Record::from_bytes(&bytes).map_err(|error| {
            let reason = match error {
                RecordError::TooNew { .. } | RecordError::UnknownEdit { .. } | RecordError::UnknownWord { .. } => {
                    RefusalReason::MetadataTooNew
                }
                RecordError::Malformed(_) => RefusalReason::MetadataCorrupt,
            };
            refuse(reason, format!("journal record {id}: {error}"))
        })?;
        catalog.apply_record(&record).map_err(|error| {
            refuse(
                RefusalReason::MetadataCorrupt,
                format!("journal record {id} does not fit the records before it: {error}; restore the metadata volume from a backup"),
            )
        })?;
    }
    tracing::info!(records = count, "replayed the journal");
    Ok(catalog)
}

fn first_edits(catalog: &Catalog, cluster_id: ClusterId, dirs: &Dirs, clock: &dyn Clock) -> Result<Vec<Edit>, Refusal> {
    let admin = accounts::read_account(&dirs.admin_account).map_err(|why| {
        refuse(
            RefusalReason::SecretMissing,
            format!("the administrator's account: {why}"),
        )
    })?;
    let identity = Identity {
        cluster_id,
        metadata_id: Uuid::new_v4(),
        epoch: Epoch(1),
        created_ms: clock.now_ms(),
        claimed: false,
    };
    catalog
        .bootstrap(identity, &admin.name, admin.password)
        .map_err(|error| {
            refuse(
                RefusalReason::ConfigInvalid,
                format!("the administrator's account: {error}"),
            )
        })
}

/// Makes edits durable before the writer's thread runs.
fn write(journal: &mut dyn Journal, catalog: &mut Catalog, edits: Vec<Edit>) -> Result<(), Refusal> {
    let record = Record::new(edits);
    catalog
        .apply_record(&record)
        .map_err(|error| refuse(RefusalReason::MetadataCorrupt, error.to_string()))?;
    journal
        .append(&record.to_bytes())
        .and_then(|_| journal.sync())
        .map_err(|error| refuse(journal_reason(&error), error.to_string()))
}
