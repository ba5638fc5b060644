//! The HorizontalPodAutoscaler of a group: owned whole by the operator, aimed at the group's scale subresource.
//!
//! It writes `spec.replicas` as people and GitOps do; what is wanted is that within floor and ceiling, as ever. Its bounds follow
//! the windows, so that it does not recommend what would not happen.

use k8s_openapi::api::autoscaling::v2::{
    ContainerResourceMetricSource, CrossVersionObjectReference, HPAScalingPolicy, HPAScalingRules,
    HorizontalPodAutoscaler, HorizontalPodAutoscalerBehavior, HorizontalPodAutoscalerSpec, MetricIdentifier,
    MetricSpec, MetricTarget, PodsMetricSource,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use springtide_crds::autoscaling::{Autoscaling, PolicySelection, ScalingPolicyType, ScalingRules};
use springtide_schedule::Evaluation;

use crate::names::{self, ENGINE_CONTAINER, Owner};
use crate::object::ObjectKind;

/// Use of CPU in percent that a group is kept at, where nothing else is asked for.
const DEFAULT_CPU_PERCENT: i32 = 70;

/// What load may ask for at present: fewest and most. `demand` is what waiting statements ask for: the autoscaler takes over from it, at
/// its own pace. It would not know those nodes otherwise, and they would go all at once when the line has been gone for a while, busy or not.
pub(super) fn bounds(autoscaling: &Autoscaling, evaluation: &Evaluation, demand: u32, limit: u32) -> (u32, u32) {
    let own = |replicas: i32| u32::try_from(replicas).unwrap_or(1).max(1);
    let fewest = own(autoscaling.min_replicas)
        .max(evaluation.floor.unwrap_or_default())
        .max(demand)
        .min(limit.max(1));
    let most = own(autoscaling.max_replicas)
        .min(evaluation.ceiling.unwrap_or(u32::MAX))
        .min(limit);
    // A floor above the most wins, as it does over a ceiling.
    (fewest, most.max(fewest))
}

pub(super) fn build(
    owner: &Owner,
    group: &str,
    autoscaling: &Autoscaling,
    (fewest, most): (u32, u32),
) -> HorizontalPodAutoscaler {
    let number = |replicas: u32| i32::try_from(replicas).unwrap_or(i32::MAX);
    HorizontalPodAutoscaler {
        metadata: owner.metadata(&names::compute(group)),
        spec: Some(HorizontalPodAutoscalerSpec {
            behavior: Some(HorizontalPodAutoscalerBehavior {
                scale_up: Some(rules(
                    autoscaling.scale_up.as_ref(),
                    0,
                    &[(ScalingPolicyType::Pods, 4, 15), (ScalingPolicyType::Percent, 100, 15)],
                )),
                scale_down: Some(rules(
                    autoscaling.scale_down.as_ref(),
                    300,
                    &[(ScalingPolicyType::Pods, 1, 60), (ScalingPolicyType::Percent, 25, 60)],
                )),
            }),
            max_replicas: number(most),
            metrics: Some(metrics(autoscaling)),
            min_replicas: Some(number(fewest)),
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some(ObjectKind::ComputeGroup.api_version().to_owned()),
                kind: ObjectKind::ComputeGroup.kind().to_owned(),
                name: group.to_owned(),
            },
        }),
        ..HorizontalPodAutoscaler::default()
    }
}

fn metrics(autoscaling: &Autoscaling) -> Vec<MetricSpec> {
    let Autoscaling { cpu, memory, pods, .. } = autoscaling;
    let nothing_else = memory.is_none() && pods.is_empty();
    let cpu = cpu.or_else(|| nothing_else.then_some(DEFAULT_CPU_PERCENT));
    let of_engine = |name: &str, percent: i32| MetricSpec {
        type_: "ContainerResource".to_owned(),
        container_resource: Some(ContainerResourceMetricSource {
            container: ENGINE_CONTAINER.to_owned(),
            name: name.to_owned(),
            target: MetricTarget {
                type_: "Utilization".to_owned(),
                average_utilization: Some(percent),
                ..MetricTarget::default()
            },
        }),
        ..MetricSpec::default()
    };
    let of_pods = pods.iter().map(|metric| MetricSpec {
        type_: "Pods".to_owned(),
        pods: Some(PodsMetricSource {
            metric: MetricIdentifier {
                name: metric.name.clone(),
                selector: None,
            },
            target: MetricTarget {
                type_: "AverageValue".to_owned(),
                average_value: Some(ApiQuantity(metric.average_value.0.clone())),
                ..MetricTarget::default()
            },
        }),
        ..MetricSpec::default()
    });
    let own = [("cpu", cpu), ("memory", *memory)];
    own.into_iter()
        .filter_map(|(name, percent)| Some(of_engine(name, percent?)))
        .chain(of_pods)
        .collect()
}

