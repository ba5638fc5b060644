//! The Kubernetes that a run works on: the one that `make cluster-up` starts here, or another, named by a context.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

use crate::{
    Error, Result,
    images::Delivery,
    places::Places,
    process::{Run, run},
};

/// One call of `kubectl` that waits for nothing.
pub const KUBECTL_LIMIT: Duration = Duration::from_secs(60);
/// One connection to the API server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// One answer of the API server.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// How to reach a Kubernetes, and how images get there.
#[derive(Clone, Debug)]
pub struct Target {
    /// The kubeconfig to use; `None` is what `kubectl` itself would use.
    pub kubeconfig: Option<PathBuf>,
    /// The context in it; `None` is its current one.
    pub context: Option<String>,
    /// How images get to its nodes.
    pub delivery: Delivery,
    /// Folder with `kubectl` and `helm`, searched before `PATH`.
    programs: PathBuf,
}

impl Target {
    /// The Kubernetes on this machine.
    pub fn local(places: &Places) -> Self {
        Self {
            kubeconfig: Some(places.kubeconfig()),
            context: None,
            delivery: Delivery::LocalNodes,
            programs: places.cluster_programs(),
        }
    }

    /// Another Kubernetes, with `kubectl` and `helm` of this machine or, where it has none, of the folder `programs`.
    pub fn context(context: String, delivery: Delivery, programs: PathBuf) -> Self {
        Self {
            kubeconfig: None,
            context: Some(context),
            delivery,
            programs,
        }
    }

    /// Whether this is the Kubernetes that this program starts and stops.
    pub fn is_local(&self) -> bool {
        self.delivery == Delivery::LocalNodes
    }

    /// A client of its API server. Fails with what to do when there is none.
    pub async fn client(&self) -> Result<Client> {
        Client::try_from(self.config().await?).map_err(Error::kubernetes("make a client"))
    }

    /// How a client reaches its API server, and as whom.
    pub async fn config(&self) -> Result<Config> {
        // A process may only choose once; where a test chose before, the choice was the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let options = KubeConfigOptions {
            context: self.context.clone(),
            ..Default::default()
        };
        let mut config = match &self.kubeconfig {
            Some(path) if !path.is_file() => {
                return Err(Error::Missing(format!(
                    "no cluster: {} does not exist; run `make cluster-up`",
                    path.display()
                )));
            }
            Some(path) => Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &options).await?,
            None => Config::from_kubeconfig(&options).await?,
        };
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.read_timeout = Some(READ_TIMEOUT);
        Ok(config)
    }

    /// `kubectl` on this target.
    pub fn kubectl(&self, limit: Duration) -> Run {
        let kubectl = self.program("kubectl", limit);
        match &self.context {
            Some(context) => kubectl.args(["--context", context]),
            None => kubectl,
        }
    }

    /// `helm` on this target.
    pub fn helm(&self, limit: Duration) -> Run {
        let helm = self.program("helm", limit);
        match &self.context {
            Some(context) => helm.args(["--kube-context", context]),
            None => helm,
        }
    }

    fn program(&self, name: &str, limit: Duration) -> Run {
        let own = self.programs.join(name);
        let program: &Path = if own.is_file() { &own } else { Path::new(name) };
        let program = run(program, limit).env("PATH", self.path());
        match &self.kubeconfig {
            Some(path) => program.env("KUBECONFIG", path),
            None => program,
        }
    }

    fn path(&self) -> OsString {
        let mut path = OsString::from(&self.programs);
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        path
    }

    /// What a person types first to look at this target.
    pub fn shell_setup(&self) -> String {
        match (&self.kubeconfig, &self.context) {
            (Some(path), _) => format!(
                "export KUBECONFIG={} PATH={}:$PATH",
                path.display(),
                self.programs.display()
            ),
            (None, Some(context)) => format!("kubectl config use-context {context}"),
            (None, None) => "kubectl config current-context".into(),
        }
    }
}
