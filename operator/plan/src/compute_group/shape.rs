//! A ComputeGroup that makes sense: from here on nothing can fail.

use std::collections::BTreeMap;
use std::time::Duration as StdDuration;

use chrono::{DateTime, Utc};
use springtide_crds::autoscaling::Autoscaling;
use springtide_crds::compute_group::{DrainTimeoutPolicy, Placement};
use springtide_crds::lake_cluster::EngineKind;
use springtide_crds::pod::PodResources;
use springtide_crds::{ComputeGroupSpec, Quantity, Reason};
use springtide_schedule::Window;

use super::schedule::{self, Surroundings};
use super::stagger::stagger;
use crate::department;
use crate::finish::Rejection;
use crate::flavour::{Cordon, DEFAULT_WAREHOUSE, Flavour, flavour};
use crate::labels::check_keys;
use crate::lake_cluster::ClusterShape;
use crate::observed::ObservedComputeGroup;
use crate::settings::Settings;
use crate::units;

/// Longest drain; the API says the same.
const MAX_DRAIN: StdDuration = StdDuration::from_secs(24 * 3600);

/// A validated ComputeGroup, as far as it stands alone.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupShape {
    pub name: String,
    pub namespace: String,
    pub warehouse: String,
    /// What is written in `spec.replicas`.
    pub replicas: u32,
    /// The department's limit.
    pub max_replicas: u32,
    pub resources: PodResources,
    pub cache_size: Quantity,
    pub windows: Vec<Window>,
    /// What a lead time of `auto` adds to the start of nodes.
    pub warm_up: StdDuration,
    /// What load may ask for.
    pub autoscaling: Option<Autoscaling>,
    /// A statement wakes the group from 0.
    pub wake_on_query: bool,
    /// How long a node may finish what it has; zero where it is stopped at once.
    pub drain_timeout: StdDuration,
    pub on_drain_timeout: DrainTimeoutPolicy,
    pub placement: Placement,
    pub labels: BTreeMap<String, String>,
}

impl GroupShape {
    /// Checks `spec`, which is the written or the last accepted spec of the group.
    pub(crate) fn new(
        observed: &ObservedComputeGroup,
        spec: &ComputeGroupSpec,
        now: DateTime<Utc>,
    ) -> Result<Self, Rejection> {
        let ComputeGroupSpec {
            cluster: _,
            warehouse,
            replicas,
            resources,
            cache_size,
            schedules,
            warm_up,
            autoscaling,
            wake_on_query,
            drain,
            placement,
            labels,
        } = spec;
        let (namespace, name) = super::identity(observed);
        let resources = resolve_resources(observed, resources.as_ref());
        crate::lake_cluster::check_resources("resources", &resources)?;
        crate::lake_cluster::positive("cacheSize", cache_size)?;
        let drain_timeout =
            units::duration(&drain.timeout).map_err(|error| Rejection::field("drain.timeout", error))?;
        if drain_timeout.is_zero() || drain_timeout > MAX_DRAIN {
            return Err(Rejection::field(
                "drain.timeout",
                format!("{} is not between 1s and 24h; write for example 10m", drain.timeout),
            ));
        }
        check_engine(observed, spec)?;
        if let Some(autoscaling) = autoscaling {
            check_autoscaling(autoscaling)?;
        }
        let warm_up = units::duration(warm_up).map_err(|error| Rejection::field("warmUp", error))?;
        let written = observed.group.spec == *spec;
        let surroundings = Surroundings {
            calendars: &observed.calendars,
            auto_lead_time: super::start_up::auto_lead_time(observed, spec, warm_up, now),
            stagger: stagger(namespace, name),
            // What was accepted stays in force when a Calendar is taken away or spoilt.
            forgives_calendars: !written || super::limits::is_accepted(&observed.group),
        };
        check_keys("labels", labels.keys())?;
        check_keys("placement.nodeSelector", placement.node_selector.keys())?;
        Ok(Self {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            warehouse: warehouse_of(observed, warehouse.as_deref(), name)?,
            replicas: u32::try_from(*replicas)
                .map_err(|_| Rejection::field("replicas", format!("{replicas} is negative; write 0 or more")))?,
            max_replicas: max_replicas(observed),
            resources,
            cache_size: cache_size.clone(),
            windows: schedule::windows(schedules, surroundings)?,
            warm_up,
            autoscaling: autoscaling.clone(),
            wake_on_query: *wake_on_query,
            drain_timeout: if drain.enabled {
                drain_timeout
            } else {
                StdDuration::ZERO
            },
            on_drain_timeout: drain.on_timeout,
            placement: placement.clone(),
            labels: labels.clone(),
        })
    }
}

