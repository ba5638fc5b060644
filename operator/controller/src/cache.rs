//! What the watches have seen.
//!
//! Two kinds of cache: [`TypedCache`] for what is read field by field, and [`ObjectCache`] for what a plan compares as JSON.
//! The latter keeps objects as compressed text, because hundreds of StatefulSets as trees of values would fill the memory.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{ResourceExt, api::DynamicObject};
use serde_json::Value;
use springtide_plan::{ObjectKey, ObjectKind, names};

/// Deletions that are remembered: many more than writes can be under way.
const DELETIONS: usize = 1024;

/// The part of the cluster that is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All namespaces.
    All,
    /// These namespaces, at least one.
    Namespaces(Vec<String>),
}

impl Scope {
    /// Where one watch looks: `None` is everywhere.
    pub(crate) fn places(&self) -> Vec<Option<String>> {
        match self {
            Self::All => vec![None],
            Self::Namespaces(names) => names.iter().cloned().map(Some).collect(),
        }
    }
}

/// Which object of a kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
}

impl Key {
    pub(crate) fn of<K: ResourceExt>(object: &K) -> Self {
        Self {
            namespace: object.namespace(),
            name: object.name_any(),
        }
    }
}

/// The objects of one kind in its own type, in the order of namespace and name.
#[derive(Debug)]
pub(crate) struct TypedCache<K> {
    objects: RwLock<BTreeMap<Key, Arc<K>>>,
}

impl<K> Default for TypedCache<K> {
    fn default() -> Self {
        Self {
            objects: RwLock::default(),
        }
    }
}

impl<K: ResourceExt> TypedCache<K> {
    /// The object of this name.
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<K>> {
        self.read().get(key).cloned()
    }

    /// All objects of a namespace for which `holds`.
    pub(crate) fn select_in(&self, namespace: &str, holds: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        let first = Key {
            namespace: Some(namespace.to_owned()),
            name: String::new(),
        };
        let objects = self.read();
        let there = objects.range(first..);
        let there = there.take_while(|(key, _)| key.namespace.as_deref() == Some(namespace));
        there
            .map(|(_, object)| object)
            .filter(|object| holds(object))
            .cloned()
            .collect()
    }

    /// All objects everywhere for which `holds`.
    pub(crate) fn select(&self, holds: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        self.read().values().filter(|object| holds(object)).cloned().collect()
    }

    /// Takes an object as the watch has it; returns what was there before.
    pub(crate) fn put(&self, object: K) -> Option<Arc<K>> {
        let key = Key::of(&object);
        self.write().insert(key, Arc::new(object))
    }

    /// Forgets an object that was deleted.
    pub(crate) fn remove(&self, key: &Key) {
        self.write().remove(key);
    }

