//! Observations for tests, as chains: `cluster("demo").starrocks().observed()`, `group("etl").replicas(3).pods(3).serving()`.

#![allow(
    clippy::needless_pass_by_value,
    reason = "what json! makes reads better without a borrow"
)]

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use k8s_openapi::api::core::v1::{Event, PersistentVolumeClaim, Pod, ResourceQuota};
use serde_json::{Value, json};
use springtide_crds::compute_group::Schedule;
use springtide_crds::{ComputeGroup, Department, LakeCluster, Quantity};

use crate::action::{Action, Plan};
use crate::object::{DesiredObject, ObjectKey, ObjectKind};
use crate::observed::{
    FrontendConfigAnswer, InitialAccount, Live, ObservedComputeGroup, ObservedLakeCluster, ObservedRemoval,
    SecretFacts, SqlAnswer,
};
use crate::settings::Settings;
use crate::sql::{ComputeNodeRow, FrontendRow};
use crate::{names, plan_lake_cluster};

pub(crate) mod certificate;

/// The time of every test that does not say otherwise: a Monday.
pub(crate) fn noon() -> DateTime<Utc> {
    at("2026-11-23T12:00:00Z")
}

pub(crate) fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub(crate) fn settings() -> Settings {
    Settings {
        engine_image: "springtide.dev/engine:0.1.0".to_owned(),
        sidecar_image: "springtide.dev/sidecar:0.1.0".to_owned(),
        ..Settings::default()
    }
}

/// A cluster under observation.
#[derive(Clone, Debug)]
pub(crate) struct ClusterFixture(pub(crate) ObservedLakeCluster);

/// A bundled cluster with its credentials Secret, freshly created.
pub(crate) fn cluster(name: &str) -> ClusterFixture {
    let cluster: LakeCluster = serde_json::from_value(json!({
        "apiVersion": "springtide.dev/v1alpha1",
        "kind": "LakeCluster",
        "metadata": {
            "name": name,
            "namespace": "retail",
            "uid": "0b9b3ff6-5c52-4d0e-9d55-0a5f2f3e7c11",
            "generation": 1,
            "finalizers": [names::FINALIZER],
        },
        "spec": {
            "engine": {"version": "0.1.0"},
            "storage": {
                "bucket": "lake",
                "prefix": "retail/demo",
                "endpoint": "http://s3.storage.svc:7070",
                "pathStyle": true,
                "credentials": {"secretRef": {"name": "s3"}},
            },
        },
    }))
    .unwrap();
    ClusterFixture(ObservedLakeCluster {
        cluster,
        groups: Vec::new(),
        live: Live::default(),
        pods: Vec::new(),
        compute_pods: BTreeSet::new(),
        volume_claims: Vec::new(),
        events: Vec::new(),
        secrets: BTreeMap::from([("s3".to_owned(), facts(&["access-key-id", "secret-access-key"]))]),
        sql: SqlAnswer::NotAsked,
        initial_account: InitialAccount::NotTried,
        removal: ObservedRemoval::default(),
        frontend_config: FrontendConfigAnswer::NotAsked,
        settings: settings(),
    })
}

pub(crate) fn facts(keys: &[&str]) -> SecretFacts {
    SecretFacts {
        keys: keys.iter().map(|key| (*key).to_owned()).collect::<BTreeSet<_>>(),
        hash: "5ec2e7".to_owned(),
        ..SecretFacts::default()
    }
}

