//! Whose pods a field is about: a change of it replaces those, and no others.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use springtide_crds::compute_group::{Drain, Placement};
use springtide_crds::lake_cluster::{ComputeTemplate, Frontends, MetadataVolume};
use springtide_crds::pod::{PodResources, PodTemplate};
use springtide_crds::{ComputeGroupSpec, LakeClusterSpec};

use crate::fixture::{ClusterFixture, GroupFixture, applied, cluster, group_of};
use crate::object::{ObjectKey, ObjectKind};
use crate::observed::Live;

/// A group that names its resources, and one that does not.
const GROUPS: [&str; 2] = ["adhoc", "etl"];
const FRONTENDS: &str = "demo-fe";
const ALL: &[&str] = &["adhoc-cn", "demo-fe", "etl-cn"];
const NODES: &[&str] = &["adhoc-cn", "etl-cn"];
const NONE: &[&str] = &[];

/// A cluster with two groups, all at rest.
struct Whole {
    cluster: ClusterFixture,
    groups: Vec<GroupFixture>,
}

fn whole(cluster: ClusterFixture) -> Whole {
    let groups = GROUPS.map(|name| {
        let fixture = group_of(name, cluster.clone()).with(|observed| {
            observed.group.spec.resources = (name == "adhoc").then(|| PodResources {
                cpu: springtide_crds::Quantity::new("2"),
                memory: springtide_crds::Quantity::new("4Gi"),
            });
        });
        fixture.settled()
    });
    Whole {
        cluster: cluster.secrets().serving().settled(),
        groups: groups.into(),
    }
}

/// `spec` with this value at this place.
fn changed<S>(spec: &S, pointer: &str, value: &Value) -> S
where
    S: serde::Serialize + serde::de::DeserializeOwned,
{
    let mut spec = serde_json::to_value(spec).unwrap();
    let mut place = &mut spec;
    for field in pointer.split('.') {
        place = &mut place[field];
    }
    *place = value.clone();
    serde_json::from_value(spec).unwrap()
}

/// Whether the plan gives this StatefulSet another pod template.
fn rolls<S>(plan: &crate::action::Plan<S>, live: &Live, name: &str) -> bool {
    let key = ObjectKey::namespaced(ObjectKind::StatefulSet, "retail", name);
    let before = live.get(&key).expect("it is there");
    let planned = applied(plan);
    let template = planned
        .get(&key.to_string())
        .and_then(|body| body.pointer("/spec/template"));
    template.is_some_and(|template| *template != before["spec"]["template"])
}

impl Whole {
    /// Whose pods are replaced when this is written into the cluster.
    fn cluster_with(&self, pointer: &str, value: &Value) -> BTreeSet<String> {
        let spec: LakeClusterSpec = changed(&self.cluster.0.cluster.spec, pointer, value);
        let cluster = self
            .cluster
            .clone()
            .with(|observed| observed.cluster.spec = spec.clone());
        let mut rolled = BTreeSet::new();
        if rolls(&cluster.plan(), &cluster.0.live, FRONTENDS) {
            rolled.insert(FRONTENDS.to_owned());
        }
        for group in &self.groups {
            let group = group.clone().with(|observed| {
                let cluster = observed.cluster.as_mut().unwrap();
                cluster.spec = spec.clone();
                cluster.status.as_mut().unwrap().accepted_spec = Some(Box::new(spec.clone()));
            });
            let name = group.stateful_set();
            if rolls(&group.plan(), &group.0.live, &name) {
                rolled.insert(name);
            }
        }
        rolled
    }

    /// Whether the pods of `etl` are replaced when this is written into it.
    fn group_with(&self, pointer: &str, value: &Value) -> bool {
        let [_, etl] = &self.groups[..] else {
            panic!("two groups")
        };
        let spec: ComputeGroupSpec = changed(&etl.0.group.spec, pointer, value);
        let etl = etl.clone().with(|observed| observed.group.spec = spec);
        rolls(&etl.plan(), &etl.0.live, &etl.stateful_set())
    }
}

fn check(whole: &Whole, fields: &[(&str, Value, &[&str])]) {
    for (pointer, value, expected) in fields {
        let rolled = whole.cluster_with(pointer, value);
        let rolled: Vec<&str> = rolled.iter().map(String::as_str).collect();
        assert_eq!(rolled, *expected, "{pointer}: {value}");
    }
}

#[test]
fn what_is_written_for_compute_replaces_compute_alone() {
    // A field that is new is missed here, and belongs into the list below.
    let ComputeTemplate {
        image: _,
        resources: _,
        config: _,
        pod_template:
            PodTemplate {
                labels: _,
                annotations: _,
                node_selector: _,
                tolerations: _,
                priority_class_name: _,
            },
    } = ComputeTemplate::default();
    let whole = whole(cluster("demo"));
    check(
        &whole,
        &[
            ("computeTemplate.image", json!("e:2"), NODES),
            // The other one names its own.
            (
                "computeTemplate.resources",
                json!({"cpu": "3", "memory": "6Gi"}),
                &["etl-cn"],
            ),
            ("computeTemplate.config", json!({"memoryLimitBytes": "1000000"}), NODES),
            (
                "computeTemplate.podTemplate.labels",
                json!({"example.com/team": "blue"}),
                NODES,
            ),
            (
                "computeTemplate.podTemplate.annotations",
                json!({"example.com/team": "blue"}),
                NODES,
            ),
            (
                "computeTemplate.podTemplate.nodeSelector",
                json!({"disk": "fast"}),
                NODES,
            ),
            (
                "computeTemplate.podTemplate.tolerations",
                json!([{"key": "spot", "operator": "Exists"}]),
                NODES,
            ),
            ("computeTemplate.podTemplate.priorityClassName", json!("batch"), NODES),
        ],
    );
}

