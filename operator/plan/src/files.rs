//! The files that the pods of a StatefulSet read: a ConfigMap for each content.
//!
//! Kubelets carry a ConfigMap that changes into the pods that run, and a pod that comes back for any other reason would start with files that
//! nobody has rolled out. So a ConfigMap never changes: other files are another one, whose name is part of the pod template. It goes when
//! nothing reads it any more.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use serde_json::Value;

use crate::names::{FILES_ANNOTATION, Owner};
use crate::object::{DesiredObject, ObjectKey, ObjectKind};

/// The files of the pods of one StatefulSet.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Files {
    /// Name of their ConfigMap.
    pub(crate) config_map: String,
    contents: BTreeMap<String, String>,
}

impl Files {
    /// Files by name; `base` is what the names of their ConfigMaps begin with.
    pub(crate) fn new(base: &str, contents: BTreeMap<String, String>) -> Self {
        let hash = crate::inputs::hash_of_texts(contents.iter().flat_map(|(name, content)| [name, content]));
        Self {
            config_map: format!("{base}-{}", &hash[..10]),
            contents,
        }
    }

    pub(crate) fn object(&self, owner: &Owner) -> DesiredObject {
        let config_map = ConfigMap {
            data: Some(self.contents.clone()),
            immutable: Some(true),
            metadata: owner.metadata(&self.config_map),
            ..ConfigMap::default()
        };
        DesiredObject::new(ObjectKind::ConfigMap, &config_map)
    }
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
