//! A support bundle of a department that serves: what is in it for the central team and for a department's admin, and that no secret is.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use kube::{
    api::{Patch, PatchParams},
    config::Kubeconfig,
};
use serde_json::json;
use springtide_contract::drain::drain_key;
use springtide_e2e::process::run;

use crate::{
    department::{ADMIN_USER, Department, EFFECT_LIMIT, LAKE, shared},
    department_admin::shows_no_secret,
    scenario::Scenario,
};

/// A group that no other scenario has, without nodes.
const GROUP: &str = "reported";
/// What somebody wrote where it does not belong.
const PLANTED: &str = "Planted-7-where-it-does-not-belong";

#[tokio::test(flavor = "multi_thread")]
async fn a_report_tells_what_there_is_and_no_secret() {
    let scenario = Scenario::begin("a report tells what there is, and no secret");
    let department = shared(&scenario).await;
    department
        .with_own(&[], &[GROUP], async || {
            scenario
                .given("a group in which somebody wrote a password", async || {
                    department.group(GROUP, LAKE, json!({"replicas": 0})).await;
                    plant(&department).await;
                })
                .await;
            let folder = tempfile::tempdir().expect("a folder");
            let team = department.cluster.target.kubeconfig.clone().expect("a kubeconfig");
            let seen = scenario
                .when("the central team makes a report", async || {
                    report(&department, &team, &folder.path().join("team")).await
                })
                .await;
            scenario
                .and("it has all that there is, and no secret", async || {
                    of_the_central_team(&department, &seen);
                    is_clean(&department, &seen).await;
                })
                .await;
            let admin = admin(&team, folder.path());
            let seen = scenario
                .when("an admin makes a report", async || {
                    report(&department, &admin, &folder.path().join("admin")).await
                })
                .await;
            scenario
                .and("it has what is theirs, and no secret", async || {
                    of_an_admin(&department, &seen);
                    is_clean(&department, &seen).await;
                })
                .await;
        })
        .await;
}

async fn plant(department: &Department) {
    let annotations = json!({"metadata": {"annotations": {
        "example.com/db-password": PLANTED,
        "example.com/notes": format!("{{\"token\": \"{PLANTED}\"}}"),
        "example.com/url": format!("mysql://root:{PLANTED}@lake:9030"),
        "kubectl.kubernetes.io/last-applied-configuration": format!("{{\"a\": \"{PLANTED}\"}}"),
    }}});
    department
        .groups()
        .patch(GROUP, &PatchParams::default(), &Patch::Merge(annotations))
        .await
        .expect("annotate the group");
}

/// A kubeconfig with which the department's admin works.
fn admin(team: &Path, folder: &Path) -> PathBuf {
    let mut kubeconfig = Kubeconfig::read_from(team).expect("a kubeconfig");
    for user in kubeconfig
        .auth_infos
        .iter_mut()
        .filter_map(|user| user.auth_info.as_mut())
    {
        user.impersonate = Some(ADMIN_USER.to_owned());
    }
    let path = folder.join("admin.kubeconfig");
    std::fs::write(&path, serde_json::to_vec(&kubeconfig).expect("JSON")).expect("write a kubeconfig");
    path
}

/// Makes a report and unpacks it; gives its files by their paths.
async fn report(department: &Department, kubeconfig: &Path, folder: &Path) -> Vec<(String, String)> {
    std::fs::create_dir(folder).expect("make a folder");
    let archive = folder.with_extension("tar.gz");
    let plugin = department.cluster.places.programs().join("kubectl-springtide");
    let told = run(plugin, EFFECT_LIMIT)
        .args(["report", "--namespace", &department.name, "--output"])
        .arg(&archive)
        .env("KUBECONFIG", kubeconfig)
        .output()
        .await
        .expect("the plugin makes a report");
    assert!(told.contains("look through it before you give it to anybody"), "{told}");
    let mode = std::fs::metadata(&archive).expect("the report").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "the report is its owner's alone");
    run("tar", EFFECT_LIMIT)
        .args(["--extract", "--gzip", "--strip-components=1", "--file"])
        .arg(&archive)
        .arg("--directory")
        .arg(folder)
        .output()
        .await
        .expect("tar unpacks it");
    let mut files = Vec::new();
    read(folder, folder, &mut files);
    files
}

