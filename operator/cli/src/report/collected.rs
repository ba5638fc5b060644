//! What a report is made of: values, as they were read and then without their secrets.
//!
//! A [`Listed`] is all objects of a kind in a [`Folder`]; a [`Log`] is that of one container; an [`Unread`] is what nobody could or may
//! read. All of it is a [`Collected`]. Files are made of a [`Redacted`] alone, and there is one way to it.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::redact::Redaction;

/// Where things are in the bundle.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Folder {
    /// What has no namespace.
    Cluster,
    /// The operator's namespace, as far as it is the operator's.
    Operator,
    /// A namespace that was asked for.
    Namespace(String),
}

impl Folder {
    /// The path in the bundle, without slashes at its ends.
    pub(crate) fn path(&self) -> String {
        match self {
            Self::Cluster => "cluster".to_owned(),
            Self::Operator => "operator".to_owned(),
            Self::Namespace(namespace) => format!("namespaces/{namespace}"),
        }
    }
}

/// Objects of one kind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Listed {
    pub(crate) folder: Folder,
    /// As the API has it: `computegroups`.
    pub(crate) plural: &'static str,
    pub(crate) objects: Vec<Value>,
}

/// The log of one container of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) folder: Folder,
    pub(crate) pod: String,
    pub(crate) container: String,
    /// That of the container before the last restart.
    pub(crate) is_previous: bool,
    pub(crate) text: String,
}

/// What is not in the bundle, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unread {
    pub(crate) what: String,
    pub(crate) why: String,
}

/// Everything that was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Collected {
    /// What was asked for, in words: `namespace retail`.
    pub(crate) scope: String,
    pub(crate) at: DateTime<Utc>,
    /// Version of Kubernetes, where it was told.
    pub(crate) kubernetes: Option<String>,
    pub(crate) listed: Vec<Listed>,
    pub(crate) logs: Vec<Log>,
    pub(crate) unread: Vec<Unread>,
}

impl Collected {
    /// Objects of a kind, with where they are.
    pub(crate) fn objects<'a>(&'a self, plural: &'a str) -> impl Iterator<Item = (&'a Folder, &'a Value)> {
        self.listed
            .iter()
            .filter(move |listed| listed.plural == plural)
            .flat_map(|listed| listed.objects.iter().map(move |object| (&listed.folder, object)))
    }
}

/// What was read, without its secrets.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Redacted(Collected);

impl Redacted {
    /// Takes the secrets out of everything.
    pub(crate) fn new(collected: Collected, redaction: Redaction) -> Self {
        let Collected {
            scope,
            at,
            kubernetes,
            mut listed,
            mut logs,
            mut unread,
        } = collected;
        for object in listed.iter_mut().flat_map(|listed| &mut listed.objects) {
            redaction.object(object);
        }
        for log in &mut logs {
            log.text = redaction.log(&log.text);
        }
        for unread in &mut unread {
            unread.why = redaction.text(&unread.why);
        }
        Self(Collected {
            scope,
            at,
            kubernetes,
            listed,
            logs,
            unread,
        })
    }

    /// What is left.
    pub(crate) fn get(&self) -> &Collected {
        &self.0
    }
}
