//! Where configuration and secrets are read: the paths of the contract, below a root that only tests and `standalone` change.

use std::path::{Path, PathBuf};

use springtide_contract::{
    config::{EngineConfig, FORMAT_VERSION, Refusal, RefusalReason},
    paths,
};

/// The root below which the paths of [`springtide_contract::paths`] lie; `/` in a pod.
#[derive(Clone, Debug)]
pub struct Place {
    root: PathBuf,
}

impl Place {
    /// All paths are taken below `root`.
    #[must_use]
    pub fn below(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// A path of the contract.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The engine's configuration.
    ///
    /// # Errors
    /// [`RefusalReason::ConfigInvalid`] when it is missing, malformed or newer than this engine.
    pub fn config(&self) -> Result<EngineConfig, Refusal> {
        let path = self.path(paths::ENGINE_CONFIG);
        let invalid = |problem: String| Refusal {
            reason: RefusalReason::ConfigInvalid,
            message: format!("{}: {problem}", path.display()),
        };
        let text = std::fs::read_to_string(&path).map_err(|error| invalid(error.to_string()))?;
        // The version is read first, since a newer document may have fields that this engine does not know.
        let document: serde_json::Value = serde_json::from_str(&text).map_err(|error| invalid(error.to_string()))?;
        match document.get("formatVersion").and_then(serde_json::Value::as_u64) {
            Some(version) if version <= u64::from(FORMAT_VERSION) => {}
            Some(version) => {
                return Err(invalid(format!(
                    "it was written for a newer engine (version {version}; this one reads up to {FORMAT_VERSION}); run at least that \
                     engine version"
                )));
            }
            None => return Err(invalid("formatVersion is missing".to_owned())),
        }
        serde_json::from_value(document).map_err(|error| invalid(error.to_string()))
    }

    /// A file of a mounted Secret, without surrounding white space.
    ///
    /// # Errors
    /// [`RefusalReason::SecretMissing`] when it is missing or empty.
    pub fn secret(&self, directory: &str, file: &str) -> Result<String, Refusal> {
        let path = self.path(directory).join(file);
        let text = std::fs::read_to_string(&path).map_err(|error| missing(&path, &error.to_string()))?;
        match text.trim() {
            "" => Err(missing(&path, "it is empty")),
            text => Ok(text.to_owned()),
        }
    }
}

fn missing(path: &Path, problem: &str) -> Refusal {
    Refusal {
        reason: RefusalReason::SecretMissing,
        message: format!("the secret {} cannot be read: {problem}", path.display()),
    }
}

#[cfg(test)]
mod tests;
