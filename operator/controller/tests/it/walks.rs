//! Random walks over what the API allows: fields of a ComputeGroup are set, changed and taken away at random, by the schema that the
//! API server has. A change that is refused, by the server or by the operator, and then taken back leaves what there was; and a spec
//! that was reached by any way gives the same as one that was written at once.
//!
//! `SPRINGTIDE_VERIFY=all` walks further; `SPRINGTIDE_SEED` repeats a walk.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use kube::api::PatchParams;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Map, Value, json};
use springtide_crds::ComputeGroup;

use crate::{
    faults::seed,
    harness::{rights::try_apply, state::State, world::World},
};

/// Steps of a short walk and of a long one.
const STEPS: [usize; 2] = [5, 60];
/// A moment far from all windows' edges.
const NOW: &str = "2030-06-03T10:30:00Z";
/// Most nodes, so that a walk is quick.
const MOST_NODES: i64 = 4;

/// What is written where the schema says no more than `string`: good values, and some that are refused.
const TEXTS: &[(&str, &[&str])] = &[
    ("start", &["0 8 * * *", "0 8 * * MON-FRI", "@daily", "61 * * * *"]),
    ("at", &["2030-12-24T08:00", "2030-06-03T09:00", "tomorrow"]),
    ("until", &["18:00", "07:15", "25:00"]),
    ("duration", &["2h", "90m", "0s"]),
    (
        "timeZone",
        &["Etc/UTC", "Europe/Berlin", "America/New_York", "Europe/Atlantis"],
    ),
    ("leadTime", &["5m", "auto", "-5m"]),
    ("rampDown", &["10m", "1h"]),
    ("warmUp", &["30s", "2m", "soon"]),
    ("timeout", &["10m", "1h", "0s"]),
    ("cacheSize", &["10Gi", "1Gi", "a lot"]),
    ("cpu", &["1", "500m", "many"]),
    ("memory", &["2Gi", "3Gi", "-1Gi"]),
    ("calendars", &["holidays", "no-such-calendar"]),
    ("name", &["one", "two", "Not_A_Name"]),
    ("key", &["spot", "team"]),
    ("value", &["yes", "no"]),
];
/// Fields that never change, and those that only the walk itself may change.
const FIXED: &[&str] = &["cluster", "warehouse"];

/// A value by its schema; `name` is the field's.
fn generate(schema: &Value, name: &str, rng: &mut StdRng) -> Value {
    if let Some(values) = schema["enum"].as_array() {
        return values.choose(rng).cloned().unwrap_or_default();
    }
    match schema["type"].as_str() {
        Some("object") => object(schema, rng),
        Some("array") => {
            let length = rng.random_range(0..=2);
            Value::Array((0..length).map(|_| generate(&schema["items"], name, rng)).collect())
        }
        Some("integer") => {
            let least = schema["minimum"].as_f64().unwrap_or(0.0) as i64;
            // One in ten is out of bounds.
            json!(if rng.random_ratio(1, 10) {
                least - 1
            } else {
                rng.random_range(least..=least.max(MOST_NODES))
            })
        }
        Some("boolean") => json!(rng.random_bool(0.5)),
        _ => {
            let texts = TEXTS
                .iter()
                .find(|(field, _)| *field == name)
                .map_or(&["x"] as &[&str], |(_, texts)| texts);
            json!(texts.choose(rng).unwrap())
        }
    }
}

fn object(schema: &Value, rng: &mut StdRng) -> Value {
    let mut fields = Map::new();
    let required: Vec<&str> = schema["required"]
        .as_array()
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        if required.contains(&name.as_str()) || rng.random_bool(0.5) {
            fields.insert(name.clone(), generate(field, name, rng));
        }
    }
    // Never without an entry: where another way has put one in, server-side apply makes `null` of `{}` and then refuses it as no map.
    // To have none a field is left out.
    if schema["additionalProperties"].is_object() {
        fields.insert("team".to_owned(), json!(["blue", "green"].choose(rng).unwrap()));
    }
    // Rules across fields, without which hardly any window would be accepted.
    let keep_one = |fields: &mut Map<String, Value>, names: [&str; 2]| {
        if fields.contains_key(names[0]) {
            fields.remove(names[1]);
        }
    };
    keep_one(&mut fields, ["start", "at"]);
    keep_one(&mut fields, ["until", "duration"]);
    Value::Object(fields)
}

