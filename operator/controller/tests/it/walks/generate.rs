//! Values by the schema that the API server has, and steps from one spec to another.

use rand::{Rng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Map, Value, json};

/// Most of what a whole number counts, so that a walk is quick.
const MOST: i64 = 4;

/// What is written where the schema says no more than `string`: good values, and some that are refused. A field is named by its path or
/// by the end of it; the first entry counts. `<namespace>` is the walk's.
pub(super) type Texts = &'static [(&'static str, &'static [&'static str])];

/// Keys of maps, with the values that they may have.
pub(super) type Maps = &'static [(&'static str, &'static [(&'static str, &'static [&'static str])])];

/// Maps of all kinds; a key that is no key is refused by the operator, one of the operator's own by the server.
const MAPS: Maps = &[
    (
        "frontends.config",
        &[
            ("queryTimeoutS", &["60", "90", "soon"]),
            ("maxConnections", &["100", "-1"]),
            ("nosuch", &["1"]),
        ],
    ),
    (
        "computeTemplate.config",
        &[
            ("memoryLimitBytes", &["1000000000", "2000000000", "1Gi"]),
            ("drainTimeoutS", &["60"]),
        ],
    ),
    (
        "",
        &[
            ("team", &["blue", "green"]),
            ("example.com/tier", &["one", "two"]),
            ("not a key", &["x"]),
            ("springtide.dev/cluster", &["mine"]),
        ],
    ),
];
/// The first entries of a map are good ones; in so many cases out of ten it is one of them.
const GOOD: u32 = 8;

/// Numbers that are no smaller than this, although the API takes smaller ones: pods that find no room in a quota never come to rest.
const LEAST: &[(&str, i64)] = &[("quota.pods", 3)];

/// Of two fields one is enough: without these rules hardly any object would be accepted.
const ONE_OF: &[[&str; 2]] = &[
    ["start", "at"],
    ["until", "duration"],
    ["secretRef", "serviceAccountName"],
    ["secretName", "issue"],
];

/// Makes values of one kind.
#[derive(Debug)]
pub(super) struct Generator {
    /// The schema of the spec.
    schema: Value,
    /// Paths that keep the value that they have.
    fixed: &'static [&'static str],
    texts: Texts,
    namespace: String,
}

