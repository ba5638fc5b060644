#![allow(clippy::needless_pass_by_value, reason = "calls read better without a borrow")]

use clap::Parser;
use serde_json::{Value, json};

use super::{fake::ApiServer, *};
use crate::{Arguments, Command};

/// What no report shows.
const SECRET: &str = "Zq7-hunter2-7qZ";

fn options(arguments: &[&str]) -> Result<Options, clap::Error> {
    let arguments = ["kubectl-springtide", "report"].iter().chain(arguments);
    match Arguments::try_parse_from(arguments)?.command {
        Command::Report(options) => Ok(options),
        other => panic!("{other:?}"),
    }
}

fn wanted(namespace: Option<&str>, cluster: Option<&str>) -> Wanted {
    Wanted {
        namespace: namespace.map(str::to_owned),
        cluster: cluster.map(str::to_owned),
        operator_namespace: "springtide-system".to_owned(),
        logs: true,
        since: None,
        at: "2026-11-23T08:30:00Z".parse().unwrap(),
    }
}

async fn made(server: &ApiServer, wanted: &Wanted) -> Result<Vec<File>, CommandError> {
    let (_, files) = make(&server.client(), wanted, Redaction::default(), &|_| ()).await?;
    Ok(files)
}

#[track_caller]
fn text<'a>(files: &'a [File], path: &str) -> &'a str {
    let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let file = files.iter().find(|file| file.path == path);
    &file.unwrap_or_else(|| panic!("{path} is not in {paths:?}")).text
}

fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": type_, "status": status, "reason": reason, "message": message, "lastTransitionTime": "2026-11-23T07:00:00Z"})
}

fn lake(name: &str) -> Value {
    json!({
        "metadata": {
            "namespace": "retail", "name": name, "managedFields": [{"manager": SECRET}],
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": SECRET, "example.com/api-token": SECRET},
        },
        "spec": {"engine": {"version": "0.1.0"}, "storage": {
            "bucket": "retail", "prefix": "lake", "credentials": {"secretRef": {"name": "storage"}},
        }},
        "status": {"conditions": [condition("Available", "False", "StorageAccessDenied", &format!("s3: password={SECRET}"))]},
    })
}

fn pod(name: &str, component: &str, restarts: i32) -> Value {
    json!({
        "metadata": {"namespace": "retail", "name": name, "labels": {"app.kubernetes.io/component": component}},
        "spec": {"containers": [{
            "name": "engine",
            "env": [{"name": "DB_PASSWORD", "value": SECRET}],
            "lifecycle": {"preStop": {"httpGet": {"path": format!("/drain/{SECRET}")}}},
        }]},
        "status": {
            "phase": "Running",
            "containerStatuses": [{
                "name": "engine", "restartCount": restarts, "state": {"running": {}},
                "lastState": if restarts > 0 { json!({"terminated": {"reason": "OOMKilled", "exitCode": 137}}) } else { json!({}) },
            }],
        },
    })
}

fn group(name: &str, cluster: &str) -> Value {
    json!({"metadata": {"namespace": "retail", "name": name}, "spec": {"cluster": cluster, "replicas": 1}})
}

/// As a department's admin sees it: their namespace, and nothing else.
fn of_department() -> ApiServer {
    let springtide = "/apis/springtide.dev/v1alpha1/namespaces/retail";
    let core = "/api/v1/namespaces/retail";
    let log = |pod: &str| format!("{core}/pods/{pod}/log");
    let events = json!([{
        "metadata": {"namespace": "retail", "name": "e1"}, "type": "Warning", "reason": "FailedMount", "lastTimestamp": "2026-11-23T08:00:00Z",
        "message": format!("cannot mount: token={SECRET}"), "involvedObject": {"kind": "Pod", "name": "lake-fe-0"},
    }]);
    let line = json!({"level": "WARN", "fields": {"message": format!("CREATE USER a IDENTIFIED BY '{SECRET}'")}});
    ApiServer::new()
        .object(core, json!({"metadata": {"name": "retail"}}))
        .list(
            &format!("{springtide}/lakeclusters"),
            json!([lake("lake"), lake("other")]),
        )
        .list(
            &format!("{springtide}/computegroups"),
            json!([group("etl", "lake"), group("bi", "other")]),
        )
        .list(
            &format!("{core}/pods"),
            json!([pod("etl-cn-0", "compute", 0), pod("lake-fe-0", "frontend", 2)]),
        )
        .list(&format!("{core}/events"), events)
        .answer(
            &log("lake-fe-0"),
            "previous=true",
            format!("ends: Bearer {SECRET}\n").into_bytes(),
        )
        .answer(&log("lake-fe-0"), "container=engine", format!("{line}\n").into_bytes())
        .answer(&log("etl-cn-0"), "container=engine", b"started \xff\n".to_vec())
}

