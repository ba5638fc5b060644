//! `springtide-engine delete-data`: the end of a cluster's data, by the configuration and the keys that its frontend has.

use springtide_contract::config::{Refusal, RefusalReason, StorageConfig};
use springtide_fe::core::removal::{Extent, delete_data};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::{
    place::Place,
    process::{ProcessError, cluster_id},
    store,
};

/// Deletes the data of the cluster that is configured at `place`. `named` is the place on S3 as a person has named it. With `whole_prefix`
/// everything below the prefix goes, and else only what is known to be the cluster's.
///
/// # Errors
/// See [`ProcessError`]. Nothing was deleted where the reason is [`RefusalReason::ConfigInvalid`], [`RefusalReason::SecretMissing`],
/// [`RefusalReason::ForeignCluster`] or [`RefusalReason::MetadataTooNew`].
pub async fn run(
    place: &Place,
    named: &str,
    whole_prefix: bool,
    shutdown: &CancellationToken,
) -> Result<(), ProcessError> {
    let config = place.config()?;
    check_name(&config.storage, named)?;
    let extent = if whole_prefix {
        Extent::Whole
    } else {
        Extent::Claimed(cluster_id(&config)?)
    };
    let store = store::open(&config.storage, place, Handle::current())?;
    let deleted = delete_data(&store, &config.storage, extent, shutdown).await?;
    tracing::info!(
        place = named,
        objects = deleted.objects,
        bytes = deleted.bytes,
        "all data is deleted"
    );
    Ok(())
}

/// Refuses every other place than the one that was named, and a bucket as a whole.
fn check_name(storage: &StorageConfig, named: &str) -> Result<(), Refusal> {
    let invalid = |message: String| Refusal {
        reason: RefusalReason::ConfigInvalid,
        message: format!("nothing was deleted: {message}"),
    };
    let StorageConfig::S3 { bucket, prefix, .. } = storage else {
        return Err(invalid(
            "the configuration names a folder, and no place on S3".to_owned(),
        ));
    };
    let prefix = prefix.trim_matches('/');
    if prefix.is_empty() {
        return Err(invalid("the configuration names a bucket without a prefix".to_owned()));
    }
    let configured = format!("s3://{bucket}/{prefix}");
    if named != configured {
        return Err(invalid(format!(
            "{named} was named, and the configuration says {configured}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
