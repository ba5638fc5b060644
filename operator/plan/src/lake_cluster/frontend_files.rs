//! The ConfigMaps that frontends start from.

use std::collections::BTreeMap;

use super::{ClusterShape, dynamic_settings};
use crate::files::{self, Files};
use crate::flavour::flavour;
use crate::names::{self, FILES_ANNOTATION, Owner};
use crate::object::{DesiredObject, ObjectKey, ObjectKind};
use crate::observed::ObservedLakeCluster;
use crate::update::Settled;

/// What frontends are to read. Where the template that there is names files that differ from them in dynamic settings alone, they are in that
/// ConfigMap, whatever it is called: releases that had no dynamic settings named it by these as well.
pub(super) fn of(observed: &ObservedLakeCluster, shape: &ClusterShape) -> Files {
    let flavour = flavour(shape.engine);
    let base = names::frontend_files(&shape.name);
    let contents = flavour.frontend_files(shape);
    let none = BTreeMap::new();
    let fixed = flavour.with_dynamic(&contents, &none);
    let Some(there) = named_by_the_template(observed, shape) else {
        return Files::in_part_fixed(&base, &fixed, contents);
    };
    let is_the_same = match observed.live.get(&key(shape, &there)) {
        Some(live) => flavour.with_dynamic(&files::contents_of(live), &none) == fixed,
        // It was deleted; the name says what it was.
        None => there == files::name_of(&base, &contents),
    };
    if is_the_same {
        Files::of(there, contents)
    } else {
        Files::in_part_fixed(&base, &fixed, contents)
    }
}

/// The ConfigMaps as they are to be: the present one, and those of other templates that a frontend may start from, with the dynamic settings
/// in force.
pub(super) fn objects(
    observed: &ObservedLakeCluster,
    shape: &ClusterShape,
    owner: &Owner,
    frontends: &Settled,
) -> Vec<DesiredObject> {
    let present = of(observed, shape);
    let flavour = flavour(shape.engine);
    let settings = dynamic_settings::written(shape);
    let in_use = files::in_use(&shape.namespace, &frontends.templates, &observed.pods);
    let others = in_use
        .iter()
        .filter(|key| key.name != present.config_map)
        .filter_map(|key| {
            let contents = files::contents_of(observed.live.get(key)?);
            let changed = flavour.with_dynamic(&contents, &settings);
            (changed != contents).then(|| Files::of(key.name.clone(), changed).object(owner, &observed.live))
        });
    let mut objects: Vec<DesiredObject> = others.collect();
    // Files of a template that is held back are not needed yet.
    if frontends.reads(&present.config_map) {
        objects.push(present.object(owner, &observed.live));
    }
    objects
}

fn named_by_the_template(observed: &ObservedLakeCluster, shape: &ClusterShape) -> Option<String> {
    let stateful_set = ObjectKey::namespaced(
        ObjectKind::StatefulSet,
        &shape.namespace,
        &names::frontends(&shape.name),
    );
    let annotations = observed
        .live
        .get(&stateful_set)?
        .pointer("/spec/template/metadata/annotations")?;
    annotations.get(FILES_ANNOTATION)?.as_str().map(str::to_owned)
}

fn key(shape: &ClusterShape, config_map: &str) -> ObjectKey {
    ObjectKey::namespaced(ObjectKind::ConfigMap, &shape.namespace, config_map)
}
