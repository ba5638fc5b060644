//! Where things are on this machine.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// The folders that a run reads and writes.
#[derive(Clone, Debug)]
pub struct Places {
    /// The checkout: the folder of the workspace's `Cargo.toml`.
    pub checkout: PathBuf,
    /// Binaries that every clone shares: `SPRINGTIDE_CACHE`, or `springtide` in the user's cache folder.
    pub cache: PathBuf,
    /// Cargo's target folder: `CARGO_TARGET_DIR`, or `target` in the cache.
    pub target: PathBuf,
    /// State of the local cluster: `SPRINGTIDE_CLUSTER_STATE`, or the same default as `kubernetes/common`.
    pub cluster_state: PathBuf,
}

impl Places {
    /// Finds the checkout from the current folder upwards, and the rest by the environment.
    pub fn find() -> Result<Self> {
        let here = std::env::current_dir().map_err(Error::io("read the current folder"))?;
        let checkout = here
            .ancestors()
            .find(|folder| folder.join("e2e/kubernetes/up").is_file())
            .ok_or_else(|| {
                Error::Missing(format!(
                    "{} is not in a checkout of springtide; change to one",
                    here.display()
                ))
            })?
            .to_owned();
        let cache = match folder("SPRINGTIDE_CACHE") {
            Some(cache) => cache,
            None => folder("HOME")
                .ok_or_else(|| Error::Missing("HOME is not set; set it, or SPRINGTIDE_CACHE".into()))?
                .join(".cache/springtide"),
        };
        Ok(Self {
            checkout,
            target: folder("CARGO_TARGET_DIR").unwrap_or_else(|| cache.join("target")),
            cluster_state: folder("SPRINGTIDE_CLUSTER_STATE").unwrap_or_else(|| "/var/lib/springtide-local".into()),
            cache,
        })
    }

    /// A file or folder of this crate.
    pub fn e2e(&self, path: &str) -> PathBuf {
        self.checkout.join("e2e").join(path)
    }

    /// Where cargo puts the programs.
    pub fn programs(&self) -> PathBuf {
        self.target.join("debug")
    }

    /// Where the image archives are made.
    pub fn images(&self) -> PathBuf {
        self.target.join("images")
    }

    /// The local cluster's `kubectl`, `helm` and `ctr`; a link that is there while the cluster's state is.
    pub fn cluster_programs(&self) -> PathBuf {
        self.cluster_state.join("bin")
    }

    /// The local cluster's administrator.
    pub fn kubeconfig(&self) -> PathBuf {
        self.cluster_state.join("admin.kubeconfig")
    }
}

fn folder(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable)
        .filter(|value| !value.is_empty())
        .map(|value| Path::new(&value).to_owned())
}
