//! For how long the only frontend is away while it is replaced, and what that is made of.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use springtide_e2e::departments;

use crate::{
    department::{Department, LAKE},
    engine_upgrade::ROLL_LIMIT,
    scenario::Scenario,
};

/// One try of a client that connects anew for each statement. What is sent to the address of a pod that has gone may never be answered,
/// and a client that waits longer measures itself.
const TRY_LIMIT: Duration = Duration::from_secs(2);

/// What such a client meets.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    /// The longest time without an answer.
    pub(crate) longest: Duration,
    /// Tries that failed at once.
    pub(crate) refused: u32,
    /// Tries that heard nothing.
    pub(crate) unanswered: u32,
}

/// What such a client meets until the frontends run a version.
pub(crate) async fn longest_pause(scenario: &Scenario, department: &Department, version: &str) -> Pause {
    let lake = department.answers(LAKE).await;
    let cluster = &department.cluster;
    let (mut answered, mut pause) = (Instant::now(), Pause::default());
    scenario
        .then("clients can connect to its frontends", ROLL_LIMIT, async || {
            // Before the try: its answer is that of a frontend that runs the version.
            let runs = department.lake_status(LAKE).await.engine;
            let runs = runs.is_some_and(|engine| engine.version == version);
            let one = async {
                let mut login = departments::log_in(&cluster.target, &cluster.client, &lake).await?;
                login.session.value("SELECT 1", TRY_LIMIT).await
            };
            match tokio::time::timeout(TRY_LIMIT, one).await {
                Ok(Ok(_)) => {
                    pause.longest = pause.longest.max(answered.elapsed());
                    answered = Instant::now();
                    if runs {
                        return Ok(());
                    }
                }
                Ok(Err(_)) => pause.refused += 1,
                Err(_) => pause.unanswered += 1,
            }
            Err(format!(
                "{:.1} s without an answer, at most",
                pause.longest.as_secs_f64()
            ))
        })
        .await;
    pause
}

/// Whether a pod has come so far in being replaced, by what there is under its name and the id that it had.
type HasCome = fn(Option<&Pod>, &str) -> bool;

/// The stages of a pod's replacement, in their order.
const STAGES: [(&str, HasCome); 6] = [
    ("is told to stop", |pod, before| {
        pod.is_none_or(|pod| is_another(pod, before) || pod.metadata.deletion_timestamp.is_some())
    }),
    ("has ended its process", |pod, before| {
        pod.is_none_or(|pod| is_another(pod, before) || !runs(pod))
    }),
    ("is gone", |pod, before| pod.is_none_or(|pod| is_another(pod, before))),
    ("is made anew", |pod, before| {
        pod.is_some_and(|pod| is_another(pod, before))
    }),
    ("has a process", |pod, before| {
        pod.is_some_and(|pod| is_another(pod, before) && runs(pod))
    }),
    ("is ready", |pod, before| {
        pod.is_some_and(|pod| is_another(pod, before) && is_ready(pod))
    }),
];

fn is_another(pod: &Pod, before: &str) -> bool {
    pod.uid().as_deref() != Some(before)
}

fn runs(pod: &Pod) -> bool {
    let containers = pod
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_ref());
    containers.is_some_and(|containers| {
        containers
            .iter()
            .any(|container| container.state.as_ref().is_some_and(|state| state.running.is_some()))
    })
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|conditions| {
        conditions
            .iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True")
    })
}

/// Tells when the frontend's pod comes to each stage of its replacement: the timeline says what each took.
pub(crate) async fn tell_stages(scenario: &Scenario, department: &Department) {
    let name = format!("{LAKE}-fe-0");
    let look = async || department.pods().get_opt(&name).await.expect("get");
    let before = look().await.and_then(|pod| pod.uid()).expect("a frontend");
    for (stage, has_come) in STAGES {
        scenario
            .then(&format!("the frontend's pod {stage}"), ROLL_LIMIT, async || {
                if has_come(look().await.as_ref(), &before) {
                    Ok(())
                } else {
                    Err("not yet".to_owned())
                }
            })
            .await;
    }
}
