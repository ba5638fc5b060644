//! One day in the life of a cluster, again and again: undisturbed, with an operator that dies after each of its writes, over an API
//! server and a frontend that refuse and lose requests, watches and statements, and over a server that lags behind. It ends in the
//! same state each time, and nothing is deleted that the undisturbed one keeps.
//!
//! `SPRINGTIDE_VERIFY=all` has the operator die after every write; otherwise once in each step, by `SPRINGTIDE_SEED`.

mod sizes;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{PersistentVolumeClaim, Pod},
};
use kube::{ResourceExt, api::ListParams};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::json;
use springtide_crds::{ComputeGroup, LakeCluster};
use springtide_plan::names::{self, OWNER_LABEL};

use self::sizes::Sizes;
use crate::{
    harness::{
        faults::{Faults, kinds_of_trouble},
        state::State,
        world::{Running, World},
    },
    lifecycle::scale,
    volumes::{growing_class, size_of_further_claims, write_size},
};

/// How late a server that lags tells what happened.
const LAG: Duration = Duration::from_secs(2);
/// Share of requests and statements that go wrong on a bad network.
const TROUBLE: f64 = 0.2;
/// The node that still has work when it is to go.
const BUSY: &str = "etl-cn-2";
/// What the volume of the frontend grows to.
const LARGER: &str = "12Gi";
/// A window is open from eight to ten.
const OPENS: &str = "2030-06-03T08:00:00Z";
/// Its nodes are wanted so long before: longer than a step takes, so that it opens in none.
const LEAD: TimeDelta = TimeDelta::minutes(30);
/// The clock is set to so long before that moment, which then comes by running time.
const AHEAD: TimeDelta = TimeDelta::seconds(6);

/// What people and clocks do, in this order; each step begins where the one before it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Create,
    ScaleUp,
    Roll,
    Grow,
    WindowNears,
    WindowCloses,
    ScaleIn,
    Replace,
    Delete,
}

const DAY: [Step; 9] = [
    Step::Create,
    Step::ScaleUp,
    Step::Roll,
    Step::Grow,
    Step::WindowNears,
    Step::WindowCloses,
    Step::ScaleIn,
    Step::Replace,
    Step::Delete,
];

impl Step {
    /// Does what begins it.
    async fn act(self, world: &World) {
        match self {
            Self::Create => {
                set_clock(world, TimeDelta::hours(-2));
                // On that day alone: one step goes by the clock of the API server, which may stand in any hour.
                let window = json!({"name": "morning", "at": OPENS.trim_end_matches(":00Z"), "duration": "2h",
                    "timeZone": "Etc/UTC", "minReplicas": 4, "leadTime": format!("{}m", LEAD.num_minutes())});
                growing_class(world).await;
                // Its volume goes with it, which is let go while the StatefulSet is made anew.
                let frontends = json!({"metadataVolume": {"storageClassName": "growing", "size": "10Gi"}});
                world
                    .make_cluster_with("lake", json!({"deletionPolicy": "Delete", "frontends": frontends}))
                    .await;
                world
                    .make_group(
                        "etl",
                        "lake",
                        // Nobody measures load here: the autoscaler is made and follows the windows, and never asks for nodes.
                        json!({"replicas": 1, "schedules": [window], "autoscaling": {"maxReplicas": 6}}),
                    )
                    .await;
            }
            Self::ScaleUp => scale(world, "etl", 3).await,
            Self::Roll => {
                world
                    .merge::<ComputeGroup>("etl", json!({"spec": {"labels": {"team": "blue"}}}))
                    .await;
            }
            Self::Grow => write_size(world, LARGER).await,
            // A look before the edge foresees what it needs, and that is done at the edge. After a death it is not foreseen any more,
            // or it has passed.
            Self::WindowNears => {
                set_clock(world, -(LEAD + world.stagger("etl") + AHEAD));
                world
                    .merge::<ComputeGroup>("etl", json!({"metadata": {"annotations": {"look": "at the clock"}}}))
                    .await;
            }
            Self::WindowCloses => set_clock(world, TimeDelta::hours(3)),
            Self::ScaleIn => {
                world.frontend.catalog.lock().unwrap().busy.insert(BUSY.to_owned());
                scale(world, "etl", 1).await;
            }
            // The group goes, and its cluster stays and gets another one.
            Self::Replace => {
                // How long a deletion has waited is told by the API server's clock.
                world.clock.set(Utc::now());
                world.delete::<ComputeGroup>("etl").await;
                world.make_group("adhoc", "lake", json!({"replicas": 1})).await;
            }
            Self::Delete => {
                world.delete::<ComputeGroup>("adhoc").await;
                world.delete::<LakeCluster>("lake").await;
            }
        }
    }

