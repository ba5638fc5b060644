//! Who may log in. Users are in the catalog; the operator's account is only in a mounted Secret. The administrator is in both: a password
//! that is new in its Secret is taken over into the catalog.

use std::{iter, path::Path, time::Duration};

use springtide_catalog::{PasswordHash, Role};
use springtide_contract::paths::{PASSWORD_FILE, SECOND_PASSWORD_FILE, USERNAME_FILE};
use springtide_mounted::{Names, read_together};
use springtide_mysql::{Proof, verify_native};

use super::Core;

/// Files of an account.
const FILES: Names = Names {
    required: &[USERNAME_FILE, PASSWORD_FILE],
    optional: &[SECOND_PASSWORD_FILE],
};
/// Time between two looks at the administrator's Secret; the kubelet takes longer to bring a new one.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// A user that has logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Name.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Whether this is the operator's account, which is not in the catalog.
    pub is_operator: bool,
}

impl Account {
    /// Whether it may do everything.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.role == Role::Admin
    }
}

/// An account as it was read from a directory.
#[derive(Debug)]
pub(super) struct MountedAccount {
    pub(super) name: String,
    pub(super) password: PasswordHash,
    /// Opens the account as well, while the other one is replaced.
    second_password: Option<PasswordHash>,
}

impl Core {
    /// The account of `user`, if the proof is that of its password. There is no anonymous user, no `root`, and an empty
    /// password opens nothing.
    #[must_use]
    pub fn authenticate(&self, user: &str, proof: &Proof<'_>) -> Option<Account> {
        if user.is_empty() || proof.is_empty() {
            return None;
        }
        if let Ok(operator) = read_account(&self.inner.dirs.operator_account)
            && operator.name == user
        {
            // A user of the same name in the catalog must not open the operator's account, so the answer is final.
            let mut passwords = iter::once(&operator.password).chain(&operator.second_password);
            return passwords
                .any(|password| verify_native(&password.0, proof))
                .then(|| Account {
                    name: user.to_owned(),
                    role: Role::Admin,
                    is_operator: true,
                });
        }
        let catalog = self.catalog();
        let known = catalog.user(user);
        // An unknown name costs as much time as a wrong password.
        let hash = known.map_or(&[0; 20], |known| &known.password.0);
        let proven = verify_native(hash, proof);
        known.filter(|_| proven).map(|known| Account {
            name: user.to_owned(),
            role: known.role,
            is_operator: false,
        })
    }
}

impl Core {
    /// Takes over the password of the administrator's Secret, if the catalog does not know this content of it yet.
    async fn take_over_administrator(&self) -> Result<(), String> {
        let MountedAccount { name, password, .. } = read_account(&self.inner.dirs.admin_account)?;
        let catalog = self.catalog();
        let decided = catalog.take_over_password(&name, &password);
        if decided.map_err(|error| error.to_string())?.is_empty() {
            return Ok(());
        }
        let is_known = catalog.user(&name).is_some_and(|user| user.mounted.is_some());
        let user = name.clone();
        self.edit(move |catalog| catalog.take_over_password(&user, &password))
            .await
            .map_err(|error| error.to_string())?;
        if is_known {
            tracing::info!(
                user = name,
                "the administrator's password was taken over from its Secret"
            );
        } else {
            tracing::info!(
                user = name,
                "the administrator's Secret is remembered; its password is taken over when it changes"
            );
        }
        Ok(())
    }
}

/// Looks at the administrator's Secret, for as long as the core is open.
pub(super) async fn follow_administrator(core: Core) {
    let mut told = None;
    loop {
        match core.take_over_administrator().await {
            Ok(()) => told = None,
            Err(problem) if told.as_ref() == Some(&problem) => {}
            Err(problem) => {
                tracing::warn!(
                    problem,
                    "the administrator's password is not taken over from its Secret"
                );
                told = Some(problem);
            }
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// Reads the files of a directory, all of one version of its Secret. The line break at the end that editors leave is not part of them.
pub(super) fn read_account(directory: &Path) -> Result<MountedAccount, String> {
    let contents = read_together(directory, FILES).map_err(|error| error.to_string())?;
    let [name, password, second] = contents.as_slice() else {
        return Err("there are other files than were asked for".to_owned());
    };
    let text = |bytes: &[u8], file: &str| match line(bytes) {
        Ok("") => Err(format!("{} is empty", directory.join(file).display())),
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(format!("{} is no text", directory.join(file).display())),
    };
    let hash = |text: &str| PasswordHash::of_password(text.as_bytes());
    Ok(MountedAccount {
        name: text(name, USERNAME_FILE)?,
        password: hash(&text(password, PASSWORD_FILE)?),
        // It is as good as missing where it is empty.
        second_password: text(second, SECOND_PASSWORD_FILE).ok().as_deref().map(hash),
    })
}

fn line(bytes: &[u8]) -> Result<&str, std::str::Utf8Error> {
    std::str::from_utf8(bytes).map(|text| text.trim_end_matches(['\r', '\n']))
}
