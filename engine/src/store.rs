//! The object store of a cluster, from its configuration and mounted credentials.

use std::{path::Path, sync::Arc, time::Duration};

use object_store::{
    ClientOptions, ObjectStore, RetryConfig, aws::AmazonS3Builder, client::SpawnedReqwestConnector, prefix::PrefixStore,
};
use springtide_contract::{
    config::{Refusal, RefusalReason, StorageConfig},
    paths,
};
use tokio::runtime::Handle;

use crate::{
    place::Place,
    store::{
        durable_folder::DurableFolder,
        keys::{LOOK_INTERVAL, MountedKeys},
        signed_again::SigningConnector,
    },
};

mod durable_folder;
mod keys;
mod signed_again;
#[cfg(test)]
mod tests;

/// Time for one request, its body included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Time to connect to the store.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Requests are repeated this often, and
const RETRIES: usize = 5;
/// for at most this long, all together.
const RETRY_TIMEOUT: Duration = Duration::from_secs(120);

/// Opens the store at the configured prefix: the `CLUSTER` object is at its root, data is below the cluster's id. Its requests are made on
/// `runtime`, whoever waits for them: on compute threads, which may be busy for longer than a request may take, answers would not be read
/// in time.
///
/// Keys of a mounted Secret are read anew when it changes; those of a service account are the store's client's business.
///
/// # Errors
/// [`RefusalReason::ConfigInvalid`] or [`RefusalReason::SecretMissing`]; nothing is asked of the store yet.
pub fn open(config: &StorageConfig, place: &Place, runtime: Handle) -> Result<Arc<dyn ObjectStore>, Refusal> {
    match config {
        StorageConfig::Directory { path } => open_directory(Path::new(path)),
        StorageConfig::S3 {
            bucket,
            prefix,
            endpoint,
            region,
            path_style,
        } => {
            let mut builder = AmazonS3Builder::new()
                .with_bucket_name(bucket)
                .with_region(region)
                .with_virtual_hosted_style_request(!path_style)
                .with_client_options(
                    ClientOptions::new()
                        .with_timeout(REQUEST_TIMEOUT)
                        .with_connect_timeout(CONNECT_TIMEOUT)
                        .with_allow_http(endpoint.as_deref().is_some_and(|url| url.starts_with("http://"))),
                )
                .with_retry(RetryConfig {
                    max_retries: RETRIES,
                    retry_timeout: RETRY_TIMEOUT,
                    ..RetryConfig::default()
                });
            if let Some(endpoint) = endpoint {
                builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
            }
            let connector = SpawnedReqwestConnector::new(runtime);
            let directory = place.path(paths::STORAGE_CREDENTIALS);
            // Without the directory, the identity of the pod's service account is used.
            if directory.is_dir() {
                let keys = MountedKeys::open(&directory, LOOK_INTERVAL).map_err(|problem| missing(&problem))?;
                let keys = Arc::new(keys);
                builder = builder
                    .with_credentials(keys.clone())
                    .with_http_connector(SigningConnector {
                        inner: connector,
                        keys,
                        region: region.clone(),
                    });
            } else {
                builder = from_environment(builder.with_http_connector(connector));
            }
            let store = builder.build().map_err(|error| invalid(&error.to_string()))?;
            Ok(if prefix.is_empty() {
                Arc::new(store)
            } else {
                Arc::new(PrefixStore::new(store, prefix.as_str()))
            })
        }
    }
}

/// What a cloud's webhook puts into the environment of a pod with a trusted service account.
fn from_environment(mut builder: AmazonS3Builder) -> AmazonS3Builder {
    for (key, value) in std::env::vars() {
        let Some(setting) = key.strip_prefix("AWS_") else {
            continue;
        };
        if let Ok(setting) = format!("aws_{}", setting.to_ascii_lowercase()).parse() {
            builder = builder.with_config(setting, value);
        }
    }
    builder
}

fn open_directory(path: &Path) -> Result<Arc<dyn ObjectStore>, Refusal> {
    std::fs::create_dir_all(path).map_err(|error| invalid(&format!("{}: {error}", path.display())))?;
    let store = DurableFolder::open(path).map_err(|error| invalid(&error.to_string()))?;
    Ok(Arc::new(store))
}

fn missing(problem: &str) -> Refusal {
    Refusal {
        reason: RefusalReason::SecretMissing,
        message: format!("the storage credentials cannot be used: {problem}"),
    }
}

fn invalid(problem: &str) -> Refusal {
    Refusal {
        reason: RefusalReason::ConfigInvalid,
        message: format!("storage: {problem}"),
    }
}
