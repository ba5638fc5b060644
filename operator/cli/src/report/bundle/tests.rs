use std::io::Read;

use flate2::read::GzDecoder;
use serde_json::json;

use super::*;
use crate::report::{
    collected::{Listed, Unread},
    redact::Redaction,
};

fn at() -> DateTime<Utc> {
    "2026-11-23T08:30:00Z".parse().unwrap()
}

/// A pod with two logs, a node, and something that could not be read.
fn collected() -> Collected {
    let log = |container: &str, is_previous: bool, text: &str| Log {
        folder: Folder::Namespace("retail".to_owned()),
        pod: "lake-fe-0".to_owned(),
        container: container.to_owned(),
        is_previous,
        text: text.to_owned(),
    };
    Collected {
        scope: "namespace retail".to_owned(),
        at: at(),
        kubernetes: Some("v1.33.1 (linux/amd64)".to_owned()),
        listed: vec![
            Listed {
                folder: Folder::Namespace("retail".to_owned()),
                plural: "pods",
                objects: vec![
                    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "lake-fe-0"}, "password": "hunter2"}),
                    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "etl-cn-0"}}),
                ],
            },
            Listed {
                folder: Folder::Cluster,
                plural: "nodes",
                objects: vec![json!({"kind": "Node"})],
            },
            Listed {
                folder: Folder::Operator,
                plural: "services",
                objects: Vec::new(),
            },
        ],
        logs: vec![
            log("engine", false, "now token=hunter2\n"),
            log("engine", true, "before\n"),
        ],
        unread: vec![Unread {
            what: "leases".to_owned(),
            why: "forbidden\nto you, Bearer hunter2".to_owned(),
        }],
    }
}

fn made() -> Vec<File> {
    files(
        &Redacted::new(collected(), Redaction::default()),
        "a screen\n".to_owned(),
    )
}

/// What is in an archive: paths, modes and contents, as they follow one another.
fn unpacked(archive: &[u8]) -> Vec<(String, u32, String)> {
    let mut archive = tar::Archive::new(GzDecoder::new(archive));
    archive
        .entries()
        .unwrap()
        .map(|entry| {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().to_str().unwrap().to_owned();
            let mode = entry.header().mode().unwrap();
            assert_eq!(entry.header().mtime().unwrap(), 1_795_422_600);
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            (path, mode, text)
        })
        .collect()
}

#[test]
fn an_archive_has_one_folder_with_the_summary_first() {
    let archive = pack("report", &made(), at()).unwrap();
    let unpacked = unpacked(&archive);
    let paths: Vec<&str> = unpacked.iter().map(|(path, ..)| path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "report/summary.md",
            "report/status.txt",
            "report/errors.txt",
            "report/cluster/nodes.yaml",
            "report/cluster/version.txt",
            "report/namespaces/retail/logs/lake-fe-0/engine.log",
            "report/namespaces/retail/logs/lake-fe-0/engine.previous.log",
            "report/namespaces/retail/pods.yaml",
        ]
    );
    for (path, mode, text) in &unpacked {
        assert_eq!(*mode, 0o600, "{path}");
        assert!(!text.contains("hunter2"), "{path}: {text}");
    }
    let text = |path: &str| unpacked.iter().find(|(at, ..)| at == path).unwrap().2.clone();
    assert_eq!(text("report/status.txt"), "a screen\n");
    assert_eq!(
        text("report/errors.txt"),
        "leases: forbidden to you, Bearer <redacted>\n"
    );
    assert_eq!(text("report/cluster/version.txt"), "v1.33.1 (linux/amd64)\n");
    assert_eq!(
        text("report/namespaces/retail/logs/lake-fe-0/engine.log"),
        "now token=<redacted>\n"
    );
    assert_eq!(
        text("report/namespaces/retail/logs/lake-fe-0/engine.previous.log"),
        "before\n"
    );
    assert_eq!(
        text("report/namespaces/retail/pods.yaml"),
        "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: lake-fe-0\npassword: <redacted>\n\
         ---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: etl-cn-0\n"
    );
}

#[test]
fn a_report_of_which_everything_could_be_read_says_so() {
    let collected = Collected {
        unread: Vec::new(),
        ..collected()
    };
    assert!(errors(&collected).starts_with("everything"));
}

#[test]
fn names_say_what_of_and_when() {
    assert_eq!(name(Some("retail"), at()), "springtide-report-retail-20261123T083000Z");
    assert_eq!(name(None, at()), "springtide-report-all-20261123T083000Z");
}

#[test]
fn no_name_leads_out_of_the_folder() {
    assert_eq!(part(".."), "_..");
    assert_eq!(part("../../etc/passwd"), "_.._.._etc_passwd");
    assert_eq!(part(""), "_");
    assert_eq!(part("lake-fe-0"), "lake-fe-0");
    let mut collected = collected();
    collected.logs[0].pod = "../../x".to_owned();
    collected.listed[0].folder = Folder::Namespace("..".to_owned());
    let files = files(&Redacted::new(collected, Redaction::default()), String::new());
    let archive = pack("report", &files, at()).unwrap();
    for (path, ..) in unpacked(&archive) {
        assert!(
            path.starts_with("report/") && !path.split('/').any(|part| part == ".."),
            "{path}"
        );
    }
}

#[test]
fn long_names_are_kept_whole() {
    let path = format!("namespaces/{}/logs/{}/engine.log", "n".repeat(63), "p".repeat(200));
    let archive = pack("report", &[file(&path, "x".to_owned())], at()).unwrap();
    assert_eq!(unpacked(&archive)[0].0, format!("report/{path}"));
}

#[cfg(unix)]
#[test]
fn the_file_is_its_owners_alone_and_replaces_none() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.tar.gz");
    write(&path, b"archive").unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let again = write(&path, b"another").unwrap_err();
    assert_eq!(again.kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read(&path).unwrap(), b"archive");
}
