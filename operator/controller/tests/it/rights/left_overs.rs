//! What an earlier release may have left, and this one prunes.

use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::ConfigMap};
use serde_json::{Value, json};

use crate::harness::{rights::apply, world::World};

/// Objects of every kind that is pruned, as if an earlier release had made them.
pub(super) async fn plant_left_overs(world: &World, owner: Value, label: &str, kinds: &[(&str, &str, Value)]) {
    for (api_version, kind, rest) in kinds {
        let mut object = json!({
            "apiVersion": api_version, "kind": kind,
            "metadata": {
                "name": "left-over", "namespace": world.namespace,
                "labels": {"springtide.dev/owner": label}, "ownerReferences": [owner],
            },
        });
        object
            .as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        apply(&world.client, &object).await;
    }
    for (_, kind, _) in kinds {
        world
            .eventually(&format!("the left-over {kind} is pruned"), || async {
                let found = match *kind {
                    "ServiceAccount" => is_there::<k8s_openapi::api::core::v1::ServiceAccount>(world).await,
                    "ConfigMap" => is_there::<ConfigMap>(world).await,
                    "Service" => is_there::<k8s_openapi::api::core::v1::Service>(world).await,
                    "NetworkPolicy" => is_there::<k8s_openapi::api::networking::v1::NetworkPolicy>(world).await,
                    "PodDisruptionBudget" => is_there::<k8s_openapi::api::policy::v1::PodDisruptionBudget>(world).await,
                    "HorizontalPodAutoscaler" => {
                        is_there::<k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler>(world).await
                    }
                    "StatefulSet" => is_there::<StatefulSet>(world).await,
                    "ResourceQuota" => is_there::<k8s_openapi::api::core::v1::ResourceQuota>(world).await,
                    "LimitRange" => is_there::<k8s_openapi::api::core::v1::LimitRange>(world).await,
                    "RoleBinding" => is_there::<k8s_openapi::api::rbac::v1::RoleBinding>(world).await,
                    other => panic!("{other} is not looked for"),
                };
                (!found).then_some(())
            })
            .await;
    }
}

async fn is_there<K>(world: &World) -> bool
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + serde::de::DeserializeOwned
        + std::fmt::Debug,
{
    world.get::<K>("left-over").await.is_some()
}

pub(super) fn owner(kind: &str, name: &str, uid: Option<&str>) -> Value {
    json!({"apiVersion": "springtide.dev/v1alpha1", "kind": kind, "name": name, "uid": uid, "controller": true})
}
