//! What somebody has asked for about the data on S3: it goes with the object only where two things say so, the spec and an annotation that
//! names the place.

use springtide_crds::LakeCluster;
use springtide_crds::department::DeletionPolicy;
use springtide_crds::lake_cluster::Storage;

use crate::lake_cluster::has_finalizer;
use crate::names::DELETE_DATA_ANNOTATION;

/// What is to become of the data on S3 when the cluster is deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DataRequest {
    /// It goes: `deletion.data` allows it, and the annotation names the place.
    Delete,
    /// It stays, and nobody has asked for anything else.
    Keep,
    /// It stays: `deletion.data` allows that it goes, and nobody has named the place.
    Unnamed,
    /// It stays, although there is an annotation.
    Refused {
        /// What is wrong, for people.
        why: String,
    },
}

impl DataRequest {
    pub(crate) fn of(cluster: &LakeCluster) -> Self {
        let annotations = cluster.metadata.annotations.as_ref();
        let named = annotations.and_then(|annotations| annotations.get(DELETE_DATA_ANNOTATION));
        let place = place(&cluster.spec.storage);
        match (cluster.spec.deletion.data, named) {
            (DeletionPolicy::Delete, Some(named)) if *named == place => Self::Delete,
            (DeletionPolicy::Retain, None) => Self::Keep,
            (DeletionPolicy::Delete, None) => Self::Unnamed,
            (DeletionPolicy::Delete, Some(named)) => Self::Refused {
                why: format!("the annotation {DELETE_DATA_ANNOTATION} names {named:?}, and the data is at {place}"),
            },
            (DeletionPolicy::Retain, Some(_)) => Self::Refused {
                why: format!(
                    "the annotation {DELETE_DATA_ANNOTATION} is set, and spec.deletion.data is Retain, where Delete must stand as well"
                ),
            },
        }
    }

    /// What is added to the condition `Accepted` of a cluster that lives, so that a mistake can be seen before it counts.
    pub(crate) fn outlook(cluster: &LakeCluster) -> String {
        match Self::of(cluster) {
            Self::Keep | Self::Unnamed => String::new(),
            Self::Delete => format!(
                "; when this LakeCluster is deleted, all its data at {} is deleted with it",
                place(&cluster.spec.storage)
            ),
            Self::Refused { why } => format!("; a deletion lets the data stay: {why}"),
        }
    }
}

/// The place of the data as a person names it.
pub(crate) fn place(storage: &Storage) -> String {
    format!("s3://{}/{}", storage.bucket, prefix(storage))
}

/// Whether what one has at its place may be at the other's, too. Servers have more than one name, so that endpoints tell nothing.
pub(crate) fn overlap(one: &Storage, other: &Storage) -> bool {
    let is_within = |inner: &str, outer: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let (first, second) = (prefix(one), prefix(other));
    one.bucket == other.bucket && (is_within(first, second) || is_within(second, first))
}

fn prefix(storage: &Storage) -> &str {
    storage.prefix.trim_matches('/')
}

/// Whether the cluster is being deleted, and its data on S3 is to go with it: until then nothing may run that could write there.
#[must_use]
pub fn takes_data_along(cluster: &LakeCluster) -> bool {
    let metadata = &cluster.metadata;
    metadata.deletion_timestamp.is_some()
        && has_finalizer(metadata.finalizers.as_deref())
        && DataRequest::of(cluster) == DataRequest::Delete
}
