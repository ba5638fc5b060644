//! The commands after the login.

use tokio::time::timeout;

use super::supervise::{Outcome, PANICKED, supervise};
use super::{Connection, End};
use crate::command::{Command, Refusal};
use crate::error::codes;
use crate::result::RowProtocol;
use crate::{Handler, HandlerFactory, MysqlError, Parameter};

/// A statement to run.
enum Statement<'a> {
    Text(&'a str),
    Prepared {
        statement_id: u32,
        parameters: &'a [Parameter],
    },
}

impl<F: HandlerFactory> Connection<F> {
    /// Answers commands until the client quits.
    pub(super) async fn answer_commands(&mut self, handler: &mut F::Handler) -> Result<(), End> {
        let killed = self.info.killed.clone();
        let shutdown = self.shared.shutdown.clone();
        let limits = self.read_limits();
        loop {
            // What is said between commands is read by the client as the answer to its next one.
            self.out.packets().set_sequence(1);
            let packet = tokio::select! {
                biased;
                () = killed.cancelled() => return Err(End::Told(killed_error())),
                () = shutdown.cancelled() => return Err(End::Told(shutdown_error())),
                packet = self.reader.next(0, limits) => packet,
            };
            let packet = match packet {
                Ok(Some(packet)) => packet,
                Ok(None) => return Ok(()),
                Err(error) => {
                    if let Some(sequence) = error.answer_sequence() {
                        self.out.packets().set_sequence(sequence);
                    }
                    return Err(End::of_read(&error));
                }
            };
            self.out.packets().set_sequence(packet.next_sequence);
            match Command::parse(&packet.payload) {
                Ok(Command::Quit) => return Ok(()),
                Ok(command) => self.answer(handler, command).await?,
                Err(Refusal::Answer(error)) => self.out.plain_error(&error).await?,
                Err(Refusal::Silence) => {}
            }
        }
    }

    /// Answers one command. An error returned ends the connection; a statement's own error does not.
    async fn answer(&mut self, handler: &mut F::Handler, command: Command<'_>) -> Result<(), End> {
        match command {
            Command::Quit => Ok(()),
            Command::Ping => Ok(self.out.plain_ok().await?),
            Command::Statistics => self.statistics().await,
            Command::SetMultiStatements(_) => Ok(self.out.plain_end().await?),
            Command::Query(sql) => self.run_statement(handler, Statement::Text(sql)).await,
            Command::InitDb(database) => {
                let done = self.supervised(handler.init_db(database)).await?;
                self.ok_or_error(done).await
            }
            Command::FieldList { table, wildcard } => {
                match self.supervised(handler.field_list(table, wildcard)).await? {
                    Ok(columns) => Ok(self.out.field_list(&columns).await?),
                    Err(error) => Ok(self.out.plain_error(&error).await?),
                }
            }
            Command::ResetConnection => {
                self.statements.close_all();
                let done = self.supervised(handler.reset()).await?;
                self.ok_or_error(done).await
            }
            Command::ChangeUser(payload) => {
                let patience = self.options().handshake_timeout;
                match timeout(patience, self.change_user(handler, payload)).await {
                    Ok(changed) => changed,
                    Err(_) => Err(End::Told(MysqlError::bad_handshake("the login took too long"))),
                }
            }
            Command::Prepare(sql) => self.prepare(handler, sql).await,
            Command::Execute { statement_id, rest } => match self.statements.parameters(statement_id, rest) {
                Ok(parameters) => {
                    let statement = Statement::Prepared {
                        statement_id,
                        parameters: &parameters,
                    };
                    self.run_statement(handler, statement).await
                }
                Err(error) => Ok(self.out.plain_error(&error).await?),
            },
            Command::LongData {
                statement_id,
                parameter,
                data,
            } => {
                self.statements.add_long_data(statement_id, parameter, data);
                Ok(())
            }
            Command::ResetStatement(statement_id) => {
                let done = self.statements.reset(statement_id);
                self.ok_or_error(done).await
            }
            Command::CloseStatement(statement_id) => {
                if self.statements.close(statement_id) {
                    self.supervised(handler.close_statement(statement_id)).await?;
                }
                Ok(())
            }
        }
    }

