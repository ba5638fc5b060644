//! A metadata volume that is made larger: it grows, and so do those of frontends that are not there yet. No pod is replaced for it.

use k8s_openapi::api::{
    apps::v1::{ControllerRevision, StatefulSet},
    core::v1::{ConfigMap, PersistentVolumeClaim},
};
use kube::{
    ResourceExt,
    api::{DeleteParams, ListParams, PropagationPolicy},
};
use serde_json::json;
use springtide_crds::LakeCluster;

use crate::{
    harness::{
        rights::apply,
        world::{Running, World, is_true},
    },
    updates::{cluster_is, pods},
};

const FRONTENDS: &str = "lake-fe";
const COPY: &str = "lake-fe-copy";
const CLAIM: &str = "meta-lake-fe-0";

/// A class whose volumes may grow.
pub(crate) async fn growing_class(world: &World) {
    let class = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "growing"},
        "provisioner": "example.com/none", "allowVolumeExpansion": true,
    });
    apply(&world.client, &class).await;
}

/// What further claims of the frontends would ask for.
pub(crate) async fn size_of_further_claims(world: &World) -> Option<String> {
    let claims = world
        .get::<StatefulSet>(FRONTENDS)
        .await?
        .spec?
        .volume_claim_templates?;
    let requests = claims.into_iter().next()?.spec?.resources?.requests?;
    Some(requests.get("storage")?.0.clone())
}

pub(crate) async fn write_size(world: &World, size: &str) {
    let spec = json!({"spec": {"frontends": {"metadataVolume": {"size": size}}}});
    world.merge::<LakeCluster>("lake", spec).await;
}

/// A cluster at rest with a volume of 5Gi in this class.
async fn at_rest(world: &World, operator: Running, class: &str, deletion_policy: &str) -> Running {
    growing_class(world).await;
    let volume = json!({"storageClassName": class, "size": "5Gi"});
    let spec = json!({"deletionPolicy": deletion_policy, "frontends": {"metadataVolume": volume}});
    world.make_cluster_with("lake", spec).await;
    world.cluster_is_available("lake").await;
    world.settle().await;
    operator
}

/// What must not change while the StatefulSet is made anew.
#[derive(Debug, PartialEq)]
struct Lasting {
    pods: Vec<(String, String)>,
    claim: Option<String>,
    revisions: Vec<String>,
}

impl Lasting {
    async fn of(world: &World) -> Self {
        let all = ListParams::default();
        let revisions = world.api::<ControllerRevision>().list(&all).await.unwrap();
        Self {
            pods: pods(world).await.into_iter().collect(),
            claim: world
                .get::<PersistentVolumeClaim>(CLAIM)
                .await
                .and_then(|claim| claim.uid()),
            revisions: revisions.iter().map(ResourceExt::name_any).collect(),
        }
    }
}

async fn uid(world: &World) -> Option<String> {
    world.get::<StatefulSet>(FRONTENDS).await?.uid()
}

/// Waits until further claims have this size, and the cluster is ready and at rest.
async fn has_grown(world: &World, size: &str) {
    world
        .eventually("further claims have the size, and the cluster is ready", || async {
            let conditions = world.get::<LakeCluster>("lake").await?.status?.conditions;
            let is_copied = world.get::<ConfigMap>(COPY).await.is_some();
            let is_done = is_true(&conditions, "Ready") && !is_copied;
            (size_of_further_claims(world).await.as_deref() == Some(size) && is_done).then_some(())
        })
        .await;
    world.settle().await;
}

/// Uids of what the claim goes with.
async fn owners_of_claim(world: &World) -> Vec<String> {
    let claim = world.get::<PersistentVolumeClaim>(CLAIM).await.unwrap();
    claim.owner_references().iter().map(|owner| owner.uid.clone()).collect()
}

#[tokio::test]
async fn further_frontends_get_larger_volumes_too_and_no_pod_is_replaced() {
    let world = World::new().await;
    let operator = at_rest(&world, world.operator(), "growing", "Retain").await;
    let (before, made) = (Lasting::of(&world).await, uid(&world).await);
    write_size(&world, "8Gi").await;
    has_grown(&world, "8Gi").await;
    assert_ne!(uid(&world).await, made, "it is another StatefulSet");
    assert_eq!(Lasting::of(&world).await, before);
    let owner = uid(&world).await;
    let pod = world.get::<k8s_openapi::api::core::v1::Pod>("lake-fe-0").await.unwrap();
    assert_eq!(pod.owner_references().first().map(|owner| owner.uid.clone()), owner);
    // It is as it should be: nobody finds anything to do about it.
    world.stays_quiet(std::time::Duration::from_secs(3)).await;
    operator.stop().await;
}

