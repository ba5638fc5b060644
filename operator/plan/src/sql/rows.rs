//! Answers of the engine, read by column name: sets and order of columns differ between versions.

use serde::Serialize;
use thiserror::Error;

/// Why an answer cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AnswerError {
    /// A column is not there.
    #[error(
        "the answer to {statement} has no column {column}; the engine's version is not one that the operator knows"
    )]
    ColumnMissing {
        /// The statement that was asked.
        statement: &'static str,
        /// The column.
        column: &'static str,
    },
    /// A value is not what its column holds.
    #[error("the answer to {statement} has {value:?} in column {column}, which should be {expected}")]
    ValueMalformed {
        /// The statement that was asked.
        statement: &'static str,
        /// The column.
        column: &'static str,
        /// The value.
        value: String,
        /// What it should have been.
        expected: &'static str,
    },
}

/// A row of `SHOW FRONTENDS`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FrontendRow {
    /// Column `Name`: unique and stable.
    pub name: String,
    /// Column `IP`: host name or address.
    pub host: String,
    /// Column `Role` is `LEADER`.
    pub is_leader: bool,
    /// Column `Role` is `OBSERVER`: it has no vote.
    pub is_observer: bool,
    /// Column `Join` is `false`: it was made known, and has never been there. It has no vote yet.
    pub never_joined: bool,
    /// Column `Alive`.
    pub alive: bool,
    /// Column `ErrMsg`.
    pub error: String,
    /// Column `Version`.
    pub version: String,
    /// Column `ReplayedJournalId`, where it is a number: the last change that it has.
    pub journal_id: Option<u64>,
    /// Column `ImageJournalId`, where the engine has it: the last change that its newest image has.
    pub image_id: Option<u64>,
}

/// How far a compute node is on its way out, by its frontend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum DrainState {
    /// It takes work.
    #[default]
    None,
    /// An ordered drain: it gets nothing new and finishes what it has.
    Draining,
    /// An ordered drain that has ended.
    Drained,
    /// It was told to stop, by its own word.
    Leaving,
}

impl DrainState {
    /// Engines without the column say of a node that leaves that it is shut down.
    fn read(text: &str, is_shut_down: bool) -> Self {
        match text {
            "DRAINING" => Self::Draining,
            "DRAINED" => Self::Drained,
            "LEAVING" => Self::Leaving,
            _ if is_shut_down => Self::Leaving,
            _ => Self::None,
        }
    }
}

/// The drain that is ordered of a compute node, by its frontend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct DrainOrder {
    /// Column `DrainOrder` is `FORCE`: nobody waits for what runs there when the node is stopped.
    pub forced: bool,
    /// Column `DrainOrderLastsSeconds`: until the order lapses, unless it is given again.
    pub lasts_seconds: u32,
}

/// A row of `SHOW COMPUTE NODES`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ComputeNodeRow {
    /// Column `ComputeNodeId`.
    pub id: String,
    /// Column `IP`: the host name that was added.
    pub host: String,
    /// Column `HeartbeatPort`.
    pub heartbeat_port: u16,
    /// Column `Alive`.
    pub alive: bool,
    /// Column `StatusCode` is `SHUTDOWN`: the node finishes what it has.
    pub draining: bool,
    /// Column `DrainState`, where the engine has it.
    pub drain: DrainState,
    /// The drain that is ordered, where one is and the engine tells.
    pub order: Option<DrainOrder>,
    /// Column `DrainSeconds`, where the engine has it: how long it has been sent nothing new.
    pub drains_for_seconds: Option<u32>,
    /// Column `DrainWaitingFor`, where the engine has it: what a drain waits for, or would if it began now, for people.
    pub waiting_for: String,
    /// Column `WarehouseName`; `default_warehouse` where the engine has no such column.
    pub warehouse: String,
    /// Column `ErrMsg`.
    pub error: String,
    /// Column `Version`.
    pub version: String,
}