    /// Asserts that the group's StatefulSet went straight from the size that it had to the one that is wanted.
    fn went_by(self, sizes: &[i32], disturbance: Disturbance, writes: &[String]) {
        let is_straight = match self {
            Self::Create => sizes == [1],
            Self::ScaleUp => sizes.is_sorted() && sizes.first() == Some(&1) && sizes.last() == Some(&3),
            Self::Roll | Self::Grow => sizes == [3],
            Self::WindowNears => sizes.is_sorted() && sizes.last() == Some(&4),
            Self::WindowCloses => sizes.iter().rev().is_sorted() && sizes.last() == Some(&3),
            Self::ScaleIn => sizes.iter().rev().is_sorted() && sizes.last() == Some(&1),
            // Nothing is made anew in its place.
            Self::Replace | Self::Delete => sizes == [1],
        };
        assert!(
            is_straight,
            "{disturbance:?}, {self:?} went by these sizes: {sizes:?}\n{writes:#?}"
        );
    }

    /// Waits until it has come to its end.
    async fn arrives(self, world: &World) {
        match self {
            Self::Create => {
                world.cluster_is_available("lake").await;
                world.group_serves("etl", 1).await;
            }
            Self::ScaleUp | Self::WindowCloses => world.group_serves("etl", 3).await,
            Self::Roll => {
                world
                    .eventually("all pods are of the new template", || async {
                        let group = ListParams::default().labels("springtide.dev/compute-group=etl,team=blue");
                        let pods = world.api::<Pod>().list(&group).await.unwrap();
                        (pods.items.len() == 3).then_some(())
                    })
                    .await;
                world.group_serves("etl", 3).await;
            }
            Self::Grow => {
                world
                    .eventually("further volumes are larger, too, and the pod has an owner", || async {
                        let owner = world.get::<StatefulSet>("lake-fe").await?.uid();
                        let pod = world.get::<Pod>("lake-fe-0").await?;
                        let is_adopted = pod.owner_references().first().map(|of| of.uid.clone()) == owner;
                        let is_larger = size_of_further_claims(world).await.as_deref() == Some(LARGER);
                        (is_adopted && is_larger).then_some(())
                    })
                    .await;
                world.group_serves("etl", 3).await;
            }
            Self::WindowNears => world.group_serves("etl", 4).await,
            Self::ScaleIn => {
                world
                    .eventually("the busy node is waited for", || async {
                        if world.frontend.catalog.lock().unwrap().busy.is_empty() {
                            return Some(());
                        }
                        assert_eq!(
                            world.wanted("etl").await,
                            Some(3),
                            "no pod goes before the highest is idle"
                        );
                        let status = world.get::<ComputeGroup>("etl").await?.status?;
                        let busy = status.draining.iter().find(|node| node.node == BUSY)?;
                        busy.waiting_for.as_ref()?.contains("connection 17").then_some(())
                    })
                    .await;
                world.frontend.catalog.lock().unwrap().busy.clear();
                world.group_serves("etl", 1).await;
            }
            Self::Replace => {
                let its_own = format!("{OWNER_LABEL}={}", names::owner("ComputeGroup", "etl"));
                let its_own = its_own.as_str();
                world
                    .eventually("the group is gone with all that was its own", || async {
                        let group = world.get::<ComputeGroup>("etl").await;
                        let set = world.get::<StatefulSet>("etl-cn").await;
                        let pods = ListParams::default().labels(its_own);
                        let pods = world.api::<Pod>().list(&pods).await.unwrap();
                        let none = group.is_none() && set.is_none() && pods.items.is_empty();
                        (none && world.collected_of(its_own).await).then_some(())
                    })
                    .await;
                world.group_serves("adhoc", 1).await;
            }
            Self::Delete => {
                world
                    .eventually("all of it is gone", || async {
                        let group = world.get::<ComputeGroup>("adhoc").await;
                        let cluster = world.get::<LakeCluster>("lake").await;
                        let sets = world.api::<StatefulSet>().list(&ListParams::default()).await.unwrap();
                        let pods = world.api::<Pod>().list(&ListParams::default()).await.unwrap();
                        let claims = world.api::<PersistentVolumeClaim>();
                        let claims = claims.list(&ListParams::default()).await.unwrap();
                        let none = group.is_none()
                            && cluster.is_none()
                            && sets.items.is_empty()
                            && pods.items.is_empty()
                            && claims.items.is_empty();
                        // What goes with its owner goes later.
                        (none && world.collected().await).then_some(())
                    })
                    .await;
            }
        }
    }
}

