//! The open connections of a server: how KILL finds them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// The open connections of a server, shared between the server and whoever answers `KILL` and `SHOW PROCESSLIST`.
/// Cloning gives another handle to the same connections.
#[derive(Debug, Clone, Default)]
pub struct ConnectionRegistry {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    next_id: AtomicU32,
    open: Mutex<HashMap<u32, Entry>>,
}

#[derive(Debug)]
struct Entry {
    peer: SocketAddr,
    killed: CancellationToken,
    statement: Option<CancellationToken>,
}

/// What the registry knows of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenConnection {
    /// Its id.
    pub connection_id: u32,
    /// Address of the client.
    pub peer: SocketAddr,
    /// Whether a statement runs on it.
    pub busy: bool,
}

impl ConnectionRegistry {
    /// A registry whose ids begin at `first_id`, so that the ids of several servers can be told apart.
    pub fn starting_at(first_id: u32) -> Self {
        Self {
            shared: Arc::new(Shared {
                next_id: AtomicU32::new(first_id),
                open: Mutex::default(),
            }),
        }
    }

    /// Ends a connection and what runs on it; `false` where there is none of this id.
    pub fn kill_connection(&self, connection_id: u32) -> bool {
        let killed = self.open().get(&connection_id).map(|entry| entry.killed.clone());
        killed.inspect(CancellationToken::cancel).is_some()
    }

    /// Cancels the statement that runs on a connection, if one does; `false` where there is no connection of this id.
    pub fn kill_query(&self, connection_id: u32) -> bool {
        let Some(statement) = self.open().get(&connection_id).map(|entry| entry.statement.clone()) else {
            return false;
        };
        if let Some(statement) = statement {
            statement.cancel();
        }
        true
    }

    /// Number of open connections, those that have not logged in yet included.
    pub fn len(&self) -> usize {
        self.open().len()
    }

    /// Whether no connection is open.
    pub fn is_empty(&self) -> bool {
        self.open().is_empty()
    }

    /// The open connections, by id.
    pub fn list(&self) -> Vec<OpenConnection> {
        let mut connections: Vec<_> = self
            .open()
            .iter()
            .map(|(&connection_id, entry)| OpenConnection {
                connection_id,
                peer: entry.peer,
                busy: entry.statement.is_some(),
            })
            .collect();
        connections.sort_by_key(|connection| connection.connection_id);
        connections
    }

    /// Enters a connection under a fresh id; `None` where `limit` are open.
    pub(crate) fn enter(&self, peer: SocketAddr, limit: usize) -> Option<Registration> {
        let mut open = self.open();
        if open.len() >= limit {
            return None;
        }
        let connection_id = loop {
            let candidate = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
            // 0 means "no connection" to clients; after a wrap-around old ids may still be open.
            if candidate != 0 && !open.contains_key(&candidate) {
                break candidate;
            }
        };
        let killed = CancellationToken::new();
        open.insert(
            connection_id,
            Entry {
                peer,
                killed: killed.clone(),
                statement: None,
            },
        );
        Some(Registration {
            registry: self.clone(),
            connection_id,
            killed,
        })
    }

    /// Ends all connections and what runs on them.
    pub fn kill_all(&self) {
        let all: Vec<_> = self.open().values().map(|entry| entry.killed.clone()).collect();
        all.iter().for_each(CancellationToken::cancel);
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u32, Entry>> {
        // The map is whole between any two statements below the lock, so a panic elsewhere cannot have torn it.
        self.shared.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place in the registry; left when dropped.
#[derive(Debug)]
pub(crate) struct Registration {
    registry: ConnectionRegistry,
    pub(crate) connection_id: u32,
    pub(crate) killed: CancellationToken,
}

impl Registration {
    /// Enters a statement; its token is cancelled with the connection's.
    pub(crate) fn begin_statement(&self) -> CancellationToken {
        let token = self.killed.child_token();
        self.set_statement(Some(token.clone()));
        token
    }

    pub(crate) fn end_statement(&self) {
        self.set_statement(None);
    }

    fn set_statement(&self, statement: Option<CancellationToken>) {
        if let Some(entry) = self.registry.open().get_mut(&self.connection_id) {
            entry.statement = statement;
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registry.open().remove(&self.connection_id);
    }
}

#[cfg(test)]
mod tests;
