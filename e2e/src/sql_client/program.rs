//! A client in a process that takes one request a line and gives one answer a line: PyMySQL, Connector/J, mysql2.

use std::{ffi::OsString, process::Stdio, time::Duration};

use serde::Deserialize;
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    task::JoinHandle,
};

use super::{Answer, Installed, Kind, Login, Value};
use crate::{Error, Result, sql::short};

/// Closing a connection.
const CLOSE_LIMIT: Duration = Duration::from_secs(30);
/// Characters of a program's complaints that an error shows: the last ones.
const COMPLAINTS_IN_ERROR: usize = 2000;
/// A JVM for a few statements at a time needs little.
const JVM: [&str; 3] = ["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];

/// A client whose process is started by its first statement, and anew where it has ended.
#[derive(Debug)]
pub(super) struct Program {
    kind: Kind,
    installed: Installed,
    login: Login,
    process: Option<Process>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    complaints: JoinHandle<String>,
}

/// A line of its output.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Line {
    rows: Option<Vec<Vec<Option<String>>>>,
    affected: Option<u64>,
    error: Option<Failure>,
}

#[derive(Debug, Deserialize)]
struct Failure {
    code: u16,
    message: String,
}

impl Program {
    pub(super) fn new(kind: Kind, installed: &Installed, login: &Login) -> Self {
        Self {
            kind,
            installed: installed.clone(),
            login: login.clone(),
            process: None,
        }
    }

    pub(super) async fn run(&mut self, statement: &str, values: &[Value], limit: Duration) -> Result<Answer> {
        let mut request = vec![json!(statement)];
        request.extend(values.iter().map(|value| json!(value)));
        let line = self.ask(&json!(request).to_string(), short(statement), limit).await?;
        if let Some(Failure { code, message }) = line.error {
            return Err(self.failed(short(statement), code, message));
        }
        Ok(match line.rows {
            Some(rows) => Answer::Rows(rows),
            None => Answer::Affected(line.affected),
        })
    }

    pub(super) async fn close(&mut self) -> Result<()> {
        if self.process.is_none() {
            return Ok(());
        }
        self.ask("[]", "close".into(), CLOSE_LIMIT).await.map(drop)
    }

    /// Sends a request and waits for its answer. A process whose answer did not come is ended: the answer of one request must
    /// not be taken for that of the next.
    async fn ask(&mut self, request: &str, what: String, limit: Duration) -> Result<Line> {
        let mut process = match self.process.take() {
            Some(process) => process,
            None => self.started()?,
        };
        match tokio::time::timeout(limit, process.ask(request)).await {
            Ok(Ok(Some(line))) => {
                let read = serde_json::from_str(&line);
                let read = read.map_err(|error| self.failed(what, 0, format!("no answer but '{line}': {error}")))?;
                self.process = Some(process);
                Ok(read)
            }
            Ok(Ok(None)) => {
                let why = process.ended().await;
                Err(self.failed(what, 0, format!("the client's process has ended: {why}")))
            }
            Ok(Err(error)) => {
                let why = process.ended().await;
                Err(self.failed(
                    what,
                    0,
                    format!("the client's process does not answer ({error}): {why}"),
                ))
            }
            Err(_) => Err(Error::Timeout {
                what: format!("{what} by {}", self.kind.name()),
                seconds: limit.as_secs(),
                last: String::new(),
            }),
        }
    }

    fn failed(&self, statement: String, code: u16, message: String) -> Error {
        Error::SqlClient {
            client: self.kind.name(),
            statement,
            code,
            message,
        }
    }

    fn started(&self) -> Result<Process> {
        let Installed { libraries, programs } = &self.installed;
        let mut command = match self.kind {
            Kind::ConnectorJ => {
                let mut java = Command::new("java");
                java.args(JVM)
                    .arg("-cp")
                    .arg(libraries.join("java/connector-j.jar"))
                    .arg(programs.join("Client.java"));
                java
            }
            Kind::Mysql2 => {
                let mut node = Command::new("node");
                node.env("NODE_PATH", libraries.join("node/node_modules"))
                    .arg(programs.join("client.mjs"));
                node
            }
            _ => {
                let mut python = Command::new(libraries.join("python/bin/python"));
                python.arg(programs.join("client.py"));
                python
            }
        };
        let login = &self.login;
        let arguments = [
            login.host.clone(),
            login.port.to_string(),
            login.user.clone(),
            login.database.clone(),
            login.opening.clone(),
        ];
        command
            .args(arguments.map(OsString::from))
            .env("SPRINGTIDE_PASSWORD", &login.password)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let doing = || format!("start {}, which e2e/clients/install installs", self.kind.name());
        let mut child = command.spawn().map_err(Error::io(doing()))?;
        let (Some(input), Some(output), Some(errors)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(Error::Missing(format!("{} has no input or output", self.kind.name())));
        };
        Ok(Process {
            child,
            input,
            output: BufReader::new(output).lines(),
            complaints: tokio::spawn(last_words(errors)),
        })
    }
}

impl Process {
    async fn ask(&mut self, request: &str) -> std::io::Result<Option<String>> {
        self.input.write_all(format!("{request}\n").as_bytes()).await?;
        self.input.flush().await?;
        self.output.next_line().await
    }

    /// Waits for its end, and gives its status with its last words.
    async fn ended(self) -> String {
        let Self {
            mut child,
            input,
            output: _,
            complaints,
        } = self;
        drop(input);
        let ended = async {
            let status = child
                .wait()
                .await
                .map_or_else(|error| error.to_string(), |status| status.to_string());
            let words = complaints.await.unwrap_or_default();
            format!("{status}: {}", words.trim())
        };
        let ended = tokio::time::timeout(CLOSE_LIMIT, ended).await;
        ended.unwrap_or_else(|_| "it did not end either".into())
    }
}

/// Reads all that a program writes, so that it never waits for a reader, and keeps the last of it.
async fn last_words(mut from: ChildStderr) -> String {
    let (mut kept, mut buffer) = (Vec::new(), [0; 1024]);
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        kept.extend_from_slice(&buffer[..count]);
        let surplus = kept.len().saturating_sub(COMPLAINTS_IN_ERROR);
        kept.drain(..surplus);
    }
    String::from_utf8_lossy(&kept).into_owned()
}
