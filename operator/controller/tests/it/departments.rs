//! Departments: what they make, and what they never take away.

use k8s_openapi::api::{
    core::v1::{LimitRange, Namespace, ResourceQuota},
    networking::v1::NetworkPolicy,
    rbac::v1::RoleBinding,
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::json;
use springtide_crds::{Department, LakeCluster};

use crate::harness::{
    rights::apply,
    world::{World, is_true},
};

async fn make(world: &World, name: &str, namespace: &str, policy: &str) {
    let body = json!({
        "apiVersion": "springtide.dev/v1alpha1", "kind": "Department", "metadata": {"name": name},
        "spec": {
            "namespaces": [{"name": namespace, "quota": {"cpu": "8", "memory": "32Gi"}}],
            "admins": {"users": ["ada"], "groups": ["retail-admins"]},
            "deletionPolicy": policy,
        },
    });
    let departments: Api<Department> = Api::all(world.client.clone());
    departments
        .patch(name, &PatchParams::apply("a-test"), &Patch::Apply(body))
        .await
        .unwrap();
    world
        .eventually("the department is set up", || async {
            let department = departments.get_opt(name).await.unwrap()?;
            is_true(&department.status?.conditions, "Available").then_some(())
        })
        .await;
}

async fn count<K>(world: &World, namespace: &str) -> usize
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + serde::de::DeserializeOwned
        + std::fmt::Debug,
{
    Api::<K>::namespaced(world.client.clone(), namespace)
        .list(&ListParams::default())
        .await
        .unwrap()
        .items
        .len()
}

#[tokio::test]
async fn a_department_is_set_up_and_then_left_alone() {
    let world = World::alone().await;
    let operator = world.operator();
    let (name, namespace) = (format!("dept-{}", world.namespace), format!("{}-a", world.namespace));
    make(&world, &name, &namespace, "Retain").await;
    let made: Namespace = Api::all(world.client.clone()).get(&namespace).await.unwrap();
    assert_eq!(
        made.labels()
            .get("pod-security.kubernetes.io/enforce")
            .map(String::as_str),
        Some("restricted")
    );
    assert!(count::<ResourceQuota>(&world, &namespace).await >= 1);
    assert!(count::<LimitRange>(&world, &namespace).await >= 1);
    assert!(count::<RoleBinding>(&world, &namespace).await >= 1);
    assert!(count::<NetworkPolicy>(&world, &namespace).await >= 1);
    world.settle().await;
    world.stays_quiet(std::time::Duration::from_secs(4)).await;
    remove(&world, &name).await;
    let kept: Namespace = Api::all(world.client.clone()).get(&namespace).await.unwrap();
    assert!(kept.metadata.deletion_timestamp.is_none(), "Retain keeps the namespace");
    operator.stop().await;
}

#[tokio::test]
async fn a_namespace_that_holds_a_cluster_is_never_deleted() {
    let world = World::alone().await;
    let operator = world.operator();
    // The operator makes the namespace, so that nothing but the cluster keeps it from deleting it.
    let (name, namespace) = (format!("dept-{}", world.namespace), format!("{}-a", world.namespace));
    make(&world, &name, &namespace, "Delete").await;
    let cluster = json!({
        "apiVersion": "springtide.dev/v1alpha1", "kind": "LakeCluster",
        "metadata": {"name": "lake", "namespace": namespace},
        "spec": {
            "engine": {"version": "0.1.0"},
            "storage": {"bucket": "retail", "prefix": "lake", "credentials": {"secretRef": {"name": "absent"}}},
        },
    });
    apply(&world.client, &cluster).await;
    let departments: Api<Department> = Api::all(world.client.clone());
    departments.delete(&name, &DeleteParams::default()).await.unwrap();
    let message = world
        .eventually("the department says what keeps it", || async {
            let conditions = departments.get_opt(&name).await.unwrap()?.status?.conditions;
            let available = conditions
                .into_iter()
                .find(|condition| condition.type_ == "Available")?;
            (available.reason == "ClustersRemain").then_some(available.message)
        })
        .await;
    assert!(
        message.contains(&format!(
            "namespace {namespace} still holds LakeCluster lake; delete it first"
        )),
        "{message}"
    );
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    let kept = namespaces.get(&namespace).await.unwrap();
    assert!(kept.metadata.deletion_timestamp.is_none());
    let clusters: Api<LakeCluster> = Api::namespaced(world.client.clone(), &namespace);
    clusters.delete("lake", &DeleteParams::default()).await.unwrap();
    world
        .eventually("the department and its empty namespace go", || async {
            let gone = departments.get_opt(&name).await.unwrap().is_none();
            let namespace = namespaces.get_opt(&namespace).await.unwrap();
            let goes = namespace.is_none_or(|namespace| namespace.metadata.deletion_timestamp.is_some());
            (gone && goes).then_some(())
        })
        .await;
    operator.stop().await;
}

#[tokio::test]
async fn a_department_that_waits_for_a_cluster_is_let_go_by_its_policy_and_the_cluster_stays() {
    let world = World::alone().await;
    let operator = world.operator();
    let (name, namespace) = (format!("dept-{}", world.namespace), format!("{}-a", world.namespace));
    make(&world, &name, &namespace, "Delete").await;
    let cluster = json!({
        "apiVersion": "springtide.dev/v1alpha1", "kind": "LakeCluster",
        "metadata": {"name": "lake", "namespace": namespace},
        "spec": {
            "engine": {"version": "0.1.0"},
            "storage": {"bucket": "retail", "prefix": "lake", "credentials": {"secretRef": {"name": "absent"}}},
        },
    });
    apply(&world.client, &cluster).await;
    let departments: Api<Department> = Api::all(world.client.clone());
    departments.delete(&name, &DeleteParams::default()).await.unwrap();
    world
        .eventually("the department waits", || async {
            let conditions = departments.get_opt(&name).await.unwrap()?.status?.conditions;
            let waits = conditions.iter().any(|condition| condition.reason == "ClustersRemain");
            waits.then_some(())
        })
        .await;
    let patch = Patch::Merge(json!({"spec": {"deletionPolicy": "Retain"}}));
    departments.patch(&name, &PatchParams::default(), &patch).await.unwrap();
    world
        .eventually("the department is gone", || async {
            departments.get_opt(&name).await.unwrap().is_none().then_some(())
        })
        .await;
    let kept: Namespace = Api::all(world.client.clone()).get(&namespace).await.unwrap();
    assert!(kept.metadata.deletion_timestamp.is_none());
    let clusters: Api<LakeCluster> = Api::namespaced(world.client.clone(), &namespace);
    let kept = clusters.get("lake").await.unwrap();
    assert!(kept.metadata.deletion_timestamp.is_none());
    clusters.delete("lake", &DeleteParams::default()).await.unwrap();
    operator.stop().await;
}

#[tokio::test]
async fn a_namespace_that_is_not_to_be_had_can_be_taken_off_the_list_again() {
    let world = World::alone().await;
    let operator = world.operator();
    let (name, namespace) = (format!("dept-{}", world.namespace), format!("{}-a", world.namespace));
    make(&world, &name, &namespace, "Delete").await;
    let departments: Api<Department> = Api::all(world.client.clone());
    let write = async |namespaces: serde_json::Value| {
        let patch = Patch::Merge(json!({"spec": {"namespaces": namespaces}}));
        departments.patch(&name, &PatchParams::default(), &patch).await
    };
    write(json!([{"name": namespace}, {"name": "kube-system"}]))
        .await
        .unwrap();
    world
        .eventually("the namespace is refused", || async {
            let status = departments.get_opt(&name).await.unwrap()?.status?;
            let is_refused = status
                .conditions
                .iter()
                .any(|condition| condition.type_ == "Accepted" && condition.reason == "NamespaceTaken");
            is_refused.then_some(())
        })
        .await;
    let refusal = write(json!([{"name": "kube-system"}])).await.unwrap_err().to_string();
    assert!(refusal.contains("a namespace keeps its department"), "{refusal}");
    write(json!([{"name": namespace}])).await.unwrap();
    world
        .eventually("what is written is in force again", || async {
            let department = departments.get_opt(&name).await.unwrap()?;
            is_true(&department.status?.conditions, "Accepted").then_some(())
        })
        .await;
    remove(&world, &name).await;
    operator.stop().await;
}

async fn remove(world: &World, name: &str) {
    let departments: Api<Department> = Api::all(world.client.clone());
    departments.delete(name, &DeleteParams::default()).await.unwrap();
    world
        .eventually("the department is gone", || async {
            departments.get_opt(name).await.unwrap().is_none().then_some(())
        })
        .await;
}
