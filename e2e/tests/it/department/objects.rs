//! What scenarios look at in a department, and what they change in it as people do by `kubectl`.

use std::collections::BTreeMap;

use futures::{AsyncBufReadExt, TryStreamExt};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{
    Api, ResourceExt,
    api::{ListParams, LogParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use springtide_crds::{ComputeGroup, ComputeGroupStatus, LakeCluster, LakeClusterStatus};

use super::{Department, said};

impl Department {
    pub(crate) fn lakes(&self) -> Api<LakeCluster> {
        Api::namespaced(self.cluster.client.clone(), &self.name)
    }

    pub(crate) fn groups(&self) -> Api<ComputeGroup> {
        Api::namespaced(self.cluster.client.clone(), &self.name)
    }

    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.cluster.client.clone(), &self.name)
    }

    /// What the operator says of a cluster; nothing where it has not looked yet.
    pub(crate) async fn lake_status(&self, lake: &str) -> LakeClusterStatus {
        self.lakes().get(lake).await.expect("get").status.unwrap_or_default()
    }

    /// What the operator says of a group; nothing where it has not looked yet.
    pub(crate) async fn status(&self, group: &str) -> ComputeGroupStatus {
        self.groups().get(group).await.expect("get").status.unwrap_or_default()
    }

    /// A condition of a cluster as a person reads it.
    pub(crate) async fn lake_says(&self, lake: &str, kind: &str) -> String {
        said(&self.lake_status(lake).await.conditions, kind)
    }

    /// A condition of a group as a person reads it.
    pub(crate) async fn group_says(&self, group: &str, kind: &str) -> String {
        said(&self.status(group).await.conditions, kind)
    }

    /// Whether a group's pods are up to date, or not for this reason; either way, what is said of it.
    pub(crate) async fn up_to_date(&self, group: &str, reason: &str) -> Result<String, String> {
        let conditions = self.status(group).await.conditions;
        let told = said(&conditions, "UpToDate");
        let is_so = |kind: &str, why: &str| kind == "UpToDate" && why == reason;
        if conditions.iter().any(|one| is_so(&one.type_, &one.reason)) {
            Ok(told)
        } else {
            Err(told)
        }
    }

    /// Merges into the spec of a cluster.
    pub(crate) async fn change_lake(&self, lake: &str, spec: Value) {
        let patch = Patch::Merge(json!({"spec": spec}));
        let changed = self.lakes().patch(lake, &PatchParams::default(), &patch).await;
        changed.unwrap_or_else(|error| panic!("change LakeCluster {lake}: {error}"));
    }

    /// Merges into the spec of a group.
    pub(crate) async fn change_group(&self, group: &str, spec: Value) {
        let patch = Patch::Merge(json!({"spec": spec}));
        let changed = self.groups().patch(group, &PatchParams::default(), &patch).await;
        changed.unwrap_or_else(|error| panic!("change ComputeGroup {group}: {error}"));
    }

    /// The pods of a cluster: frontends and nodes.
    pub(crate) async fn pods_of_lake(&self, lake: &str) -> Vec<Pod> {
        self.labelled(&format!("springtide.dev/cluster={lake}")).await
    }

    /// The pods of a group's nodes.
    pub(crate) async fn pods_of_group(&self, group: &str) -> Vec<Pod> {
        self.labelled(&format!("springtide.dev/compute-group={group}")).await
    }

    async fn labelled(&self, labels: &str) -> Vec<Pod> {
        let wanted = ListParams::default().labels(labels);
        self.pods().list(&wanted).await.expect("list").items
    }

    /// Names and uids of all pods: a pod that was replaced has its name and another uid.
    pub(crate) async fn uids(&self) -> BTreeMap<String, String> {
        let pods = self.pods().list(&ListParams::default()).await.expect("list").items;
        uids(&pods)
    }

    /// Those of a group's nodes.
    pub(crate) async fn uids_of_group(&self, group: &str) -> BTreeMap<String, String> {
        uids(&self.pods_of_group(group).await)
    }

    /// A value of a Secret of the department.
    pub(crate) async fn secret(&self, name: &str, key: &str) -> String {
        let api: Api<Secret> = Api::namespaced(self.cluster.client.clone(), &self.name);
        let data = api.get(name).await.expect("get the Secret").data.unwrap_or_default();
        String::from_utf8(data[key].0.clone()).expect("a text")
    }

    /// What the log of a cluster's first frontend says of queries that lost a node and were run once more; all of it, or of the last
    /// seconds.
    pub(crate) async fn second_runs(&self, lake: &str, since_s: Option<i64>) -> Vec<String> {
        let wanted = LogParams {
            since_seconds: since_s,
            ..LogParams::default()
        };
        let log = self.pods().logs(&format!("{lake}-fe-0"), &wanted).await;
        let log = log.expect("the frontend's log");
        log.lines()
            .filter(|line| line.contains("running the query once more on the others"))
            .map(str::to_owned)
            .collect()
    }

    /// Lines of a node's drain sidecar, until it ends.
    pub(crate) fn drain_log(&self, pod: &str) -> impl Future<Output = Vec<String>> + use<> {
        let (pods, pod) = (self.pods(), pod.to_owned());
        async move {
            let wanted = LogParams {
                container: Some("drain".to_owned()),
                follow: true,
                ..LogParams::default()
            };
            let lines = pods.log_stream(&pod, &wanted).await.expect("a log").lines();
            // The stream may break off with the container; what came is what there is.
            let mut lines = std::pin::pin!(lines);
            let mut seen = Vec::new();
            while let Ok(Some(line)) = lines.try_next().await {
                seen.push(line);
            }
            seen
        }
    }
}

fn uids(pods: &[Pod]) -> BTreeMap<String, String> {
    pods.iter()
        .map(|pod| (pod.name_any(), pod.uid().unwrap_or_default()))
        .collect()
}
