//! Who may log in. Users are in the catalog; the operator's account is only in a mounted secret.

use std::{fs, io::Read, path::Path};

use springtide_catalog::{PasswordHash, Role};
use springtide_contract::paths::{PASSWORD_FILE, USERNAME_FILE};
use springtide_mysql::{Proof, verify_native};

use super::Core;

/// Most bytes of a file of an account; a longer one is not what was meant to be mounted.
const MAX_FILE_BYTES: u64 = 4096;

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
            return verify_native(&operator.password.0, proof).then(|| Account {
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

/// Reads `username` and `password` of a directory. The line break at the end that editors leave is not part of them.
pub(super) fn read_account(directory: &Path) -> Result<MountedAccount, String> {
    let name = read_file(&directory.join(USERNAME_FILE))?;
    let password = read_file(&directory.join(PASSWORD_FILE))?;
    Ok(MountedAccount {
        name,
        password: PasswordHash::of_password(password.as_bytes()),
    })
}

fn read_file(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let read = fs::File::open(path).and_then(|file| file.take(MAX_FILE_BYTES).read_to_string(&mut text));
    read.map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(format!("{} is empty", path.display()));
    }
    Ok(text.to_owned())
}
