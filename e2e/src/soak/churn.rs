//! Who makes nodes go.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, EvictParams, ListParams, Patch, PatchParams},
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Going, Options, Trial, witness};
use crate::{
    Error, Result,
    cluster::{self, Look, wait_until},
    mishap,
    timeline::Progress,
};

/// A group has as many nodes at most, but for once in a while.
const MOST: i32 = 6;
/// And then so many: names beyond nine sort otherwise than numbers.
const MANY: i32 = 11;
/// One kubectl command.
const KUBECTL: Duration = Duration::from_secs(180);
/// An autoscaler looks every 15 s.
const AUTOSCALER: Duration = Duration::from_secs(40);
/// A kubelet looks every 10 s, at figures that may be as old.
const EVICTION: Duration = Duration::from_secs(90);

/// What is done to the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Scale,
    Many,
    Window,
    Autoscale,
    Evict,
    Delete,
    EmptyNode,
    Roll,
    Kill,
    ForceDelete,
    Overfill,
}

/// How often each of them is chosen.
const ASKED: &[(Action, &str, u32)] = &[
    (Action::Scale, "kubectl scale", 50),
    (Action::Many, "kubectl scale beyond ten", 1),
    (Action::Window, "windows", 20),
    (Action::Autoscale, "autoscaler", 4),
    (Action::Evict, "evictions", 12),
    (Action::Delete, "deleted pods", 8),
    (Action::EmptyNode, "emptied nodes", 3),
    (Action::Roll, "rolls", 3),
];
/// Nodes are torn away until a statement has failed by it, but no more of them than this, or than are asked for.
pub(super) const MOST_TORN: u64 = 12;
/// As [`ASKED`], of nodes that are torn away.
const TORN: &[(Action, &str, u32)] = &[
    (Action::Kill, "engines killed", 3),
    (Action::ForceDelete, "pods deleted by force", 2),
    (Action::Overfill, "pods evicted by their kubelet", 1),
];

/// The ways in which nodes are asked to go, by name.
pub(super) fn asked() -> impl Iterator<Item = &'static str> {
    ASKED.iter().map(|(_, name, _)| *name)
}

/// Until enough nodes have gone, or the time is up. Every kind of action happens at least once.
pub(super) async fn run(trial: &Trial, options: &Options, progress: &Progress) -> Result<()> {
    let mut rng = StdRng::seed_from_u64(options.seed);
    let ends = Instant::now() + options.limit;
    let nodes: Api<Node> = Api::all(trial.client.clone());
    let nodes = nodes
        .list(&ListParams::default())
        .await
        .map_err(Error::kubernetes("list the nodes"))?;
    let others: Vec<String> = nodes.iter().skip(1).map(ResourceExt::name_any).collect();
    let mut actions = match options.going {
        Going::Asked => ASKED.to_vec(),
        Going::Torn => TORN.to_vec(),
    };
    actions.retain(|(action, ..)| *action != Action::EmptyNode || !others.is_empty());
    let mut missing = if options.every_way { actions.clone() } else { Vec::new() };
    let mut step = 0_u32;
    loop {
        let (gone, has_shown) = trial.tally.change(|counts| match options.going {
            Going::Asked => (counts.scale_ins, true),
            // Nodes that were torn away beside all statements have shown nothing.
            Going::Torn => {
                let torn: u64 = counts.actions.values().sum();
                (torn, counts.failed > 0 || torn >= MOST_TORN)
            }
        });
        let is_enough = gone >= options.gone && missing.is_empty() && has_shown;
        if is_enough || trial.has_ended() || Instant::now() >= ends {
            break;
        }
        step += 1;
        // Each of them soon, then as the weights say.
        let takes_missing = options.going == Going::Torn || step.is_multiple_of(3);
        let chosen = match missing.first() {
            Some(first) if takes_missing => *first,
            _ => {
                let chosen = actions.choose_weighted(&mut rng, |(.., weight)| *weight);
                *chosen.map_err(|error| Error::Missing(format!("an action: {error}")))?
            }
        };
        let (action, name, _) = chosen;
        let (statements, failed) = trial
            .tally
            .change(|counts| (counts.statements.values().sum::<u64>(), counts.failed));
        progress.say(format!(
            "{gone} of {} nodes went, {statements} statements, {failed} failed; {name}",
            options.gone
        ));
        if perform(trial, action, &mut rng, step, &others).await? {
            missing.retain(|missing| *missing != chosen);
            trial
                .tally
                .change(|counts| *counts.actions.entry(name).or_default() += 1);
        }
        // Often the next comes before this one is over.
        if rng.random_bool(0.6) {
            trial.settled(&Progress::default()).await?;
        } else {
            tokio::time::sleep(Duration::from_millis(rng.random_range(0..4000))).await;
        }
    }
    trial
        .change(json!({"replicas": 2, "schedules": null, "autoscaling": null}))
        .await
}

