//! The files that the pods of a StatefulSet read: a ConfigMap for each content.
//!
//! Kubelets carry a ConfigMap that changes into the pods that run, and a pod that comes back for any other reason would start with files that
//! nobody has rolled out. So what a pod is rolled for never changes in a ConfigMap: other files are another one, whose name is part of the pod
//! template. It goes when nothing reads it any more.
//!
//! Dynamic settings of frontends are told to those that run, and are not a part of that name: they change in place, in every ConfigMap that
//! a frontend may start from, so that one that comes back starts with what the others have been told.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use serde_json::Value;

use crate::action::Action;
use crate::finish;
use crate::names::{FILES_ANNOTATION, Owner};
use crate::object::{DesiredObject, ObjectKey, ObjectKind};
use crate::observed::Live;

/// The files of the pods of one StatefulSet.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Files {
    /// Name of their ConfigMap.
    pub(crate) config_map: String,
    contents: BTreeMap<String, String>,
    is_immutable: bool,
}

impl Files {
    /// Files by name that never change; `base` is what the names of their ConfigMaps begin with.
    pub(crate) fn new(base: &str, contents: BTreeMap<String, String>) -> Self {
        Self {
            config_map: name_of(base, &contents),
            contents,
            is_immutable: true,
        }
    }

    /// Files of which a part may change: `fixed` is what stays, and what they are named by.
    pub(crate) fn in_part_fixed(
        base: &str,
        fixed: &BTreeMap<String, String>,
        contents: BTreeMap<String, String>,
    ) -> Self {
        Self::of(name_of(base, fixed), contents)
    }

    /// Files in a ConfigMap that is there already.
    pub(crate) fn of(config_map: String, contents: BTreeMap<String, String>) -> Self {
        Self {
            config_map,
            contents,
            is_immutable: false,
        }
    }

    /// The ConfigMap. One that is immutable stays so while it has what it is to have.
    pub(crate) fn object(&self, owner: &Owner, live: &Live) -> DesiredObject {
        let there = live.get(&ObjectKey::namespaced(
            ObjectKind::ConfigMap,
            &owner.namespace,
            &self.config_map,
        ));
        let stays = there.is_some_and(|there| is_immutable(there) && contents_of(there) == self.contents);
        let config_map = ConfigMap {
            data: Some(self.contents.clone()),
            immutable: (self.is_immutable || stays).then_some(true),
            metadata: owner.metadata(&self.config_map),
            ..ConfigMap::default()
        };
        DesiredObject::new(ObjectKind::ConfigMap, &config_map)
    }
}

/// The name of a ConfigMap with these files.
pub(crate) fn name_of(base: &str, contents: &BTreeMap<String, String>) -> String {
    let hash = crate::inputs::hash_of_texts(contents.iter().flat_map(|(name, content)| [name, content]));
    format!("{base}-{}", &hash[..10])
}

/// The files in a ConfigMap.
pub(crate) fn contents_of(config_map: &Value) -> BTreeMap<String, String> {
    let data = config_map.get("data").and_then(Value::as_object);
    data.into_iter()
        .flatten()
        .filter_map(|(name, text)| Some((name.clone(), text.as_str()?.to_owned())))
        .collect()
}

fn is_immutable(config_map: &Value) -> bool {
    config_map.get("immutable").and_then(Value::as_bool) == Some(true)
}

/// Deletes for ConfigMaps that are to change and cannot, since a release made them for good. They are made anew by the apply that follows;
/// pods that run keep what they have mounted.
pub(crate) fn make_way(desired: &[DesiredObject], live: &Live) -> Vec<Action> {
    let changes = desired.iter().filter_map(|object| {
        let there = live.get(&object.key)?;
        let is_other = contents_of(there) != contents_of(&object.body);
        (object.key.kind == ObjectKind::ConfigMap && is_immutable(there) && is_other).then(|| Action::Delete {
            object: object.key.clone(),
            uid: finish::uid(there),
        })
    });
    changes.collect()
}

/// The ConfigMaps of `namespace` that something there reads: the pods, the template that new pods are made by, and the one that they are made
/// by again when the new one does not serve.
pub(crate) fn in_use(namespace: &str, templates: &[Value], pods: &[Pod]) -> BTreeSet<ObjectKey> {
    let of_templates = templates
        .iter()
        .filter_map(|template| template.pointer("/spec/volumes")?.as_array())
        .flatten()
        .filter_map(|volume| volume.pointer("/configMap/name")?.as_str().map(str::to_owned));
    let of_pods = pods
        .iter()
        .filter_map(|pod| pod.metadata.annotations.as_ref()?.get(FILES_ANNOTATION).cloned());
    of_templates
        .chain(of_pods)
        .map(|name| ObjectKey::namespaced(ObjectKind::ConfigMap, namespace, &name))
        .collect()
}