fn set_clock(world: &World, after_opening: TimeDelta) {
    let opens: DateTime<Utc> = OPENS.parse().unwrap();
    world.clock.set(opens + after_opening);
}

/// What disturbs a day.
#[derive(Clone, Copy, Debug)]
enum Disturbance {
    Nothing,
    /// In every step the operator dies after so many writes, and another one takes over.
    DeathAfter(usize),
    /// The same, after a number of writes that is another one in each step, by this seed.
    DeathAtRandom(u64),
    /// Requests, watches and statements go wrong, by this seed.
    Trouble(u64),
    /// As [`Disturbance::DeathAtRandom`], and the one that takes over is told how things were before the step: it sees nothing of what
    /// the dead one did.
    Lag(u64),
}

/// How a step ended.
#[derive(Debug)]
struct Ended {
    state: State,
    /// Writes of all its operators.
    writes: Vec<String>,
    /// Whether one died in it.
    died: bool,
}

/// The undisturbed day, which all others are compared with.
static REFERENCE: tokio::sync::OnceCell<BTreeMap<Step, Ended>> = tokio::sync::OnceCell::const_new();

async fn reference() -> &'static BTreeMap<Step, Ended> {
    REFERENCE.get_or_init(|| day(Disturbance::Nothing)).await
}

/// Starts an operator, and waits until it has looked at the group, if there is one: what happens next happens to an operator that works.
async fn operator_at_work(world: &World, faults: &Faults, number: usize, step: Step) -> Running {
    let looks = || world.looks().get("ComputeGroup").copied().unwrap_or_default();
    let before = looks();
    let operator = world.operator_through(faults, number).await;
    if step != Step::Create {
        let looked = world.eventually("the operator looks at a group", || async {
            (looks() > before).then_some(())
        });
        tokio::select! {
            () = faults.died() => {}
            () = looked => {}
        }
    }
    operator
}