    /// Forgets the objects at a place that a complete list did not name.
    pub(crate) fn retain(&self, place: Option<&str>, listed: &BTreeSet<Key>) {
        let is_elsewhere = |key: &Key| place.is_some() && key.namespace.as_deref() != place;
        self.write().retain(|key, _| is_elsewhere(key) || listed.contains(key));
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<Key, Arc<K>>> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<Key, Arc<K>>> {
        self.objects.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Objects of many kinds, found by key, by kind and namespace, or by the value of [`names::OWNER_LABEL`].
#[derive(Debug, Default)]
pub(crate) struct ObjectCache {
    state: RwLock<ObjectState>,
}

#[derive(Debug, Default)]
struct ObjectState {
    objects: BTreeMap<ObjectKey, Cached>,
    owned: BTreeMap<String, BTreeSet<ObjectKey>>,
    /// Versions of the latest deletions.
    deleted: BTreeMap<ObjectKey, u64>,
    /// Their keys, the oldest first.
    deletions: VecDeque<ObjectKey>,
}

#[derive(Debug)]
struct Cached {
    body: Packed,
    version: u64,
    owner: Option<String>,
}

impl ObjectCache {
    /// Takes an object as it was read or as a write returned it; an older one than is known, or than was deleted, changes nothing.
    pub(crate) fn put(&self, kind: ObjectKind, object: &DynamicObject) {
        let Some(key) = key_of(kind, &object.metadata) else {
            return;
        };
        let Some(body) = Packed::new(object) else { return };
        let version = version_of(&object.metadata);
        let owner = object.labels().get(names::OWNER_LABEL).cloned();
        let mut state = self.write();
        let is_older = |than: u64| than > version;
        if state.objects.get(&key).is_some_and(|known| is_older(known.version))
            || state.deleted.get(&key).is_some_and(|deleted| is_older(*deleted))
        {
            return;
        }
        state.remove(&key);
        if let Some(owner) = &owner {
            state.owned.entry(owner.clone()).or_default().insert(key.clone());
        }
        state.objects.insert(key, Cached { body, version, owner });
    }

    /// Takes a new size as the answer to a write has it, which is not the object itself. The watch brings the rest.
    pub(crate) fn scaled(&self, key: &ObjectKey, version: Option<&str>, replicas: i64) {
        let Some(version) = version.and_then(|version| version.parse().ok()) else {
            return;
        };
        let mut state = self.write();
        let Some(known) = state.objects.get_mut(key).filter(|known| known.version < version) else {
            return;
        };
        known.version = version;
        known.body.size = Some(Size { version, replicas });
    }

    /// Forgets an object that is being deleted.
    pub(crate) fn remove(&self, key: &ObjectKey) {
        self.write().remove(key);
    }

    /// Takes a deletion as the watch has it. The answer to a write from before it may still be on its way; and that to one after it may
    /// have come already.
    pub(crate) fn deleted(&self, kind: ObjectKind, metadata: &ObjectMeta) {
        let Some(key) = key_of(kind, metadata) else { return };
        let version = version_of(metadata);
        let mut state = self.write();
        if state.objects.get(&key).is_some_and(|known| known.version > version) {
            return;
        }
        state.remove(&key);
        if state.deleted.insert(key.clone(), version).is_none() {
            state.deletions.push_back(key);
        }
        if state.deletions.len() > DELETIONS
            && let Some(oldest) = state.deletions.pop_front()
        {
            state.deleted.remove(&oldest);
        }
    }

    /// Forgets the objects of a kind at a place that a complete list did not name.
    pub(crate) fn retain(&self, kind: ObjectKind, place: Option<&str>, listed: &BTreeSet<ObjectKey>) {
        let mut state = self.write();
        let is_gone = |key: &&ObjectKey| {
            key.kind == kind && (place.is_none() || key.namespace.as_deref() == place) && !listed.contains(key)
        };
        let gone: Vec<ObjectKey> = state.objects.keys().filter(is_gone).cloned().collect();
        for key in gone {
            state.remove(&key);
        }
    }

    /// One object.
    pub(crate) fn get(&self, key: &ObjectKey) -> Option<Value> {
        let body = self.read().objects.get(key)?.body.clone();
        body.read()
    }

    /// The objects whose owner label has this value; those in one namespace, or all.
    pub(crate) fn owned(&self, owner: &str, namespace: Option<&str>) -> Vec<(ObjectKind, Value)> {
        let bodies: Vec<(ObjectKind, Packed)> = {
            let state = self.read();
            let keys = state.owned.get(owner).into_iter().flatten();
            keys.filter(|key| namespace.is_none() || key.namespace.as_deref() == namespace)
                .filter_map(|key| Some((key.kind, state.objects.get(key)?.body.clone())))
                .collect()
        };
        bodies
            .into_iter()
            .filter_map(|(kind, body)| Some((kind, body.read()?)))
            .collect()
    }

    /// The objects of a kind, those in one namespace or all, by name.
    pub(crate) fn of_kind(&self, kind: ObjectKind, namespace: Option<&str>) -> Vec<Value> {
        let bodies: Vec<Packed> = {
            let state = self.read();
            let first = ObjectKey {
                kind,
                namespace: namespace.map(str::to_owned),
                name: String::new(),
            };
            let is_meant =
                |key: &ObjectKey| key.kind == kind && (namespace.is_none() || key.namespace.as_deref() == namespace);
            let range = state.objects.range(first..).take_while(|(key, _)| is_meant(key));
            range.map(|(_, cached)| cached.body.clone()).collect()
        };
        bodies.iter().filter_map(Packed::read).collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, ObjectState> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, ObjectState> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ObjectState {
    fn remove(&mut self, key: &ObjectKey) {
        let Some(Cached { owner: Some(owner), .. }) = self.objects.remove(key) else {
            return;
        };
        if let Some(keys) = self.owned.get_mut(&owner) {
            keys.remove(key);
            if keys.is_empty() {
                self.owned.remove(&owner);
            }
        }
    }
}

/// The key of an object, from its metadata.
pub(crate) fn key_of(kind: ObjectKind, metadata: &ObjectMeta) -> Option<ObjectKey> {
    Some(ObjectKey {
        kind,
        namespace: metadata.namespace.clone(),
        name: metadata.name.clone()?,
    })
}

/// The API server's version of an object; they grow, and may be compared for one kind.
fn version_of(metadata: &ObjectMeta) -> u64 {
    let version = metadata.resource_version.as_deref();
    version.and_then(|version| version.parse().ok()).unwrap_or(0)
}

/// An object as JSON in an LZ4 block. Cheap to clone.
#[derive(Clone, Debug)]
struct Packed {
    text: Arc<[u8]>,
    /// What was written since.
    size: Option<Size>,
}

/// A size that was written, and the version of the object with it.
#[derive(Clone, Copy, Debug)]
struct Size {
    version: u64,
    replicas: i64,
}

impl Packed {
    fn new(object: &DynamicObject) -> Option<Self> {
        let text = serde_json::to_vec(object).ok()?;
        Some(Self {
            text: Arc::from(lz4_flex::compress_prepend_size(&text)),
            size: None,
        })
    }

    fn read(&self) -> Option<Value> {
        let text = lz4_flex::decompress_size_prepended(&self.text).ok()?;
        let mut body: Value = serde_json::from_slice(&text).ok()?;
        if let Some(Size { version, replicas }) = self.size {
            body["metadata"]["resourceVersion"] = version.to_string().into();
            body["spec"]["replicas"] = replicas.into();
        }
        Some(body)
    }
}

#[cfg(test)]
mod tests;
