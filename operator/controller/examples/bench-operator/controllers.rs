//! The controllers of Kubernetes, held to the number of requests that theirs are held to where nobody says otherwise.

use std::process::{Child, Command, Stdio};

use crate::{
    api_server::{Identity, api_server, binary},
    programs::{descendants, program},
};

/// What `kube-controller-manager` asks the API server for in a second at most, unless it is told otherwise.
const REQUESTS_PER_SECOND: u32 = 20;
const BURST: u32 = 30;

/// They end with this.
pub(crate) struct Controllers {
    process: Child,
    _folder: tempfile::TempDir,
}

impl Controllers {
    /// Takes the place of those that the tests start, which may ask for as much as they like.
    pub(crate) fn at_their_limits() -> Self {
        let is_one = |process: &u32| program(*process).as_deref() == Some("kube-controller-manager");
        let before = descendants(std::process::id()).into_iter().find(is_one);
        let before = before.expect("the tests' API server has controllers");
        let killed = Command::new("kill").arg(before.to_string()).status().unwrap();
        assert!(killed.success(), "the controllers do not end");
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        std::fs::write(&kubeconfig, api_server().kubeconfig_of(Identity::Everything)).unwrap();
        let process = Command::new(binary())
            .arg("kube-controller-manager")
            .arg(format!("--kubeconfig={}", kubeconfig.display()))
            .args(["--bind-address=127.0.0.1", "--secure-port=0", "--leader-elect=false"])
            .arg("--controllers=statefulset-controller,garbage-collector-controller,namespace-controller,resourcequota-controller")
            .arg(format!("--kube-api-qps={REQUESTS_PER_SECOND}"))
            .arg(format!("--kube-api-burst={BURST}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            process,
            _folder: folder,
        }
    }
}

impl Drop for Controllers {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _gone = self.process.wait();
    }
}