fn read(root: &Path, folder: &Path, files: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read(root, &path, files);
        } else {
            let name = path.strip_prefix(root).expect("it is below").display().to_string();
            files.push((name, std::fs::read_to_string(&path).expect("a text")));
        }
    }
}

#[track_caller]
fn text<'a>(seen: &'a [(String, String)], path: &str) -> &'a str {
    let paths: Vec<&str> = seen.iter().map(|(path, _)| path.as_str()).collect();
    let file = seen.iter().find(|(at, _)| at == path);
    &file.unwrap_or_else(|| panic!("{path} is not in {paths:#?}")).1
}

/// What both see.
fn of_the_namespace(department: &Department, seen: &[(String, String)]) {
    let name = &department.name;
    let file = |path: &str| text(seen, &format!("namespaces/{name}/{path}"));
    assert!(file("lakeclusters.yaml").contains("kind: LakeCluster"));
    assert!(file("computegroups.yaml").contains("name: reported"));
    assert!(file("pods.yaml").contains("name: lake-fe-0"));
    for kind in [
        "statefulsets",
        "controllerrevisions",
        "services",
        "configmaps",
        "persistentvolumeclaims",
        "poddisruptionbudgets",
        "networkpolicies",
        "resourcequotas",
        "namespaces",
    ] {
        assert!(!file(&format!("{kind}.yaml")).is_empty(), "{kind}");
    }
    assert!(file("logs/lake-fe-0/engine.log").contains("springtide"));
    let screen = text(seen, "status.txt");
    assert!(screen.contains(&format!("LakeCluster {name}/{LAKE}")), "{screen}");
    assert!(text(seen, "summary.md").starts_with(&format!("# Springtide report: namespace {name}")));
    for (path, text) in seen {
        assert!(!text.contains("managedFields:"), "{path}");
    }
}

fn of_the_central_team(department: &Department, seen: &[(String, String)]) {
    of_the_namespace(department, seen);
    assert!(text(seen, "cluster/nodes.yaml").contains("allocatable:"));
    assert!(text(seen, "cluster/departments.yaml").contains(&format!("name: {}", department.name)));
    assert!(text(seen, "cluster/customresourcedefinitions.yaml").contains("storedVersions:"));
    assert!(text(seen, "operator/deployments.yaml").contains("name: springtide"));
    let logs = seen.iter().filter(|(path, _)| path.starts_with("operator/logs/"));
    assert!(logs.count() > 0, "the operator's logs");
    let errors = text(seen, "errors.txt");
    assert!(!errors.contains("(403)"), "{errors}");
}

fn of_an_admin(department: &Department, seen: &[(String, String)]) {
    of_the_namespace(department, seen);
    let errors = text(seen, "errors.txt");
    for what in [
        "nodes: ",
        "departments: ",
        "deployments in namespace springtide-system: ",
    ] {
        assert!(errors.contains(what), "{what} is not in\n{errors}");
    }
    assert!(!seen.iter().any(|(path, _)| path.starts_with("operator/")), "{errors}");
}

/// No value of a Secret of the namespace, no key of a hook, and nothing of what was planted.
async fn is_clean(department: &Department, seen: &[(String, String)]) {
    let key = drain_key(&department.secret("lake-internal", "token").await);
    for (path, text) in seen {
        assert!(!text.contains(PLANTED), "{path} has what was planted");
        assert!(!text.contains(&key), "{path} has the key of the drain hook");
    }
    let pods = text(seen, &format!("namespaces/{}/pods.yaml", department.name));
    assert!(pods.contains("/drain/<redacted>"), "{pods}");
    shows_no_secret(department, seen).await;
}
