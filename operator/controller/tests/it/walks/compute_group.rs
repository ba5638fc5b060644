//! A ComputeGroup of a cluster, with a Calendar that its windows may name.

use k8s_openapi::{api::apps::v1::StatefulSet, apimachinery::pkg::apis::meta::v1::Condition};
use serde_json::{Value, json};
use springtide_crds::{Calendar, ComputeGroup};

use super::{Ground, Verdict, generate::Texts};
use crate::harness::world::{World, is_true};

/// Name of the group.
pub(super) const NAME: &str = "etl";

pub(super) struct Walked;

impl Ground for Walked {
    const KIND: &'static str = "ComputeGroup";
    const FIXED: &'static [&'static str] = &["cluster", "warehouse"];
    const TEXTS: Texts = &[
        ("start", &["0 8 * * *", "0 8 * * MON-FRI", "@daily", "61 * * * *"]),
        ("at", &["2030-12-24T08:00", "2030-06-04T09:00", "tomorrow"]),
        ("until", &["18:00", "07:15", "25:00"]),
        ("duration", &["2h", "90m", "0s"]),
        (
            "timeZone",
            &["Etc/UTC", "Europe/Berlin", "America/New_York", "Europe/Atlantis"],
        ),
        ("leadTime", &["5m", "auto", "-5m"]),
        ("rampDown", &["10m", "6h"]),
        ("warmUp", &["30s", "2m", "soon"]),
        ("timeout", &["10m", "1h", "0s"]),
        ("averageValue", &["5", "100m", "many"]),
        ("cacheSize", &["10Gi", "1Gi", "a lot"]),
        ("cpu", &["1", "500m", "many"]),
        ("memory", &["2Gi", "3Gi", "-1Gi"]),
        ("calendars", &["holidays", "no-such-calendar"]),
        ("name", &["one", "two", "Not_A_Name"]),
        ("key", &["spot", "team"]),
        ("value", &["yes", "no"]),
    ];

    fn metadata(world: &World) -> Value {
        json!({"name": NAME, "namespace": world.namespace})
    }

    fn first(_: &World) -> Value {
        json!({"cluster": "lake", "replicas": 1})
    }

    async fn prepare(world: &World) {
        world.make_cluster("lake").await;
        let holidays = json!({"apiVersion": "springtide.dev/v1alpha1", "kind": "Calendar", "metadata": {"name": "holidays"},
            "spec": {"excludedDates": [{"from": "2030-12-24", "to": "2030-12-26"}]}});
        world.create::<Calendar>(holidays).await;
    }

    async fn inhabit(_: &World) {}

    async fn verdict(world: &World, generation: i64) -> Option<Verdict> {
        let group = world.get::<ComputeGroup>(NAME).await?;
        if group.status?.observed_generation != Some(generation) {
            return None;
        }
        Some(Verdict::of(is_carried_out(world).await?, true))
    }

    async fn clear(world: &World) {
        remove(world).await;
    }
}

/// Whether the group is accepted, once the operator has seen it, all nodes are as wanted and the last pod is gone.
pub(super) async fn is_carried_out(world: &World) -> Option<bool> {
    let group = world.get::<ComputeGroup>(NAME).await?;
    let status = group.status?;
    let is_seen = status.observed_generation == group.metadata.generation;
    let nodes = (status.wanted_replicas, status.replicas, status.serving_replicas);
    let is_there = nodes == (Some(status.replicas), status.serving_replicas, status.replicas);
    let has_pods = has_come_to_rest(&status.conditions);
    (is_seen && is_there && has_pods && status.draining.is_empty()).then(|| is_true(&status.conditions, "Accepted"))
}

/// Whether no pods are replaced or wait for their turn, and no setting is under way.
pub(super) fn has_come_to_rest(conditions: &[Condition]) -> bool {
    let moves = |condition: &Condition| {
        ["Rolling", "WaitingForTurn", "SettingPending", "SettingNotInForce"].contains(&condition.reason.as_str())
    };
    !conditions.iter().any(moves)
}

/// Deletes the group, and waits until its nodes are gone.
pub(super) async fn remove(world: &World) {
    world.delete::<ComputeGroup>(NAME).await;
    world
        .eventually("the group and its nodes are gone", || async {
            let is_known = !world.frontend.catalog.lock().unwrap().nodes.is_empty();
            let set = world.get::<StatefulSet>(&format!("{NAME}-cn")).await;
            (world.get::<ComputeGroup>(NAME).await.is_none() && set.is_none() && !is_known).then_some(())
        })
        .await;
}
