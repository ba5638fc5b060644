//! Random walks over what the API allows: fields of an object are set, changed and taken away at random, by the schema that the API
//! server has. A change that is refused, by the server or by the operator, and then taken back leaves what there was; one that the
//! operator refuses changes nothing but what is said of it; and a spec that was reached by any way gives the same as one that was
//! written at once.
//!
//! `SPRINGTIDE_VERIFY=all` walks further; `SPRINGTIDE_SEED` repeats a walk.

mod calendar;
mod compute_group;
mod department;
mod generate;
mod lake_cluster;

use std::{collections::BTreeMap, future::Future};

use chrono::{DateTime, Utc};
use kube::api::PatchParams;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use self::generate::{Generator, Texts};
use crate::{
    faults::seed,
    harness::{
        rights::try_apply,
        state::State,
        world::{Running, World},
    },
};

/// Steps of a short walk and of a long one.
const STEPS: [usize; 2] = [4, 60];
/// A moment that is further from all edges of windows than a walk takes; before it falls the floor of what ramps down, and after it.
const NOW: &str = "2030-06-03T11:05:00Z";

/// The kind that is walked, in a world in which its fields matter.
trait Ground {
    const KIND: &'static str;
    /// Paths that never change, because the API refuses it or because the walk would have nothing to stand on.
    const FIXED: &'static [&'static str];
    const TEXTS: Texts;
    /// The kind whose objects are looked at because of this one, where it has no status to say that it was seen.
    const SEEN_BY: Option<&'static str> = None;
    /// Differences, by how they begin, that a way leaves by design: each says why.
    const LASTING: &'static [&'static str] = &[];

    /// Name and namespace of the object.
    fn metadata(world: &World) -> Value;

    /// The spec that the walk begins with.
    fn first(world: &World) -> Value;

    /// Whether going back from `after` is not to be had by design. The walk goes on from there, where it is accepted.
    fn is_for_good(_before: &Value, _after: &Value) -> bool {
        false
    }

    /// Makes what it needs, before it is there.
    fn prepare(world: &World) -> impl Future<Output = ()>;

    /// Makes what shows its fields, once it is there.
    fn inhabit(world: &World) -> impl Future<Output = ()>;

    /// What is said of this generation, once all of it is carried out.
    fn verdict(world: &World, generation: i64) -> impl Future<Output = Option<Verdict>>;

    /// Everything that there is, in a form that can be compared.
    fn state(world: &World) -> impl Future<Output = State> {
        State::of(world)
    }

    /// Takes it away with what stands on it, and waits until that is gone.
    fn clear(world: &World) -> impl Future<Output = ()>;
}

/// What becomes of a spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Accepted,
    /// The operator refuses it, and what was accepted before stays in force.
    Refused,
    /// It is in force, and something that stands on it is refused for it.
    RefusedElsewhere,
}

impl Verdict {
    /// By the condition `Accepted` of the object and that of what stands on it.
    fn of(is_accepted: bool, is_accepted_elsewhere: bool) -> Self {
        match (is_accepted, is_accepted_elsewhere) {
            (true, true) => Self::Accepted,
            (true, false) => Self::RefusedElsewhere,
            (false, _) => Self::Refused,
        }
    }
}

/// A spec as the server took it.
#[derive(Clone, Copy, Debug)]
struct Written {
    generation: i64,
    /// The looks at objects that read it which show that it was seen.
    looks: u64,
}

/// Whether the server blames the object. A set or a map by keys that names something twice does not get as far as its validation:
/// server-side apply cannot read it, and says so with a status of 500.
fn is_refusal(status: &kube::core::Status) -> bool {
    matches!(status.code, 400 | 422)
        || status.code == 500 && status.message.starts_with("failed to create typed patch object")
}

/// What the server says to the whole spec. `before` is what was written before it, if it is still there.
async fn write<G: Ground>(world: &World, spec: &Value, before: Option<Written>) -> Result<Written, String> {
    let looks = G::SEEN_BY.map_or(0, |kind| looks(world, kind));
    let object =
        json!({"apiVersion": "springtide.dev/v1alpha1", "kind": G::KIND, "metadata": G::metadata(world), "spec": spec});
    match try_apply(&world.client, &object, &PatchParams::apply("a-test").force()).await {
        Ok(taken) => {
            let generation = taken.metadata.generation.unwrap();
            // Nobody looks for the sake of what is as it was.
            let is_news = before.is_none_or(|before| before.generation != generation);
            Ok(Written {
                generation,
                looks: if is_news && before.is_some() { looks + 1 } else { 0 },
            })
        }
        Err(kube::Error::Api(status)) if is_refusal(&status) => Err(status.message.clone()),
        Err(error) => panic!("{spec}: {error}"),
    }
}

fn looks(world: &World, kind: &str) -> u64 {
    world.looks().get(kind).copied().unwrap_or_default()
}

