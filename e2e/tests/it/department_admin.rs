//! What a department's administrators may do, as the API server sees them; and that no way of theirs leads to a Secret.

use http::{Method, Request};
use k8s_openapi::api::core::v1::{Event, Pod, Secret};
use kube::{
    Api, Client, ResourceExt,
    api::{DynamicObject, ListParams, LogParams, Patch, PatchParams, PostParams},
    discovery::{Discovery, Scope, verbs},
};
use serde_json::{Value, json};
use springtide_crds::{Calendar, ComputeGroup, LakeCluster};

use crate::{
    department::{ADMIN_GROUP, ADMIN_USER, Department, EFFECT_LIMIT, GROUP, LAKE, manager, names, shared},
    scenario::Scenario,
};

/// What they may not do. `NS` is their namespace.
const FORBIDDEN: &[(&str, &str)] = &[
    ("GET", "/api/v1/namespaces/NS/secrets"),
    ("GET", "/api/v1/namespaces/NS/secrets?watch=1&timeoutSeconds=1"),
    ("GET", "/api/v1/namespaces/NS/secrets/lake-admin"),
    ("GET", "/api/v1/namespaces/NS/secrets/storage"),
    ("POST", "/api/v1/namespaces/NS/secrets"),
    ("PATCH", "/api/v1/namespaces/NS/secrets/lake-admin"),
    ("DELETE", "/api/v1/namespaces/NS/secrets/lake-admin"),
    ("GET", "/api/v1/secrets"),
    // Whoever makes a pod, changes one, enters one or speaks through one reads what is mounted into it.
    ("POST", "/api/v1/namespaces/NS/pods"),
    ("DELETE", "/api/v1/namespaces/NS/pods/lake-fe-0"),
    ("PATCH", "/api/v1/namespaces/NS/pods/lake-fe-0"),
    ("PATCH", "/api/v1/namespaces/NS/pods/lake-fe-0/ephemeralcontainers"),
    ("POST", "/api/v1/namespaces/NS/pods/lake-fe-0/eviction"),
    ("GET", "/api/v1/namespaces/NS/pods/lake-fe-0/exec?command=cat&stdout=1"),
    ("POST", "/api/v1/namespaces/NS/pods/lake-fe-0/exec?command=cat&stdout=1"),
    ("POST", "/api/v1/namespaces/NS/pods/lake-fe-0/attach?stdout=1"),
    ("POST", "/api/v1/namespaces/NS/pods/lake-fe-0/portforward?ports=9030"),
    ("GET", "/api/v1/namespaces/NS/pods/lake-fe-0:8030/proxy/metrics"),
    ("GET", "/api/v1/namespaces/NS/services/lake:8030/proxy/metrics"),
    ("POST", "/api/v1/namespaces/NS/serviceaccounts/lake-engine/token"),
    ("POST", "/api/v1/namespaces/NS/serviceaccounts"),
    ("POST", "/api/v1/namespaces/NS/configmaps"),
    ("PATCH", "/api/v1/namespaces/NS/configmaps/lake-engine"),
    ("POST", "/api/v1/namespaces/NS/replicationcontrollers"),
    ("POST", "/apis/apps/v1/namespaces/NS/statefulsets"),
    ("PATCH", "/apis/apps/v1/namespaces/NS/statefulsets/lake-fe"),
    ("PATCH", "/apis/apps/v1/namespaces/NS/statefulsets/lake-fe/scale"),
    ("DELETE", "/apis/apps/v1/namespaces/NS/statefulsets/lake-fe"),
    ("POST", "/apis/apps/v1/namespaces/NS/deployments"),
    ("POST", "/apis/apps/v1/namespaces/NS/daemonsets"),
    ("POST", "/apis/apps/v1/namespaces/NS/replicasets"),
    ("POST", "/apis/batch/v1/namespaces/NS/jobs"),
    ("POST", "/apis/batch/v1/namespaces/NS/cronjobs"),
    ("POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/NS/roles"),
    ("POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/NS/rolebindings"),
    ("POST", "/apis/springtide.dev/v1alpha1/namespaces/NS/lakeclusters"),
    ("PATCH", "/apis/springtide.dev/v1alpha1/namespaces/NS/lakeclusters/lake"),
    (
        "PATCH",
        "/apis/springtide.dev/v1alpha1/namespaces/NS/lakeclusters/lake/status",
    ),
    (
        "DELETE",
        "/apis/springtide.dev/v1alpha1/namespaces/NS/lakeclusters/lake",
    ),
    (
        "PATCH",
        "/apis/springtide.dev/v1alpha1/namespaces/NS/computegroups/main/status",
    ),
    ("POST", "/apis/springtide.dev/v1alpha1/namespaces/NS/calendars"),
    ("DELETE", "/apis/springtide.dev/v1alpha1/namespaces/NS/calendars/bank"),
    ("PATCH", "/apis/springtide.dev/v1alpha1/departments/NS"),
    ("PATCH", "/api/v1/namespaces/NS"),
    ("DELETE", "/api/v1/namespaces/NS"),
    ("GET", "/api/v1/nodes"),
    // Others' namespaces.
    ("GET", "/api/v1/namespaces/springtide-system/pods"),
    ("GET", "/api/v1/namespaces/springtide-storage/secrets"),
    ("GET", "/apis/springtide.dev/v1alpha1/computegroups"),
];

