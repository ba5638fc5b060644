//! The ports by which the processes of a cluster speak to each other, as a pod of another namespace finds them: reachable,
//! since no network policy is enforced here, and closed to whoever has not the cluster's token.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{LogParams, PostParams},
};
use serde_json::{Value, json};
use springtide_contract::{drain, ports};
use springtide_e2e::{Error, sql::Session};

use crate::{
    department::{Department, EFFECT_LIMIT, GROUP, LAKE, shared},
    harness::with_temp_namespace,
    scenario::Scenario,
};

const WRONG: &str = "-H 'authorization: Bearer 0123456789abcdef0123456789abcdef'";
const RIGHT: &str = "-H \"authorization: Bearer $TOKEN\"";
const JSON: &str = "-X POST -H 'content-type: application/json' -d '{}'";
/// A gRPC call of no method: whether the caller may call is said before whether there is one.
const GRPC: &str = "--http2-prior-knowledge -X POST -H 'content-type: application/grpc' -H 'te: trailers'";

/// A call of a port, and the answer: HTTP's status, then gRPC's where there is one.
struct Call {
    what: &'static str,
    curl: String,
    answer: &'static str,
}

#[tokio::test(flavor = "multi_thread")]
async fn internal_ports_refuse_a_pod_of_another_namespace() {
    let scenario = Scenario::begin("internal ports refuse a pod of another namespace");
    let department = shared(&scenario).await;
    let calls = calls(&department);
    let expected: BTreeMap<&str, &str> = calls.iter().map(|call| (call.what, call.answer)).collect();
    assert_eq!(expected.len(), calls.len(), "each call has a name of its own");
    with_temp_namespace(&department.cluster, "stranger", async |namespace| {
        let token = department.secret("lake-internal", "token").await;
        let pods: Api<Pod> = Api::namespaced(department.cluster.client.clone(), namespace);
        let stranger: Pod = serde_json::from_value(stranger(&script(&calls), &token)).expect("a pod");
        scenario
            .when("a pod of another namespace calls every port", async || {
                pods.create(&PostParams::default(), &stranger).await.expect("create");
            })
            .await;
        scenario
            .then("it has made its calls", EFFECT_LIMIT, async || {
                let status = pods.get("stranger").await.expect("get").status.unwrap_or_default();
                match status.phase.as_deref() {
                    Some("Succeeded") => Ok(()),
                    _ => Err(serde_json::to_string(&status.container_statuses).unwrap_or_default()),
                }
            })
            .await;
        scenario
            .and("each has the answer that a stranger gets", async || {
                let log = pods.logs("stranger", &LogParams::default()).await.expect("its log");
                let found: BTreeMap<&str, &str> = log
                    .lines()
                    .filter_map(|line| line.trim_end().split_once(": "))
                    .collect();
                assert_eq!(found, expected);
            })
            .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_logs_in_without_the_right_password() {
    let scenario = Scenario::begin("nobody logs in without the right password");
    let department = shared(&scenario).await;
    let login = department.login(LAKE).await;
    scenario
        .and("each login is refused", async || {
            for (user, password) in [
                ("", ""),
                ("root", ""),
                (login.account.user.as_str(), ""),
                (login.account.user.as_str(), "wrong"),
                ("nobody", "wrong"),
            ] {
                let refused = Session::open(&login.door, user, password).await.expect_err("a login");
                let Error::Sql { source, .. } = &refused else {
                    panic!("{user}: {refused}");
                };
                let mysql_async::Error::Server(answer) = source.as_ref() else {
                    panic!("{user}: {refused}");
                };
                assert_eq!(answer.code, 1045, "{user}: {refused}");
            }
        })
        .await;
}

fn calls(department: &Department) -> Vec<Call> {
    let domain = format!("{}.svc.cluster.local", department.name);
    let frontend = format!("{LAKE}-fe-0.{LAKE}-fe-pods.{domain}");
    let compute = format!("{GROUP}-cn-0.{GROUP}-cn.{domain}");
    let call = |what, options: &[&str], host: &str, port: u16, path: &str, answer| Call {
        what,
        curl: format!("{} http://{host}:{port}{path}", options.join(" ")),
        answer,
    };
    let hook = format!("/drain/{}", "0".repeat(64));
    vec![
        call(
            "fe health, for everybody",
            &[],
            &frontend,
            ports::FE_HTTP,
            "/api/health",
            "200",
        ),
        call(
            "fe stream load, nobody",
            &["-X PUT -d 1"],
            &frontend,
            ports::FE_HTTP,
            "/api/d/t/_stream_load",
            "401",
        ),
        call(
            "fe rpc begin",
            &[JSON],
            &frontend,
            ports::FE_RPC,
            "/internal/v1/load/begin",
            "401",
        ),
        call(
            "fe rpc commit",
            &[JSON],
            &frontend,
            ports::FE_RPC,
            "/internal/v1/load/commit",
            "401",
        ),
        call(
            "fe rpc abort",
            &[JSON],
            &frontend,
            ports::FE_RPC,
            "/internal/v1/load/abort",
            "401",
        ),
        call(
            "fe rpc, wrong token",
            &[JSON, WRONG],
            &frontend,
            ports::FE_RPC,
            "/internal/v1/load/begin",
            "401",
        ),
        call(
            "fe rpc, right token",
            &[JSON, RIGHT],
            &frontend,
            ports::FE_RPC,
            "/internal/v1/load/begin",
            "422",
        ),
        call(
            "fe edit log, nobody listens",
            &[],
            &frontend,
            ports::FE_EDIT_LOG,
            "/",
            "000",
        ),
        call(
            "cn health, for everybody",
            &[],
            &compute,
            ports::CN_HTTP,
            "/api/health",
            "200",
        ),
        call(
            "cn stream load, nobody",
            &["-X PUT -d 1"],
            &compute,
            ports::CN_HTTP,
            "/api/d/t/_stream_load",
            "401",
        ),
        call(
            "cn http has no internal path",
            &[JSON],
            &compute,
            ports::CN_HTTP,
            "/internal/v1/heartbeat",
            "404",
        ),
        call(
            "cn heartbeat",
            &[JSON],
            &compute,
            ports::CN_HEARTBEAT,
            "/internal/v1/heartbeat",
            "401",
        ),
        call(
            "cn ingest",
            &[JSON],
            &compute,
            ports::CN_HEARTBEAT,
            "/internal/v1/ingest",
            "401",
        ),
        call(
            "cn drain",
            &[JSON],
            &compute,
            ports::CN_HEARTBEAT,
            drain::DRAIN_PATH,
            "401",
        ),
        call(
            "cn undrain",
            &[JSON],
            &compute,
            ports::CN_HEARTBEAT,
            drain::UNDRAIN_PATH,
            "401",
        ),
        call(
            "cn status",
            &[],
            &compute,
            ports::CN_HEARTBEAT,
            drain::STATUS_PATH,
            "401",
        ),
        call(
            "cn status, wrong token",
            &[WRONG],
            &compute,
            ports::CN_HEARTBEAT,
            drain::STATUS_PATH,
            "401",
        ),
        call(
            "cn status, right token",
            &[RIGHT],
            &compute,
            ports::CN_HEARTBEAT,
            drain::STATUS_PATH,
            "200",
        ),
        call("cn worker", &[GRPC], &compute, ports::CN_WORKER, "/a.b/C", "200 16"),
        call(
            "cn worker, wrong token",
            &[GRPC, WRONG],
            &compute,
            ports::CN_WORKER,
            "/a.b/C",
            "200 16",
        ),
        call(
            "cn worker, right token",
            &[GRPC, RIGHT],
            &compute,
            ports::CN_WORKER,
            "/a.b/C",
            "200 12",
        ),
        call(
            "cn drain hook, wrong key",
            &[],
            &compute,
            ports::SIDECAR_DRAIN,
            &hook,
            "403",
        ),
    ]
}

/// One line of output for each call.
fn script(calls: &[Call]) -> String {
    let mut script = String::new();
    for Call { what, curl, .. } in calls {
        let _ = writeln!(
            script,
            "answer=$(curl -s -m 10 -o /dev/null -w '%{{http_code}} %header{{grpc-status}}' {curl}); echo \"{what}: \"$answer"
        );
    }
    script
}

/// A pod that runs the machine's own bash and curl: the images of the product hold no client.
fn stranger(script: &str, token: &str) -> Value {
    let mut mounts = vec![
        json!({"name": "machine", "mountPath": "/usr", "readOnly": true}),
        json!({"name": "machine", "mountPath": "/lib", "subPath": "lib", "readOnly": true}),
    ];
    if Path::new("/usr/lib64").is_dir() {
        mounts.push(json!({"name": "machine", "mountPath": "/lib64", "subPath": "lib64", "readOnly": true}));
    }
    json!({
        "metadata": {"name": "stranger"},
        "spec": {
            "restartPolicy": "Never",
            "containers": [{
                "name": "main", "image": "kubernetes.local/pause:1", "imagePullPolicy": "Never",
                "command": ["/usr/bin/bash", "-c", script],
                "env": [{"name": "PATH", "value": "/usr/bin"}, {"name": "TOKEN", "value": token}],
                "volumeMounts": mounts,
            }],
            "volumes": [{"name": "machine", "hostPath": {"path": "/usr", "type": "Directory"}}],
        },
    })
}
