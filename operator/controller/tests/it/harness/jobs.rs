//! Plays the controller of Jobs, as far as a test wants it.

use chrono::{SecondsFormat, Utc};
use k8s_openapi::api::batch::v1::Job;
use kube::{
    ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;
use springtide_crds::LakeCluster;
use springtide_plan::names;

use super::world::World;

/// How a Job ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ends {
    Complete,
    Failed,
}

impl World {
    /// Name of the Job that deletes the data of a cluster that is there.
    pub(crate) async fn job_of(&self, cluster: &str) -> String {
        let uid = self.get::<LakeCluster>(cluster).await.unwrap().uid().unwrap();
        names::data_deletion(cluster, &uid)
    }

    /// The Job of this name, once it is made.
    pub(crate) async fn job_is_made(&self, name: &str) -> Job {
        self.eventually(&format!("Job {name} is made"), || self.get::<Job>(name))
            .await
    }

    /// Deletes a cluster whose data may go, and the data at this place with it.
    pub(crate) async fn delete_with_data(&self, cluster: &str, place: &str) {
        let asked = json!({"metadata": {"annotations": {(names::DELETE_DATA_ANNOTATION): place}}});
        self.merge::<LakeCluster>(cluster, asked).await;
        let job = self.job_of(cluster).await;
        self.delete::<LakeCluster>(cluster).await;
        self.job_is_made(&job).await;
        self.end_job(&job, Ends::Complete).await;
    }

    /// Ends a Job now, as its controller does.
    pub(crate) async fn end_job(&self, name: &str, ends: Ends) {
        let now = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
        let condition = |type_: &str| {
            json!({
                "type": type_, "status": "True", "reason": "AsTheTestWants", "message": "as the test wants it",
                "lastProbeTime": now, "lastTransitionTime": now,
            })
        };
        let status = match ends {
            Ends::Complete => json!({
                "startTime": now, "completionTime": now, "succeeded": 1,
                "conditions": [condition("SuccessCriteriaMet"), condition("Complete")],
            }),
            Ends::Failed => json!({
                "startTime": now, "failed": 1, "conditions": [condition("FailureTarget"), condition("Failed")],
            }),
        };
        let patch = Patch::Merge(json!({"status": status}));
        self.api::<Job>()
            .patch_status(name, &PatchParams::default(), &patch)
            .await
            .unwrap();
    }
}