#[test]
fn arguments_are_those_of_kubectl() {
    let options = options(&[]).unwrap();
    assert_eq!(options.operator_namespace, "springtide-system");
    assert!(!options.all_namespaces && !options.no_logs && !options.keep_sql_literals);
    assert_eq!((options.cluster, options.output, options.since), (None, None, None));
    let options = self::options(&[
        "lake",
        "-n",
        "retail",
        "--context",
        "prod",
        "--output",
        "x.tar.gz",
        "--since",
        "1h30m",
        "--no-logs",
        "--keep-sql-literals",
        "--operator-namespace",
        "platform",
    ])
    .unwrap();
    assert_eq!(options.cluster.as_deref(), Some("lake"));
    assert_eq!(options.place.namespace.as_deref(), Some("retail"));
    assert_eq!(options.place.context.as_deref(), Some("prod"));
    assert_eq!(options.output, Some(PathBuf::from("x.tar.gz")));
    assert_eq!(options.since, Some(Duration::from_secs(5400)));
    assert!(options.no_logs && options.keep_sql_literals);
    assert_eq!(options.operator_namespace, "platform");
    assert!(self::options(&["-A"]).unwrap().all_namespaces);
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    for (arguments, says) in [
        (&["-A", "-n", "retail"][..], "cannot be used with"),
        (&["--since", "yesterday"][..], "8h30m"),
        (&["--since", "0s"][..], "no log is that new"),
        (&["a", "b"][..], "unexpected argument"),
    ] {
        let error = options(arguments).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[tokio::test]
async fn an_admin_of_a_department_gets_what_is_theirs_without_its_secrets() {
    let server = of_department();
    let files = made(&server, &wanted(Some("retail"), None)).await.unwrap();
    for file in &files {
        assert!(!file.text.contains("hunter2"), "{}:\n{}", file.path, file.text);
    }
    let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "summary.md",
            "status.txt",
            "errors.txt",
            "cluster/version.txt",
            "namespaces/retail/computegroups.yaml",
            "namespaces/retail/events.yaml",
            "namespaces/retail/lakeclusters.yaml",
            "namespaces/retail/logs/etl-cn-0/engine.log",
            "namespaces/retail/logs/lake-fe-0/engine.log",
            "namespaces/retail/logs/lake-fe-0/engine.previous.log",
            "namespaces/retail/namespaces.yaml",
            "namespaces/retail/pods.yaml",
        ]
    );
    let summary = text(&files, "summary.md");
    assert!(
        summary.contains("- LakeCluster retail/lake: Available is False, StorageAccessDenied: s3: password=<redacted>"),
        "{summary}"
    );
    assert!(
        summary.contains("was restarted 2 times; it ended at ? with 137, OOMKilled"),
        "{summary}"
    );
    assert!(
        summary.contains("FailedMount: cannot mount: token=<redacted>"),
        "{summary}"
    );
    assert!(text(&files, "status.txt").contains("LakeCluster retail/lake  NOT available (StorageAccessDenied)"));
    assert!(text(&files, "errors.txt").contains("nodes: you may not read /api/v1/nodes (403)"));
    assert_eq!(
        text(&files, "namespaces/retail/logs/lake-fe-0/engine.log"),
        "{\"fields\":{\"message\":\"CREATE USER a IDENTIFIED BY <redacted>\"},\"level\":\"WARN\"}\n"
    );
    assert_eq!(
        text(&files, "namespaces/retail/logs/etl-cn-0/engine.log"),
        "started \u{fffd}\n"
    );
    let pods = text(&files, "namespaces/retail/pods.yaml");
    assert!(
        pods.contains("path: /drain/<redacted>") && pods.contains("kind: Pod"),
        "{pods}"
    );
    let clusters = text(&files, "namespaces/retail/lakeclusters.yaml");
    assert!(
        clusters.contains("secretRef") && !clusters.contains("managedFields"),
        "{clusters}"
    );
}

