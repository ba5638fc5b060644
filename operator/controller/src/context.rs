//! What every reconcile is given.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::Pod;
use kube::Resource;
use springtide_crds::{Calendar, ComputeGroup, Department, LakeCluster};

use crate::{
    backoff::Backoff,
    cache::{ObjectCache, TypedCache},
    clock::Clock,
    engine::Engines,
    events::Events,
    held_back::HeldBack,
    kubernetes::Kubernetes,
    metrics::Metrics,
    observe::{engine::MemberAnswers, secrets::SecretValues, warnings::Warnings},
    settings::Settings,
};

/// Everything the watches fill.
#[derive(Debug, Default)]
pub(crate) struct Caches {
    pub(crate) departments: TypedCache<Department>,
    pub(crate) clusters: TypedCache<LakeCluster>,
    pub(crate) groups: TypedCache<ComputeGroup>,
    pub(crate) calendars: TypedCache<Calendar>,
    pub(crate) pods: TypedCache<Pod>,
    pub(crate) objects: ObjectCache,
}

impl Caches {
    /// The department that names this namespace; of several the first by age, as the plan decides too.
    pub(crate) fn department_of(&self, namespace: &str) -> Option<Arc<Department>> {
        let mut claims = self
            .departments
            .select(|department| department.spec.namespaces.iter().any(|owned| owned.name == namespace));
        claims.sort_by_key(|department| {
            let created = department.metadata.creation_timestamp.as_ref().map(|created| created.0);
            (created, department.metadata.name.clone())
        });
        claims.into_iter().next()
    }
}

/// What every reconcile is given.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) kubernetes: Kubernetes,
    pub(crate) caches: Arc<Caches>,
    pub(crate) engines: Engines,
    pub(crate) members: MemberAnswers,
    pub(crate) events: Arc<Events>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Settings,
    pub(crate) plan_settings: springtide_plan::Settings,
    pub(crate) backoff: Backoff<String>,
    pub(crate) written: WrittenVersions,
    pub(crate) held_back: HeldBack,
    /// By namespace and cluster: the Secrets that were read last.
    pub(crate) secrets: Remembered<(String, String), Arc<SecretValues>>,
    pub(crate) warnings: Warnings,
}

/// The versions of our own status writes: a cache that is older must not be planned from.
#[derive(Debug, Default)]
pub(crate) struct WrittenVersions {
    by_uid: Mutex<HashMap<String, u64>>,
}

/// Objects whose last status write is remembered; past that all are forgotten, and at worst one status is written twice.
const MOST_REMEMBERED: usize = 50_000;

impl WrittenVersions {
    /// Notes the version that a write made.
    pub(crate) fn wrote(&self, uid: &str, resource_version: Option<&str>) {
        let Some(version) = resource_version.and_then(|version| version.parse().ok()) else {
            return;
        };
        let mut by_uid = self.by_uid.lock().unwrap_or_else(PoisonError::into_inner);
        if by_uid.len() >= MOST_REMEMBERED {
            by_uid.clear();
        }
        by_uid.insert(uid.to_owned(), version);
    }

    /// Whether `object` is from before our last write.
    pub(crate) fn is_stale<K: Resource>(&self, object: &K) -> bool {
        let version = object
            .meta()
            .resource_version
            .as_deref()
            .and_then(|version| version.parse::<u64>().ok());
        let by_uid = self.by_uid.lock().unwrap_or_else(PoisonError::into_inner);
        let written = object.meta().uid.as_deref().and_then(|uid| by_uid.get(uid).copied());
        matches!((version, written), (Some(version), Some(written)) if version < written)
    }

    /// Forgets an object that is gone.
    pub(crate) fn forget(&self, uid: &str) {
        self.by_uid.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

/// Answers that are good for a short while.
#[derive(Debug)]
pub(crate) struct Remembered<Key, Answer> {
    /// Each with the moment from which on it is not good any more.
    answers: Mutex<HashMap<Key, (Instant, Answer)>>,
}

impl<Key, Answer> Default for Remembered<Key, Answer> {
    fn default() -> Self {
        Self {
            answers: Mutex::default(),
        }
    }
}

impl<Key: Eq + std::hash::Hash, Answer: Clone> Remembered<Key, Answer> {
    /// The answer, if it is still good.
    pub(crate) fn get(&self, key: &Key) -> Option<Answer> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, answer) = answers.get(key)?;
        (Instant::now() < *until).then(|| answer.clone())
    }

    /// Notes an answer that is good for so long, and drops those that are no longer good.
    pub(crate) fn put(&self, key: Key, answer: Answer, good_for: Duration) {
        let now = Instant::now();
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|_, (until, _)| now < *until);
        answers.insert(key, (now + good_for, answer));
    }

    /// Forgets an answer that something has made wrong.
    pub(crate) fn forget(&self, key: &Key) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

#[cfg(test)]
mod tests;