impl ClusterFixture {
    pub(crate) fn starrocks(mut self) -> Self {
        self.0.cluster.spec.engine.kind = springtide_crds::lake_cluster::EngineKind::StarRocks;
        self.0.cluster.spec.engine.version = "3.5.5".to_owned();
        self
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut ObservedLakeCluster)) -> Self {
        change(&mut self.0);
        self
    }

    /// The three Secrets that the operator makes exist.
    pub(crate) fn secrets(mut self) -> Self {
        let name = self.0.cluster.metadata.name.clone().unwrap();
        for secret in [
            names::internal_secret(&name),
            names::admin_secret(&name),
            names::operator_secret(&name),
        ] {
            self.0.secrets.insert(secret, facts(&["token"]));
        }
        self
    }

    /// The frontend runs and answers.
    pub(crate) fn serving(mut self) -> Self {
        let name = self.0.cluster.metadata.name.clone().unwrap();
        let pod = format!("{}-0", names::frontends(&name));
        self.0.pods = vec![ready_pod(&pod)];
        self.0.sql = SqlAnswer::Answered {
            frontends: vec![leader(&name)],
            compute_nodes: Vec::new(),
            warehouses: Vec::new(),
        };
        self
    }

    pub(crate) fn plan(&self) -> Plan<springtide_crds::LakeClusterStatus> {
        plan_lake_cluster(&self.0, noon())
    }

    /// The observation after everything of the plan was done, again and again, until nothing is left to do.
    pub(crate) fn settled(mut self) -> Self {
        for _ in 0..5 {
            let plan = self.plan();
            for action in &plan.actions {
                match action {
                    Action::Apply(object) => apply(&mut self.0.live, object),
                    Action::Scale { object, replicas, .. } => scale(&mut self.0.live, object, *replicas),
                    Action::Delete { object, .. } => self.0.live.remove(object),
                    Action::CreateSecretOnce(secret) => {
                        self.0.secrets.insert(secret.name.clone(), facts(&["token"]));
                    }
                    Action::WriteCertificate(certificate) => {
                        certificate::write(&mut self.0.secrets, certificate);
                    }
                    _ => {}
                }
            }
            if let Some(status) = plan.status {
                self.0.cluster.status = Some(status);
            }
        }
        self
    }
}

fn scale(live: &mut Live, object: &ObjectKey, replicas: i64) {
    let mut body = live.get(object).cloned().expect("what is scaled exists");
    body["spec"]["replicas"] = json!(replicas);
    live.insert(object.kind, body);
}

/// What the API server would have after an apply: the same, an identity, and a StatefulSet that is rolled out.
pub(crate) fn apply(live: &mut Live, object: &DesiredObject) {
    let mut body = object.body.clone();
    body["metadata"]["uid"] = json!(format!("uid-of-{}", object.key.name));
    if object.key.kind == ObjectKind::StatefulSet {
        body["metadata"]["generation"] = json!(1);
        body["status"] = json!({
            "observedGeneration": 1,
            "replicas": body["spec"]["replicas"],
            "updatedReplicas": body["spec"]["replicas"],
            "currentRevision": "r1",
            "updateRevision": "r1",
        });
    }
    live.insert(object.key.kind, body);
}

pub(crate) fn leader(cluster: &str) -> FrontendRow {
    let pod = format!("{}-0", names::frontends(cluster));
    FrontendRow {
        name: "fe-0".to_owned(),
        host: names::pod_host(&pod, &names::frontends_headless(cluster), "retail"),
        is_leader: true,
        alive: true,
        ..FrontendRow::default()
    }
}

/// A group under observation, with a cluster `demo` that serves.
#[derive(Clone, Debug)]
pub(crate) struct GroupFixture(pub(crate) ObservedComputeGroup);

pub(crate) fn group(name: &str) -> GroupFixture {
    group_of(name, cluster("demo"))
}

pub(crate) fn group_of(name: &str, cluster: ClusterFixture) -> GroupFixture {
    let cluster = cluster.secrets().serving().settled().0;
    let group: ComputeGroup = serde_json::from_value(json!({
        "apiVersion": "springtide.dev/v1alpha1",
        "kind": "ComputeGroup",
        "metadata": {
            "name": name,
            "namespace": "retail",
            "uid": "7a1d0d5e-1111-4222-8333-944445555666",
            "generation": 1,
            "finalizers": [names::FINALIZER],
        },
        "spec": {"cluster": cluster.cluster.metadata.name.clone().unwrap(), "replicas": 1},
    }))
    .unwrap();
    GroupFixture(ObservedComputeGroup {
        group,
        siblings: Vec::new(),
        calendars: Vec::new(),
        cluster: Some(cluster.cluster),
        department: None,
        live: Live::default(),
        pods: Vec::new(),
        events: Vec::new(),
        quotas: Vec::new(),
        sql: cluster.sql,
        secrets: cluster.secrets,
        drain_key: Some("k3y".to_owned()),
        settings: settings(),
    })
}