    async fn run_statement(&mut self, handler: &mut F::Handler, statement: Statement<'_>) -> Result<(), End> {
        let cancelled = self.registration.begin_statement();
        let protocol = match statement {
            Statement::Text(_) => RowProtocol::Text,
            Statement::Prepared { .. } => RowProtocol::Binary,
        };
        let sequence = self.out.packets().sequence();
        self.out.begin(protocol, sequence, cancelled.clone());
        let out = &mut self.out;
        let call = async {
            match statement {
                Statement::Text(sql) => handler.query(sql, out).await,
                Statement::Prepared {
                    statement_id,
                    parameters,
                } => handler.execute(statement_id, parameters, out).await,
            }
        };
        let outcome = supervise(call, &mut self.reader, &cancelled, self.shared.options.cancel_grace).await;
        self.registration.end_statement();
        let (returned, ended) = match outcome {
            Outcome::Returned {
                value,
                client_is_there: true,
            } => (value, Ok(())),
            Outcome::Returned { .. } => return Err(End::Silent("the client left during a statement")),
            Outcome::Dropped => (
                Err(MysqlError::interrupted()),
                Err(End::Silent("a cancelled statement did not end in time")),
            ),
            Outcome::Panicked => (
                Err(MysqlError::internal("the statement failed by a defect of the server")),
                Err(End::Silent(PANICKED)),
            ),
        };
        self.end_statement(returned).await?;
        ended
    }

    /// Makes sure that the client has a whole answer, whatever the handler did.
    async fn end_statement(&mut self, returned: Result<(), MysqlError>) -> Result<(), End> {
        if self.out.is_broken() {
            return Err(End::Silent("the client did not take a result"));
        }
        match returned {
            Ok(()) if self.out.is_done() => Ok(()),
            Ok(()) => {
                tracing::error!(out = ?self.out, "a handler returned without ending its result");
                let error = MysqlError::internal("the statement ended without a whole result");
                Ok(self.out.error(&error).await?)
            }
            Err(error) if self.out.is_done() => {
                tracing::warn!(%error, "a statement failed after its result had ended");
                Ok(())
            }
            Err(error) => Ok(self.out.error(&error).await?),
        }
    }

    async fn prepare(&mut self, handler: &mut F::Handler, sql: &str) -> Result<(), End> {
        let statement_id = match self.statements.reserve() {
            Ok(statement_id) => statement_id,
            Err(error) => return Ok(self.out.plain_error(&error).await?),
        };
        match self.supervised(handler.prepare(statement_id, sql)).await? {
            Ok(prepared) => {
                self.statements.open(statement_id, &prepared);
                Ok(self
                    .out
                    .prepared(statement_id, &prepared.parameters, &prepared.columns)
                    .await?)
            }
            Err(error) => Ok(self.out.plain_error(&error).await?),
        }
    }

    /// Runs a call of the handler that writes no result itself.
    async fn supervised<T>(&mut self, call: impl Future<Output = T>) -> Result<T, End> {
        let cancelled = self.registration.begin_statement();
        let outcome = supervise(call, &mut self.reader, &cancelled, self.shared.options.cancel_grace).await;
        self.registration.end_statement();
        match outcome {
            Outcome::Returned {
                value,
                client_is_there: true,
            } => Ok(value),
            Outcome::Returned { .. } => Err(End::Silent("the client left during a command")),
            Outcome::Dropped => Err(End::Told(MysqlError::interrupted())),
            Outcome::Panicked => Err(End::Silent(PANICKED)),
        }
    }

    async fn ok_or_error(&mut self, done: Result<(), MysqlError>) -> Result<(), End> {
        match done {
            Ok(()) => Ok(self.out.plain_ok().await?),
            Err(error) => Ok(self.out.plain_error(&error).await?),
        }
    }

    async fn statistics(&mut self) -> Result<(), End> {
        let uptime_s = self.shared.started.elapsed().as_secs();
        let threads = self.options().registry.len();
        let text = format!("Uptime: {uptime_s}  Threads: {threads}");
        let packets = self.out.packets();
        packets.push(text.as_bytes())?;
        Ok(packets.flush().await?)
    }
}

fn killed_error() -> MysqlError {
    MysqlError::new(codes::SESSION_KILLED, b"HY000", "The session was killed")
}

fn shutdown_error() -> MysqlError {
    MysqlError::new(codes::SERVER_SHUTDOWN, b"08S01", "Server shutdown in progress")
}
