//! What a frontend of StarRocks has that the bundled engine's has not: accounts in its catalog, of which the first has no password, and
//! other frontends that elect one of them. Texts and codes of errors are those of recorded answers.

use std::collections::{BTreeMap, BTreeSet};

use springtide_mysql::{LoginAttempt, MysqlError, native_stage2, verify_native};
use springtide_plan::names;

/// The account that StarRocks begins with.
pub(crate) const ROOT: &str = "root";

#[derive(Debug)]
pub(crate) struct StarRocks {
    /// Passwords, by account; empty for none.
    pub(crate) passwords: BTreeMap<String, String>,
    /// Accounts with the role `cluster_admin`, and whether they have it from their login on.
    administrators: BTreeMap<String, bool>,
    /// Who was let in, in order.
    pub(crate) logins: Vec<String>,
    /// Host names of the frontends that were made known, by pod.
    pub(crate) members: BTreeMap<String, String>,
    /// So many statements about accounts are answered, and the next one is carried out and never answered.
    pub(crate) answered: Option<usize>,
    /// Nothing is answered any more.
    pub(crate) is_mute: bool,
}

impl Default for StarRocks {
    fn default() -> Self {
        Self {
            passwords: BTreeMap::from([(ROOT.to_owned(), String::new())]),
            administrators: BTreeMap::new(),
            logins: Vec::new(),
            members: BTreeMap::new(),
            answered: None,
            is_mute: false,
        }
    }
}

impl StarRocks {
    pub(crate) fn admits(&mut self, attempt: &LoginAttempt<'_>) -> bool {
        let is_right = match self.passwords.get(attempt.user) {
            None => false,
            Some(password) if password.is_empty() => attempt.proof.is_empty(),
            Some(password) => verify_native(&native_stage2(password.as_bytes()), &attempt.proof),
        };
        if is_right {
            self.logins.push(attempt.user.to_owned());
        }
        is_right
    }

    /// Whether an account may see and change members.
    pub(crate) fn may_administer(&self, user: &str) -> bool {
        user == ROOT || self.administrators.get(user) == Some(&true)
    }

    /// What an account is told that may not.
    pub(crate) fn denied() -> MysqlError {
        MysqlError::new(
            5203,
            b"42000",
            "Access denied; you need (at least one of) the NODE privilege(s) on SYSTEM for this operation.",
        )
    }

    /// Carries out a statement about accounts or frontends; `None` for any other.
    pub(crate) fn change(&mut self, user: &str, statement: &str, leader: &str) -> Option<Result<(), MysqlError>> {
        let literal = statement.split('\'').nth(1).unwrap_or_default().to_owned();
        let words: Vec<&str> = statement.split_whitespace().collect();
        match words.as_slice() {
            ["ALTER", "SYSTEM", ..] if !self.may_administer(user) => return Some(Err(Self::denied())),
            ["ALTER", "SYSTEM", "ADD", "FOLLOWER", _] => return Some(self.add(&literal)),
            ["ALTER", "SYSTEM", "DROP", "FOLLOWER", _] => return Some(self.drop_follower(&literal, leader)),
            ["CREATE" | "ALTER", "USER", ..] | ["GRANT" | "SET", ..] if user != ROOT => {
                return Some(Err(Self::denied()));
            }
            [
                "CREATE",
                "USER",
                "IF",
                "NOT",
                "EXISTS",
                name,
                "IDENTIFIED",
                "WITH",
                "mysql_native_password",
                "BY",
                _,
            ] => {
                self.passwords.entry((*name).to_owned()).or_insert(literal);
            }
            ["ALTER", "USER", name, "IDENTIFIED", "BY", _] => {
                self.passwords.insert((*name).to_owned(), literal);
            }
            ["GRANT", "cluster_admin", "TO", "USER", name] => {
                self.administrators.entry((*name).to_owned()).or_insert(false);
            }
            ["ALTER", "USER", name, "DEFAULT", "ROLE", "ALL"] => {
                if let Some(from_login_on) = self.administrators.get_mut(*name) {
                    *from_login_on = true;
                }
            }
            ["SET", "PASSWORD", "=", _] => {
                self.passwords.insert(user.to_owned(), literal);
            }
            _ => return None,
        }
        match &mut self.answered {
            Some(0) => self.is_mute = true,
            Some(more) => *more -= 1,
            None => {}
        }
        Some(Ok(()))
    }

    fn add(&mut self, address: &str) -> Result<(), MysqlError> {
        let (host, pod) = host_and_pod(address);
        if self.members.contains_key(&pod) {
            return Err(MysqlError::new(
                1064,
                b"HY000",
                format!("frontend already exists name: {address}"),
            ));
        }
        self.members.insert(pod, host);
        Ok(())
    }

    fn drop_follower(&mut self, address: &str, leader: &str) -> Result<(), MysqlError> {
        let (_, pod) = host_and_pod(address);
        if pod == leader {
            return Err(MysqlError::new(1064, b"HY000", "can not drop current master node."));
        }
        match self.members.remove(&pod) {
            Some(_) => Ok(()),
            None => Err(MysqlError::new(
                1064,
                b"HY000",
                format!("frontend does not exist[{address}]"),
            )),
        }
    }

    /// The first frontend founds the cluster. A leader whose pod has gone is followed by another member, while most of them run.
    pub(crate) fn elect(&mut self, namespace: &str, running: &BTreeSet<String>, leader: &mut String) {
        if self.members.is_empty()
            && let Some(pod) = running.iter().find(|pod| pod.ends_with("-fe-0"))
        {
            let cluster = pod.trim_end_matches("-fe-0");
            let host = names::pod_host(pod, &names::frontends_headless(cluster), namespace);
            self.members.insert(pod.clone(), host);
        }
        let alive: Vec<&String> = self.members.keys().filter(|pod| running.contains(*pod)).collect();
        let is_quorum = alive.len() * 2 > self.members.len();
        if !is_quorum {
            leader.clear();
        } else if !alive.contains(&&*leader) {
            leader.clone_from(alive[0]);
        }
    }

    /// Pods with their host names, as `SHOW FRONTENDS` tells them.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&String, &String)> {
        self.members.iter()
    }
}

fn host_and_pod(address: &str) -> (String, String) {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let pod = host.split('.').next().unwrap_or_default();
    (host.to_owned(), pod.to_owned())
}