/// The verdict and the state once the operator has carried out what it wants to, and nothing is written any more.
async fn comes_to_rest<G: Ground>(world: &World, written: Written) -> (Verdict, State) {
    let verdict = || async {
        let is_seen = G::SEEN_BY.is_none_or(|kind| looks(world, kind) >= written.looks);
        if is_seen {
            G::verdict(world, written.generation).await
        } else {
            None
        }
    };
    let what = format!("the operator has seen the {} and carried it out", G::KIND);
    world.eventually(&what, verdict).await;
    world.settle().await;
    let verdict = world.eventually(&what, verdict).await;
    (verdict, G::state(world).await)
}

/// Writes a spec where there is none, and what shows its fields.
async fn begin<G: Ground>(world: &World, spec: &Value) -> (Written, State) {
    world.clock.set(NOW.parse::<DateTime<Utc>>().unwrap());
    let written = write::<G>(world, spec, None).await.unwrap();
    G::inhabit(world).await;
    let (verdict, state) = comes_to_rest::<G>(world, written).await;
    assert_eq!(verdict, Verdict::Accepted, "{spec}");
    (written, state)
}

/// Takes everything away. How long a deletion has waited is told by the API server's clock.
async fn end<G: Ground>(world: &World) {
    world.clock.set(Utc::now());
    G::clear(world).await;
}

/// The lines of a difference that do not begin like one of these.
fn without(difference: &str, beginnings: &[&str]) -> String {
    let is_left = |line: &&str| !beginnings.iter().any(|beginning| line.starts_with(beginning));
    difference.lines().filter(is_left).collect::<Vec<_>>().join("\n")
}

async fn walk<G: Ground>(world: World) {
    let mut rng = StdRng::seed_from_u64(seed());
    let steps = STEPS[usize::from(std::env::var("SPRINGTIDE_VERIFY").is_ok_and(|what| what == "all"))];
    let generator = Generator::new(G::KIND, G::FIXED, G::TEXTS, &world.namespace);
    G::prepare(&world).await;
    let operator: Running = world.operator();
    let mut spec = G::first(&world);
    let (mut written, mut state) = begin::<G>(&world, &spec).await;
    let mut outcomes: BTreeMap<&str, usize> = BTreeMap::new();
    let mut taken = 0;
    while taken < steps {
        let (path, changed) = generator.step(&spec, &mut rng);
        let pointer = format!("/{}", path.replace('.', "/"));
        let at = |spec: &Value| spec.pointer(&pointer).cloned().unwrap_or_default();
        eprintln!("{path}: {} -> {}", at(&spec), at(&changed));
        written = match write::<G>(&world, &changed, Some(written)).await {
            Ok(written) => written,
            Err(message) => {
                let field = path.split('.').next().unwrap();
                // Server-side apply leaves nothing of a spec whose only field is an empty list, and the server misses the spec then.
                let is_named = message.contains(field) || message.contains("spec: Required value");
                assert!(is_named, "the refusal names the field {field}: {message}");
                *outcomes.entry("refused by the server").or_default() += 1;
                continue;
            }
        };
        taken += 1;
        let (verdict, after) = comes_to_rest::<G>(&world, written).await;
        if verdict == Verdict::Accepted && (G::is_for_good(&spec, &changed) || rng.random_bool(0.7)) {
            *outcomes.entry("accepted").or_default() += 1;
            (spec, state) = (changed, after);
            continue;
        }
        if verdict == Verdict::Refused {
            let difference = without(&state.difference(&after), &[&format!("{}/", G::KIND)]);
            assert!(
                difference.is_empty(),
                "{path} was refused as {} and changed:\n{difference}",
                at(&changed)
            );
        }
        *outcomes
            .entry(match verdict {
                Verdict::Accepted => "taken back",
                Verdict::Refused => "refused by the operator and taken back",
                Verdict::RefusedElsewhere => "refused for something else and taken back",
            })
            .or_default() += 1;
        written = write::<G>(&world, &spec, Some(written))
            .await
            .unwrap_or_else(|message| panic!("{path} as {} cannot be taken back: {message}", at(&changed)));
        let (_, back) = comes_to_rest::<G>(&world, written).await;
        let difference = state.difference(&back);
        assert!(
            difference.is_empty(),
            "{path} was {} and was taken back:\n{difference}",
            at(&changed)
        );
    }
    eprintln!("{}: {outcomes:?}\nverified: walk_steps {taken}", G::KIND);

    eprintln!("written at once: {spec}");
    end::<G>(&world).await;
    let (_, fresh) = begin::<G>(&world, &spec).await;
    let difference = without(&fresh.difference(&state), G::LASTING);
    assert!(difference.is_empty(), "{spec} was reached step by step:\n{difference}");
    end::<G>(&world).await;
    operator.stop().await;
}

#[tokio::test]
async fn a_compute_group_is_the_same_by_whatever_way_it_was_reached() {
    walk::<compute_group::Walked>(World::new().await).await;
}

#[tokio::test]
async fn a_lake_cluster_is_the_same_by_whatever_way_it_was_reached() {
    walk::<lake_cluster::Walked>(World::new().await).await;
}

#[tokio::test]
async fn a_department_is_the_same_by_whatever_way_it_was_reached() {
    walk::<department::Walked>(World::alone().await).await;
}

#[tokio::test]
async fn a_calendar_is_the_same_by_whatever_way_it_was_reached() {
    walk::<calendar::Walked>(World::new().await).await;
}
