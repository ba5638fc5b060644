//! Connections and what runs on them, for `SHOW PROCESSLIST` and `KILL`.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Account;

/// Most bytes of a statement's text that are kept for others to see.
const SHOWN_SQL_BYTES: usize = 4096;

/// The open sessions of a frontend. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Sessions {
    open: Arc<Mutex<BTreeMap<u32, Entry>>>,
}

#[derive(Debug)]
struct Entry {
    user: String,
    client: SocketAddr,
    database: Option<String>,
    warehouse: String,
    kill: CancellationToken,
    opened_ms: u64,
    /// When it was opened, or its last statement ended.
    idle_since: Instant,
    statement: Option<Statement>,
}

#[derive(Debug)]
struct Statement {
    query_id: Uuid,
    sql: String,
    state: String,
    started: Instant,
    kill: CancellationToken,
}

/// A row of `SHOW PROCESSLIST`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionView {
    /// The connection's id.
    pub id: u32,
    /// Who.
    pub user: String,
    /// From where.
    pub client: SocketAddr,
    /// The current database.
    pub database: Option<String>,
    /// The warehouse of its statements.
    pub warehouse: String,
    /// When it was opened, milliseconds since 1970.
    pub opened_ms: u64,
    /// Seconds that the statement runs, or that the session is idle.
    pub seconds: u64,
    /// The running statement; `None` when the session is idle.
    pub statement: Option<StatementView>,
}

/// A running statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementView {
    /// Its id, in the audit too.
    pub query_id: Uuid,
    /// Its text without secrets, cut to a few kilobytes.
    pub sql: String,
    /// What it is at.
    pub state: String,
}

/// What `KILL` ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kill {
    /// The running statement: `KILL QUERY`.
    Query,
    /// The connection with all that runs on it: `KILL`, `KILL CONNECTION`.
    Connection,
}

/// Why nothing was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KillError {
    /// MySQL's error 1094.
    #[error("Unknown thread id: {0}")]
    UnknownSession(u32),
    /// MySQL's error 1095.
    #[error("You are not owner of thread {0}")]
    NotOwner(u32),
}

impl Sessions {
    /// Lists a connection under the id that the protocol gave it. `kill` ends the connection; `now_ms` is the time of the day.
    #[must_use]
    pub fn open(&self, id: u32, user: &str, client: SocketAddr, kill: CancellationToken, now_ms: u64) -> SessionGuard {
        let entry = Entry {
            user: user.to_owned(),
            client,
            database: None,
            warehouse: springtide_model::DEFAULT_WAREHOUSE.to_owned(),
            kill,
            opened_ms: now_ms,
            idle_since: Instant::now(),
            statement: None,
        };
        self.lock().insert(id, entry);
        SessionGuard {
            sessions: self.clone(),
            id,
        }
    }

    /// How many are open.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// All sessions, by id.
    #[must_use]
    pub fn list(&self) -> Vec<SessionView> {
        self.lock().iter().map(|(id, entry)| entry.view(*id)).collect()
    }

    /// Ids of the statements that run.
    #[must_use]
    pub fn statements(&self) -> BTreeSet<Uuid> {
        let open = self.lock();
        let running = open.values().filter_map(|entry| entry.statement.as_ref());
        running.map(|statement| statement.query_id).collect()
    }

    /// Ends a statement or a connection. Users may end their own; administrators any.
    ///
    /// # Errors
    /// When there is no such session, or it is another user's.
    pub fn kill(&self, id: u32, by: &Account, what: Kill) -> Result<(), KillError> {
        let open = self.lock();
        let entry = open.get(&id).ok_or(KillError::UnknownSession(id))?;
        if !by.is_admin() && entry.user != by.name {
            return Err(KillError::NotOwner(id));
        }
        if let Some(statement) = &entry.statement {
            statement.kill.cancel();
        }
        if what == Kill::Connection {
            entry.kill.cancel();
        }
        Ok(())
    }

    /// What the running statement of a session is at, for others to see.
    pub fn set_state(&self, id: u32, state: &str) {
        if let Some(statement) = self.lock().get_mut(&id).and_then(|entry| entry.statement.as_mut()) {
            state.clone_into(&mut statement.state);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Entry>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn view(&self, id: u32) -> SessionView {
        let since = self
            .statement
            .as_ref()
            .map_or(self.idle_since, |statement| statement.started);
        SessionView {
            id,
            user: self.user.clone(),
            client: self.client,
            database: self.database.clone(),
            warehouse: self.warehouse.clone(),
            opened_ms: self.opened_ms,
            seconds: since.elapsed().as_secs(),
            statement: self.statement.as_ref().map(|statement| StatementView {
                query_id: statement.query_id,
                sql: statement.sql.clone(),
                state: statement.state.clone(),
            }),
        }
    }
}

/// A session's place in the list; it leaves when this is dropped.
#[derive(Debug)]
pub struct SessionGuard {
    sessions: Sessions,
    id: u32,
}

impl SessionGuard {
    /// The connection's id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// After `USE`.
    pub fn set_database(&self, database: Option<&str>) {
        self.change(|entry| entry.database = database.map(str::to_owned));
    }

    /// After `SET warehouse`.
    pub fn set_warehouse(&self, warehouse: &str) {
        self.change(|entry| warehouse.clone_into(&mut entry.warehouse));
    }

    /// Lists a statement; `sql` has no secrets in it, `kill` cancels the statement.
    #[must_use]
    pub fn begin(&self, sql: &str, kill: CancellationToken) -> StatementGuard {
        let query_id = Uuid::now_v7();
        let mut end = sql.len().min(SHOWN_SQL_BYTES);
        while !sql.is_char_boundary(end) {
            end -= 1;
        }
        let statement = Statement {
            query_id,
            sql: sql[..end].to_owned(),
            state: String::new(),
            started: Instant::now(),
            kill,
        };
        self.change(|entry| entry.statement = Some(statement));
        StatementGuard {
            sessions: self.sessions.clone(),
            id: self.id,
            query_id,
        }
    }

    fn change(&self, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.sessions.lock().get_mut(&self.id) {
            change(entry);
        }
    }
}

impl Drop for SessionGuard {
    fn drop(&mut self) {
        self.sessions.lock().remove(&self.id);
    }
}

/// A statement's place in the list; it leaves when this is dropped.
#[derive(Debug)]
pub struct StatementGuard {
    sessions: Sessions,
    id: u32,
    query_id: Uuid,
}

impl StatementGuard {
    /// The statement's id.
    #[must_use]
    pub fn query_id(&self) -> Uuid {
        self.query_id
    }
}

impl Drop for StatementGuard {
    fn drop(&mut self) {
        let mut open = self.sessions.lock();
        if let Some(entry) = open.get_mut(&self.id)
            && entry
                .statement
                .as_ref()
                .is_some_and(|statement| statement.query_id == self.query_id)
        {
            entry.statement = None;
            entry.idle_since = Instant::now();
        }
    }
}