/// Lives through a day.
async fn day(disturbance: Disturbance) -> BTreeMap<Step, Ended> {
    let world = World::new().await;
    let sizes = Sizes::watch(&world);
    let mut ended = BTreeMap::new();
    let mut met_this_day = BTreeSet::new();
    for (number, step) in DAY.into_iter().enumerate() {
        eprintln!("{disturbance:?}: {step:?}");
        let mut writes = Vec::new();
        let mut died = false;
        let frontend = frontend(&world).await;
        let is_late = matches!(disturbance, Disturbance::Lag(_));
        let mut before_the_second = BTreeMap::new();
        match disturbance {
            Disturbance::DeathAfter(_) | Disturbance::DeathAtRandom(_) | Disturbance::Lag(_) => {
                let last_write = last_write(disturbance, step);
                let faults = Faults::dying_after(last_write);
                if is_late {
                    faults.keep_lists();
                }
                let operator = operator_at_work(&world, &faults, number * 2, step).await;
                faults.keep_no_more_lists();
                step.act(&world).await;
                let ends = async {
                    step.arrives(&world).await;
                    // Some writes come after that.
                    if last_write <= REFERENCE.get().unwrap()[&step].writes.len() {
                        world.settle().await;
                    }
                };
                tokio::select! {
                    () = faults.died() => died = true,
                    () = ends => {}
                }
                operator.crash().await;
                writes.extend(faults.writes());
                if is_late {
                    before_the_second = ids(&world).await;
                    let faults = faults.lagging(LAG);
                    let operator = world.operator_through(&faults, number * 2 + 1).await;
                    // The step may have arrived already by what the dead one did.
                    if step != Step::Create {
                        world
                            .eventually("the operator is told how things were", || async {
                                (faults.repeated_lists() > 0).then_some(())
                            })
                            .await;
                    }
                    step.arrives(&world).await;
                    operator.stop().await;
                    writes.extend(faults.writes());
                }
            }
            Disturbance::Nothing | Disturbance::Trouble(_) => {}
        }
        let faults = Faults::default();
        if let Disturbance::Trouble(seed) = disturbance {
            faults.trouble(seed.wrapping_add(number as u64), TROUBLE);
        }
        let operator = if matches!(disturbance, Disturbance::Nothing | Disturbance::Trouble(_)) {
            let operator = operator_at_work(&world, &faults, 100 + number, step).await;
            step.act(&world).await;
            operator
        } else {
            world.operator_through(&faults, 100 + number).await
        };
        step.arrives(&world).await;
        if matches!(disturbance, Disturbance::Trouble(_)) {
            let met = faults.calm();
            eprintln!("met: {met:?}");
            assert!(!met.is_empty(), "{step:?}: nothing went wrong");
            met_this_day.extend(met.into_keys());
            world
                .eventually("the operator sees everything again", || async {
                    faults.all_watches_run().then_some(())
                })
                .await;
            // A frontend that did not answer is not asked again for a while, which alone looks like rest.
            world.settle().await;
        }
        world.settle().await;
        step.arrives(&world).await;
        operator.stop().await;
        writes.extend(faults.writes());
        let after = ids(&world).await;
        before_the_second.retain(|pod, id| after.get(pod).is_some_and(|after| *after != *id));
        assert!(
            before_the_second.is_empty(),
            "{disturbance:?}, {step:?}: nodes were dropped while their pods lived, and registered anew: {before_the_second:?}"
        );
        let is_there_all_along = !matches!(step, Step::Create | Step::Delete);
        assert!(
            !is_there_all_along || frontend == self::frontend(&world).await,
            "{disturbance:?}, {step:?}: the frontend was replaced"
        );
        let state = match step {
            // A frontend goes with its cluster, and so does what it knew.
            Step::Delete => State::of(&world).await,
            _ => State::with_frontend(&world).await,
        };
        let sizes = sizes.since_last(&world).await;
        step.went_by(&sizes, disturbance, &writes);
        ended.insert(step, Ended { state, writes, died });
    }
    if matches!(disturbance, Disturbance::Trouble(_)) {
        assert_eq!(
            met_this_day,
            kinds_of_trouble(),
            "what went wrong this day, and what can"
        );
    }
    ended
}

/// The write after which an operator dies in this step.
fn last_write(disturbance: Disturbance, step: Step) -> usize {
    match disturbance {
        Disturbance::DeathAfter(write) => write,
        Disturbance::DeathAtRandom(seed) | Disturbance::Lag(seed) => {
            let mut rng = StdRng::seed_from_u64(seed.wrapping_add(step as u64));
            rng.random_range(1..=REFERENCE.get().unwrap()[&step].writes.len().max(1))
        }
        Disturbance::Nothing | Disturbance::Trouble(_) => usize::MAX,
    }
}

/// So many writes the step has each time it is lived through. How often a status is written depends on how long things take.
fn certain_writes(ended: &Ended) -> usize {
    let is_status = |write: &&String| write.ends_with("/status");
    ended.writes.len() - ended.writes.iter().filter(is_status).count()
}

/// Asserts that an operator died in each step that has as many writes for certain; how often one did.
fn assert_deaths(
    disturbance: Disturbance,
    disturbed: &BTreeMap<Step, Ended>,
    reference: &BTreeMap<Step, Ended>,
) -> usize {
    for (step, ended) in disturbed {
        let (last_write, certain) = (last_write(disturbance, *step), certain_writes(&reference[step]));
        assert!(
            ended.died || last_write > certain,
            "{disturbance:?}: no operator died in {step:?}, which has {certain} writes beside those of statuses:\n{:#?}",
            ended.writes
        );
    }
    disturbed.values().filter(|ended| ended.died).count()
}

/// The pod of the frontend, which another of its name is not.
async fn frontend(world: &World) -> Option<String> {
    world.get::<Pod>("lake-fe-0").await?.uid()
}

/// The id of each registered node whose pod is there, by the pod's name and uid.
async fn ids(world: &World) -> BTreeMap<(String, Option<String>), u64> {
    let nodes = world.frontend.catalog.lock().unwrap().nodes.clone();
    let pods = world.api::<Pod>().list(&ListParams::default()).await.unwrap();
    let of_pod = |pod: Pod| {
        let host = format!("{}.", pod.name_any());
        let (_, id) = nodes.iter().find(|(node, _)| node.starts_with(&host))?;
        Some(((pod.name_any(), pod.uid()), *id))
    };
    pods.items.into_iter().filter_map(of_pod).collect()
}

