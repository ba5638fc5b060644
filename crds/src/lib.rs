//! The API of Springtide: the custom resources of the group `springtide.dev`, and nothing that acts on them.
//!
//! - A [`Department`] is a part of the company: its namespaces, its administrators and how much it may use.
//! - A [`LakeCluster`] is one analytic cluster: an engine, a place on S3 and frontends that hold its metadata.
//! - A [`ComputeGroup`] is a pool of stateless compute nodes of a cluster, scaled by people, by autoscalers and by the calendar.
//! - A [`Calendar`] says on which dates windows do not open, or open although it is no usual day.
//!
//! Doc comments become the descriptions in the generated schema, so they are written for the person who runs `kubectl explain`:
//! shape, unit, and either the default, or after `Required:` or `Unset:` why there is none.

pub mod autoscaling;
pub mod calendar;
pub mod compute_group;
pub mod condition;
pub mod department;
pub mod lake_cluster;
mod null;
pub mod pod;
pub mod quantity;
pub mod reference;
mod rule;
pub mod schema;

pub use crate::calendar::{Calendar, CalendarSpec};
pub use crate::compute_group::{ComputeGroup, ComputeGroupSpec, ComputeGroupStatus};
pub use crate::condition::{ConditionType, Reason};
pub use crate::department::{Department, DepartmentSpec, DepartmentStatus};
pub use crate::lake_cluster::{LakeCluster, LakeClusterSpec, LakeClusterStatus};
pub use crate::quantity::{Duration, LeadTime, Quantity};

/// API group of every kind.
pub const GROUP: &str = "springtide.dev";
/// The one version that is served and stored.
pub const VERSION: &str = "v1alpha1";
