//! What is to be done, in order.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use springtide_crds::Reason;

use crate::certificate::CertificateToWrite;
use crate::object::{DesiredObject, ObjectKey};
use crate::sql::AdminStatement;

/// Everything that is to be done about one custom resource, given what was observed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan<Status> {
    /// What to do, in this order; the rest is left for the next time as soon as one fails. Empty when all is as it should be.
    pub actions: Vec<Action>,
    /// The whole status to write by server-side apply or replacement; `None` when the object already has it.
    pub status: Option<Status>,
    /// How soon status and Events are to be told.
    pub telling: Telling,
    /// What is waited for, if anything is.
    pub wait: Option<Wait>,
    /// Look again after this, even if nothing happens.
    pub requeue_after: Duration,
    /// After this something is due, as at the edge of a window: that look goes before those at other objects. `None` if there is
    /// nothing of the kind soon.
    pub edge_after: Option<Duration>,
    /// What to tell as Events about the custom resource.
    pub events: Vec<EventNote>,
}

/// How soon status and Events are to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Telling {
    /// At once: a later look would not find it any more, or somebody waits for it.
    Now,
    /// By this look where it does nothing, and else by the one that sees what came of it: that one finds the same.
    AfterActions,
    /// As after actions; and it may wait for seconds, since it only counts how far something has come.
    Progress,
    /// As progress, and it may wait for longer: nothing has changed but the words of a condition.
    Wording,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Action {
    /// Write the object by server-side apply, with force, as the operator's field manager.
    Apply(Box<DesiredObject>),
    /// Write nothing but the size of a StatefulSet that is as it should be otherwise, through its scale subresource and if it still has
    /// this `uid`. That costs the API server a third of an apply, and is all that the edge of a window needs.
    Scale {
        /// Which object.
        object: ObjectKey,
        /// The precondition.
        uid: Option<String>,
        /// A further one, the object's version: the size must not be another one by now. `None` only where the object tells none.
        version: Option<String>,
        /// How many.
        replicas: i64,
    },
    /// Write these fields alone by merge patch, if the object still has this version: where an apply would take away what it does not name.
    Patch {
        /// Which object.
        object: ObjectKey,
        /// The precondition. `None` only where the object tells none.
        version: Option<String>,
        /// The fields, from the top of the object.
        fields: Value,
    },
    /// Make a Secret with new random values, create-only: where it exists already, nothing is done and that is no error.
    CreateSecretOnce(SecretToCreate),
    /// Make a key and a certificate, and write them into a Secret, if that is still as it was seen.
    WriteCertificate(Box<CertificateToWrite>),
    /// Delete the object, if it still has this `uid`; one that is gone already is no error.
    Delete {
        /// Which object.
        object: ObjectKey,
        /// The precondition.
        uid: Option<String>,
    },
    /// Delete the object, and leave what it owns: Kubernetes lets go of that first, and the object is there until then. One that is gone
    /// already is no error.
    Orphan {
        /// Which object.
        object: ObjectKey,
        /// The precondition.
        uid: Option<String>,
        /// A further one, the object's version: it must not have changed since. `None` only where the object tells none.
        version: Option<String>,
    },
    /// Run the statement on the cluster's leading frontend, as the operator.
    Sql(AdminStatement),
    /// Run the statement as the account that the engine begins with, which has no password yet. See
    /// [`crate::flavour::Flavour::make_accounts`].
    SqlAsInitialAccount(AdminStatement),
    /// Delete a pod, if it still has this `uid`, so that its StatefulSet makes another one of the present template; one that is gone
    /// already is no error.
    ReplacePod {
        /// Namespace of the pod.
        namespace: String,
        /// Name of the pod.
        name: String,
        /// The precondition.
        uid: Option<String>,
    },
    /// Write `replicas` through the scale subresource of the custom resource: the one write of the operator to a group's spec,
    /// made only while it is 0.
    Wake {
        /// How many.
        replicas: u32,
    },
    /// Add the operator's finalizer to the custom resource.
    AddFinalizer,
    /// Remove the operator's finalizer from the custom resource; always the last action.
    RemoveFinalizer,
}

/// A Secret that is made once and never changed by the operator.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SecretToCreate {
    /// Namespace of the Secret.
    pub namespace: String,
    /// Name of the Secret.
    pub name: String,
    /// Labels of the Secret.
    pub labels: BTreeMap<String, String>,
    /// Its keys.
    pub fields: BTreeMap<String, SecretField>,
}

/// The value of one key of a new Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum SecretField {
    /// This text, which is no secret.
    Text(String),
    /// New random letters and digits with at least 128 bits.
    Random,
}

/// What is waited for. Not being ready is data, not an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wait {
    /// What is missing, for people.
    pub why: String,
    /// When the operator stops waiting and does without; `None`: as long as it takes.
    pub until: Option<DateTime<Utc>>,
}

/// How loud an Event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Severity {
    /// As asked for.
    Normal,
    /// Somebody should look.
    Warning,
}

/// An Event about a custom resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EventNote {
    /// How loud.
    pub severity: Severity,
    /// Why, in one word.
    pub reason: Reason,
    /// What the operator did or saw, in one word: `Accept`, `Reconcile`.
    pub action: String,
    /// Why, for people, with the chain of causes.
    pub note: String,
}