impl Generator {
    /// By the schema of a kind, as it is installed.
    pub(super) fn new(kind: &str, fixed: &'static [&'static str], texts: Texts, namespace: &str) -> Self {
        let definition = springtide_crds::schema::definitions()
            .into_iter()
            .find(|definition| definition.spec.names.kind == kind)
            .unwrap();
        let version = serde_json::to_value(&definition.spec.versions[0]).unwrap();
        Self {
            schema: version["schema"]["openAPIV3Schema"]["properties"]["spec"].clone(),
            fixed,
            texts,
            namespace: namespace.to_owned(),
        }
    }

    /// Sets, changes or takes away one field of a spec, at any depth; returns its path.
    pub(super) fn step(&self, spec: &Value, rng: &mut StdRng) -> (String, Value) {
        loop {
            let mut changed = spec.clone();
            let path = self.change(&self.schema, "", &mut changed, rng);
            if changed != *spec {
                return (path, changed);
            }
        }
    }

    fn change(&self, schema: &Value, path: &str, value: &mut Value, rng: &mut StdRng) -> String {
        let properties = schema["properties"].as_object().unwrap();
        let names: Vec<&String> = properties
            .keys()
            .filter(|name| !self.is_fixed(&below(path, name)))
            .collect();
        let name = names.choose(rng).unwrap().as_str();
        let (field, path) = (&properties[name], below(path, name));
        let current = value.get(name).cloned();
        let is_open = field["properties"].is_object() && current.as_ref().is_some_and(Value::is_object);
        if is_open && rng.random_bool(0.5) {
            return self.change(field, &path, &mut value[name], rng);
        }
        let is_required = required(schema).any(|required| required == name);
        // What is required is refused without, which one case in ten shows.
        let goes = rng.random_bool(if is_required { 0.1 } else { 0.3 });
        if current.is_some() && !self.has_fixed(&path) && goes {
            value.as_object_mut().unwrap().remove(name);
        } else {
            value[name] = self.generate(field, &path, current.as_ref(), rng);
        }
        path
    }

    /// A value by its schema, in the place of another one.
    fn generate(&self, schema: &Value, path: &str, current: Option<&Value>, rng: &mut StdRng) -> Value {
        if let Some(values) = schema["enum"].as_array() {
            return values.choose(rng).cloned().unwrap_or_default();
        }
        match schema["type"].as_str() {
            Some("object") if schema["additionalProperties"].is_object() => map(path, rng),
            Some("object") => self.object(schema, path, current, rng),
            Some("array") => self.array(schema, path, current, rng),
            Some("integer") => {
                let bound = schema["minimum"].as_f64().unwrap_or(0.0) as i64;
                let entry = LEAST.iter().find(|(field, _)| is_at(path, field));
                let least = entry.map_or(bound, |(_, least)| *least);
                // One in ten is out of bounds.
                json!(if rng.random_ratio(1, 10) {
                    bound - 1
                } else {
                    rng.random_range(least..=least.max(MOST))
                })
            }
            Some("boolean") => json!(rng.random_bool(0.5)),
            _ => {
                let entry = self.texts.iter().find(|(field, _)| is_at(path, field));
                let texts = entry.map_or(&["x"] as &[&str], |(_, texts)| texts);
                json!(texts.choose(rng).unwrap().replace("<namespace>", &self.namespace))
            }
        }
    }

    fn object(&self, schema: &Value, path: &str, current: Option<&Value>, rng: &mut StdRng) -> Value {
        let mut fields = Map::new();
        let required: Vec<&str> = required(schema).collect();
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let path = below(path, name);
            let current = current.and_then(|current| current.get(name));
            let keeps = self.has_fixed(&path) && current.is_some();
            if self.is_fixed(&path) {
                fields.extend(current.map(|value| (name.clone(), value.clone())));
            } else if keeps || required.contains(&name.as_str()) || rng.random_bool(0.5) {
                fields.insert(name.clone(), self.generate(field, &path, current, rng));
            }
        }
        for [one, other] in ONE_OF {
            if fields.contains_key(*one) && fields.contains_key(*other) {
                fields.remove(if rng.random_bool(0.5) { *one } else { *other });
            }
        }
        Value::Object(fields)
    }

    /// A list whose items have keys is changed by an item: they make for the shorter ways, and some are not to be taken away.
    fn array(&self, schema: &Value, path: &str, current: Option<&Value>, rng: &mut StdRng) -> Value {
        let item = &schema["items"];
        let keys = schema["x-kubernetes-list-map-keys"].as_array();
        if let (Some(keys), Some(Value::Array(items))) = (keys, current)
            && !items.is_empty()
        {
            let mut items = items.clone();
            let index = rng.random_range(0..items.len());
            match rng.random_range(0..6) {
                0 => drop(items.remove(index)),
                1..4 => {
                    let mut changed = self.generate(item, path, Some(&items[index]), rng);
                    for key in keys.iter().filter_map(Value::as_str) {
                        changed[key] = items[index][key].clone();
                    }
                    items[index] = changed;
                }
                _ => items.push(self.generate(item, path, None, rng)),
            }
            return Value::Array(items);
        }
        let length = rng.random_range(0..=2);
        Value::Array((0..length).map(|_| self.generate(item, path, None, rng)).collect())
    }

    fn is_fixed(&self, path: &str) -> bool {
        self.fixed.contains(&path)
    }

    /// Whether it is above something fixed.
    fn has_fixed(&self, path: &str) -> bool {
        self.fixed.iter().any(|fixed| {
            fixed
                .strip_prefix(path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }
}

/// Never without an entry: where another way has put one in, server-side apply makes `null` of `{}` and then refuses it as no map. To
/// have none a field is left out.
fn map(path: &str, rng: &mut StdRng) -> Value {
    let (_, entries) = MAPS.iter().find(|(field, _)| is_at(path, field)).unwrap();
    let (key, values) = if rng.random_ratio(GOOD, 10) {
        entries[0]
    } else {
        *entries.choose(rng).unwrap()
    };
    json!({ key: values.choose(rng).unwrap() })
}

/// Names of the fields that an object must have.
fn required(schema: &Value) -> impl Iterator<Item = &str> {
    let names = schema["required"].as_array();
    names.into_iter().flatten().filter_map(Value::as_str)
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// Whether a path ends with this one.
fn is_at(path: &str, end: &str) -> bool {
    end.is_empty()
        || path
            .strip_suffix(end)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}
