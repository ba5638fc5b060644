//! The `CLUSTER` object: whose prefix this is.

use serde::{Deserialize, Serialize};
use springtide_model::{ClusterId, Epoch};
use uuid::Uuid;

use crate::{FORMAT_VERSION, error::FormatError};

#[cfg(test)]
mod tests;

const WHAT: &str = "the CLUSTER object";

/// Its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterObject {
    /// [`FORMAT_VERSION`] of the writer.
    pub format_version: u32,
    /// Whose data this is.
    pub cluster_id: ClusterId,
    /// Which line of metadata writes it: made once, with the catalog.
    pub metadata_id: Uuid,
    /// The timeline that wrote this object.
    pub epoch: Epoch,
}

impl ClusterObject {
    /// The object's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a struct of numbers and UUIDs can be said in JSON")
    }

    /// Reads the object.
    ///
    /// # Errors
    /// [`FormatError::TooNew`] and [`FormatError::Damaged`] as their names say.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormatError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Head {
            format_version: u32,
        }
        let damaged = |error: serde_json::Error| FormatError::damaged(WHAT, error.to_string());
        let head: Head = serde_json::from_slice(bytes).map_err(damaged)?;
        if head.format_version > FORMAT_VERSION {
            return Err(FormatError::TooNew {
                what: WHAT,
                found: head.format_version,
            });
        }
        serde_json::from_slice(bytes).map_err(damaged)
    }
}