#[test]
fn what_is_written_for_frontends_replaces_frontends_alone() {
    let Frontends {
        replicas: _,
        resources: _,
        metadata_volume:
            MetadataVolume {
                size: _,
                // It never changes.
                storage_class_name: _,
            },
        config: _,
    } = Frontends::default();
    let bundled = whole(cluster("demo"));
    check(
        &bundled,
        &[
            (
                "frontends.resources",
                json!({"cpu": "3", "memory": "6Gi"}),
                &["demo-fe"],
            ),
            // Told to those that run.
            ("frontends.config", json!({"queryTimeoutS": "900"}), NONE),
            ("frontends.metadataVolume.size", json!("20Gi"), NONE),
        ],
    );
    let starrocks = whole(cluster("demo").starrocks());
    check(
        &starrocks,
        &[
            ("frontends.config", json!({"qe_max_connection": "100"}), &["demo-fe"]),
            ("frontends.config", json!({"qe_slow_log_ms": "1000"}), NONE),
            ("frontends.replicas", json!(3), NONE),
        ],
    );
}

#[test]
fn what_no_pod_is_made_of_replaces_none() {
    let whole = whole(cluster("demo"));
    let window = json!([{"name": "sunday", "start": "0 2 * * SUN", "timeZone": "Etc/UTC"}]);
    check(
        &whole,
        &[
            ("service.type", json!("NodePort"), NONE),
            ("service.annotations", json!({"example.com/internal": "true"}), NONE),
            ("maintenanceWindows", window, NONE),
            ("suspend", json!(true), NONE),
            ("deletionPolicy", json!("Delete"), NONE),
            // So that this can fail.
            ("image", json!("e:2"), ALL),
            ("storage.region", json!("eu-central-1"), ALL),
            ("imagePullSecrets", json!(["registry"]), ALL),
        ],
    );
}

#[test]
fn what_is_written_into_a_group_replaces_its_nodes_or_nothing() {
    let ComputeGroupSpec {
        // These two never change.
        cluster: _,
        warehouse: _,
        replicas: _,
        resources: _,
        cache_size: _,
        schedules: _,
        warm_up: _,
        autoscaling: _,
        wake_on_query: _,
        drain: Drain {
            enabled: _,
            timeout: _,
            on_timeout: _,
        },
        placement: Placement {
            node_selector: _,
            tolerations: _,
        },
        labels: _,
    } = serde_json::from_value(json!({"cluster": "demo"})).unwrap();
    let whole = whole(cluster("demo"));
    let schedules =
        json!([{"name": "day", "start": "0 8 * * *", "duration": "8h", "timeZone": "Etc/UTC", "minReplicas": 2}]);
    for (pointer, value, expected) in [
        ("replicas", json!(3), false),
        ("resources", json!({"cpu": "3", "memory": "6Gi"}), true),
        ("cacheSize", json!("30Gi"), true),
        ("schedules", schedules, false),
        ("warmUp", json!("2m"), false),
        ("autoscaling", json!({"maxReplicas": 4}), false),
        ("wakeOnQuery", json!(true), false),
        ("drain.enabled", json!(false), true),
        ("drain.timeout", json!("20m"), true),
        ("drain.onTimeout", json!("Wait"), false),
        ("placement.nodeSelector", json!({"disk": "fast"}), true),
        (
            "placement.tolerations",
            json!([{"key": "spot", "operator": "Exists"}]),
            true,
        ),
        ("labels", json!({"example.com/team": "blue"}), true),
    ] {
        assert_eq!(whole.group_with(pointer, &value), expected, "{pointer}: {value}");
    }
}

#[test]
fn a_change_of_what_another_group_does_replaces_nothing() {
    let whole = whole(cluster("demo"));
    let [adhoc, etl] = &whole.groups[..] else {
        panic!("two groups")
    };
    let sibling = etl.clone().with(|observed| {
        let mut other = adhoc.0.group.clone();
        other
            .spec
            .placement
            .node_selector
            .insert("disk".to_owned(), "fast".to_owned());
        observed.siblings = vec![other];
    });
    assert!(!rolls(&sibling.plan(), &sibling.0.live, "etl-cn"));
    let cluster = whole.cluster.clone().with(|observed| {
        observed.groups = vec![adhoc.0.group.clone()];
        observed.groups[0].spec.cache_size = springtide_crds::Quantity::new("30Gi");
    });
    assert!(!rolls(&cluster.plan(), &cluster.0.live, FRONTENDS));
}
