//! The operator as a process of its own, and what `/proc` says of it.

use std::{
    path::PathBuf,
    process::{Child, Command},
    time::Duration,
};

use crate::{
    api_server::{Identity, api_server},
    programs::Stat,
};

/// Long enough that a busy machine does not take the Lease away, which would end the process that is measured.
const LEASE_SECONDS: &str = "60";

/// It ends with this.
pub(crate) struct Operator {
    process: Child,
    folder: tempfile::TempDir,
}

/// In MiB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) resident: f64,
    pub(crate) peak: f64,
}

impl Operator {
    pub(crate) fn start(namespace: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        std::fs::write(&kubeconfig, api_server().kubeconfig_of(Identity::Operator)).unwrap();
        let program = program();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let process = Command::new(&program)
            .env("KUBECONFIG", &kubeconfig)
            .args(["--pod-namespace", namespace, "--lease-seconds", LEASE_SECONDS])
            .args(["--metrics-address", "127.0.0.1:0", "--health-address", "127.0.0.1:0"])
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "{}: {error}; build it with cargo build --workspace --bins",
                    program.display()
                )
            });
        Self { process, folder }
    }

    /// Ends the measurement when the process has ended, with what it logged last.
    pub(crate) fn is_there(&mut self) {
        if let Some(ended) = self.process.try_wait().unwrap() {
            panic!("the operator has ended ({ended}):\n{}", self.last_log());
        }
    }

    /// What it logged last.
    pub(crate) fn last_log(&self) -> String {
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    pub(crate) fn memory(&self) -> Memory {
        let status = self.read("status");
        let mebibytes = |field: &str| {
            let line = status.lines().find(|line| line.starts_with(field)).unwrap();
            let kibibytes: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
            kibibytes / 1024.0
        };
        Memory {
            resident: mebibytes("VmRSS:"),
            peak: mebibytes("VmHWM:"),
        }
    }

    /// Time that it has computed so far.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = Stat::of(self.process.id());
        stat.unwrap_or_else(|| panic!("the operator has ended:\n{}", self.last_log()))
            .computed
    }

    fn read(&self, file: &str) -> String {
        let path = format!("/proc/{}/{file}", self.process.id());
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}: the operator has ended"))
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _gone = self.process.wait();
    }
}

/// The operator's program, which Cargo puts one folder above its examples.
fn program() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    own.parent().unwrap().with_file_name("springtide-operator")
}