impl GroupFixture {
    pub(crate) fn with(mut self, change: impl FnOnce(&mut ObservedComputeGroup)) -> Self {
        change(&mut self.0);
        self
    }

    pub(crate) fn replicas(self, replicas: i32) -> Self {
        self.with(|observed| observed.group.spec.replicas = replicas)
    }

    /// The size was written through the scale subresource, as an autoscaler and `kubectl scale` do.
    pub(crate) fn scaled(self, replicas: i32) -> Self {
        self.replicas(replicas).with(|observed| {
            let note = json!([{
                "manager": "kubectl", "operation": "Update", "subresource": "scale",
                "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}}},
            }]);
            observed.group.metadata.managed_fields = serde_json::from_value(note).unwrap();
        })
    }

    /// A window that is open from `start` (cron, UTC) for two hours.
    pub(crate) fn window(self, name: &str, start: &str, min: Option<i32>, max: Option<i32>) -> Self {
        let schedule = Schedule {
            name: name.to_owned(),
            start: Some(start.to_owned()),
            at: None,
            calendars: Vec::new(),
            duration: Some(springtide_crds::Duration::new("2h")),
            until: None,
            time_zone: "Etc/UTC".to_owned(),
            min_replicas: min,
            max_replicas: max,
            lead_time: None,
            ramp_down: None,
            suspend: false,
        };
        self.with(|observed| observed.group.spec.schedules.push(schedule))
    }

    pub(crate) fn department(self, department: Value) -> Self {
        let department: Department = serde_json::from_value(json!({
            "apiVersion": "springtide.dev/v1alpha1",
            "kind": "Department",
            "metadata": {"name": "retail"},
            "spec": department,
        }))
        .unwrap();
        self.with(|observed| observed.department = Some(department))
    }

    pub(crate) fn quota(self, hard: Value, used: Value) -> Self {
        let quota: ResourceQuota = serde_json::from_value(json!({
            "metadata": {"name": "quota", "namespace": "retail"},
            "spec": {"hard": hard},
            "status": {"used": used},
        }))
        .unwrap();
        self.with(|observed| observed.quotas.push(quota))
    }

    /// Pods with these ordinals exist and are ready.
    pub(crate) fn pods(self, ordinals: impl IntoIterator<Item = u32>) -> Self {
        let name = self.stateful_set();
        let pods = ordinals
            .into_iter()
            .map(|ordinal| ready_pod(&format!("{name}-{ordinal}")));
        self.with(|observed| observed.pods = pods.collect())
    }

    /// The engine knows nodes with these ordinals, and they are alive.
    pub(crate) fn nodes(self, ordinals: impl IntoIterator<Item = u32>) -> Self {
        let name = self.stateful_set();
        let warehouse = self.0.group.metadata.name.clone().unwrap();
        let rows = ordinals.into_iter().map(|ordinal| ComputeNodeRow {
            id: (10_000 + ordinal).to_string(),
            host: names::pod_host(&format!("{name}-{ordinal}"), &name, "retail"),
            heartbeat_port: 9050,
            alive: true,
            warehouse: warehouse.clone(),
            ..ComputeNodeRow::default()
        });
        let rows = rows.collect();
        self.with(|observed| {
            if let SqlAnswer::Answered { compute_nodes, .. } = &mut observed.sql {
                *compute_nodes = rows;
            }
        })
    }

    pub(crate) fn stateful_set(&self) -> String {
        names::compute(self.0.group.metadata.name.as_deref().unwrap())
    }

    pub(crate) fn plan(&self) -> Plan<springtide_crds::ComputeGroupStatus> {
        self.plan_at(noon())
    }

    pub(crate) fn plan_at(&self, now: DateTime<Utc>) -> Plan<springtide_crds::ComputeGroupStatus> {
        crate::plan_compute_group(&self.0, now)
    }

    /// Objects and status as they are after the plan was carried out.
    pub(crate) fn settled(self) -> Self {
        self.settled_at(noon())
    }

