//! Clients of the MySQL protocol that people use, and the trials' own: each sends a statement and says what came of it.
//!
//! A [`SqlClient`] is one user's client: it opens its connection with its first statement, opens it again where the server has closed
//! it, and repeats nothing. All but our own run in processes of their own; `clients/README.md` says how.

use std::{fmt, path::PathBuf, time::Duration};

use mysql_async::Value as Bound;
use serde::Serialize;

use self::{command_line::CommandLine, program::Program};
pub use crate::sql::Answer;
use crate::{
    Error, Result,
    places::Places,
    process::run,
    sql::{Door, Session},
    timeline::Progress,
};

mod command_line;
mod program;

/// With nothing in the caches of the registries' clients, on a machine that is busy.
const INSTALL_LIMIT: Duration = Duration::from_secs(900);

/// The clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The library that the trials themselves use, in their process.
    MysqlAsync,
    /// Python's, which sends texts.
    PyMysql,
    /// MariaDB's `mysql`: a new process, and so a new login, for each statement.
    CommandLine,
    /// Java's, which prepares at the server.
    ConnectorJ,
    /// Node.js's, which prepares at the server.
    Mysql2,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::MysqlAsync,
        Self::PyMysql,
        Self::CommandLine,
        Self::ConnectorJ,
        Self::Mysql2,
    ];

    /// Its name, as people know it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::MysqlAsync => "mysql_async",
            Self::PyMysql => "PyMySQL",
            Self::CommandLine => "mysql",
            Self::ConnectorJ => "Connector/J",
            Self::Mysql2 => "mysql2",
        }
    }

    /// Whether a statement may have values apart from its text, for the server to put them together.
    #[must_use]
    pub fn takes_values(self) -> bool {
        matches!(self, Self::MysqlAsync | Self::ConnectorJ | Self::Mysql2)
    }
}

/// Clients that are installed on this machine.
#[derive(Clone, Debug)]
pub struct Installed {
    /// Their libraries.
    libraries: PathBuf,
    /// The programs that use these.
    programs: PathBuf,
}

impl Installed {
    /// Installs all of them, or finds that they are.
    ///
    /// # Errors
    /// One of them cannot be installed; the message has its name.
    pub async fn on(places: &Places, progress: &Progress) -> Result<Self> {
        let install = run(places.e2e("clients/install"), INSTALL_LIMIT).env("SPRINGTIDE_CACHE", &places.cache);
        progress.say("pip, npm, Maven");
        let libraries = install.output().await?;
        progress.say(Kind::ALL.map(Kind::name).join(", "));
        Ok(Self {
            libraries: libraries.trim().into(),
            programs: places.e2e("clients"),
        })
    }
}

/// Where a client connects, and as whom.
#[derive(Clone)]
pub struct Login {
    host: String,
    port: u16,
    user: String,
    password: String,
    database: String,
    opening: String,
}

impl Login {
    /// Without a database. The door has to stay open as long as clients use this.
    pub fn new(door: &Door, user: &str, password: &str) -> Self {
        Self {
            host: door.host().to_owned(),
            port: door.port(),
            user: user.to_owned(),
            password: password.to_owned(),
            database: String::new(),
            opening: String::new(),
        }
    }

    /// With a database.
    #[must_use]
    pub fn database(mut self, database: &str) -> Self {
        database.clone_into(&mut self.database);
        self
    }

    /// With a statement that begins each connection, as `SET warehouse = ...`.
    #[must_use]
    pub fn opening(mut self, statement: &str) -> Self {
        statement.clone_into(&mut self.opening);
        self
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({}@{}:{}/{})", self.user, self.host, self.port, self.database)
    }
}

/// A value for a `?`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// NULL.
    Null,
    /// A whole number.
    Int(i64),
    /// A text.
    Text(String),
}

impl From<Value> for Bound {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::NULL,
            Value::Int(value) => Self::Int(value),
            Value::Text(text) => Self::Bytes(text.into_bytes()),
        }
    }
}

/// One user's client.
#[derive(Debug)]
pub struct SqlClient {
    kind: Kind,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Own(Login, Option<Session>),
    CommandLine(CommandLine),
    Program(Box<Program>),
}

impl SqlClient {
    /// A client that has not connected yet.
    pub fn new(kind: Kind, installed: &Installed, login: &Login) -> Self {
        let way = match kind {
            Kind::MysqlAsync => Way::Own(login.clone(), None),
            Kind::CommandLine => Way::CommandLine(CommandLine::new(login)),
            Kind::PyMysql | Kind::ConnectorJ | Kind::Mysql2 => {
                Way::Program(Box::new(Program::new(kind, installed, login)))
            }
        };
        Self { kind, way }
    }

    /// Which it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Sends a text.
    pub async fn run(&mut self, statement: &str, limit: Duration) -> Result<Answer> {
        self.run_with(statement, &[], limit).await
    }

    /// Sends a statement with values for its `?`.
    ///
    /// # Errors
    /// The statement failed, or its answer did not come in time: then nobody knows whether it was run.
    pub async fn run_with(&mut self, statement: &str, values: &[Value], limit: Duration) -> Result<Answer> {
        if !values.is_empty() && !self.kind.takes_values() {
            return Err(Error::Missing(format!(
                "{} sends texts without values",
                self.kind.name()
            )));
        }
        match &mut self.way {
            Way::Own(login, session) => own(login, session, statement, values, limit).await,
            Way::CommandLine(command) => command.run(statement, limit).await,
            Way::Program(program) => program.run(statement, values, limit).await,
        }
    }

    /// Closes its connection; the next statement opens another.
    pub async fn close(&mut self) -> Result<()> {
        match &mut self.way {
            Way::Own(_, session) => {
                *session = None;
                Ok(())
            }
            Way::CommandLine(_) => Ok(()),
            Way::Program(program) => program.close().await,
        }
    }
}

async fn own(
    login: &Login,
    session: &mut Option<Session>,
    statement: &str,
    values: &[Value],
    limit: Duration,
) -> Result<Answer> {
    let mut open = match session.take() {
        Some(mut open) => match open.is_alive(limit).await {
            true => open,
            false => opened(login, limit).await?,
        },
        None => opened(login, limit).await?,
    };
    let values = values.iter().cloned().map(Bound::from).collect();
    let answer = open.run(statement, values, limit).await;
    // After an answer of the server the connection is as good as before; after anything else it may not be.
    if answer
        .as_ref()
        .map_or_else(|error| error.sql_code().is_some(), |_| true)
    {
        *session = Some(open);
    }
    answer
}

async fn opened(login: &Login, limit: Duration) -> Result<Session> {
    let door = Door::at(&login.host, login.port);
    let mut session = Session::open(&door, &login.user, &login.password).await?;
    if !login.database.is_empty() {
        session.execute(&format!("USE {}", login.database), limit).await?;
    }
    if !login.opening.is_empty() {
        session.execute(&login.opening, limit).await?;
    }
    Ok(session)
}