#[tokio::test]
async fn a_volume_that_goes_with_its_cluster_outlives_the_change_and_goes_with_the_cluster_still() {
    let world = World::new().await;
    let operator = at_rest(&world, world.operator(), "growing", "Delete").await;
    world
        .eventually("the claim goes with the StatefulSet", || async {
            (Some(owners_of_claim(&world).await) == uid(&world).await.map(|uid| vec![uid])).then_some(())
        })
        .await;
    let (before, made) = (Lasting::of(&world).await, uid(&world).await);
    write_size(&world, "8Gi").await;
    has_grown(&world, "8Gi").await;
    assert_ne!(uid(&world).await, made);
    assert_eq!(Lasting::of(&world).await, before);
    world
        .eventually("the claim goes with the new one", || async {
            (Some(owners_of_claim(&world).await) == uid(&world).await.map(|uid| vec![uid])).then_some(())
        })
        .await;

    // In the middle of the next time, too.
    write_size(&world, "9Gi").await;
    world
        .eventually("it is made anew, or has been", || async {
            let is_copied = world.get::<ConfigMap>(COPY).await.is_some();
            (is_copied || size_of_further_claims(&world).await.as_deref() == Some("9Gi")).then_some(())
        })
        .await;
    world.delete::<LakeCluster>("lake").await;
    world
        .eventually("all of it is gone", || async {
            let claim = world.get::<PersistentVolumeClaim>(CLAIM).await;
            let cluster = world.get::<LakeCluster>("lake").await;
            let is_gone = claim.is_none() && cluster.is_none() && uid(&world).await.is_none();
            (is_gone && pods(&world).await.is_empty() && world.collected().await).then_some(())
        })
        .await;
    operator.stop().await;
}

/// The engine's image is made otherwise by the next release.
fn release(world: &World, image: &str) -> Running {
    let image = image.to_owned();
    world.operator_with(|settings| settings.engine_image = image)
}

#[tokio::test]
async fn an_update_that_waits_for_its_window_waits_on() {
    let world = World::new().await;
    let first = release(&world, "registry.example/engine:1");
    at_rest(&world, first, "growing", "Retain").await.stop().await;
    let (before, made) = (Lasting::of(&world).await, uid(&world).await);
    let operator = release(&world, "another.example/engine:1");
    cluster_is(&world, "lake", "UpdatePending").await;
    write_size(&world, "8Gi").await;
    has_grown(&world, "8Gi").await;
    assert_ne!(uid(&world).await, made);
    cluster_is(&world, "lake", "UpdatePending").await;
    assert_eq!(Lasting::of(&world).await, before);
    operator.stop().await;
}

/// Nobody is there when the StatefulSet has gone, and the one that comes would make its pods otherwise.
#[tokio::test]
async fn whoever_finds_a_copy_and_no_stateful_set_replaces_no_pod() {
    let world = World::new().await;
    let first = release(&world, "registry.example/engine:1");
    at_rest(&world, first, "growing", "Retain").await.stop().await;
    let before = Lasting::of(&world).await;
    let set = world.get::<StatefulSet>(FRONTENDS).await.unwrap();
    let cluster = world.get::<LakeCluster>("lake").await.unwrap();
    // As an operator leaves it that dies between the two: the fields that are its own, with a larger claim.
    let mut object = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": {
            "name": FRONTENDS, "namespace": world.namespace, "labels": set.metadata.labels,
            "annotations": set.metadata.annotations, "ownerReferences": set.metadata.owner_references,
        },
        "spec": set.spec,
    });
    object["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"] = json!("8Gi");
    let copy = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": COPY, "labels": {"springtide.dev/owner": "lakecluster.lake"},
            "ownerReferences": [{
                "apiVersion": "springtide.dev/v1alpha1", "kind": "LakeCluster", "name": "lake",
                "uid": cluster.metadata.uid, "controller": true,
            }],
        },
        "data": {"statefulset.json": object.to_string(), "replaces": set.metadata.uid},
    });
    world.create::<ConfigMap>(copy).await;
    let orphan = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Orphan),
        ..DeleteParams::default()
    };
    world.api::<StatefulSet>().delete(FRONTENDS, &orphan).await.unwrap();
    world
        .eventually("there is none", || async { uid(&world).await.is_none().then_some(()) })
        .await;

    let operator = release(&world, "another.example/engine:1");
    world
        .eventually("it is made from the copy, which goes", || async {
            let is_copied = world.get::<ConfigMap>(COPY).await.is_some();
            (size_of_further_claims(&world).await.as_deref() == Some("8Gi") && !is_copied).then_some(())
        })
        .await;
    cluster_is(&world, "lake", "UpdatePending").await;
    world.settle().await;
    assert_eq!(Lasting::of(&world).await, before);
    operator.stop().await;
}

#[tokio::test]
async fn where_volumes_cannot_grow_nothing_is_made_anew_and_the_refusal_is_told() {
    let world = World::new().await;
    let class = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "fixed"},
        "provisioner": "example.com/none", "allowVolumeExpansion": false,
    });
    apply(&world.client, &class).await;
    let operator = at_rest(&world, world.operator(), "fixed", "Retain").await;
    let made = uid(&world).await;
    write_size(&world, "8Gi").await;
    world
        .eventually("an Event tells why", || async {
            let events = world.api::<k8s_openapi::api::core::v1::Event>();
            let events = events.list(&ListParams::default()).await.unwrap();
            let tells = |message: &str| message.contains("only dynamically provisioned pvc can be resized");
            let told = events.iter().filter_map(|event| event.message.as_deref()).any(tells);
            told.then_some(())
        })
        .await;
    assert_eq!(uid(&world).await, made);
    assert_eq!(size_of_further_claims(&world).await.as_deref(), Some("5Gi"));
    operator.stop().await;
}