/// What the engine cannot do is refused where it is asked for, and not ignored.
fn check_engine(observed: &ObservedComputeGroup, spec: &ComputeGroupSpec) -> Result<(), Rejection> {
    let engine = engine_of(observed);
    let capabilities = flavour(engine).capabilities();
    if spec.wake_on_query && !capabilities.queue {
        return Err(Rejection::new(
            Reason::NotSupportedByEngine,
            format!(
                "wakeOnQuery: {engine:?} does not tell that statements wait for compute; write false, and open a window instead"
            ),
        ));
    }
    if spec.drain.on_timeout == DrainTimeoutPolicy::Wait && capabilities.cordon != Cordon::EngineState {
        return Err(Rejection::new(
            Reason::NotSupportedByEngine,
            format!(
                "drain.onTimeout: {engine:?} knows no order to drain, and its nodes end after drain.timeout; write Force"
            ),
        ));
    }
    Ok(())
}

fn check_autoscaling(autoscaling: &Autoscaling) -> Result<(), Rejection> {
    if autoscaling.min_replicas > autoscaling.max_replicas {
        return Err(Rejection::field(
            "autoscaling.minReplicas",
            format!(
                "{} is above maxReplicas {}; lower minReplicas or raise maxReplicas",
                autoscaling.min_replicas, autoscaling.max_replicas
            ),
        ));
    }
    for metric in &autoscaling.pods {
        crate::lake_cluster::positive(
            &format!("autoscaling.pods[{}].averageValue", metric.name),
            &metric.average_value,
        )?;
    }
    Ok(())
}

/// The department's limit, and without a department what the API allows at most.
pub(super) fn max_replicas(observed: &ObservedComputeGroup) -> u32 {
    let limit = observed
        .department
        .as_ref()
        .map(|department| department::in_force(department).limits.max_replicas_per_group);
    limit.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(1000)
}

/// The group's own, or the department's default, or the cluster's, or a small node.
pub(super) fn resolve_resources(observed: &ObservedComputeGroup, own: Option<&PodResources>) -> PodResources {
    let department = observed
        .department
        .as_ref()
        .and_then(|department| department::in_force(department).defaults.compute_resources.as_ref());
    let cluster = observed
        .cluster
        .as_ref()
        .map(|cluster| {
            let accepted = cluster
                .status
                .as_ref()
                .and_then(|status| status.accepted_spec.as_deref());
            accepted.unwrap_or(&cluster.spec)
        })
        .and_then(|spec| spec.compute_template.resources.as_ref());
    own.or(department).or(cluster).cloned().unwrap_or_else(|| PodResources {
        cpu: Quantity::new("1"),
        memory: Quantity::new("2Gi"),
    })
}

pub(super) fn flavour_of(observed: &ObservedComputeGroup) -> &'static dyn Flavour {
    flavour(engine_of(observed))
}

fn engine_of(observed: &ObservedComputeGroup) -> EngineKind {
    observed
        .cluster
        .as_ref()
        .map_or(EngineKind::Bundled, |cluster| cluster.spec.engine.kind)
}

fn warehouse_of(observed: &ObservedComputeGroup, warehouse: Option<&str>, name: &str) -> Result<String, Rejection> {
    let engine = engine_of(observed);
    if flavour(engine).capabilities().warehouses {
        return Ok(warehouse.unwrap_or(name).to_owned());
    }
    match warehouse {
        None | Some(DEFAULT_WAREHOUSE) => Ok(DEFAULT_WAREHOUSE.to_owned()),
        Some(other) => Err(Rejection::new(
            Reason::NotSupportedByEngine,
            format!(
                "warehouse: {engine:?} knows only {DEFAULT_WAREHOUSE}, not {other}; create the group again without the field"
            ),
        )),
    }
}

/// The compute nodes of a group of a cluster: all that is needed to build their objects.
#[derive(Clone, Debug, PartialEq)]
pub struct ComputeShape {
    pub name: String,
    pub namespace: String,
    pub warehouse: String,
    pub image: String,
    pub sidecar_image: String,
    pub resources: PodResources,
    pub cache_size: Quantity,
    /// How long a node may finish what it has; zero where it is stopped at once.
    pub drain_timeout: StdDuration,
    /// The path component that the drain sidecar answers to.
    pub drain_key: String,
    pub placement: Placement,
    pub labels: BTreeMap<String, String>,
    pub cluster: ClusterShape,
}

impl ComputeShape {
    pub(crate) fn new(group: &GroupShape, cluster: ClusterShape, drain_key: String, settings: &Settings) -> Self {
        Self {
            name: group.name.clone(),
            namespace: group.namespace.clone(),
            warehouse: group.warehouse.clone(),
            image: cluster.compute_image.clone(),
            sidecar_image: settings.sidecar_image.clone(),
            resources: group.resources.clone(),
            cache_size: group.cache_size.clone(),
            drain_timeout: group.drain_timeout,
            drain_key,
            placement: group.placement.clone(),
            labels: group.labels.clone(),
            cluster,
        }
    }
}
