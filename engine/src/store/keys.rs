//! The keys to the store, which may change while the process runs.
//!
//! Nouns:
//! - *pair*: an access key id and its secret, of one version of the mounted Secret.
//! - *settled*: there is one pair, and all requests are signed with it.
//! - *contested*: the Secret has changed a moment ago, or the store has not taken the new pair yet. The pair before is kept until it has:
//!   keys may be written to the Secret before the store knows them, and a wrong one must not stop a cluster that works.

use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use object_store::{CredentialProvider, aws::AwsCredential};
use springtide_contract::paths;
use springtide_mounted::{Names, Watched};

#[cfg(test)]
mod tests;

/// Time between two looks at the files.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// For as long after a change, requests may come that were signed before it: the store's client repeats them for this long.
const SETTLES_WITHIN: Duration = Duration::from_secs(180);
/// After the store has refused the new pair and taken the one before, the new one is tried again.
const REFUSED_FOR: Duration = Duration::from_secs(30);

const FILES: Names = Names::all(&[paths::ACCESS_KEY_ID_FILE, paths::SECRET_ACCESS_KEY_FILE]);

/// The pair of a mounted Secret, read anew when its files change.
pub(super) struct MountedKeys {
    look_interval: Duration,
    state: Mutex<State>,
}

struct State {
    files: Watched<AwsCredential>,
    looked: Instant,
    current: Arc<AwsCredential>,
    changed: Option<Instant>,
    /// The last pair that the store has taken, until it takes the current one.
    before: Option<Arc<AwsCredential>>,
    /// When the store refused the current pair, and took the one before.
    refused: Option<Instant>,
}

impl fmt::Debug for MountedKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("MountedKeys(***)")
    }
}

impl MountedKeys {
    /// Reads the pair for the first time.
    ///
    /// # Errors
    /// Why there is none, in words for people.
    pub(super) fn open(directory: &Path, look_interval: Duration) -> Result<Self, String> {
        let (files, pair) = Watched::open(directory, FILES, parse)?;
        Ok(Self {
            look_interval,
            state: Mutex::new(State {
                files,
                looked: Instant::now(),
                current: Arc::new(pair),
                changed: None,
                before: None,
                refused: None,
            }),
        })
    }

    /// The pair to sign with; `None` where all are settled, and what is signed already is right.
    pub(super) fn contested(&self) -> Option<Arc<AwsCredential>> {
        let state = self.lock();
        state.is_contested().then(|| state.choice())
    }

    /// The store has refused a request: another pair that it may take. `signed` is what [`Self::contested`] gave for the request.
    pub(super) fn instead_of(&self, signed: Option<&AwsCredential>) -> Option<Arc<AwsCredential>> {
        let mut state = self.lock();
        state.look();
        match signed {
            None => state.is_contested().then(|| Arc::clone(&state.current)),
            Some(signed) if *signed != *state.current => Some(Arc::clone(&state.current)),
            Some(_) => state.before.clone(),
        }
    }

    /// The store has taken a request that was signed with `pair`.
    pub(super) fn taken(&self, pair: &AwsCredential) {
        let mut state = self.lock();
        if *pair == *state.current {
            if state.refused.take().is_some() {
                tracing::info!("the store takes the new storage credentials");
            }
            state.before = None;
        }
    }

    /// The store has refused the current pair, and then taken `pair`.
    pub(super) fn taken_instead(&self, pair: &AwsCredential) {
        let mut state = self.lock();
        if *pair == *state.current || state.before.as_deref() != Some(pair) {
            drop(state);
            return self.taken(pair);
        }
        if !state.is_refused() {
            tracing::warn!(
                again_in_s = REFUSED_FOR.as_secs(),
                "the store refuses the new storage credentials; those before are used"
            );
            state.refused = Some(Instant::now());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl CredentialProvider for MountedKeys {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut state = self.lock();
        if state.looked.elapsed() >= self.look_interval {
            state.look();
        }
        Ok(state.choice())
    }
}

impl State {
    fn look(&mut self) {
        self.looked = Instant::now();
        match self.files.look() {
            None => {}
            Some(Ok(pair)) => {
                tracing::info!("storage credentials were read anew");
                let last = std::mem::replace(&mut self.current, Arc::new(pair));
                // One that the store has never taken is no help.
                let taken = self.before.take().unwrap_or(last);
                self.before = (*taken != *self.current).then_some(taken);
                self.changed = Some(self.looked);
                self.refused = None;
            }
            Some(Err(problem)) => {
                tracing::warn!(
                    problem,
                    "the storage credentials cannot be read anew; those before are used"
                );
            }
        }
    }

    fn is_contested(&self) -> bool {
        self.before.is_some() || self.changed.is_some_and(|at| at.elapsed() < SETTLES_WITHIN)
    }

    fn is_refused(&self) -> bool {
        self.refused.is_some_and(|at| at.elapsed() < REFUSED_FOR)
    }

    fn choice(&self) -> Arc<AwsCredential> {
        match &self.before {
            Some(before) if self.is_refused() => Arc::clone(before),
            _ => Arc::clone(&self.current),
        }
    }
}

fn parse(contents: &[Vec<u8>]) -> Result<AwsCredential, String> {
    let [id, secret] = contents else {
        return Err("there are other files than were asked for".to_owned());
    };
    let key_id = text(id, paths::ACCESS_KEY_ID_FILE)?;
    // It stands in a header, and the store's client takes it for granted that it can.
    if !key_id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("{} has characters that no key has", paths::ACCESS_KEY_ID_FILE));
    }
    Ok(AwsCredential {
        key_id,
        secret_key: text(secret, paths::SECRET_ACCESS_KEY_FILE)?,
        token: None,
    })
}

/// The text of a file, without the white space around it.
fn text(bytes: &[u8], file: &str) -> Result<String, String> {
    match std::str::from_utf8(bytes).map(str::trim) {
        Ok("") => Err(format!("{file} is empty")),
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(format!("{file} is no text")),
    }
}