fn rules(written: Option<&ScalingRules>, window_s: i32, policies: &[(ScalingPolicyType, i32, i32)]) -> HPAScalingRules {
    let written = written.cloned().unwrap_or_default();
    let policy = |kind: ScalingPolicyType, value: i32, period_seconds: i32| HPAScalingPolicy {
        type_: match kind {
            ScalingPolicyType::Pods => "Pods".to_owned(),
            ScalingPolicyType::Percent => "Percent".to_owned(),
        },
        value,
        period_seconds,
    };
    let policies = if written.policies.is_empty() {
        policies
            .iter()
            .map(|(kind, value, period_s)| policy(*kind, *value, *period_s))
            .collect()
    } else {
        written
            .policies
            .iter()
            .map(|step| policy(step.kind, step.value, step.period_seconds))
            .collect()
    };
    HPAScalingRules {
        policies: Some(policies),
        select_policy: Some(
            match written.select_policy.unwrap_or(PolicySelection::Max) {
                PolicySelection::Max => "Max",
                PolicySelection::Min => "Min",
                PolicySelection::Disabled => "Disabled",
            }
            .to_owned(),
        ),
        stabilization_window_seconds: Some(written.stabilization_window_seconds.unwrap_or(window_s)),
        ..HPAScalingRules::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixture::{applied, group};

    const HPA: &str = "HorizontalPodAutoscaler retail/etl-cn";

    fn autoscaled(autoscaling: serde_json::Value) -> crate::fixture::GroupFixture {
        group("etl").with(|observed| observed.group.spec.autoscaling = serde_json::from_value(autoscaling).unwrap())
    }

    #[test]
    fn load_may_ask_for_what_the_windows_leave() {
        let between = |fixture: crate::fixture::GroupFixture| {
            let spec = applied(&fixture.plan())[HPA]["spec"].clone();
            (
                spec["minReplicas"].as_i64().unwrap(),
                spec["maxReplicas"].as_i64().unwrap(),
            )
        };
        let plain = || autoscaled(json!({"minReplicas": 2, "maxReplicas": 8}));
        assert_eq!(between(plain()), (2, 8));
        assert_eq!(between(plain().window("w", "0 11 * * *", Some(5), Some(6))), (5, 6));
        assert_eq!(between(plain().window("w", "0 11 * * *", Some(12), None)), (12, 12));
        assert_eq!(between(plain().window("w", "0 11 * * *", None, Some(1))), (2, 2));
        let limited = plain().department(json!({"namespaces": [], "limits": {"maxReplicasPerGroup": 4}}));
        let conditions = limited.plan().status.unwrap().conditions;
        let accepted = crate::fixture::condition(&conditions, "Accepted");
        assert!(
            accepted.contains("autoscaling.maxReplicas: 8 is more than"),
            "{accepted}"
        );
    }

    #[test]
    fn behaviour_is_passed_through_and_what_is_left_out_is_fast_up_and_slow_down() {
        let steps = json!([{"type": "Percent", "value": 50, "periodSeconds": 30}]);
        let written = autoscaled(json!({
            "maxReplicas": 8,
            "memory": 75,
            "scaleDown": {"stabilizationWindowSeconds": 60, "selectPolicy": "Min", "policies": steps},
        }));
        let spec = applied(&written.plan())[HPA]["spec"].clone();
        let down = json!({
            "stabilizationWindowSeconds": 60, "selectPolicy": "Min",
            "policies": [{"type": "Percent", "value": 50, "periodSeconds": 30}],
        });
        assert_eq!(spec["behavior"]["scaleDown"], down);
        let up = &spec["behavior"]["scaleUp"];
        assert_eq!(
            (&up["stabilizationWindowSeconds"], &up["selectPolicy"]),
            (&json!(0), &json!("Max"))
        );
        let memory = json!({
            "type": "ContainerResource",
            "containerResource": {
                "name": "memory", "container": "engine", "target": {"type": "Utilization", "averageUtilization": 75},
            },
        });
        assert_eq!(
            spec["metrics"],
            json!([memory]),
            "CPU is the default only where nothing else is asked for"
        );
        let off = autoscaled(json!({"maxReplicas": 8, "scaleDown": {"selectPolicy": "Disabled"}}));
        let spec = applied(&off.plan())[HPA]["spec"].clone();
        assert_eq!(spec["behavior"]["scaleDown"]["selectPolicy"], "Disabled");
    }

    #[test]
    fn the_autoscaler_is_written_whole_and_goes_with_its_field() {
        let fixture =
            autoscaled(json!({"maxReplicas": 8, "pods": [{"name": "queued", "averageValue": "5"}], "cpu": 60}));
        insta::assert_yaml_snapshot!("autoscaler", applied(&fixture.plan())[HPA]);
        let by_default = applied(&autoscaled(json!({"maxReplicas": 8})).plan())[HPA]["spec"]["metrics"].clone();
        assert_eq!(by_default[0]["containerResource"]["target"]["averageUtilization"], 70);
        let removed = fixture
            .settled()
            .with(|observed| observed.group.spec.autoscaling = None)
            .plan();
        assert!(
            removed.actions.iter().any(|action| matches!(
                action,
                crate::Action::Delete { object, .. } if object.kind == ObjectKind::HorizontalPodAutoscaler
            )),
            "{:?}",
            removed.actions
        );
    }
}
