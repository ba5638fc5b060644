//! Processes of pods, on the machine whose cluster this is: killed as a machine's failure kills them.

use std::{fs, process::Command};

use k8s_openapi::api::core::v1::Pod;

/// Ends the engine of a pod by SIGKILL: no hook, no signal that it could answer. The kubelet starts it again.
pub(crate) fn kill_engine(pod: &Pod) {
    let uid = pod.metadata.uid.as_deref().expect("a pod has an id");
    let engines = engines_of(uid);
    assert!(!engines.is_empty(), "no engine runs in pod {:?}", pod.metadata.name);
    for engine in engines {
        let killed = Command::new("sh").args(["-c", "kill -KILL \"$0\"", &engine]).status();
        assert!(killed.is_ok_and(|status| status.success()), "kill process {engine}");
    }
}

/// The engine's processes in the control groups of one pod.
fn engines_of(uid: &str) -> Vec<String> {
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
    fs::read_dir("/proc")
        .expect("read /proc")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .filter(|process| is_engine(process))
        .collect()
}