/// Answers whether it was done: what was to go may have gone by itself, or be held by a disruption budget.
async fn perform(trial: &Trial, action: Action, rng: &mut StdRng, step: u32, others: &[String]) -> Result<bool> {
    match action {
        Action::Scale => {
            let now = trial.group().await?.spec.replicas;
            let to = if now > 3 {
                rng.random_range(1..=2)
            } else {
                rng.random_range(4..=MOST)
            };
            scale(trial, to).await?;
        }
        Action::Many => {
            scale(trial, MANY).await?;
            trial.settled(&Progress::default()).await?;
            scale(trial, 2).await?;
        }
        Action::Kill => {
            let Some(pod) = any_running(trial, rng).await? else {
                return Ok(false);
            };
            mishap::kill_engine(&pod)?;
        }
        Action::ForceDelete => {
            let Some(pod) = any_running(trial, rng).await? else {
                return Ok(false);
            };
            let deleted = pods(trial)
                .delete(&pod.name_any(), &DeleteParams::default().grace_period(0))
                .await;
            return tolerated(deleted.map(drop), "delete a pod by force");
        }
        Action::Overfill => {
            let Some(pod) = any_running(trial, rng).await? else {
                return Ok(false);
            };
            mishap::overfill(&pod)?;
            evicted(trial, &pod).await?;
        }
        Action::Window => {
            // Open at once: the first wants more, the second fewer than people do.
            let (field, nodes) = if rng.random_bool(0.5) {
                ("minReplicas", rng.random_range(4..=MOST))
            } else {
                ("maxReplicas", rng.random_range(1..=2))
            };
            let window = json!({
                "name": "now", "start": "* * * * *", "duration": "2m", "timeZone": "Etc/UTC", field: nodes,
            });
            trial.change(json!({"schedules": [window]})).await?;
            tokio::time::sleep(Duration::from_millis(rng.random_range(500..5000))).await;
            trial.change(json!({"schedules": null})).await?;
        }
        Action::Autoscale => {
            let nodes = if trial.group().await?.spec.replicas > 3 { 1 } else { 4 };
            trial
                .change(json!({"autoscaling": {"minReplicas": nodes, "maxReplicas": nodes}}))
                .await?;
            let ends = Instant::now() + AUTOSCALER;
            while Instant::now() < ends && trial.group().await?.spec.replicas != nodes {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            let is_scaled = trial.group().await?.spec.replicas == nodes;
            trial.change(json!({"autoscaling": null})).await?;
            return Ok(is_scaled);
        }
        Action::Evict => {
            let Some(pod) = any_pod(trial, rng).await? else {
                return Ok(false);
            };
            let evicted = pods(trial).evict(&pod, &EvictParams::default()).await;
            return tolerated(evicted.map(drop), "evict a pod");
        }
        Action::Delete => {
            let Some(pod) = any_pod(trial, rng).await? else {
                return Ok(false);
            };
            let deleted = pods(trial).delete(&pod, &DeleteParams::default()).await;
            return tolerated(deleted.map(drop), "delete a pod");
        }
        Action::EmptyNode => {
            let Some(node) = others.choose(rng) else {
                return Ok(false);
            };
            // One that has nothing of the group shows nothing.
            let running = witness::running(trial)
                .await
                .map_err(Error::kubernetes("list the pods"))?;
            let is_there = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref()) == Some(node);
            if !running.iter().any(is_there) {
                return Ok(false);
            }
            let drained = trial
                .target
                .kubectl(KUBECTL)
                .args(["drain", node, "--ignore-daemonsets", "--delete-emptydir-data"])
                .args([
                    "--pod-selector",
                    &format!("springtide.dev/compute-group={}", trial.group),
                ])
                .args(["--timeout", "150s"])
                .output()
                .await;
            trial.target.kubectl(KUBECTL).args(["uncordon", node]).output().await?;
            drained?;
        }
        Action::Roll => {
            trial
                .change(json!({"labels": {"soak": format!("roll-{step}")}}))
                .await?;
        }
    }
    Ok(true)
}