/// The schema of a ComputeGroup's spec, as it is installed.
fn spec_schema() -> Value {
    let definitions = springtide_crds::schema::definitions();
    let group = definitions
        .into_iter()
        .find(|definition| definition.spec.names.kind == "ComputeGroup")
        .unwrap();
    let version = serde_json::to_value(&group.spec.versions[0]).unwrap();
    version["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
}

/// Changes one field of a spec.
fn step(spec: &Value, schema: &Value, rng: &mut StdRng) -> (String, Value) {
    let properties = schema["properties"].as_object().unwrap();
    let names: Vec<&String> = properties
        .keys()
        .filter(|name| !FIXED.contains(&name.as_str()))
        .collect();
    let name = names.choose(rng).unwrap().as_str();
    let mut spec = spec.clone();
    if spec.get(name).is_some() && rng.random_ratio(1, 3) {
        spec.as_object_mut().unwrap().remove(name);
    } else {
        spec[name] = generate(&properties[name], name, rng);
    }
    (name.to_owned(), spec)
}

/// Whether the server blames the object. A set or a map by keys that names something twice does not get as far as its validation:
/// server-side apply cannot read it, and says so with a status of 500.
fn is_refusal(status: &kube::core::Status) -> bool {
    matches!(status.code, 400 | 422)
        || status.code == 500 && status.message.starts_with("failed to create typed patch object")
}

/// What the server says to the whole spec.
async fn write(world: &World, spec: &Value) -> Result<(), String> {
    let object = json!({"apiVersion": "springtide.dev/v1alpha1", "kind": "ComputeGroup",
        "metadata": {"name": "etl", "namespace": world.namespace}, "spec": spec});
    match try_apply(&world.client, &object, &PatchParams::apply("a-test").force()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if is_refusal(&status) => Err(status.message.clone()),
        Err(error) => panic!("{spec}: {error}"),
    }
}

/// The state once the operator has seen the spec, the last pod is gone and nothing is written any more.
async fn comes_to_rest(world: &World) -> State {
    world
        .eventually("the operator has seen the spec and all nodes are as wanted", || async {
            let group = world.get::<ComputeGroup>("etl").await?;
            let status = group.status?;
            let is_seen = status.observed_generation == group.metadata.generation;
            let nodes = (status.wanted_replicas, status.replicas, status.serving_replicas);
            let is_there = nodes == (Some(status.replicas), status.serving_replicas, status.replicas);
            (is_seen && is_there && status.draining.is_empty()).then_some(())
        })
        .await;
    world.settle().await;
    State::of(world).await
}

#[tokio::test]
async fn a_spec_gives_the_same_by_whatever_way_it_was_reached() {
    let mut rng = StdRng::seed_from_u64(seed());
    let steps = STEPS[usize::from(std::env::var("SPRINGTIDE_VERIFY").is_ok_and(|what| what == "all"))];
    let schema = spec_schema();
    let world = World::new().await;
    world.clock.set(NOW.parse::<DateTime<Utc>>().unwrap());
    let operator = world.operator();
    world.make_cluster("lake").await;
    let holidays = json!({"apiVersion": "springtide.dev/v1alpha1", "kind": "Calendar", "metadata": {"name": "holidays"},
        "spec": {"excludedDates": [{"from": "2030-12-24", "to": "2030-12-26"}]}});
    world.create::<springtide_crds::Calendar>(holidays).await;
    let mut spec = json!({"cluster": "lake", "replicas": 1});
    write(&world, &spec).await.unwrap();
    let mut state = comes_to_rest(&world).await;
    let mut outcomes: BTreeMap<&str, usize> = BTreeMap::new();
    let mut taken = 0;
    while taken < steps {
        let (field, changed) = step(&spec, &schema, &mut rng);
        eprintln!("{field}: {} -> {}", spec[&field], changed[&field]);
        if let Err(message) = write(&world, &changed).await {
            assert!(
                message.contains(&field),
                "the refusal names the field {field}: {message}"
            );
            *outcomes.entry("refused by the server").or_default() += 1;
            continue;
        }
        taken += 1;
        let after = comes_to_rest(&world).await;
        let group = world.get::<ComputeGroup>("etl").await.unwrap();
        let accepted = group
            .status
            .unwrap()
            .conditions
            .iter()
            .any(|condition| condition.type_ == "Accepted" && condition.status == "True");
        if accepted && rng.random_bool(0.7) {
            *outcomes.entry("accepted").or_default() += 1;
            (spec, state) = (changed, after);
            continue;
        }
        *outcomes
            .entry(if accepted {
                "taken back"
            } else {
                "refused by the operator and taken back"
            })
            .or_default() += 1;
        write(&world, &spec).await.unwrap();
        let back = comes_to_rest(&world).await;
        let difference = state.difference(&back);
        assert!(
            difference.is_empty(),
            "{field} was {} and was taken back:\n{difference}",
            changed[&field]
        );
    }
    eprintln!("{outcomes:?}");

    eprintln!("written at once: {spec}");
    // How long a deletion has waited is told by the API server's clock.
    world.clock.set(Utc::now());
    world.delete::<ComputeGroup>("etl").await;
    world
        .eventually("the group and its nodes are gone", || async {
            let is_known = !world.frontend.catalog.lock().unwrap().nodes.is_empty();
            let set = world.get::<k8s_openapi::api::apps::v1::StatefulSet>("etl-cn").await;
            (world.get::<ComputeGroup>("etl").await.is_none() && set.is_none() && !is_known).then_some(())
        })
        .await;
    world.clock.set(NOW.parse::<DateTime<Utc>>().unwrap());
    write(&world, &spec).await.unwrap();
    let fresh = comes_to_rest(&world).await;
    let difference = fresh.difference(&state);
    assert!(difference.is_empty(), "{spec} was reached step by step:\n{difference}");
    operator.stop().await;
}
