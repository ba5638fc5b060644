//! Settings that frontends take while they run: told by SQL, and read back.
//!
//! Which they are the flavour says. One that is written is in force when every frontend that answers shows its value. One that was taken out
//! gets the engine's default, and is remembered in the status until frontends show that. Nobody is asked where there is neither.

use std::collections::BTreeMap;
use std::time::Duration;

use springtide_crds::lake_cluster::SettingInForce;
use springtide_crds::{ConditionType, LakeCluster, LakeClusterSpec, Reason};

use super::ClusterShape;
use crate::action::Action;
use crate::condition::Finding;
use crate::finish;
use crate::flavour::{DynamicSetting, flavour};
use crate::observed::{FrontendConfigAnswer, ObservedLakeCluster};
use crate::sql::{AdminStatement, FrontendConfigRow};

/// What is to be done and said about dynamic settings.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Assessment {
    pub(super) statements: Vec<Action>,
    /// What is not in force, if anything is.
    pub(super) finding: Option<Finding>,
    /// For the status.
    pub(super) in_force: Vec<SettingInForce>,
    /// How soon to read them again.
    pub(super) again_after: Option<Duration>,
}

/// Whether frontends are to be asked for their settings: one is written, or has to be what it was before.
#[must_use]
pub fn reads_settings_back(cluster: &LakeCluster) -> bool {
    let status = cluster.status.as_ref();
    let is_written = |spec: &LakeClusterSpec| {
        let dynamic = flavour(spec.engine.kind).dynamic_settings();
        dynamic
            .iter()
            .any(|setting| spec.frontends.config.contains_key(setting.name))
    };
    is_written(&cluster.spec)
        || status.is_some_and(|status| {
            !status.dynamic_settings.is_empty() || status.accepted_spec.as_deref().is_some_and(is_written)
        })
}

/// The dynamic settings that are written.
pub(super) fn written(shape: &ClusterShape) -> BTreeMap<String, String> {
    let dynamic = flavour(shape.engine).dynamic_settings();
    let mut settings = shape.frontend_config.clone();
    settings.retain(|name, _| dynamic.iter().any(|setting| setting.name == name));
    settings
}

/// A setting that is to have a value.
struct Wanted {
    setting: DynamicSetting,
    value: String,
    /// By somebody, and not only because it had another one before.
    is_written: bool,
}

/// What frontends have of it.
enum Found {
    InForce(String),
    /// A frontend has this value, and takes another one.
    Differs(String),
    /// A frontend has this value until it starts again.
    Fixed(String),
    /// A frontend has no such setting.
    Missing,
}

pub(super) fn assess(observed: &ObservedLakeCluster, shape: &ClusterShape) -> Assessment {
    let noted = noted(&observed.cluster);
    let wanted: Vec<Wanted> = flavour(shape.engine)
        .dynamic_settings()
        .into_iter()
        .filter_map(|setting| {
            let written = shape.frontend_config.get(setting.name).cloned();
            let is_written = written.is_some();
            let is_noted = noted.iter().any(|noted| noted.name == setting.name);
            let value = written.or_else(|| is_noted.then(|| setting.default.clone()))?;
            Some(Wanted {
                setting,
                value,
                is_written,
            })
        })
        .collect();
    match &observed.frontend_config {
        FrontendConfigAnswer::Answered(frontends) if !frontends.is_empty() => {
            read_back(&wanted, frontends, was_told(&observed.cluster))
        }
        FrontendConfigAnswer::Answered(_) | FrontendConfigAnswer::NotAsked => Assessment {
            in_force: as_noted(&wanted, noted),
            ..Assessment::default()
        },
        FrontendConfigAnswer::Unreadable { message } => Assessment {
            in_force: as_noted(&wanted, noted),
            finding: (!wanted.is_empty()).then(|| {
                Finding::fails(
                    Reason::SettingNotInForce,
                    format!(
                        "whether {} in force is not known: {message}. Frontends start with what is written; if this version of the engine cannot \
                         be asked, delete their pods one after the other",
                        names(&wanted)
                    ),
                )
            }),
            ..Assessment::default()
        },
    }
}

/// What the status says of a cluster whose values were never accepted.
pub(super) fn unchanged(cluster: &LakeCluster) -> Assessment {
    Assessment {
        in_force: noted(cluster).to_vec(),
        ..Assessment::default()
    }
}

fn noted(cluster: &LakeCluster) -> &[SettingInForce] {
    let status = cluster.status.as_ref();
    status
        .map(|status| status.dynamic_settings.as_slice())
        .unwrap_or_default()
}

