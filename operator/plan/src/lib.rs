//! What the operator would do, as a value.
//!
//! ```text
//! observed (API server, SQL answers), now ──► validate ──► desired objects, members ──► Plan { actions, status, wait, … }
//! ```
//!
//! - An *observation* ([`ObservedDepartment`], [`ObservedLakeCluster`], [`ObservedComputeGroup`]) is everything that was read.
//! - A [`Plan`] is everything that is to be done about it: [`Action`]s in order, the status to write, and what is waited for.
//! - A [`Flavour`] is what differs between the engines, as values.
//!
//! Everything is a function of the observation and the time. Nothing here opens a connection, reads a clock or makes up a
//! password. The same observation gives the same plan, and an observation in which all is as it should be gives an empty one.

pub mod action;
pub mod certificate;
pub mod compare;
pub mod compute_group;
mod condition;
pub mod department;
mod difference;
mod files;
mod finish;
pub mod flavour;
mod inputs;
mod labels;
pub mod lake_cluster;
mod maintenance;
pub mod names;
pub mod object;
pub mod observed;
mod ownership;
mod pod;
mod rollout;
pub mod settings;
pub mod sql;
mod trouble;
pub mod units;
mod update;
mod upgrade_order;

#[cfg(test)]
mod fixture;

pub use crate::action::{Action, EventNote, Plan, SecretField, SecretToCreate, Severity, Telling, Wait};
pub use crate::certificate::{CertificateFacts, CertificateStep, CertificateToWrite, SecretCertificates, Validity};
pub use crate::compare::needs_apply;
pub use crate::compute_group::{
    Foreseen, foresee, plan_compute_group, schedule::ScheduleError, schedule::Surroundings, schedule::window,
    stagger::SPREAD, stagger::stagger,
};
pub use crate::department::plan_department;
pub use crate::flavour::{Capabilities, Flavour, flavour};
pub use crate::lake_cluster::plan_lake_cluster;
pub use crate::object::{DesiredObject, ObjectKey, ObjectKind};
pub use crate::observed::{
    FrontendConfigAnswer, InitialAccount, Live, ObjectVersion, ObservedComputeGroup, ObservedDepartment,
    ObservedLakeCluster, ObservedNamespace, ObservedRemoval, SecretFacts, SqlAnswer,
};
pub use crate::settings::Settings;
pub use crate::sql::{AdminStatement, ComputeNodeRow, FrontendConfigRow, FrontendRow, SqlText};
