//! What a page of `docs` has people type, run as they would: a test of the cluster and of the page.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::Command,
};

use crate::department::Department;

/// The namespace of the pages; the department's takes its place.
const NAMESPACE: &str = "-n retail";
/// What the shell says where the page has it sleep.
const SLEEPS: &str = "the page sleeps";
/// No command is silent for longer; the longest one waits until all nodes of a small group have been replaced.
const SILENCE_LIMIT: Duration = Duration::from_secs(600);

/// A page.
pub(crate) struct Page {
    text: String,
}

impl Page {
    pub(crate) fn read(department: &Department, name: &str) -> Self {
        let path = department.cluster.places.checkout.join("docs").join(name);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { text }
    }

    /// The blocks of commands below a heading; those before the first one have none.
    pub(crate) fn commands(&self, heading: &str) -> Vec<String> {
        let mut blocks = Vec::new();
        let mut block: Option<String> = None;
        let mut is_below = heading.is_empty();
        for line in self.text.lines() {
            if let Some(title) = line.strip_prefix("## ") {
                is_below = title == heading;
            }
            let line = line.trim_start();
            if line == "```" {
                match block.take() {
                    Some(text) if is_below => blocks.push(text),
                    Some(_) => {}
                    None => block = Some(String::new()),
                }
            } else if let Some(text) = &mut block {
                text.push_str(line);
                text.push('\n');
            }
        }
        blocks
    }

    /// The only block of commands below a heading.
    pub(crate) fn command(&self, heading: &str) -> String {
        let found: Result<[String; 1], Vec<String>> = self.commands(heading).try_into();
        let [command] = found.unwrap_or_else(|found| panic!("one block of commands below {heading}: {found:#?}"));
        command
    }

    /// Runs commands in the department's namespace and in this folder, with `given` in the environment, after what the page says before its
    /// first heading. Where the page has people sleep, `instead` waits for what they are to wait for; it is told how often that was before.
    /// What is printed, or why it failed.
    pub(crate) async fn run(
        &self,
        department: &Department,
        commands: &str,
        given: &[(&str, &str)],
        folder: &Path,
        mut instead: impl AsyncFnMut(usize),
    ) -> Result<String, String> {
        let script = [
            format!("exec 3<&0 </dev/null\nsleep() {{ echo '{SLEEPS}'; read -r _ <&3; }}\n"),
            self.commands("").concat(),
            commands.to_owned(),
        ];
        let script = script.concat().replace(NAMESPACE, &format!("-n {}", department.name));
        let cluster = &department.cluster;
        let mut path = cluster.places.cluster_programs().into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let kubeconfig = cluster.target.kubeconfig.as_ref().expect("the cluster has one");
        let mut shell = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &script])
            .current_dir(folder)
            .envs(given.iter().copied())
            .env("PATH", path)
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("bash starts");
        let mut input = shell.stdin.take().expect("an input");
        let mut lines = BufReader::new(shell.stdout.take().expect("an output")).lines();
        let mut errors = shell.stderr.take().expect("an output for errors");
        let complaints = tokio::spawn(async move {
            let mut text = String::new();
            let read = errors.read_to_string(&mut text).await;
            read.map_or_else(|error| error.to_string(), |_| text)
        });
        let (mut printed, mut slept) = (String::new(), 0);
        let mut next = async || {
            let line = tokio::time::timeout(SILENCE_LIMIT, lines.next_line()).await;
            line.expect("a command ends in time").expect("what it prints")
        };
        while let Some(line) = next().await {
            if line == SLEEPS {
                instead(slept).await;
                slept += 1;
                input.write_all(b"\n").await.expect("it waits for a line");
            } else {
                printed.push_str(&line);
                printed.push('\n');
            }
        }
        let status = shell.wait().await.expect("its end");
        let complaints = complaints.await.expect("what it complains of");
        if status.success() {
            Ok(printed)
        } else {
            Err(format!("{status}: {}", complaints.trim()))
        }
    }
}