/// Whether frontends were told at the look before: then what differs now is no delay.
fn was_told(cluster: &LakeCluster) -> bool {
    let conditions = cluster.status.as_ref().map(|status| status.conditions.as_slice());
    let mut conditions = conditions.unwrap_or_default().iter();
    conditions.any(|condition| {
        condition.type_ == ConditionType::UpToDate.as_str()
            && condition.observed_generation == cluster.metadata.generation
            && [Reason::SettingPending, Reason::SettingNotInForce]
                .iter()
                .any(|reason| condition.reason == reason.as_str())
    })
}

fn names(wanted: &[Wanted]) -> String {
    let names: Vec<&str> = wanted.iter().map(|wanted| wanted.setting.name).collect();
    let verb = if names.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", names.join(", "))
}

/// What was known before, since nobody says anything now.
fn as_noted(wanted: &[Wanted], noted: &[SettingInForce]) -> Vec<SettingInForce> {
    wanted
        .iter()
        .map(|wanted| {
            let name = wanted.setting.name;
            let known = noted.iter().find(|noted| noted.name == name);
            known.cloned().unwrap_or_else(|| SettingInForce {
                name: name.to_owned(),
                value: None,
            })
        })
        .collect()
}

fn read_back(wanted: &[Wanted], frontends: &[Vec<FrontendConfigRow>], was_told: bool) -> Assessment {
    let mut assessment = Assessment::default();
    let mut told = Vec::new();
    let mut needs_somebody = was_told;
    for wanted in wanted {
        let Wanted {
            setting,
            value,
            is_written,
        } = wanted;
        let name = setting.name;
        let (in_force, says) = match look(wanted, frontends) {
            Found::InForce(in_force) => (is_written.then_some(in_force), None),
            Found::Differs(in_force) => {
                assessment
                    .statements
                    .push(Action::Sql(AdminStatement::SetFrontendConfig {
                        name: setting.sql_name.to_owned(),
                        value: value.clone(),
                    }));
                let says = if was_told {
                    format!(
                        "{name} is still {in_force} on a frontend that was told {value}, and is told again; its log may say why it does not \
                         take the value. Write another one, or delete its pod: it starts with what is written"
                    )
                } else {
                    format!("{name} is {in_force} on a frontend, which is told that it is to be {value}")
                };
                (Some(in_force), Some(says))
            }
            Found::Fixed(in_force) => {
                needs_somebody = true;
                let says = format!(
                    "{name} is {in_force} and is to be {value}, which a frontend of this version does not take while it runs: delete its pod, or \
                     raise engine.version"
                );
                (Some(in_force), Some(says))
            }
            Found::Missing if *is_written => {
                needs_somebody = true;
                let says =
                    format!("a frontend of this version has no setting {name}: take it out, or raise engine.version");
                (None, Some(says))
            }
            Found::Missing => (None, None),
        };
        told.extend(says);
        if *is_written || in_force.is_some() {
            assessment.in_force.push(SettingInForce {
                name: name.to_owned(),
                value: in_force,
            });
        }
    }
    if !told.is_empty() {
        let reason = if needs_somebody {
            Reason::SettingNotInForce
        } else {
            Reason::SettingPending
        };
        assessment.finding = Some(Finding::fails(reason, told.join("; ")));
    }
    if !assessment.statements.is_empty() {
        assessment.again_after = Some(if was_told { finish::SECRET } else { finish::CONVERGING });
    }
    assessment
}

/// The first frontend that differs says what there is to say.
fn look(wanted: &Wanted, frontends: &[Vec<FrontendConfigRow>]) -> Found {
    let mut in_force = String::new();
    for rows in frontends {
        let Some(row) = rows.iter().find(|row| row.name == wanted.setting.sql_name) else {
            return Found::Missing;
        };
        if !is_same(&row.value, &wanted.value) {
            let value = row.value.clone();
            return if row.is_mutable {
                Found::Differs(value)
            } else {
                Found::Fixed(value)
            };
        }
        in_force.clone_from(&row.value);
    }
    Found::InForce(in_force)
}

/// Engines write numbers in their own way: `10` is `10.0`.
fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.trim(), other.trim());
    if one.eq_ignore_ascii_case(other) {
        return true;
    }
    match (one.parse::<i128>(), other.parse::<i128>()) {
        (Ok(one), Ok(other)) => one == other,
        // What is no whole number is far from where these numbers have gaps.
        _ => matches!((one.parse::<f64>(), other.parse::<f64>()), (Ok(one), Ok(other)) if one == other),
    }
}

#[cfg(test)]
mod tests;
