//! Other programs, run with their last line as progress, a time limit, and their last lines in the error.

use std::{collections::VecDeque, ffi::OsStr, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader},
    process::Command,
    sync::mpsc,
};

use crate::{Error, Result, timeline::Progress};

#[cfg(test)]
mod tests;

/// Lines of a program's output that an error shows.
const LINES_IN_ERROR: usize = 40;
/// Lines that may wait to be shown; a program that writes faster waits.
const LINES_WAITING: usize = 256;

/// A program to run, with its time limit.
#[derive(Debug)]
pub struct Run {
    command: Command,
    text: String,
    limit: Duration,
    input: Option<Vec<u8>>,
}

/// A program that may run for `limit`; past that it is killed.
pub fn run(program: impl AsRef<OsStr>, limit: Duration) -> Run {
    let program = program.as_ref();
    let mut command = Command::new(program);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    Run {
        command,
        text: program.to_string_lossy().into_owned(),
        limit,
        input: None,
    }
}

impl Run {
    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        let argument = argument.as_ref();
        self.text.push(' ');
        self.text.push_str(&quoted(&argument.to_string_lossy()));
        self.command.arg(argument);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(self, arguments: impl IntoIterator<Item = A>) -> Self {
        arguments.into_iter().fold(self, Self::arg)
    }

    /// Adds arguments that no message shows.
    #[must_use]
    pub fn secret_args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.command.args(arguments);
        self.text.push_str(" …");
        self
    }

    /// Sets an environment variable. Its value is not part of any message.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Gives the program this standard input. It is not part of any message.
    #[must_use]
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.command.stdin(Stdio::piped());
        self.input = Some(input.into());
        self
    }

    /// The command line, as a shell would take it.
    pub fn line(&self) -> &str {
        &self.text
    }

    /// Runs to the end with each line as progress.
    pub async fn with(self, progress: &Progress) -> Result<()> {
        self.lines(|line| progress.say(line.trim())).await.map(drop)
    }

    /// Runs to the end and returns what it wrote to standard output.
    pub async fn output(self) -> Result<String> {
        self.lines(|_| ()).await
    }

    /// Starts it and returns it with the first line that it writes to standard output: for a program that then serves. It is
    /// ended when the returned child is dropped.
    pub async fn serve(mut self) -> Result<(tokio::process::Child, String)> {
        let mut child = self
            .command
            .spawn()
            .map_err(Error::io(format!("start `{}`", self.text)))?;
        let (Some(out), Some(mut errors)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(Error::Missing(format!("`{}` has no output", self.text)));
        };
        let mut lines = BufReader::new(out).lines();
        match tokio::time::timeout(self.limit, lines.next_line()).await {
            Ok(Ok(Some(line))) => {
                // Its further output is read and forgotten, so that it never waits for a reader.
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                tokio::spawn(async move { tokio::io::copy(&mut errors, &mut tokio::io::sink()).await });
                Ok((child, line))
            }
            Ok(_) => {
                let mut why = String::new();
                // What it said is a help, and nothing depends on it.
                let _ = tokio::time::timeout(self.limit, errors.read_to_string(&mut why)).await;
                Err(Error::Missing(format!("`{}` ended at once: {}", self.text, why.trim())))
            }
            Err(_) => Err(Error::Timeout {
                what: format!("`{}` serves", self.text),
                seconds: self.limit.as_secs(),
                last: String::new(),
            }),
        }
    }

    async fn lines(mut self, mut each: impl FnMut(&str)) -> Result<String> {
        let mut child = self
            .command
            .spawn()
            .map_err(Error::io(format!("start `{}`", self.text)))?;
        let (send, mut receive) = mpsc::channel(LINES_WAITING);
        if let (Some(input), Some(mut pipe)) = (self.input.take(), child.stdin.take()) {
            // A program that does not read its input to the end says by its status whether that was wrong.
            tokio::spawn(async move { pipe.write_all(&input).await });
        }
        if let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) {
            tokio::spawn(forward(out, true, send.clone()));
            tokio::spawn(forward(err, false, send));
        }
        let work = async {
            let (mut output, mut last) = (String::new(), VecDeque::with_capacity(LINES_IN_ERROR));
            while let Some((standard, line)) = receive.recv().await {
                if !line.trim().is_empty() {
                    each(&line);
                }
                if standard {
                    output.push_str(&line);
                    output.push('\n');
                }
                if last.len() == LINES_IN_ERROR {
                    last.pop_front();
                }
                last.push_back(line);
            }
            let status = child
                .wait()
                .await
                .map_err(Error::io(format!("wait for `{}`", self.text)))?;
            if status.success() {
                return Ok(output);
            }
            let output = last.into_iter().collect::<Vec<_>>().join("\n");
            Err(Error::Command {
                command: self.text.clone(),
                status: status.to_string(),
                output,
            })
        };
        tokio::time::timeout(self.limit, work).await.unwrap_or_else(|_| {
            Err(Error::Timeout {
                what: format!("`{}` ends", self.text),
                seconds: self.limit.as_secs(),
                last: String::new(),
            })
        })
    }
}

async fn forward(from: impl AsyncRead + Unpin, standard: bool, to: mpsc::Sender<(bool, String)>) {
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if to.send((standard, line)).await.is_err() {
            return;
        }
    }
}

fn quoted(argument: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+%".contains(c);
    if !argument.is_empty() && argument.chars().all(plain) {
        argument.to_owned()
    } else {
        format!("'{}'", argument.replace('\'', r"'\''"))
    }
}