#[tokio::test]
async fn no_secret_is_asked_for_and_nothing_but_read() {
    let server = of_department();
    made(&server, &wanted(Some("retail"), None)).await.unwrap();
    let asked = server.asked();
    assert!(asked.len() > 20, "{asked:#?}");
    for request in asked {
        assert!(
            request.starts_with("GET ") && !request.contains("/secrets"),
            "{request}"
        );
    }
}

#[tokio::test]
async fn of_one_cluster_there_is_only_what_belongs_to_it() {
    let server = of_department();
    let files = made(&server, &wanted(Some("retail"), Some("lake"))).await.unwrap();
    assert!(!text(&files, "namespaces/retail/lakeclusters.yaml").contains("name: other"));
    let groups = text(&files, "namespaces/retail/computegroups.yaml");
    assert!(groups.contains("name: etl") && !groups.contains("name: bi"), "{groups}");
    let pods: Vec<String> = server
        .asked()
        .into_iter()
        .filter(|asked| asked.contains("/pods?"))
        .collect();
    assert!(
        pods.iter()
            .any(|asked| asked.contains("labelSelector=springtide.dev%2Fcluster%3Dlake")),
        "{pods:?}"
    );
    for scope in [Some("retail"), None] {
        let error = made(&server, &wanted(scope, Some("lakes"))).await.unwrap_err();
        assert!(
            error.to_string().starts_with("there is no LakeCluster \"lakes\""),
            "{error}"
        );
    }
}

#[tokio::test]
async fn without_logs_none_is_read_and_since_is_told() {
    let server = of_department();
    let without = Wanted {
        logs: false,
        ..wanted(Some("retail"), None)
    };
    let files = made(&server, &without).await.unwrap();
    assert!(!files.iter().any(|file| file.path.ends_with(".log")));
    assert!(!server.asked().iter().any(|asked| asked.contains("/log?")));
    let recent = Wanted {
        since: Some(Duration::from_secs(3600)),
        ..wanted(Some("retail"), None)
    };
    made(&server, &recent).await.unwrap();
    let logs: Vec<String> = server
        .asked()
        .into_iter()
        .filter(|asked| asked.contains("/log?"))
        .collect();
    assert!(
        !logs.is_empty() && logs.iter().all(|asked| asked.contains("sinceSeconds=3600")),
        "{logs:?}"
    );
}

