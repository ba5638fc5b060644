//! A LakeCluster with one group, into which many of its fields flow.

use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service},
    networking::v1::NetworkPolicy,
};
use kube::api::ListParams;
use serde_json::{Value, json};
use springtide_crds::LakeCluster;

use super::{Ground, Verdict, compute_group, generate::Texts};
use crate::harness::{
    rights::apply,
    world::{World, is_true},
};

const NAME: &str = "lake";

pub(super) struct Walked;

impl Ground for Walked {
    const KIND: &'static str = "LakeCluster";
    const FIXED: &'static [&'static str] = &[
        "engine.kind",
        "storage.bucket",
        "storage.prefix",
        "storage.endpoint",
        "frontends.metadataVolume.storageClassName",
    ];
    const TEXTS: Texts = &[
        ("version", &["0.1.0", "0.2.0", "the newest"]),
        (
            "image",
            &[
                "registry.example.com/engine:1",
                "registry.example.com/engine:2",
                "not an image",
            ],
        ),
        ("region", &["us-east-1", "eu-central-1", "the moon"]),
        ("secretRef.name", &["storage", "storage", "no-such-secret"]),
        ("accessKeyIdKey", &["access-key-id", "no-such-key"]),
        ("secretAccessKeyKey", &["secret-access-key", "no/key"]),
        ("serviceAccountName", &["identity", "another-identity", "Not_A_Name"]),
        (
            "secretName",
            &["certificate", "another-certificate", "storage", "no-such-secret"],
        ),
        // A cluster that runs cannot become another one.
        ("adopt", &["11111111-1111-4111-8111-111111111111", "mine"]),
        ("metadataVolume.size", &["10Gi", "11Gi", "12288Mi", "16Gi", "20Gi", "0"]),
        ("imagePullSecrets", &["registry", "mirror", "Not_A_Name"]),
        ("cpu", &["1", "500m", "0", "many"]),
        ("memory", &["2Gi", "3Gi", "-1Gi"]),
        ("priorityClassName", &["system-cluster-critical", "Not_A_Name"]),
        ("key", &["spot", "team"]),
        ("value", &["yes", "no"]),
        ("start", &["0 2 * * SUN", "@daily", "61 * * * *"]),
        ("duration", &["2h", "0s"]),
        ("timeZone", &["Etc/UTC", "Europe/Atlantis"]),
        ("name", &["one", "two", "Not_A_Name"]),
        ("effect", &["NoSchedule", "NoExecute", "Never"]),
    ];
    /// The StatefulSet's template of claims can never change; what its claims ask for grows without it. And a cluster that has slept since it
    /// was made has no volume yet.
    const LASTING: &'static [&'static str] = &[
        "StatefulSet/lake-fe.spec.volumeClaimTemplates[0].spec.resources.requests.storage:",
        "PersistentVolumeClaim/meta-lake-fe-0: too much",
    ];

    fn metadata(world: &World) -> Value {
        json!({"name": NAME, "namespace": world.namespace})
    }

    fn first(_: &World) -> Value {
        json!({
            "engine": {"version": "0.1.0"},
            "storage": {"bucket": "retail", "prefix": NAME, "credentials": {"secretRef": {"name": "storage"}}},
            "frontends": {"metadataVolume": {"storageClassName": "growing", "size": "10Gi"}},
        })
    }

    /// A volume grows and never shrinks: the size before is refused from then on, and the walk goes on with the larger one.
    fn is_for_good(before: &Value, after: &Value) -> bool {
        let size = |spec: &Value| spec["frontends"]["metadataVolume"]["size"].clone();
        size(before) != size(after)
    }

    async fn prepare(world: &World) {
        let class = json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "growing"},
            "provisioner": "example.com/none", "allowVolumeExpansion": true,
        });
        apply(&world.client, &class).await;
        for name in ["certificate", "another-certificate"] {
            let secret = json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": world.namespace},
                "type": "kubernetes.io/tls", "stringData": {"tls.crt": name, "tls.key": name},
            });
            apply(&world.client, &secret).await;
        }
    }

    async fn inhabit(world: &World) {
        world
            .make_group(compute_group::NAME, NAME, json!({"replicas": 1}))
            .await;
    }

    async fn verdict(world: &World, generation: i64) -> Option<Verdict> {
        let status = world.get::<LakeCluster>(NAME).await?.status?;
        let rests = compute_group::has_come_to_rest(&status.conditions);
        if status.observed_generation != Some(generation) || !is_true(&status.conditions, "Ready") || !rests {
            return None;
        }
        Some(Verdict::of(
            is_true(&status.conditions, "Accepted"),
            compute_group::is_carried_out(world).await?,
        ))
    }

    async fn clear(world: &World) {
        compute_group::remove(world).await;
        remove(world).await;
    }
}

/// Deletes the cluster, and waits until its frontends are gone, and with `deletionPolicy: Delete` its volumes and accounts.
pub(super) async fn remove(world: &World) {
    let cluster = world.get::<LakeCluster>(NAME).await.unwrap();
    let keeps = cluster.spec.deletion_policy == springtide_crds::department::DeletionPolicy::Retain;
    world.delete::<LakeCluster>(NAME).await;
    world
        .eventually("the cluster and what goes with it are gone", || async {
            let all = ListParams::default();
            let is_there = world.get::<LakeCluster>(NAME).await.is_some()
                || !world.api::<StatefulSet>().list(&all).await.unwrap().items.is_empty()
                || !world.api::<Pod>().list(&all).await.unwrap().items.is_empty();
            let claims = world.api::<PersistentVolumeClaim>().list(&all).await.unwrap().items;
            let account = world.get::<Secret>(&format!("{NAME}-admin")).await;
            let is_kept = !claims.is_empty() && account.is_some();
            let is_gone = claims.is_empty() && account.is_none();
            let is_as_asked = if keeps { is_kept } else { is_gone };
            (!is_there && is_as_asked && is_collected(world).await).then_some(())
        })
        .await;
}

/// Whether nothing is left that the cluster owned.
async fn is_collected(world: &World) -> bool {
    let its = ListParams::default().labels(&format!("{}={NAME}", springtide_plan::names::CLUSTER_LABEL));
    world.api::<ConfigMap>().list(&its).await.unwrap().items.is_empty()
        && world.api::<Service>().list(&its).await.unwrap().items.is_empty()
        && world.api::<NetworkPolicy>().list(&its).await.unwrap().items.is_empty()
}
