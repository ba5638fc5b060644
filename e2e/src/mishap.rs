//! What befalls pods without a warning, on the machine whose cluster this is: no hook is asked and nothing is waited for.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use crate::{Error, Result, places::Places};

/// Name of the volume that a compute node spills and caches on.
const LOCAL_VOLUME: &str = "local";

/// Ends the engine of a pod by SIGKILL. The kubelet starts it again in the same pod.
pub fn kill_engine(pod: &Pod) -> Result<()> {
    let engines = engines_of(&pod.uid().unwrap_or_default())?;
    if engines.is_empty() {
        return Err(Error::Missing(format!("an engine that runs in pod {}", pod.name_any())));
    }
    for engine in engines {
        run("sh", &["-c", "kill -KILL \"$0\"", &engine])?;
    }
    Ok(())
}

/// Fills the local volume of a compute node beyond its limit, which the kubelet answers within seconds by evicting the pod: as
/// under pressure of its node, with no time to end anything.
pub fn overfill(pod: &Pod) -> Result<()> {
    let uid = pod.uid().unwrap_or_default();
    let limit_bytes = local_volume_bytes(pod).ok_or_else(|| {
        Error::Missing(format!(
            "a volume {LOCAL_VOLUME} with a limit in pod {}",
            pod.name_any()
        ))
    })?;
    let volume = local_volume(&uid)?;
    let length = (limit_bytes + limit_bytes / 8).to_string();
    let file = volume.join("overfull").to_string_lossy().into_owned();
    run("fallocate", &["--length", &length, &file])
}

/// The engine's processes in the control groups of one pod.
fn engines_of(uid: &str) -> Result<Vec<String>> {
    let group = format!("pod{uid}");
    let is_engine = |process: &str| {
        // A process that ends meanwhile has neither file.
        let read = |file: &str| fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default();
        read("cgroup").contains(&group)
            && read("cmdline")
                .split('\0')
                .next()
                .is_some_and(|program| program.ends_with("/springtide-engine"))
    };
    Ok(entries(Path::new("/proc"))?
        .into_iter()
        .filter_map(|path| path.file_name()?.to_str().map(str::to_owned))
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .filter(|process| is_engine(process))
        .collect())
}

/// The folder behind the local volume, on whichever node of this machine the pod runs.
fn local_volume(uid: &str) -> Result<PathBuf> {
    let within = format!("kubelet/pods/{uid}/volumes/kubernetes.io~empty-dir/{LOCAL_VOLUME}");
    entries(&Places::find()?.cluster_state)?
        .into_iter()
        .map(|node| node.join(&within))
        .find(|volume| volume.is_dir())
        .ok_or_else(|| Error::Missing(format!("a folder {within} of a node")))
}

fn local_volume_bytes(pod: &Pod) -> Option<u64> {
    let volumes = pod.spec.as_ref()?.volumes.as_ref()?;
    let volume = volumes.iter().find(|volume| volume.name == LOCAL_VOLUME)?;
    let limit = volume.empty_dir.as_ref()?.size_limit.as_ref()?;
    let digits = limit.0.strip_suffix("Gi")?;
    digits.parse::<u64>().ok().map(|gibibytes| gibibytes << 30)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |source| Error::Io {
        doing: format!("list {}", folder.display()),
        source,
    };
    let entries = fs::read_dir(folder).map_err(failed)?;
    Ok(entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
}

fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let command = || format!("{program} {}", arguments.join(" "));
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|source| Error::Io {
            doing: command(),
            source,
        })?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Command {
        command: command(),
        status: output.status.to_string(),
        output: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
