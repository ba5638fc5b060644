//! Stores that statements name: opened with the statement's own credentials, in every process that reads from them.

use std::{
    collections::VecDeque,
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use datafusion::{
    common::Result,
    execution::{object_store::ObjectStoreUrl, runtime_env::RuntimeEnv},
};
use object_store::{
    BackoffConfig, ClientOptions, ObjectStore, RetryConfig, aws::AmazonS3Builder, local::LocalFileSystem,
};
use serde::{Deserialize, Serialize};

use crate::error::mark_files;

/// Most stores that a process keeps registered; the oldest leaves first. A scan that runs keeps its own.
const MOST_STORES: usize = 256;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
const RETRY_TIMEOUT: Duration = Duration::from_secs(30);
const MOST_RETRIES: usize = 5;

/// A bucket with the keys to it. `Debug` shows no key.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct S3Location {
    pub(crate) bucket: String,
    pub(crate) endpoint: Option<String>,
    pub(crate) region: String,
    pub(crate) access_key: String,
    pub(crate) secret_key: String,
    pub(crate) path_style: bool,
}

impl fmt::Debug for S3Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            bucket,
            endpoint,
            region,
            access_key: _,
            secret_key: _,
            path_style,
        } = self;
        f.debug_struct("S3Location")
            .field("bucket", bucket)
            .field("endpoint", endpoint)
            .field("region", region)
            .field("access_key", &"***")
            .field("secret_key", &"***")
            .field("path_style", path_style)
            .finish()
    }
}

/// A store outside the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum ExternalLocation {
    S3(S3Location),
    Local,
}

impl ExternalLocation {
    /// The name under which a process registers the store. Says nothing about the keys: they are hashed.
    pub(crate) fn url(&self) -> Result<ObjectStoreUrl> {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        ObjectStoreUrl::parse(format!("springtide-files://{:016x}", hasher.finish()))
    }

    fn open(&self) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
        let location = match self {
            ExternalLocation::Local => return Ok(Arc::new(LocalFileSystem::new())),
            ExternalLocation::S3(location) => location,
        };
        let client = ClientOptions::new()
            .with_allow_http(true)
            .with_connect_timeout(CONNECT_TIMEOUT)
            .with_timeout(REQUEST_TIMEOUT);
        let retry = RetryConfig {
            backoff: BackoffConfig::default(),
            max_retries: MOST_RETRIES,
            retry_timeout: RETRY_TIMEOUT,
        };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&location.bucket)
            .with_region(&location.region)
            .with_access_key_id(&location.access_key)
            .with_secret_access_key(&location.secret_key)
            .with_virtual_hosted_style_request(!location.path_style)
            .with_client_options(client)
            .with_retry(retry);
        if let Some(endpoint) = &location.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        Ok(Arc::new(builder.build()?))
    }
}

/// The external stores of a process.
#[derive(Debug)]
pub struct ExternalStores {
    local_files: bool,
    registered: Mutex<VecDeque<ObjectStoreUrl>>,
}

impl ExternalStores {
    /// `local_files`: whether statements may read files of this machine (`standalone` only).
    #[must_use]
    pub fn new(local_files: bool) -> Self {
        Self {
            local_files,
            registered: Mutex::default(),
        }
    }

    /// Makes the store known to `runtime`, so that scans find it by [`ExternalLocation::url`].
    pub(crate) fn register(&self, location: &ExternalLocation, runtime: &RuntimeEnv) -> Result<Arc<dyn ObjectStore>> {
        if matches!(location, ExternalLocation::Local) && !self.local_files {
            return Err(mark_files(
                "files of this machine can only be read by a standalone engine; put them on S3",
            ));
        }
        let url = location.url()?;
        if let Ok(store) = runtime.object_store(&url) {
            return Ok(store);
        }
        let store = location.open().map_err(|error| mark_files(error.to_string()))?;
        runtime.register_object_store(url.as_ref(), Arc::clone(&store));
        let mut registered = self.registered.lock().unwrap_or_else(PoisonError::into_inner);
        registered.push_back(url);
        if registered.len() > MOST_STORES
            && let Some(oldest) = registered.pop_front()
        {
            // Whether it was there makes no difference.
            let _ = runtime.deregister_object_store(oldest.as_ref());
        }
        Ok(store)
    }
}