async fn scale(trial: &Trial, to: i32) -> Result<()> {
    trial
        .target
        .kubectl(KUBECTL)
        .args([
            "--namespace",
            &trial.namespace(),
            "scale",
            &format!("computegroup/{}", trial.group),
        ])
        .arg(format!("--replicas={to}"))
        .output()
        .await
        .map(drop)
}

/// Whether it was done. In the way of an eviction may be a budget, or that the pod has gone meanwhile.
fn tolerated(done: kube::Result<()>, doing: &str) -> Result<bool> {
    match done {
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 429) => Ok(false),
        done => done.map(|()| true).map_err(Error::kubernetes(doing)),
    }
}

fn pods(trial: &Trial) -> Api<Pod> {
    Api::namespaced(trial.client.clone(), &trial.namespace())
}

async fn any_pod(trial: &Trial, rng: &mut StdRng) -> Result<Option<String>> {
    let of_group = ListParams::default().labels(&format!("springtide.dev/compute-group={}", trial.group));
    let pods = pods(trial)
        .list(&of_group)
        .await
        .map_err(Error::kubernetes("list the pods"))?;
    Ok(pods.items.choose(rng).map(ResourceExt::name_any))
}

/// A pod whose containers run and were not told to stop.
async fn any_running(trial: &Trial, rng: &mut StdRng) -> Result<Option<Pod>> {
    let mut running = witness::living(trial)
        .await
        .map_err(Error::kubernetes("list the pods"))?;
    Ok(if running.is_empty() {
        None
    } else {
        Some(running.swap_remove(rng.random_range(0..running.len())))
    })
}

/// Waits until the kubelet has evicted the pod.
async fn evicted(trial: &Trial, pod: &Pod) -> Result<()> {
    let name = pod.name_any();
    let what = format!("the kubelet evicts pod {name}");
    wait_until(&what, EVICTION, &Progress::default(), async || {
        let now = cluster::get(&pods(trial), &name).await?;
        let lives = now.filter(|now| now.uid() == pod.uid() && now.metadata.deletion_timestamp.is_none());
        let reason = lives.map(|now| now.status.and_then(|status| status.reason));
        Ok(match reason {
            None => Look::Done(()),
            Some(Some(reason)) if reason == "Evicted" => Look::Done(()),
            Some(reason) => Look::NotYet(format!("{reason:?}")),
        })
    })
    .await
}

impl Trial {
    /// Merges into the group's spec, as a person by `kubectl patch`.
    async fn change(&self, spec: Value) -> Result<()> {
        self.groups()
            .patch(
                &self.group,
                &PatchParams::default(),
                &Patch::Merge(json!({"spec": spec})),
            )
            .await
            .map(drop)
            .map_err(Error::kubernetes("change the group"))
    }
}
