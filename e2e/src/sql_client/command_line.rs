//! MariaDB's `mysql`, once for each statement.

use std::{process::Stdio, time::Duration};

use tokio::{io::AsyncWriteExt, process::Command};

use super::{Answer, Kind, Login};
use crate::{Error, Result, sql::short};

/// The program's name; `mysql` is a link to it.
const PROGRAM: &str = "mariadb";

#[derive(Debug)]
pub(super) struct CommandLine {
    login: Login,
}

impl CommandLine {
    pub(super) fn new(login: &Login) -> Self {
        Self { login: login.clone() }
    }

    pub(super) async fn run(&self, statement: &str, limit: Duration) -> Result<Answer> {
        let (answer, errors) = tokio::time::timeout(limit, self.output(statement))
            .await
            .unwrap_or_else(|_| {
                Err(Error::Timeout {
                    what: format!("{} by {}", short(statement), Kind::CommandLine.name()),
                    seconds: limit.as_secs(),
                    last: String::new(),
                })
            })?;
        let Some(output) = answer else {
            let (code, message) = failure(&errors);
            return Err(Error::SqlClient {
                client: Kind::CommandLine.name(),
                statement: short(statement),
                code,
                message,
            });
        };
        // It says nothing of a statement without rows.
        Ok(if output.is_empty() {
            Answer::Affected(None)
        } else {
            Answer::Rows(rows(&output))
        })
    }

    /// What it wrote of the rows, where it succeeded, and what it complained of.
    async fn output(&self, statement: &str) -> Result<(Option<String>, String)> {
        let login = &self.login;
        let mut child = Command::new(PROGRAM)
            // Nobody's configuration.
            .arg("--no-defaults")
            .args(["--protocol=tcp", "--skip-ssl", "--connect-timeout=10"])
            .args(["--batch", "--skip-column-names", "--default-character-set=utf8mb4"])
            .arg(format!("--host={}", login.host))
            .arg(format!("--port={}", login.port))
            .arg(format!("--user={}", login.user))
            .arg(format!("--database={}", login.database))
            .arg(format!("--init-command={}", login.opening))
            .env("MYSQL_PWD", &login.password)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(Error::io(format!("start {PROGRAM}, which e2e/packages installs")))?;
        if let Some(mut input) = child.stdin.take() {
            // One that cannot log in does not read; its status says so.
            let _ = input.write_all(statement.as_bytes()).await;
        }
        let ended = child.wait_with_output().await;
        let ended = ended.map_err(Error::io(format!("wait for {PROGRAM}")))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok((ended.status.success().then(|| text(&ended.stdout)), text(&ended.stderr)))
    }
}

/// Code and message of `ERROR 1064 (HY000) at line 1: Getting syntax error...`.
fn failure(errors: &str) -> (u16, String) {
    let Some((_, told)) = errors.rsplit_once("ERROR ") else {
        return (0, errors.trim().to_owned());
    };
    let code = told.split(' ').next().and_then(|code| code.parse().ok());
    let message = told.split_once(": ").map_or(told, |(_, message)| message);
    match code {
        // Below 1000 and from 2000 to 2999 are the client's own.
        Some(code) if !(2000..3000).contains(&code) => (code, message.trim().to_owned()),
        _ => (0, told.trim().to_owned()),
    }
}

/// Rows of `--batch`, which has a tab between values, and escapes what would be in the way of that.
fn rows(output: &str) -> Vec<Vec<Option<String>>> {
    let value = |text: &str| match text {
        // It writes a text of these four letters in the same way.
        "NULL" => None,
        text => Some(unescaped(text)),
    };
    output
        .lines()
        .map(|line| line.split('\t').map(value).collect())
        .collect()
}

fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => match characters.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('0') => '\0',
                Some(other) => other,
                None => '\\',
            },
            other => other,
        });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_batch_mode_is_read_with_what_it_escapes() {
        let expected = vec![
            Some("Zoë".to_owned()),
            None,
            Some("a\tb\n\\t".to_owned()),
            Some(String::new()),
        ];
        assert_eq!(rows("Zoë\tNULL\ta\\tb\\n\\\\t\t\n"), vec![expected]);
    }

    #[test]
    fn an_error_is_read_with_its_code() {
        let of_statement =
            "--------------\nSELEC 1\n--------------\n\nERROR 1064 (HY000) at line 1: Unexpected: 'SELEC'\n";
        assert_eq!(failure(of_statement), (1064, "Unexpected: 'SELEC'".to_owned()));
        let of_login = "ERROR 1045 (28000): Access denied\n";
        assert_eq!(failure(of_login), (1045, "Access denied".to_owned()));
    }

    #[test]
    fn an_error_of_the_client_itself_has_no_code_of_a_server() {
        let (code, message) = failure("ERROR 2002 (HY000): Can't connect to server on '127.0.0.1' (115)\n");
        assert_eq!(code, 0);
        assert!(message.contains("Can't connect"), "{message}");
        assert_eq!(
            failure("mariadb: unknown option"),
            (0, "mariadb: unknown option".to_owned())
        );
    }
}