/// Keys of Secrets that hold names, which are no secrets.
const NAME_KEYS: &[&str] = &["username", "access-key-id"];

#[tokio::test(flavor = "multi_thread")]
async fn a_department_admin_reads_no_secret() {
    let scenario = Scenario::begin("an admin of a department reads no Secret");
    let department = shared(&scenario).await;
    department
        .with_own(&[], &["by-admin"], async || {
            let admin = client_as(&department, "it-anybody", &[ADMIN_GROUP]).await;
            scenario
                .and("an admin is forbidden what leads to a Secret", async || {
                    forbidden(&department, &admin).await;
                })
                .await;
            scenario
                .and("reads what is theirs, and scales groups", async || {
                    may_scale(&department, &admin).await;
                })
                .await;
            scenario
                .when("the admin makes a group with every field that there is", async || {
                    make_a_group(&department, &admin).await;
                })
                .await;
            scenario
                .then("its node serves", EFFECT_LIMIT, async || {
                    department.serving("by-admin", 1).await
                })
                .await;
            scenario
                .and("nothing that the admin can get shows a Secret", async || {
                    let pods = pods_that_they_caused(&department, &admin).await;
                    let seen = everything(&department, &admin, &pods).await;
                    shows_no_secret(&department, &seen).await;
                })
                .await;
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_is_known_by_user_or_group_and_nobody_else_is_let_in() {
    let scenario = Scenario::begin("an admin is known by user or group, and nobody else is let in");
    let department = shared(&scenario).await;
    scenario
        .and("an admin by user reads groups", async || {
            let admin = client_as(&department, ADMIN_USER, &[]).await;
            let groups: Api<ComputeGroup> = Api::namespaced(admin, &department.name);
            groups.get(GROUP).await.expect("an admin by user reads groups");
        })
        .await;
    scenario
        .and("a stranger reads nothing", async || {
            let stranger = client_as(&department, "it-mallory", &["it-other-admins"]).await;
            for path in [
                "/apis/springtide.dev/v1alpha1/namespaces/NS/computegroups",
                "/api/v1/namespaces/NS/pods",
            ] {
                let code = status_of(&department, &stranger, "GET", path).await;
                assert_eq!(code, 403, "a stranger's GET {path}");
            }
        })
        .await;
}

/// A client of the API server as another user: what an authenticating proxy would make of their login.
async fn client_as(department: &Department, user: &str, groups: &[&str]) -> Client {
    let mut config = department.cluster.target.config().await.expect("a kubeconfig");
    config.auth_info.impersonate = Some(user.to_owned());
    config.auth_info.impersonate_groups = Some(groups.iter().map(|group| (*group).to_owned()).collect());
    Client::try_from(config).expect("a client")
}

async fn forbidden(department: &Department, admin: &Client) {
    let mut allowed = Vec::new();
    for (method, path) in FORBIDDEN {
        let code = status_of(department, admin, method, path).await;
        if code != 403 {
            allowed.push(format!("{method} {path}: {code}"));
        }
    }
    assert!(allowed.is_empty(), "an admin may:\n{}", allowed.join("\n"));
}

/// The API server's answer to a call with an empty object.
async fn status_of(department: &Department, client: &Client, method: &str, path: &str) -> u16 {
    let kind = match method {
        "PATCH" => "application/merge-patch+json",
        _ => "application/json",
    };
    let body = if method == "GET" { Vec::new() } else { b"{}".to_vec() };
    let request = Request::builder()
        .method(Method::from_bytes(method.as_bytes()).expect("a method"))
        .uri(path.replace("NS", &department.name))
        .header("content-type", kind)
        .body(body)
        .expect("a request");
    match client.request_text(request).await {
        Ok(_) => 200,
        Err(kube::Error::Api(status)) => status.code,
        Err(error) => panic!("{method} {path}: {error}"),
    }
}

/// They read what is theirs, and change and scale groups.
async fn may_scale(department: &Department, admin: &Client) {
    let namespace = &department.name;
    let pods: Api<Pod> = Api::namespaced(admin.clone(), namespace);
    let events: Api<Event> = Api::namespaced(admin.clone(), namespace);
    let lakes: Api<LakeCluster> = Api::namespaced(admin.clone(), namespace);
    let groups: Api<ComputeGroup> = Api::namespaced(admin.clone(), namespace);
    let listed = pods.list(&ListParams::default()).await.expect("list pods");
    assert!(names(&listed.items).contains(&"lake-fe-0".to_owned()));
    events.list(&ListParams::default()).await.expect("list events");
    lakes.get(LAKE).await.expect("get the cluster");
    groups.list(&ListParams::default()).await.expect("list groups");
    let scale = groups.get_scale(GROUP).await.expect("get the scale");
    let same = scale.spec.and_then(|spec| spec.replicas).expect("replicas");
    let patch = Patch::Merge(json!({"spec": {"replicas": same}}));
    groups
        .patch_scale(GROUP, &PatchParams::default(), &patch)
        .await
        .expect("scale a group");
    groups
        .patch(GROUP, &PatchParams::default(), &patch)
        .await
        .expect("change a group");
}

/// A group in which the admin has set every field that there is, and some that there are not.
async fn make_a_group(department: &Department, admin: &Client) {
    let groups: Api<ComputeGroup> = Api::namespaced(admin.clone(), &department.name);
    let group = |labels: Value| -> ComputeGroup {
        let spec = json!({
            "cluster": LAKE, "warehouse": "by-admin", "replicas": 1, "cacheSize": "1Gi",
            "resources": {"cpu": "50m", "memory": "768Mi"},
            "schedules": [
                {
                    "name": "always", "start": "0 0 * * *", "calendars": ["bank"], "duration": "24h", "timeZone": "Europe/Berlin",
                    "minReplicas": 1, "maxReplicas": 1, "leadTime": "1m", "rampDown": "5m", "suspend": false,
                },
                {"name": "every-day", "start": "0 6 * * *", "until": "18:00", "minReplicas": 1, "leadTime": "auto"},
                {"name": "once", "at": "2001-01-01T08:00", "duration": "1h", "minReplicas": 1},
            ],
            "warmUp": "10s",
            "autoscaling": {
                "minReplicas": 1, "maxReplicas": 1, "cpu": 60, "memory": 80,
                "pods": [{"name": "queries_waiting", "averageValue": "4"}],
                "scaleUp": {
                    "stabilizationWindowSeconds": 0, "selectPolicy": "Max",
                    "policies": [{"type": "Pods", "value": 1, "periodSeconds": 15}],
                },
                "scaleDown": {"selectPolicy": "Disabled"},
            },
            "wakeOnQuery": true,
            "drain": {"enabled": true, "timeout": "20s", "onTimeout": "Force"},
            "placement": {
                "nodeSelector": {"kubernetes.io/os": "linux"},
                "tolerations": [
                    {"operator": "Exists"},
                    {"key": "example.com/dedicated", "operator": "Equal", "value": "bi", "effect": "NoExecute", "tolerationSeconds": 60},
                ],
            },
            "labels": labels,
        });
        let object = json!({"metadata": {"name": "by-admin"}, "spec": spec});
        serde_json::from_value(object).expect("a ComputeGroup")
    };
    let disguised = group(json!({"springtide.dev/owner": "lakecluster.lake"}));
    let refused = groups
        .create(&PostParams::default(), &disguised)
        .await
        .expect_err("a reserved label");
    assert!(refused.to_string().contains("are written by the operator"), "{refused}");
    // Its dates are long past, so it changes nothing; only the central team writes one.
    let days = json!({
        "apiVersion": "springtide.dev/v1alpha1", "kind": "Calendar", "metadata": {"name": "bank"},
        "spec": {"excludedDates": [{"from": "2001-01-01"}]},
    });
    let calendars: Api<Calendar> = Api::namespaced(department.cluster.client.clone(), &department.name);
    calendars
        .patch("bank", &manager(), &Patch::Apply(&days))
        .await
        .expect("a Calendar");
    let whole = group(json!({"example.com/team": "analysts"}));
    groups
        .create(&PostParams::default(), &whole)
        .await
        .expect("an admin makes a group");
    // What is no field of a group is not kept, so it reaches no pod.
    let smuggled =
        json!({"spec": {"image": "x", "env": [], "podTemplate": {}, "config": {"a": "b"}, "serviceAccountName": "x"}});
    let resource = kube::core::ApiResource::erase::<ComputeGroup>(&());
    let untyped: Api<DynamicObject> = Api::namespaced_with(admin.clone(), &department.name, &resource);
    let kept = untyped
        .patch("by-admin", &PatchParams::default(), &Patch::Merge(smuggled))
        .await
        .expect("unknown fields are dropped");
    for field in ["image", "env", "podTemplate", "config", "serviceAccountName"] {
        assert_eq!(kept.data["spec"].get(field), None, "{field}");
    }
}

/// The pods of that group, as the admin sees them.
async fn pods_that_they_caused(department: &Department, admin: &Client) -> Vec<Pod> {
    let pods: Api<Pod> = Api::namespaced(admin.clone(), &department.name);
    let theirs = ListParams::default().labels("springtide.dev/compute-group=by-admin");
    let theirs = pods.list(&theirs).await.expect("list pods").items;
    assert_eq!(theirs.len(), 1);
    assert_eq!(theirs[0].labels()["example.com/team"], "analysts");
    theirs
}

/// All texts that an admin can get: every kind of object that they may list, and the logs of all containers.
async fn everything(department: &Department, admin: &Client, theirs: &[Pod]) -> Vec<(String, String)> {
    let mut seen = Vec::new();
    let discovery = Discovery::new(admin.clone()).run().await.expect("what kinds there are");
    for (resource, capabilities) in discovery.groups().flat_map(|group| group.recommended_resources()) {
        if capabilities.scope != Scope::Namespaced || !capabilities.supports_operation(verbs::LIST) {
            continue;
        }
        let api: Api<DynamicObject> = Api::namespaced_with(admin.clone(), &department.name, &resource);
        match api.list(&ListParams::default()).await {
            Ok(list) => seen.push((
                resource.plural.clone(),
                serde_json::to_string(&list.items).expect("objects are JSON"),
            )),
            Err(kube::Error::Api(status)) if status.code == 403 => {}
            Err(error) => panic!("list {}: {error}", resource.plural),
        }
    }
    let kinds: Vec<&str> = seen.iter().map(|(kind, _)| kind.as_str()).collect();
    for kind in [
        "pods",
        "computegroups",
        "lakeclusters",
        "statefulsets",
        "configmaps",
        "events",
    ] {
        assert!(kinds.contains(&kind), "an admin cannot list {kind}: {kinds:?}");
    }
    assert!(!kinds.contains(&"secrets"), "{kinds:?}");
    let pods: Api<Pod> = Api::namespaced(admin.clone(), &department.name);
    let mut all = pods.list(&ListParams::default()).await.expect("list pods").items;
    all.extend(theirs.iter().cloned());
    for pod in &all {
        let spec = pod.spec.clone().expect("a pod has a spec");
        let containers = spec
            .init_containers
            .unwrap_or_default()
            .into_iter()
            .chain(spec.containers);
        for container in containers.map(|container| container.name) {
            let what = LogParams {
                container: Some(container.clone()),
                ..Default::default()
            };
            // A pod that another scenario just ended has no log any more.
            if let Ok(log) = pods.logs(&pod.name_any(), &what).await {
                seen.push((format!("log of {} {container}", pod.name_any()), log));
            }
        }
    }
    let logs = seen
        .iter()
        .filter(|(what, text)| what.starts_with("log of ") && !text.is_empty());
    assert!(logs.count() >= 3, "an admin reads logs");
    seen
}

/// No text has the value of a Secret of the department, plain or encoded.
pub(crate) async fn shows_no_secret(department: &Department, seen: &[(String, String)]) {
    let secrets: Api<Secret> = Api::namespaced(department.cluster.client.clone(), &department.name);
    let mut tried = 0;
    for secret in secrets.list(&ListParams::default()).await.expect("list Secrets").items {
        for (key, value) in secret.data.clone().unwrap_or_default() {
            if NAME_KEYS.contains(&key.as_str()) {
                continue;
            }
            let plain = String::from_utf8(value.0.clone()).expect("a text");
            let encoded = serde_json::to_value(&value).expect("base64");
            let encoded = encoded.as_str().expect("a text").trim_end_matches('=').to_owned();
            assert!(
                plain.len() >= 16,
                "{}/{key} is too short to be told from other texts",
                secret.name_any()
            );
            for (what, text) in seen {
                let shown = text.contains(&plain) || text.contains(&encoded);
                assert!(
                    !shown,
                    "{what} shows the value of {key} in Secret {}",
                    secret.name_any()
                );
            }
            tried += 1;
        }
    }
    // The token, two passwords and the keys of the bucket, at least.
    assert!(tried >= 4, "{tried} values were looked for");
}