/// Deletions and orders to leave, each as often as it took effect. An order to drain is given again before it lapses, and counts once.
/// Whoever `is_late` may delete again what is going, and drop a node again that it registered for a pod which had gone: there each deletion
/// counts once, and that no node is dropped which lives is seen by ids.
fn removals(ended: &Ended, is_late: bool) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for write in &ended.writes {
        let is_order = write.starts_with("SQL ALTER SYSTEM DRAIN");
        if write.starts_with("DELETE ") || !is_late && (is_order || write.starts_with("SQL ALTER SYSTEM DROP")) {
            let count: &mut usize = counts.entry(write.rsplit('/').next().unwrap_or(write)).or_default();
            *count = if is_late || is_order { 1 } else { *count + 1 };
        }
    }
    counts
}

/// Asserts that a disturbed day went like the undisturbed one.
fn assert_alike(disturbance: Disturbance, disturbed: &BTreeMap<Step, Ended>, reference: &BTreeMap<Step, Ended>) {
    let is_late = matches!(disturbance, Disturbance::Lag(_));
    for (step, ended) in disturbed {
        let expected = &reference[step];
        let difference = expected.state.difference(&ended.state);
        assert!(
            difference.is_empty(),
            "{disturbance:?}, {step:?} ended otherwise:\n{difference}"
        );
        let removed: BTreeSet<_> = removals(ended, is_late).into_iter().collect();
        let expected: BTreeSet<_> = removals(expected, is_late).into_iter().collect();
        // The group goes with its cluster, and whichever of the two the operator hears of first decides who deletes what the group is made of:
        // the operator, as for a group without a cluster, or Kubernetes with its owner.
        let goes_anyway = |name: &str| *step == Step::Delete && name == "adhoc-cn";
        let too_many = removed.difference(&expected).filter(|(name, _)| !goes_anyway(name));
        let too_many: Vec<_> = too_many.collect();
        assert!(
            too_many.is_empty(),
            "{disturbance:?}, {step:?} removed too much: {too_many:?}\n{:#?}",
            ended.writes
        );
    }
}

pub(crate) fn seed() -> u64 {
    let seed = std::env::var("SPRINGTIDE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(rand::random);
    eprintln!("SPRINGTIDE_SEED={seed}");
    seed
}

#[tokio::test]
async fn an_operator_that_dies_after_any_write_leaves_what_the_next_one_finishes() {
    let seed = seed();
    let reference = reference().await;
    for (step, ended) in reference {
        let certain = certain_writes(ended);
        eprintln!(
            "{step:?}: {} writes, {certain} beside those of statuses",
            ended.writes.len()
        );
        assert!(certain > 0, "{step:?}: nobody can die in it");
    }
    let days = if std::env::var("SPRINGTIDE_VERIFY").is_ok_and(|what| what == "all") {
        let most = reference.values().map(|ended| ended.writes.len()).max().unwrap();
        (1..=most).map(Disturbance::DeathAfter).collect()
    } else {
        vec![Disturbance::DeathAtRandom(seed)]
    };
    let mut deaths = 0;
    for disturbance in days {
        let disturbed = day(disturbance).await;
        deaths += assert_deaths(disturbance, &disturbed, reference);
        assert_alike(disturbance, &disturbed, reference);
    }
    eprintln!("verified: deaths {deaths}");
    assert!(deaths > 0, "no operator died");
}

#[tokio::test]
async fn a_server_that_refuses_and_loses_a_fifth_of_the_requests_changes_nothing_about_the_end() {
    let disturbance = Disturbance::Trouble(seed());
    let reference = reference().await;
    let disturbed = day(disturbance).await;
    assert_alike(disturbance, &disturbed, reference);
}

#[tokio::test]
async fn an_operator_that_is_told_how_things_were_undoes_nothing() {
    let disturbance = Disturbance::Lag(seed());
    let reference = reference().await;
    let disturbed = day(disturbance).await;
    assert_deaths(disturbance, &disturbed, reference);
    assert_alike(disturbance, &disturbed, reference);
}
