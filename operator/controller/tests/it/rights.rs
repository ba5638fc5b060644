//! Who may do what: the operator no more than it needs, a department's administrators nothing that leads to a Secret.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use springtide_crds::{ComputeGroup, Department, LakeCluster};

use crate::harness::{
    api_server::{ADMIN_GROUP, AuditMark, Identity, api_server},
    charts::RELEASE_NAMESPACE,
    rights::{apply, may, of_the_chart, rbac},
    world::{World, is_true},
};
use crate::volumes::growing_class;

mod left_overs;

use left_overs::{owner, plant_left_overs};

/// A group and resource (`apps/statefulsets`, `springtide.dev/lakeclusters/status`) and a verb.
type Right = (String, String);

/// The department of the test's own namespace, with the administrators of [`ADMIN_GROUP`].
async fn make_department(world: &World, deletion_policy: &str) -> String {
    let name = format!("dept-{}", world.namespace);
    let body = json!({
        "apiVersion": "springtide.dev/v1alpha1", "kind": "Department", "metadata": {"name": name},
        "spec": {
            "namespaces": [{"name": world.namespace, "quota": {"cpu": 16, "memory": "64Gi", "pods": 30}}],
            "admins": {"groups": [ADMIN_GROUP]},
            "deletionPolicy": deletion_policy,
        },
    });
    let departments: Api<Department> = Api::all(world.client.clone());
    departments
        .patch(&name, &PatchParams::apply("a-test"), &Patch::Apply(body))
        .await
        .unwrap();
    world
        .eventually("the department is set up", || async {
            let status = departments.get_opt(&name).await.unwrap()?.status?;
            is_true(&status.conditions, "Available").then_some(())
        })
        .await;
    name
}

/// Everything that the roles of the chart give to the operator.
fn granted() -> BTreeSet<Right> {
    let roles = of_the_chart()
        .iter()
        .filter(|object| object["kind"] == "ClusterRole" || object["kind"] == "Role")
        .filter(|object| object["metadata"]["name"] != "springtide-department-admin");
    let list = |value: &Value| -> Vec<String> { serde_json::from_value(value.clone()).unwrap() };
    let mut granted = BTreeSet::new();
    for rule in roles.flat_map(|role| role["rules"].as_array().unwrap()) {
        for group in list(&rule["apiGroups"]) {
            for resource in list(&rule["resources"]) {
                for verb in list(&rule["verbs"]) {
                    granted.insert((format!("{group}/{resource}"), verb));
                }
            }
        }
    }
    granted
}

/// Everything that the operator has asked for since the server started, and what was refused for want of rights.
fn used() -> (BTreeSet<Right>, Vec<String>) {
    let mut used = BTreeSet::new();
    let mut refused = Vec::new();
    for event in api_server().requests_of_operator(AuditMark::default()) {
        let text = |pointer: &str| {
            event
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let mut resource = format!("{}/{}", text("/objectRef/apiGroup"), text("/objectRef/resource"));
        if resource == "/" {
            continue;
        }
        let subresource = text("/objectRef/subresource");
        if !subresource.is_empty() {
            resource = format!("{resource}/{subresource}");
        }
        if event["annotations"]["authorization.k8s.io/decision"] == "forbid" {
            refused.push(format!(
                "{} {resource} in {}",
                text("/verb"),
                text("/objectRef/namespace")
            ));
        }
        used.insert((resource, text("/verb")));
    }
    (used, refused)
}

/// What is needed and cannot be seen in what was asked for, and why.
fn unseen(right: &Right, used: &BTreeSet<Right>) -> Option<&'static str> {
    let (resource, verb) = (right.0.as_str(), right.1.as_str());
    let is_applied = used.contains(&(resource.to_owned(), "patch".to_owned()));
    match (resource, verb) {
        (_, "create") if is_applied => Some("a server-side apply of what is not there yet"),
        (resource, "update") if resource.ends_with("/finalizers") => Some("where owner references are enforced"),
        ("/persistentvolumeclaims", "delete") => Some("changed owners, where owner references are enforced"),
        ("rbac.authorization.k8s.io/clusterroles", "bind") => {
            Some("a RoleBinding to a role with more rights than one has")
        }
        ("springtide.dev/departments" | "springtide.dev/lakeclusters" | "springtide.dev/computegroups", "get") => {
            Some("the object as it is now, where the cache is behind the operator's own write")
        }
        _ => None,
    }
}