    /// The same by a clock that shows another time.
    pub(crate) fn settled_at(mut self, now: DateTime<Utc>) -> Self {
        for _ in 0..5 {
            let plan = self.plan_at(now);
            for action in &plan.actions {
                match action {
                    Action::Apply(object) => apply(&mut self.0.live, object),
                    Action::Scale { object, replicas, .. } => scale(&mut self.0.live, object, *replicas),
                    _ => {}
                }
            }
            if let Some(status) = plan.status {
                self.0.group.status = Some(status);
            }
        }
        self
    }
}

pub(crate) fn ready_pod(name: &str) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "retail"},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [container(true, json!({"running": {}}), json!({}))],
        },
    }))
    .unwrap()
}

/// A pod whose engine container is in `state` and ended before in `last`.
pub(crate) fn failing_pod(name: &str, state: Value, last: Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "retail"},
        "status": {"phase": "Pending", "containerStatuses": [container(false, state, last)]},
    }))
    .unwrap()
}

fn container(ready: bool, state: Value, last: Value) -> Value {
    json!({
        "name": "engine",
        "image": "springtide.dev/engine:0.1.0",
        "imageID": "",
        "ready": ready,
        "restartCount": 0,
        "state": state,
        "lastState": last,
    })
}

pub(crate) fn unbound_claim(name: &str, created: &str, class: Option<&str>) -> PersistentVolumeClaim {
    serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "retail", "creationTimestamp": created},
        "spec": {"storageClassName": class},
        "status": {"phase": "Pending"},
    }))
    .unwrap()
}

pub(crate) fn bound_claim(name: &str, requested: &str, capacity: &str) -> PersistentVolumeClaim {
    serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "retail", "creationTimestamp": "2026-11-01T00:00:00Z"},
        "spec": {"resources": {"requests": {"storage": requested}}},
        "status": {"phase": "Bound", "capacity": {"storage": capacity}},
    }))
    .unwrap()
}

pub(crate) fn event(kind: &str, name: &str, reason: &str, message: &str) -> Event {
    serde_json::from_value(json!({
        "metadata": {"name": "e", "namespace": "retail"},
        "involvedObject": {"kind": kind, "name": name},
        "type": "Warning",
        "reason": reason,
        "message": message,
        "lastTimestamp": "2026-11-23T11:59:50Z",
    }))
    .unwrap()
}

/// Every object that a plan applies, by kind and name.
pub(crate) fn applied<S>(plan: &Plan<S>) -> BTreeMap<String, Value> {
    plan.actions
        .iter()
        .filter_map(|action| match action {
            Action::Apply(object) => Some((object.key.to_string(), object.body.clone())),
            Action::Scale { object, replicas, .. } => {
                Some((object.to_string(), json!({"spec": {"replicas": replicas}})))
            }
            _ => None,
        })
        .collect()
}

/// A file in the ConfigMap among `objects` whose name begins with `base`.
pub(crate) fn file_of(objects: &BTreeMap<String, Value>, base: &str, name: &str) -> String {
    let prefix = format!("ConfigMap retail/{base}-");
    let (_, config_map) = objects.iter().find(|(key, _)| key.starts_with(&prefix)).unwrap();
    config_map["data"][name].as_str().unwrap().to_owned()
}

/// The texts of all statements of a plan.
pub(crate) fn statements<S>(plan: &Plan<S>) -> Vec<String> {
    plan.actions
        .iter()
        .filter_map(|action| match action {
            Action::Sql(statement) => Some(statement.text().text),
            _ => None,
        })
        .collect()
}

/// `status reason: message` of a condition.
pub(crate) fn condition(
    conditions: &[k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition],
    type_: &str,
) -> String {
    let condition = conditions.iter().find(|condition| condition.type_ == type_).unwrap();
    format!("{} {}: {}", condition.status, condition.reason, condition.message)
}

pub(crate) fn quantity(text: &str) -> Quantity {
    Quantity::new(text)
}

/// What the condition `Accepted` becomes.
pub(crate) fn accepted(fixture: &GroupFixture) -> String {
    condition(
        &fixture.plan().status.expect("the status changes").conditions,
        "Accepted",
    )
}
