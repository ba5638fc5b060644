//! The Job that deletes the data, and what became of it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::Pod;
use springtide_crds::Quantity;
use springtide_crds::pod::PodResources;

use crate::flavour::{data_deletion, flavour};
use crate::lake_cluster::ClusterShape;
use crate::names::{self, Owner};
use crate::pod::{PodOptions, template};
use crate::settings::Settings;
use crate::trouble::{self, Evidence};

/// Pods that may fail before the Job has failed; between them its controller waits for 10, 20 and 40 s.
const BACKOFF_LIMIT: i32 = 3;
/// Seconds that one Job may take: a billion objects take longer, and the next Job goes on with them. Where no claim stands, all names are
/// looked at before anything is deleted, and a Job that was ended in the middle would have to begin anew: that takes as long as it takes.
const DEADLINE_S: i64 = 6 * 3600;
/// Seconds after which a Job goes by itself that has ended and that nobody looks after any more.
const LEFT_S: i32 = 24 * 3600;
/// Seconds that the process has to end: it holds nothing.
const GRACE_S: i64 = 30;

/// What became of a Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It runs, or is about to.
    Running,
    /// Everything is deleted.
    Complete,
    /// It has given up.
    Failed {
        /// When; `None` where its controller does not say.
        at: Option<DateTime<Utc>>,
        /// Why, as its controller says it.
        why: String,
    },
}

impl Outcome {
    pub(super) fn of(job: &Job) -> Self {
        let conditions = job.status.as_ref().and_then(|status| status.conditions.as_deref());
        let holds = |type_: &str| {
            let mut conditions = conditions.unwrap_or_default().iter();
            conditions.find(|condition| condition.type_ == type_ && condition.status == "True")
        };
        if holds("Complete").is_some() {
            return Self::Complete;
        }
        match holds("Failed") {
            None => Self::Running,
            Some(failed) => Self::Failed {
                at: failed
                    .last_transition_time
                    .as_ref()
                    .and_then(|time| DateTime::from_timestamp(time.0.as_second(), 0)),
                why: failed
                    .message
                    .clone()
                    .or_else(|| failed.reason.clone())
                    .unwrap_or_else(|| "it gives no reason".to_owned()),
            },
        }
    }
}

/// Why the newest pod of the Job does not get on, if it does not.
pub(super) fn trouble(pods: &[Pod], now: DateTime<Utc>) -> Option<String> {
    let newest = pods
        .iter()
        .max_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|created| created.0))?;
    let pods = std::slice::from_ref(newest);
    trouble::left_by(newest).map(|refusal| refusal.message).or_else(|| {
        let evidence = Evidence {
            pods,
            volume_claims: &[],
            events: &[],
            pods_wanted: 0,
            now,
        };
        trouble::find(evidence).map(|finding| finding.message)
    })
}

/// The Job. It is made once and never changed: what is deleted, and where, was asked for by name.
pub(super) fn build(owner: &Owner, name: &str, shape: &ClusterShape, place: &str, settings: &Settings) -> Job {
    let claims_place = flavour(shape.engine).capabilities().claims_place;
    let resources = PodResources {
        cpu: Quantity::new("100m"),
        memory: Quantity::new("256Mi"),
    };
    let selector = BTreeMap::from([
        (names::CLUSTER_LABEL.to_owned(), shape.name.clone()),
        (names::COMPONENT_LABEL.to_owned(), names::DATA_DELETION.to_owned()),
    ]);
    let mut template = template(
        data_deletion::pod(shape, place, claims_place, settings),
        PodOptions {
            labels: owner.pod_labels(names::DATA_DELETION),
            selector,
            annotations: BTreeMap::from([(names::ENGINE_CONFIG_ANNOTATION.to_owned(), data_deletion::config(shape))]),
            resources: &resources,
            // The account that the operator makes goes early where somebody deletes in the foreground, and is of no use here.
            service_account: shape
                .given_service_account
                .clone()
                .unwrap_or_else(|| "default".to_owned()),
            image_pull_secrets: &shape.image_pull_secrets,
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            priority_class: None,
            grace_s: GRACE_S,
        },
    );
    if let Some(spec) = &mut template.spec {
        spec.restart_policy = Some("Never".to_owned());
        // There is one pod.
        spec.topology_spread_constraints = None;
    }
    let mut metadata = owner.metadata(name);
    for reference in metadata.owner_references.iter_mut().flatten() {
        // The Job goes when the cluster has gone, whoever let it go. What blocks the deletion of its owner would be deleted first, where
        // somebody deletes in the foreground, and the cluster waits for it.
        reference.block_owner_deletion = Some(false);
    }
    Job {
        metadata,
        spec: Some(JobSpec {
            active_deadline_seconds: claims_place.then_some(DEADLINE_S),
            backoff_limit: Some(BACKOFF_LIMIT),
            template,
            ttl_seconds_after_finished: Some(LEFT_S),
            ..JobSpec::default()
        }),
        ..Job::default()
    }
}