/// A row of `SHOW WAREHOUSES`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WarehouseRow {
    /// Column `Name`.
    pub name: String,
    /// Column `RunningSql`: statements that run on its nodes.
    pub running: u32,
    /// Column `QueuedSql`: statements that wait for nodes or for their turn.
    pub queued: u32,
    /// Column `RequiredNodes`: nodes with which none would wait.
    pub required_nodes: u32,
}

/// A row of `ADMIN SHOW FRONTEND CONFIG`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FrontendConfigRow {
    /// Column `Key`.
    pub name: String,
    /// Column `Value`.
    pub value: String,
    /// Column `IsMutable`: a frontend takes another value while it runs.
    pub is_mutable: bool,
}

impl FrontendConfigRow {
    /// Reads the rows of an answer.
    ///
    /// # Errors
    /// A column is missing, or holds something else than it should.
    pub fn parse(columns: &[String], rows: &[Vec<Option<String>>]) -> Result<Vec<Self>, AnswerError> {
        let answer = Answer::new(super::SHOW_FRONTEND_CONFIG, columns);
        let name = answer.column("Key")?;
        let value = answer.column("Value")?;
        let is_mutable = answer.column("IsMutable")?;
        rows.iter()
            .map(|row| {
                Ok(Self {
                    name: answer.text(row, name),
                    value: answer.text(row, value),
                    is_mutable: answer.boolean(row, is_mutable, "IsMutable")?,
                })
            })
            .collect()
    }
}

impl WarehouseRow {
    /// Reads the rows of an answer.
    ///
    /// # Errors
    /// A column is missing, or holds something else than it should.
    pub fn parse(columns: &[String], rows: &[Vec<Option<String>>]) -> Result<Vec<Self>, AnswerError> {
        let answer = Answer::new(super::SHOW_WAREHOUSES, columns);
        let name = answer.column("Name")?;
        let running = answer.column("RunningSql")?;
        let queued = answer.column("QueuedSql")?;
        let required_nodes = answer.column("RequiredNodes")?;
        rows.iter()
            .map(|row| {
                Ok(Self {
                    name: answer.text(row, name),
                    running: answer.count(row, running, "RunningSql")?,
                    queued: answer.count(row, queued, "QueuedSql")?,
                    required_nodes: answer.count(row, required_nodes, "RequiredNodes")?,
                })
            })
            .collect()
    }
}

impl FrontendRow {
    /// Reads the rows of an answer.
    ///
    /// # Errors
    /// A column is missing, or holds something else than it should.
    pub fn parse(columns: &[String], rows: &[Vec<Option<String>>]) -> Result<Vec<Self>, AnswerError> {
        let answer = Answer::new(super::SHOW_FRONTENDS, columns);
        let name = answer.column("Name")?;
        let host = answer.column("IP")?;
        let role = answer.column("Role")?;
        let alive = answer.column("Alive")?;
        rows.iter()
            .map(|row| {
                Ok(Self {
                    name: answer.text(row, name),
                    host: answer.text(row, host),
                    is_leader: answer.text(row, role).eq_ignore_ascii_case("LEADER"),
                    is_observer: answer.text(row, role).eq_ignore_ascii_case("OBSERVER"),
                    never_joined: answer.optional_text(row, "Join").eq_ignore_ascii_case("false"),
                    alive: answer.boolean(row, alive, "Alive")?,
                    error: answer.optional_text(row, "ErrMsg"),
                    version: answer.optional_text(row, "Version"),
                    journal_id: answer.optional_text(row, "ReplayedJournalId").parse().ok(),
                    image_id: answer.optional_text(row, "ImageJournalId").parse().ok(),
                })
            })
            .collect()
    }
}