#[tokio::test]
async fn the_operator_has_the_rights_that_it_uses_and_no_others() {
    let world = World::alone().await;
    growing_class(&world).await;
    let operator = world.operator();
    // A department whose namespace the operator makes and takes away again.
    let passing = format!("{}-passing", world.namespace);
    let departments: Api<Department> = Api::all(world.client.clone());
    let body = json!({
        "apiVersion": "springtide.dev/v1alpha1", "kind": "Department", "metadata": {"name": passing},
        "spec": {"namespaces": [{"name": passing}], "deletionPolicy": "Delete"},
    });
    departments
        .patch(&passing, &PatchParams::apply("a-test"), &Patch::Apply(body))
        .await
        .unwrap();
    let name = make_department(&world, "Retain").await;
    let frontends = json!({"metadataVolume": {"storageClassName": "growing", "size": "5Gi"}});
    let deletion = json!({"data": "Delete"});
    let cluster = world
        .make_cluster_with(
            "lake",
            json!({"deletionPolicy": "Delete", "deletion": deletion, "frontends": frontends, "tls": {"issue": {}}}),
        )
        .await;
    world.hold_back("etl-cn-1");
    world
        .make_group("etl", "lake", json!({"replicas": 2, "autoscaling": {"maxReplicas": 3}}))
        .await;
    world
        .eventually("it asks for warnings about what does not start", || async {
            let warnings = ("/events".to_owned(), "list".to_owned());
            used().0.contains(&warnings).then_some(())
        })
        .await;
    world.release("etl-cn-1");
    world.group_serves("etl", 2).await;
    let names = json!({"spec": {"tls": {"issue": {"dnsNames": ["lake.example.com"]}}}});
    world.merge::<LakeCluster>("lake", names).await;
    world
        .eventually("the certificate is issued anew", || async {
            let replaces = ("/secrets".to_owned(), "update".to_owned());
            used().0.contains(&replaces).then_some(())
        })
        .await;
    world
        .merge::<ComputeGroup>("etl", json!({"spec": {"autoscaling": null}}))
        .await;
    let sleeps = json!({"replicas": 0, "wakeOnQuery": true});
    world.make_group("sleeper", "lake", sleeps).await;
    world.statements_wait("sleeper", 1);
    world.group_serves("sleeper", 1).await;
    world.delete::<ComputeGroup>("sleeper").await;
    let grown = json!({"spec": {"frontends": {"metadataVolume": {"size": "8Gi"}}}});
    world.merge::<LakeCluster>("lake", grown).await;

    let selector = json!({"matchLabels": {"a": "b"}});
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "a"}]}});
    let of_cluster = [
        ("v1", "ServiceAccount", json!({})),
        ("v1", "ConfigMap", json!({})),
        (
            "v1",
            "Service",
            json!({"spec": {"clusterIP": "None", "selector": {"a": "b"}}}),
        ),
        (
            "networking.k8s.io/v1",
            "NetworkPolicy",
            json!({"spec": {"podSelector": {}}}),
        ),
        (
            "policy/v1",
            "PodDisruptionBudget",
            json!({"spec": {"selector": selector, "maxUnavailable": 1}}),
        ),
        (
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            json!({"spec": {"maxReplicas": 1, "scaleTargetRef": {"apiVersion": "a/v1", "kind": "A", "name": "a"}}}),
        ),
        (
            "apps/v1",
            "StatefulSet",
            json!({"spec": {"replicas": 0, "serviceName": "a", "selector": selector, "template": template}}),
        ),
    ];
    let uid = cluster.metadata.uid.as_deref();
    plant_left_overs(
        &world,
        owner("LakeCluster", "lake", uid),
        "lakecluster.lake",
        &of_cluster,
    )
    .await;
    let of_department = [
        (
            "v1",
            "ResourceQuota",
            json!({"spec": {"hard": {"count/jobs.batch": "9"}}}),
        ),
        ("v1", "LimitRange", json!({"spec": {"limits": []}})),
        (
            "rbac.authorization.k8s.io/v1",
            "RoleBinding",
            json!({"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}, "subjects": []}),
        ),
    ];
    let uid = departments.get(&name).await.unwrap().metadata.uid;
    let label = format!("department.{name}");
    plant_left_overs(
        &world,
        owner("Department", &name, uid.as_deref()),
        &label,
        &of_department,
    )
    .await;

    world.delete::<ComputeGroup>("etl").await;
    world
        .eventually("the group is gone", || async {
            world.get::<ComputeGroup>("etl").await.is_none().then_some(())
        })
        .await;
    world.delete_with_data("lake", "s3://retail/lake").await;
    for department in [&name, &passing] {
        departments.delete(department, &DeleteParams::default()).await.unwrap();
        world
            .eventually("the department is gone", || async {
                departments.get_opt(department).await.unwrap().is_none().then_some(())
            })
            .await;
    }
    world
        .eventually("the accounts of the cluster are gone", || async {
            world.get::<Secret>("lake-operator").await.is_none().then_some(())
        })
        .await;
    for issued in ["lake-ca", "lake-tls"] {
        assert!(
            world.get::<Secret>(issued).await.is_none(),
            "{issued} goes with the accounts"
        );
    }
    world.roll_starrocks("rocks").await;
    operator.stop().await;

    let (used, refused) = used();
    assert_eq!(refused, [] as [String; 0], "the chart lacks rights");
    let superfluous: Vec<Right> = granted()
        .difference(&used)
        .filter(|right| unseen(right, &used).is_none())
        .cloned()
        .collect();
    assert_eq!(superfluous, [], "the chart gives what nobody uses");
}

#[tokio::test]
async fn an_operator_for_some_namespaces_needs_no_right_beyond_them() {
    let world = World::alone().await;
    let watched = format!("watchNamespaces={{{}}}", world.namespace);
    let objects = rbac("narrow", &["--set", &watched]);
    let kinds: BTreeSet<&str> = objects.iter().map(|object| object["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, BTreeSet::from(["Role", "RoleBinding"]), "no ClusterRole is made");
    for object in &objects {
        let mut object = object.clone();
        if object["metadata"]["namespace"] == RELEASE_NAMESPACE {
            object["metadata"]["namespace"] = world.operator_namespace().into();
        }
        apply(&world.client, &object).await;
    }
    let client = api_server().client_of(Identity::NarrowOperator);
    world
        .eventually("the roles count", || async {
            may(&client, &world.namespace, "springtide.dev/computegroups", "watch")
                .await
                .then_some(())
        })
        .await;
    let namespace = world.namespace.clone();
    let operator = world.operator_as(client.clone(), |settings| settings.watch_namespaces = vec![namespace]);
    world.make_cluster("lake").await;
    world.make_group("etl", "lake", json!({"replicas": 1})).await;
    world.group_serves("etl", 1).await;
    let beyond = Api::<LakeCluster>::all(client).list(&ListParams::default()).await;
    assert!(matches!(beyond, Err(kube::Error::Api(status)) if status.code == 403));
    operator.stop().await;
}

const READ: [&str; 3] = ["get", "list", "watch"];
const WRITE: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];

#[tokio::test]
async fn an_admin_reads_what_a_department_is_made_of_but_no_secrets_and_changes_compute_groups_alone() {
    let world = World::alone().await;
    let operator = world.operator();
    make_department(&world, "Retain").await;
    world.make_cluster("lake").await;
    world.cluster_is_available("lake").await;
    let admin = api_server().client_of(Identity::DepartmentAdmin);

    // What is asked for in earnest.
    let secrets: Api<Secret> = Api::namespaced(admin.clone(), &world.namespace);
    for denied in [
        secrets.get("storage").await.map(|_| ()),
        secrets.get("lake-admin").await.map(|_| ()),
        secrets.list(&ListParams::default()).await.map(|_| ()),
    ] {
        assert!(
            matches!(&denied, Err(kube::Error::Api(status)) if status.code == 403),
            "{denied:?}"
        );
    }
    let pods: Api<Pod> = Api::namespaced(admin.clone(), &world.namespace);
    assert_eq!(pods.list(&ListParams::default()).await.unwrap().items.len(), 1);
    let clusters: Api<LakeCluster> = Api::namespaced(admin.clone(), &world.namespace);
    let status = clusters.get("lake").await.unwrap().status.unwrap();
    assert_eq!(
        status.admin_secret.as_deref(),
        Some("lake-admin"),
        "its name is no secret"
    );
    let elsewhere: Api<Pod> = Api::namespaced(admin.clone(), &world.operator_namespace());
    assert!(
        elsewhere.list(&ListParams::default()).await.is_err(),
        "another namespace is not theirs"
    );

    // What would have to be tried one by one.
    let may = |resource: String, verb: &'static str| {
        let (admin, namespace) = (admin.clone(), world.namespace.clone());
        async move { may(&admin, &namespace, &resource, verb).await }
    };
    let mut wrong = Vec::new();
    for resource in resources(&world.client).await {
        let leads_to_secrets = ["/secrets", "/serviceaccounts/token"].contains(&resource.as_str());
        for verb in READ.into_iter().chain(WRITE).chain(["bind", "escalate", "impersonate"]) {
            let is_read = READ.contains(&verb) && !leads_to_secrets;
            let is_write_of_theirs = match resource.as_str() {
                "springtide.dev/computegroups" => ["create", "update", "patch", "delete"].contains(&verb),
                "springtide.dev/computegroups/scale" => ["update", "patch"].contains(&verb),
                _ => false,
            };
            let allowed = may(resource.clone(), verb).await;
            if allowed && !is_read && !is_write_of_theirs {
                wrong.push(format!("may {verb} {resource}"));
            }
            if !allowed && is_write_of_theirs {
                wrong.push(format!("may not {verb} {resource}"));
            }
        }
    }
    // Getting one of these is entering a pod or calling it.
    for subresource in ["exec", "attach", "portforward", "proxy", "ephemeralcontainers"] {
        for verb in ["get", "create", "update", "patch"] {
            if may(format!("/pods/{subresource}"), verb).await {
                wrong.push(format!("may {verb} pods/{subresource}"));
            }
        }
    }
    if may("/services/proxy".to_owned(), "get").await {
        wrong.push("may get services/proxy".to_owned());
    }
    // All that the operator makes, and what comes of it.
    for resource in [
        "/pods",
        "/pods/log",
        "/configmaps",
        "/services",
        "/events",
        "/persistentvolumeclaims",
        "/resourcequotas",
        "/limitranges",
        "/serviceaccounts",
        "apps/statefulsets",
        "networking.k8s.io/networkpolicies",
        "policy/poddisruptionbudgets",
        "autoscaling/horizontalpodautoscalers",
        "rbac.authorization.k8s.io/rolebindings",
        "springtide.dev/lakeclusters",
        "springtide.dev/computegroups",
        "springtide.dev/calendars",
        "discovery.k8s.io/endpointslices",
    ] {
        let verbs = if resource == "/pods/log" { &READ[..1] } else { &READ[..] };
        for verb in verbs {
            if !may(resource.to_owned(), verb).await {
                wrong.push(format!("may not {verb} {resource}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    operator.stop().await;
}

/// Every namespaced resource and subresource that the server has, as `group/resource` or `group/resource/subresource`.
async fn resources(client: &Client) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let groups: Value = client
        .request(http::Request::get("/apis").body(Vec::new()).unwrap())
        .await
        .unwrap();
    let mut versions = vec![(String::new(), "/api/v1".to_owned())];
    for group in groups["groups"].as_array().unwrap() {
        let name = group["name"].as_str().unwrap().to_owned();
        for version in group["versions"].as_array().unwrap() {
            versions.push((
                name.clone(),
                format!("/apis/{}", version["groupVersion"].as_str().unwrap()),
            ));
        }
    }
    for (group, path) in versions {
        let list: Value = client
            .request(http::Request::get(path).body(Vec::new()).unwrap())
            .await
            .unwrap();
        for resource in list["resources"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|resource| resource["namespaced"] == true)
        {
            found.insert(format!("{group}/{}", resource["name"].as_str().unwrap()));
        }
    }
    assert!(found.len() > 50, "{found:?}");
    found
}

/// The administrator writes everything that may be written into a ComputeGroup. In the pods that come of it, what they wrote stands
/// only where it reaches no Secret, and everything else is what a group without any of it has.
#[tokio::test]
async fn no_pod_that_an_admin_causes_shows_a_secret() {
    let world = World::alone().await;
    let operator = world.operator();
    make_department(&world, "Retain").await;
    world.make_cluster("lake").await;
    world.make_group("plain", "lake", json!({"replicas": 1})).await;
    world.group_serves("plain", 1).await;
    let admin = api_server().client_of(Identity::DepartmentAdmin);
    let groups: Api<ComputeGroup> = Api::namespaced(admin.clone(), &world.namespace);
    let full: ComputeGroup = serde_json::from_value(json!({
        "apiVersion": "springtide.dev/v1alpha1", "kind": "ComputeGroup", "metadata": {"name": "full"},
        "spec": {
            "cluster": "lake", "warehouse": "planted", "replicas": 1,
            "resources": {"cpu": "1300m", "memory": "3Gi"}, "cacheSize": "7Gi",
            "schedules": [{"name": "planted", "start": "@daily", "duration": "24h", "minReplicas": 1}],
            "drain": {"timeout": "77s"},
            "labels": {"planted": "planted"},
            "placement": {
                "nodeSelector": {"planted": "planted"},
                "tolerations": [{"key": "planted", "operator": "Equal", "value": "planted", "effect": "NoSchedule"}],
            },
        },
    }))
    .unwrap();
    groups
        .create(&PostParams::default(), &full)
        .await
        .expect("an admin may make groups");
    world.group_serves("full", 1).await;
    let scaled = Patch::Merge(json!({"spec": {"replicas": 2}}));
    groups
        .patch_scale("full", &PatchParams::default(), &scaled)
        .await
        .expect("an admin may scale");
    world.group_serves("full", 2).await;

    let spec = |pod: Pod| serde_json::to_value(pod.spec.unwrap()).unwrap();
    let (plain, full) = (
        world.get::<Pod>("plain-cn-0").await.unwrap(),
        world.get::<Pod>("full-cn-1").await.unwrap(),
    );
    let mut differences = BTreeMap::new();
    compare("", &spec(plain), &spec(full), &mut differences);
    let allowed = [
        "/hostname",
        "/subdomain",
        "/nodeSelector",
        "/tolerations",
        "/terminationGracePeriodSeconds",
        "/containers/0/resources/requests/cpu",
        "/containers/0/resources/requests/memory",
        "/containers/0/resources/limits/memory",
        "/initContainers/0/args",
        "/topologySpreadConstraints",
        "/volumes/config/configMap/name",
        "/volumes/local/emptyDir/sizeLimit",
        "/containers/0/env/SPRINGTIDE_HOST/value",
    ];
    differences.retain(|path, _| !allowed.iter().any(|allowed| path.starts_with(allowed)));
    assert!(differences.is_empty(), "{differences:#?}");

    // The pods may be read, and so may their configuration: nothing secret stands in either.
    let storage = world.get::<Secret>("storage").await.unwrap();
    let mut secrets = vec![("storage".to_owned(), storage)];
    for name in ["lake-internal", "lake-admin", "lake-operator"] {
        secrets.push((name.to_owned(), world.get::<Secret>(name).await.unwrap()));
    }
    let pods: Api<Pod> = Api::namespaced(admin.clone(), &world.namespace);
    let maps: Api<ConfigMap> = Api::namespaced(admin.clone(), &world.namespace);
    let mut readable = serde_json::to_string(&pods.list(&ListParams::default()).await.unwrap().items).unwrap();
    readable.push_str(&serde_json::to_string(&maps.list(&ListParams::default()).await.unwrap().items).unwrap());
    for (name, secret) in secrets {
        for (key, value) in secret.data.unwrap() {
            // The name of an account is no secret.
            if key != "username" {
                let value = String::from_utf8(value.0).unwrap();
                assert!(!readable.contains(&value), "{key} of {name} can be read");
            }
        }
    }
    operator.stop().await;
}

/// Notes every place at which two pods differ. Items with a name are compared by it.
fn compare(path: &str, left: &Value, right: &Value, differences: &mut BTreeMap<String, String>) {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            for key in left.keys().chain(right.keys()).collect::<BTreeSet<_>>() {
                let of = |object: &serde_json::Map<String, Value>| object.get(key).cloned().unwrap_or_default();
                compare(&format!("{path}/{key}"), &of(left), &of(right), differences);
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (index, (left, right)) in left.iter().zip(right).enumerate() {
                let is_container = path.ends_with("ontainers");
                let name = left["name"].as_str().filter(|_| !is_container);
                let step = name.map_or_else(|| index.to_string(), str::to_owned);
                compare(&format!("{path}/{step}"), left, right, differences);
            }
        }
        (left, right) if left == right => {}
        (left, right) => {
            differences.insert(path.to_owned(), format!("{left} and {right}"));
        }
    }
}
