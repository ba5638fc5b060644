//! What can go wrong while a cluster is set up or looked at, in words for the person who runs it.

/// Result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a step did not succeed. Each message names what was tried; where there is one, the remedy follows.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program ended with another status than 0.
    #[error("`{command}` ended with {status}:\n{output}")]
    Command {
        /// The command line, as a shell would take it.
        command: String,
        /// Exit status or signal.
        status: String,
        /// The last lines that it wrote.
        output: String,
    },
    /// Something did not happen in time.
    #[error("gave up after {seconds} s: {what}{}", last_seen(.last))]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long, in seconds.
        seconds: u64,
        /// What was seen instead, the last time; may be empty.
        last: String,
    },
    /// The Kubernetes API refused or could not be reached.
    #[error("{doing}: {source}")]
    Kubernetes {
        /// What was asked of it.
        doing: String,
        /// Its answer.
        #[source]
        source: Box<kube::Error>,
    },
    /// The kubeconfig is missing or names no such context.
    #[error("kubeconfig: {0}")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// A SQL statement failed.
    #[error("SQL `{statement}`: {source}")]
    Sql {
        /// The statement's first line.
        statement: String,
        /// The server's answer.
        #[source]
        source: Box<mysql_async::Error>,
    },
    /// A statement failed that a client in a process of its own sent.
    #[error("SQL `{statement}` by {client}: {}{message}", numbered(*.code))]
    SqlClient {
        /// The client.
        client: &'static str,
        /// The statement's first line.
        statement: String,
        /// The server's code; 0 where the client itself failed.
        code: u16,
        /// What the client says.
        message: String,
    },
    /// The S3 server failed a request.
    #[error("{doing}: {source}")]
    Store {
        /// What was asked of it.
        doing: String,
        /// Its answer.
        #[source]
        source: Box<object_store::Error>,
    },
    /// Data could not be encoded.
    #[error("{doing}: {source}")]
    Parquet {
        /// What was written.
        doing: String,
        /// The encoder's complaint.
        #[source]
        source: Box<parquet::errors::ParquetError>,
    },
    /// A file could not be read or written.
    #[error("{doing}: {source}")]
    Io {
        /// What was tried, with the path.
        doing: String,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// An answer is not the right one.
    #[error("{what}: expected {expected}, found {found}")]
    Wrong {
        /// What was checked.
        what: String,
        /// The right answer.
        expected: String,
        /// The answer that came.
        found: String,
    },
    /// Something that this machine, the cluster or the command line must provide is not there.
    #[error("{0}")]
    Missing(String),
}

fn last_seen(last: &str) -> String {
    if last.is_empty() {
        String::new()
    } else {
        format!(" (last seen: {last})")
    }
}

fn numbered(code: u16) -> String {
    if code == 0 { String::new() } else { format!("{code}: ") }
}

impl Error {
    /// The server's code of a statement that failed, whichever client sent it.
    pub fn sql_code(&self) -> Option<u16> {
        match self {
            Self::Sql { source, .. } => match source.as_ref() {
                mysql_async::Error::Server(error) => Some(error.code),
                _ => None,
            },
            Self::SqlClient { code, .. } => Some(*code).filter(|code| *code != 0),
            _ => None,
        }
    }

    /// For `map_err` on calls of the Kubernetes API.
    pub fn kubernetes(doing: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Kubernetes {
            doing,
            source: Box::new(source),
        }
    }

    /// For `map_err` on calls of an object store.
    pub fn store(doing: impl Into<String>) -> impl FnOnce(object_store::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Store {
            doing,
            source: Box::new(source),
        }
    }

    /// For `map_err` on calls of a Parquet writer.
    pub fn parquet(doing: impl Into<String>) -> impl FnOnce(parquet::errors::ParquetError) -> Self {
        let doing = doing.into();
        move |source| Self::Parquet {
            doing,
            source: Box::new(source),
        }
    }

    /// For `map_err` on calls of the file system.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}
