//! The cluster token, as it was when the process began and as it is now.
//!
//! The mounted files follow the Secret, while the hook's path is that of the pod's start, and the engine may be a moment behind. So all
//! tokens count, the second of the Secret among them: a token that is being replaced must not make a node leave without a drain.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use springtide_contract::{drain::is_drain_key, paths::SECOND_TOKEN_FILE};
use thiserror::Error;

/// Longest accepted token file, in bytes.
const MAX_TOKEN_BYTES: u64 = 4_096;

/// Why there is no token.
#[derive(Debug, Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("--token-file: cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file holds no token.
    #[error("--token-file: {} is empty or larger than {MAX_TOKEN_BYTES} bytes; mount the cluster's token there", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
}

/// Cheap to clone; never shown.
#[derive(Clone)]
pub(crate) struct Tokens {
    path: Arc<PathBuf>,
    at_start: Arc<str>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Tokens")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Tokens {
    pub(crate) async fn read(path: PathBuf) -> Result<Self, TokenError> {
        let at_start = read_token(&path).await?.into();
        Ok(Self {
            path: Arc::new(path),
            at_start,
        })
    }

    /// The tokens that may be in use, the newest first; one to three.
    pub(crate) async fn current(&self) -> Vec<Arc<str>> {
        let mut tokens: Vec<Arc<str>> = Vec::new();
        match read_token(&self.path).await {
            Ok(token) => tokens.push(token.into()),
            Err(error) => tracing::warn!(%error, "going on with the token of the start"),
        }
        // There is one only while tokens are replaced.
        let second = read_token(&self.path.with_file_name(SECOND_TOKEN_FILE)).await;
        let others = second
            .ok()
            .map(Arc::<str>::from)
            .into_iter()
            .chain([Arc::clone(&self.at_start)]);
        for token in others {
            if !tokens.contains(&token) {
                tokens.push(token);
            }
        }
        tokens
    }

    /// Whether a key belongs to one of the tokens.
    pub(crate) async fn accept(&self, key: &str) -> bool {
        self.current().await.iter().any(|token| is_drain_key(key, token))
    }
}

async fn read_token(path: &PathBuf) -> Result<String, TokenError> {
    let unreadable = |source| TokenError::Unreadable {
        path: path.clone(),
        source,
    };
    let metadata = tokio::fs::metadata(path).await.map_err(unreadable)?;
    if metadata.len() > MAX_TOKEN_BYTES {
        return Err(TokenError::Malformed { path: path.clone() });
    }
    let text = tokio::fs::read_to_string(path).await.map_err(unreadable)?;
    match text.trim() {
        "" => Err(TokenError::Malformed { path: path.clone() }),
        token => Ok(token.to_owned()),
    }
}
