//! The cluster token, read anew when its files change.
//!
//! Processes see a new Secret at different moments, up to two minutes apart. A token is replaced in three steps with that time between
//! them: the new one as the second, the two changed round, the old one removed. At each moment, all accept what any of them shows.

use std::{path::Path, time::Duration};

use springtide_contract::{
    config::{Refusal, RefusalReason},
    paths,
};
use springtide_mounted::{Names, Watched};
use springtide_rpc::ClusterToken;
use tokio_util::sync::CancellationToken;

use crate::place::Place;

#[cfg(test)]
mod tests;

/// Time between two looks at the files; the kubelet takes longer to bring a new Secret.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
const FILES: Names = Names {
    required: &[paths::TOKEN_FILE],
    optional: &[paths::SECOND_TOKEN_FILE],
};

/// Reads the token now, and again whenever its files change, until `shutdown`. It and its clones change together.
///
/// # Errors
/// [`RefusalReason::SecretMissing`] when it cannot be used now. A later one that cannot be used is logged, and the old stays.
pub fn follow_token(place: &Place, shutdown: CancellationToken) -> Result<ClusterToken, Refusal> {
    follow(&place.path(paths::INTERNAL), LOOK_INTERVAL, shutdown).map_err(|problem| Refusal {
        reason: RefusalReason::SecretMissing,
        message: format!("the cluster token cannot be used: {problem}"),
    })
}

fn follow(directory: &Path, look_interval: Duration, shutdown: CancellationToken) -> Result<ClusterToken, String> {
    let (mut files, token) = Watched::open(directory, FILES, parse)?;
    let followed = token.clone();
    let following = async move {
        loop {
            tokio::time::sleep(look_interval).await;
            match files.look() {
                None => {}
                Some(Ok(new)) => {
                    token.replace_with(&new);
                    tracing::info!("the cluster token was read anew");
                }
                Some(Err(problem)) => {
                    tracing::warn!(problem, "the new cluster token cannot be used; the old one stays");
                }
            }
        }
    };
    tokio::spawn(async move {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = following => {}
        }
    });
    Ok(followed)
}

fn parse(contents: &[Vec<u8>]) -> Result<ClusterToken, String> {
    let [token, second] = contents else {
        return Err("there are other files than were asked for".to_owned());
    };
    let token = text(token, paths::TOKEN_FILE)?;
    let second = text(second, paths::SECOND_TOKEN_FILE)?;
    ClusterToken::with_second(token, second).ok_or_else(|| format!("{} is empty", paths::TOKEN_FILE))
}

/// What can stand in a header: tokens are shown there.
fn text<'a>(bytes: &'a [u8], file: &str) -> Result<&'a str, String> {
    match std::str::from_utf8(bytes.trim_ascii()) {
        Ok(text) if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) => Ok(text),
        _ => Err(format!("{file} has characters that no header may have")),
    }
}
