//! A Department that has the test's namespace, with a cluster and a group, and further ones that the operator makes.

use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api,
    api::{DeleteParams, ListParams},
};
use serde_json::{Value, json};
use springtide_crds::{Department, LakeCluster};

use super::{Ground, Verdict, compute_group, generate::Texts, lake_cluster};
use crate::harness::{
    state::State,
    world::{World, is_true},
};

pub(super) struct Walked;

impl Ground for Walked {
    const KIND: &'static str = "Department";
    const FIXED: &'static [&'static str] = &[];
    /// Quotas have room for what runs: pods that find none never come to rest.
    const TEXTS: Texts = &[
        (
            "namespaces.name",
            &["<namespace>-b", "<namespace>-c", "kube-system", "Not_A_Name"],
        ),
        ("quota.cpu", &["8", "16500m", "many"]),
        ("quota.memory", &["32Gi", "65536Mi", "-1Gi"]),
        ("quota.storage", &["100Gi", "1Ti", "99E"]),
        ("displayName", &["Retail", "Retail & Co."]),
        ("users", &["ada", "grace"]),
        ("groups", &["retail-admins", "oidc:retail"]),
        ("cpu", &["1", "2", "500m", "0"]),
        ("memory", &["2Gi", "3Gi", "a lot"]),
    ];

    fn metadata(world: &World) -> Value {
        json!({"name": name(world)})
    }

    fn first(world: &World) -> Value {
        json!({"namespaces": [{"name": world.namespace, "quota": {"cpu": "8"}}]})
    }

    /// A namespace that is the department's stays it: the walk goes on with the longer list.
    fn is_for_good(before: &Value, after: &Value) -> bool {
        let names = |spec: &Value| spec["namespaces"].as_array().map_or(0, Vec::len);
        names(before) != names(after)
    }

    async fn prepare(_: &World) {}

    async fn inhabit(world: &World) {
        world.make_cluster("lake").await;
        world
            .make_group(compute_group::NAME, "lake", json!({"replicas": 1}))
            .await;
    }

    async fn verdict(world: &World, generation: i64) -> Option<Verdict> {
        let status = departments(world).get_opt(&name(world)).await.unwrap()?.status?;
        let is_accepted = is_true(&status.conditions, "Accepted");
        let is_set_up = is_true(&status.conditions, "Available") == is_accepted;
        let cluster = world.get::<LakeCluster>("lake").await?.status?;
        if status.observed_generation != Some(generation) || !is_set_up || !is_true(&cluster.conditions, "Ready") {
            return None;
        }
        Some(Verdict::of(
            is_accepted,
            is_true(&cluster.conditions, "Accepted") && compute_group::is_carried_out(world).await?,
        ))
    }

    fn state(world: &World) -> impl Future<Output = State> {
        State::with_departments(world)
    }

    /// A namespace is not deleted while it holds a cluster, so that goes first. The namespaces that the operator made go with the
    /// Department or stay, as `deletionPolicy` says; then they are deleted here. The test's own keeps its label.
    async fn clear(world: &World) {
        compute_group::remove(world).await;
        lake_cluster::remove(world).await;
        let departments = departments(world);
        let department = departments.get(&name(world)).await.unwrap();
        departments
            .delete(&name(world), &DeleteParams::default())
            .await
            .unwrap();
        world
            .eventually("the department is gone", || async {
                departments.get_opt(&name(world)).await.unwrap().is_none().then_some(())
            })
            .await;
        let keeps = department.spec.deletion_policy == springtide_crds::department::DeletionPolicy::Retain;
        for namespace in made(world).await {
            assert_eq!(
                namespace.metadata.deletion_timestamp.is_none(),
                keeps,
                "{:?}",
                namespace.metadata.name
            );
            if keeps {
                let namespaces: Api<Namespace> = Api::all(world.client.clone());
                let name = namespace.metadata.name.unwrap();
                namespaces.delete(&name, &DeleteParams::default()).await.unwrap();
            }
        }
        world
            .eventually("the namespaces are gone", || async {
                made(world).await.is_empty().then_some(())
            })
            .await;
    }
}

/// The namespaces of the department that the operator made.
async fn made(world: &World) -> Vec<Namespace> {
    let theirs = ListParams::default().labels(&format!("springtide.dev/department={}", name(world)));
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    let mut namespaces = namespaces.list(&theirs).await.unwrap().items;
    namespaces.retain(|namespace| namespace.metadata.name.as_deref() != Some(&world.namespace));
    namespaces
}

fn name(world: &World) -> String {
    format!("dept-{}", world.namespace)
}

fn departments(world: &World) -> Api<Department> {
    Api::all(world.client.clone())
}