#[tokio::test]
async fn the_central_team_gets_all_namespaces_the_nodes_and_the_operator() {
    let system = "/apis/apps/v1/namespaces/springtide-system";
    let deployment = json!({
        "metadata": {"namespace": "springtide-system", "name": "springtide", "labels": {"app.kubernetes.io/version": "0.1.0"}},
        "spec": {"template": {"spec": {"containers": [{"image": "springtide.dev/operator:0.1.0"}]}}},
        "status": {"conditions": [condition("Available", "False", "MinimumReplicasUnavailable", "no pod")]},
    });
    let node = json!({
        "metadata": {"name": "n1", "labels": {"topology.kubernetes.io/zone": "a", "example.com/owner": "smith"}},
        "spec": {"podCIDR": "10.0.0.0/24"},
        "status": {"conditions": [condition("Ready", "True", "KubeletReady", ""), condition("DiskPressure", "True", "Full", "no room")],
            "capacity": {"cpu": "4"}, "allocatable": {"cpu": "4"}, "images": [{"names": ["x"]}]},
    });
    let department = json!({"metadata": {"name": "bank"}, "spec": {"namespaces": [{"name": "bank"}]}});
    let operator = json!([pod("springtide-1", "operator", 0)]);
    let server = of_department()
        .list("/apis/springtide.dev/v1alpha1/departments", json!([department]))
        .list("/apis/springtide.dev/v1alpha1/lakeclusters", json!([lake("lake")]))
        .list(
            "/apis/springtide.dev/v1alpha1/computegroups",
            json!([group("etl", "lake")]),
        )
        .list("/api/v1/nodes", json!([node]))
        .list(&format!("{system}/deployments"), json!([deployment]))
        .list("/api/v1/namespaces/springtide-system/pods", operator)
        .answer(
            "/api/v1/namespaces/springtide-system/pods/springtide-1/log",
            "",
            b"leads\n".to_vec(),
        )
        .object("/api/v1/namespaces/bank", json!({"metadata": {"name": "bank"}}));
    let files = made(&server, &wanted(None, None)).await.unwrap();
    let nodes = text(&files, "cluster/nodes.yaml");
    assert!(
        nodes.contains("topology.kubernetes.io/zone: a") && nodes.contains("cpu: '4'"),
        "{nodes}"
    );
    assert!(
        !nodes.contains("smith") && !nodes.contains("podCIDR") && !nodes.contains("images"),
        "{nodes}"
    );
    assert_eq!(text(&files, "operator/logs/springtide-1/engine.log"), "leads\n");
    assert!(text(&files, "namespaces/bank/namespaces.yaml").contains("name: bank"));
    assert!(text(&files, "namespaces/retail/pods.yaml").contains("name: lake-fe-0"));
    let summary = text(&files, "summary.md");
    for says in [
        "operator 0.1.0 (springtide.dev/operator:0.1.0), Kubernetes v1.33.1 (linux/amd64)",
        "- Deployment springtide-system/springtide: Available is False, MinimumReplicasUnavailable: no pod",
        "- Node n1: DiskPressure is True, Full: no room",
    ] {
        assert!(summary.contains(says), "{says} is not in\n{summary}");
    }
}

#[tokio::test]
async fn an_api_server_that_knows_nobody_ends_it() {
    let status = json!({"kind": "Status", "status": "Failure", "reason": "Unauthorized", "code": 401, "message": "Unauthorized"});
    let service = tower::service_fn(move |_: http::Request<kube::client::Body>| {
        let body = kube::client::Body::from(status.to_string().into_bytes());
        let response = http::Response::builder().status(401).body(body).unwrap();
        async move { Ok::<_, std::convert::Infallible>(response) }
    });
    let client = Client::new(service, "default");
    let error = make(&client, &wanted(Some("retail"), None), Redaction::default(), &|_| ())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("the version of Kubernetes"), "{error}");
}

#[test]
fn at_the_end_a_person_is_told_what_is_in_it_and_to_look() {
    let collected = Collected {
        scope: "namespace retail".to_owned(),
        unread: vec![collected::Unread {
            what: "nodes".to_owned(),
            why: "forbidden".to_owned(),
        }],
        listed: vec![collected::Listed {
            folder: collected::Folder::Namespace("retail".to_owned()),
            plural: "pods",
            objects: vec![json!({}), json!({})],
        }],
        ..Collected::default()
    };
    let file = File {
        path: "summary.md".to_owned(),
        text: String::new(),
    };
    assert_eq!(
        told(Path::new("r.tar.gz"), "r", 2500, &[file], &collected),
        "r.tar.gz: 3 KiB, 1 files\n  status.txt: what `kubectl springtide status` shows\n  namespaces/retail: 2 pods\n1 thing could not \
         be read: errors.txt says which, and why\nNo Secret was read, and what looks like a password, token or key was taken out. Names, \
         addresses and settings are in it: look through it before you give it to anybody.\nWhat is wrong: tar -xzOf r.tar.gz r/summary.md\n"
    );
}