impl ComputeNodeRow {
    /// Reads the rows of an answer.
    ///
    /// # Errors
    /// A column is missing, or holds something else than it should.
    pub fn parse(columns: &[String], rows: &[Vec<Option<String>>]) -> Result<Vec<Self>, AnswerError> {
        let answer = Answer::new(super::SHOW_COMPUTE_NODES, columns);
        let id = answer.column("ComputeNodeId")?;
        let host = answer.column("IP")?;
        let port = answer.column("HeartbeatPort")?;
        let alive = answer.column("Alive")?;
        rows.iter()
            .map(|row| {
                let warehouse = answer.optional_text(row, "WarehouseName");
                let draining = answer.optional_text(row, "StatusCode").eq_ignore_ascii_case("SHUTDOWN");
                Ok(Self {
                    id: answer.digits(row, id, "ComputeNodeId")?,
                    host: answer.text(row, host),
                    heartbeat_port: answer.port(row, port, "HeartbeatPort")?,
                    alive: answer.boolean(row, alive, "Alive")?,
                    draining,
                    drain: DrainState::read(&answer.optional_text(row, "DrainState"), draining),
                    order: answer.drain_order(row)?,
                    drains_for_seconds: match answer.optional_text(row, "DrainSeconds").as_str() {
                        "" => None,
                        seconds => Some(
                            seconds
                                .parse()
                                .map_err(|_| answer.malformed("DrainSeconds", seconds, "a number"))?,
                        ),
                    },
                    waiting_for: answer.optional_text(row, "DrainWaitingFor"),
                    warehouse: if warehouse.is_empty() {
                        crate::flavour::DEFAULT_WAREHOUSE.to_owned()
                    } else {
                        warehouse
                    },
                    error: answer.optional_text(row, "ErrMsg"),
                    version: answer.optional_text(row, "Version"),
                })
            })
            .collect()
    }
}

/// The columns of an answer.
struct Answer<'a> {
    statement: &'static str,
    columns: &'a [String],
}

impl<'a> Answer<'a> {
    fn new(statement: &'static str, columns: &'a [String]) -> Self {
        Self { statement, columns }
    }

    fn find(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|name| name.eq_ignore_ascii_case(column))
    }

    fn column(&self, column: &'static str) -> Result<usize, AnswerError> {
        self.find(column).ok_or(AnswerError::ColumnMissing {
            statement: self.statement,
            column,
        })
    }

    fn text(&self, row: &[Option<String>], column: usize) -> String {
        row.get(column).cloned().flatten().unwrap_or_default()
    }

    fn optional_text(&self, row: &[Option<String>], column: &str) -> String {
        self.find(column)
            .map(|column| self.text(row, column))
            .unwrap_or_default()
    }

    fn boolean(&self, row: &[Option<String>], column: usize, name: &'static str) -> Result<bool, AnswerError> {
        match self.text(row, column).as_str() {
            value if value.eq_ignore_ascii_case("true") => Ok(true),
            value if value.eq_ignore_ascii_case("false") => Ok(false),
            value => Err(self.malformed(name, value, "true or false")),
        }
    }

    fn port(&self, row: &[Option<String>], column: usize, name: &'static str) -> Result<u16, AnswerError> {
        let value = self.text(row, column);
        value.parse().map_err(|_| self.malformed(name, &value, "a port number"))
    }

    fn count(&self, row: &[Option<String>], column: usize, name: &'static str) -> Result<u32, AnswerError> {
        let value = self.text(row, column);
        value.parse().map_err(|_| self.malformed(name, &value, "a number"))
    }

    fn drain_order(&self, row: &[Option<String>]) -> Result<Option<DrainOrder>, AnswerError> {
        let forced = match self.optional_text(row, "DrainOrder").as_str() {
            "" => return Ok(None),
            order => order == "FORCE",
        };
        let lasts = self.column("DrainOrderLastsSeconds")?;
        let lasts_seconds = self.count(row, lasts, "DrainOrderLastsSeconds")?;
        Ok(Some(DrainOrder { forced, lasts_seconds }))
    }

    /// A number as it stands: it goes into statements again, so nothing else may.
    fn digits(&self, row: &[Option<String>], column: usize, name: &'static str) -> Result<String, AnswerError> {
        let value = self.text(row, column);
        if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(self.malformed(name, &value, "a number"));
        }
        Ok(value)
    }

    fn malformed(&self, column: &'static str, value: &str, expected: &'static str) -> AnswerError {
        AnswerError::ValueMalformed {
            statement: self.statement,
            column,
            value: value.to_owned(),
            expected,
        }
    }
}
