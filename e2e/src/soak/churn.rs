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

use super::{Options, Trial};
use crate::{Error, Result, timeline::Progress};

/// A group has as many nodes at most, but for a few times.
const MOST: i32 = 6;
/// And then so many: names beyond nine sort otherwise than numbers.
const MANY: i32 = 11;
/// One kubectl command.
const KUBECTL: Duration = Duration::from_secs(180);
/// An autoscaler looks every 15 s.
const AUTOSCALER: Duration = Duration::from_secs(40);

/// What is done to the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Scale,
    Window,
    Autoscale,
    Evict,
    Delete,
    EmptyNode,
    Roll,
}

/// How often each of them is chosen.
const WEIGHTS: &[(Action, &str, u32)] = &[
    (Action::Scale, "kubectl scale", 50),
    (Action::Window, "windows", 20),
    (Action::Autoscale, "autoscaler", 4),
    (Action::Evict, "evictions", 12),
    (Action::Delete, "deleted pods", 8),
    (Action::EmptyNode, "emptied nodes", 3),
    (Action::Roll, "rolls", 3),
];

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
    let can_empty = options.drains_kubernetes_nodes && !others.is_empty();
    let mut missing: Vec<usize> = (0..WEIGHTS.len())
        .filter(|index| WEIGHTS[*index].0 != Action::EmptyNode || can_empty)
        .collect();
    let mut step = 0_u32;
    loop {
        let scale_ins = trial.tally.change(|counts| counts.scale_ins);
        let is_enough = scale_ins >= options.scale_ins && missing.is_empty();
        if is_enough || trial.has_ended() || Instant::now() >= ends {
            break;
        }
        step += 1;
        // All of them in the first third, then as the weights say.
        let index = if step.is_multiple_of(3) && !missing.is_empty() {
            missing.remove(0)
        } else {
            let chosen = (0..WEIGHTS.len()).collect::<Vec<_>>();
            let chosen = chosen.choose_weighted(&mut rng, |index| WEIGHTS[*index].2);
            *chosen.map_err(|error| Error::Missing(format!("an action: {error}")))?
        };
        let (action, name, _) = WEIGHTS[index];
        if action == Action::EmptyNode && !can_empty {
            continue;
        }
        let (statements, failed) = trial
            .tally
            .change(|counts| (counts.statements.values().sum::<u64>(), counts.failed));
        progress.say(format!(
            "{scale_ins} of {} scale-ins, {statements} statements, {failed} failed; {name}",
            options.scale_ins
        ));
        perform(trial, action, &mut rng, step, &others).await?;
        trial
            .tally
            .change(|counts| *counts.actions.entry(name).or_default() += 1);
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

async fn perform(trial: &Trial, action: Action, rng: &mut StdRng, step: u32, others: &[String]) -> Result<()> {
    match action {
        Action::Scale => {
            let now = trial.group().await?.spec.replicas;
            let to = if now > 3 {
                rng.random_range(1..=2)
            } else if rng.random_ratio(1, 12) {
                MANY
            } else {
                rng.random_range(4..=MOST)
            };
            scale(trial, to).await
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
            trial.change(json!({"schedules": null})).await
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
            trial.change(json!({"autoscaling": null})).await
        }
        Action::Evict => {
            let Some(pod) = any_pod(trial, rng).await? else {
                return Ok(());
            };
            let evicted = pods(trial).evict(&pod, &EvictParams::default()).await;
            tolerated(evicted.map(drop), "evict a pod")
        }
        Action::Delete => {
            let Some(pod) = any_pod(trial, rng).await? else {
                return Ok(());
            };
            let deleted = pods(trial).delete(&pod, &DeleteParams::default()).await;
            tolerated(deleted.map(drop), "delete a pod")
        }
        Action::EmptyNode => {
            let Some(node) = others.choose(rng) else {
                return Ok(());
            };
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
            drained.map(drop)
        }
        Action::Roll => trial.change(json!({"labels": {"soak": format!("roll-{step}")}})).await,
    }
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

/// What may be in the way of an eviction: a budget, or that the pod has gone meanwhile.
fn tolerated(done: kube::Result<()>, doing: &str) -> Result<()> {
    match done {
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 429) => Ok(()),
        done => done.map_err(Error::kubernetes(doing)),
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
