//! Writes that somebody's policy refuses: what does not need them is done all the same.

use std::{cell::Cell, time::Duration};

use chrono::TimeDelta;
use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{Secret, Service},
};
use kube::{ResourceExt, api::DeleteParams};
use serde_json::{Value, json};
use springtide_controller::clock::Clock as _;
use springtide_crds::{ComputeGroup, LakeCluster};

use crate::harness::{rights, world::World};

/// A policy by which objects of one resource stay in a namespace as they are.
struct Freeze {
    objects: [Value; 2],
}

impl Freeze {
    /// `resource` is a plural of the API group; its subresources may change.
    async fn of(world: &World, api_group: &str, resource: &str) -> Self {
        let name = format!("{}-{resource}", world.namespace);
        let policy = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
            "spec": {
                "matchConstraints": {"resourceRules": [
                    {"apiGroups": [api_group], "apiVersions": ["v1"], "resources": [resource], "operations": ["UPDATE"]},
                ]},
                "validations": [
                    {"expression": "request.userInfo.username == 'administrator'", "message": format!("{resource} are frozen")},
                ],
            },
        });
        let binding = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name},
            "spec": {
                "policyName": name, "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": world.namespace}}},
            },
        });
        for object in [&policy, &binding] {
            rights::apply(&world.client, object).await;
        }
        Self {
            objects: [binding, policy],
        }
    }

    async fn ends(self, world: &World) {
        for object in &self.objects {
            let (api, name) = rights::addressed(&world.client, object);
            api.delete(&name, &DeleteParams::default()).await.unwrap();
        }
    }
}

/// A label that all objects have.
const LABEL: &str = "app.kubernetes.io/name";
const BY_ANOTHER_HAND: &str = "by-another-hand";

/// Changes the label of a group's Service until the operator cannot repair it.
async fn label_stays_changed(world: &World, group: &str) {
    world
        .eventually("the policy is in force: a change is not repaired", || async {
            let changed = json!({"metadata": {"labels": {LABEL: BY_ANOTHER_HAND}}});
            world.merge::<Service>(&format!("{group}-cn"), changed).await;
            tokio::time::sleep(Duration::from_secs(2)).await;
            is_changed(world, group).await
        })
        .await;
}

async fn is_changed(world: &World, group: &str) -> Option<()> {
    let service = world.get::<Service>(&format!("{group}-cn")).await?;
    (service.labels().get(LABEL)? == BY_ANOTHER_HAND).then_some(())
}

#[tokio::test]
async fn a_policy_that_refuses_a_write_keeps_no_node_from_leaving() {
    let world = World::new().await;
    let operator = world.operator();
    world.make_cluster("lake").await;
    world.make_group("etl", "lake", json!({"replicas": 2})).await;
    world.group_serves("etl", 2).await;
    let freeze = Freeze::of(&world, "", "services").await;
    label_stays_changed(&world, "etl").await;

    world
        .merge::<ComputeGroup>("etl", json!({"spec": {"replicas": 1}}))
        .await;
    world.group_serves("etl", 1).await;
    let changes = world.frontend.changes();
    assert_eq!(changes.iter().filter(|change| change.contains("DRAIN")).count(), 1);
    assert_eq!(
        is_changed(&world, "etl").await,
        Some(()),
        "the policy is still in force"
    );
    world
        .eventually("an Event says what was refused", || {
            world.is_told(None, "services are frozen")
        })
        .await;

    freeze.ends(&world).await;
    world
        .eventually("it is repaired", || async {
            is_changed(&world, "etl").await.is_none().then_some(())
        })
        .await;
    operator.stop().await;
}

#[tokio::test]
async fn a_policy_that_refuses_a_write_keeps_no_group_asleep() {
    let world = World::new().await;
    let operator = world.operator();
    world.make_sleeper("etl").await;
    let freeze = Freeze::of(&world, "", "services").await;
    label_stays_changed(&world, "etl").await;

    world.statements_wait("etl", 1);
    world.group_serves("etl", 1).await;
    assert_eq!(
        is_changed(&world, "etl").await,
        Some(()),
        "the policy is still in force"
    );
    freeze.ends(&world).await;
    operator.stop().await;
}

/// The template of its pods differs as well, and what it is to stand on was refused.
#[tokio::test]
async fn a_policy_that_refuses_a_write_keeps_no_node_from_coming_when_another_template_is_wanted() {
    let world = World::new().await;
    let operator = world.operator();
    world.make_cluster("lake").await;
    world.make_group("etl", "lake", json!({"replicas": 1})).await;
    world.group_serves("etl", 1).await;
    let freeze = Freeze::of(&world, "", "services").await;
    label_stays_changed(&world, "etl").await;
    let template = async || {
        let set = world.get::<StatefulSet>("etl-cn").await.unwrap();
        set.spec.unwrap().template
    };
    let before = template().await;

    let both = json!({"spec": {"replicas": 2, "drain": {"timeout": "7m"}, "cacheSize": "3Gi"}});
    world.merge::<ComputeGroup>("etl", both).await;
    world.group_serves("etl", 2).await;
    assert_eq!(
        is_changed(&world, "etl").await,
        Some(()),
        "the policy is still in force"
    );
    assert_eq!(template().await, before, "it waits for what comes before it");
    freeze.ends(&world).await;
    world
        .eventually("it has both", || async {
            (template().await != before && is_changed(&world, "etl").await.is_none()).then_some(())
        })
        .await;
    operator.stop().await;
}

/// Sizes go by the scale subresource, which such a policy does not mean.
#[tokio::test]
async fn a_policy_that_freezes_templates_keeps_no_node_from_coming_and_no_window_from_opening_in_time() {
    let world = World::new().await;
    let opens = "2030-06-03T08:00:00Z".parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    world.clock.set(opens - TimeDelta::hours(2));
    let operator = world.operator();
    world.make_cluster("lake").await;
    let window =
        json!({"name": "morning", "start": "0 8 * * *", "duration": "2h", "minReplicas": 4, "leadTime": "10s"});
    world
        .make_group("etl", "lake", json!({"replicas": 1, "schedules": [window]}))
        .await;
    world.group_serves("etl", 1).await;
    let freeze = Freeze::of(&world, "apps", "statefulsets").await;
    let cpu = Cell::new(1);
    world
        .eventually("the policy is in force: a change of the template is refused", || {
            cpu.set(cpu.get() + 1);
            let resources = json!({"cpu": cpu.get().to_string(), "memory": "4Gi"});
            let world = &world;
            async move {
                world
                    .merge::<ComputeGroup>("etl", json!({"spec": {"resources": resources}}))
                    .await;
                tokio::time::sleep(Duration::from_secs(2)).await;
                world.is_told(None, "statefulsets are frozen").await
            }
        })
        .await;

    world
        .merge::<ComputeGroup>("etl", json!({"spec": {"replicas": 2}}))
        .await;
    world.group_serves("etl", 2).await;

    // Looks that fail come up to 30 s after each other by now; the edge is not left to them.
    let raises = opens - TimeDelta::seconds(10) - world.stagger("etl");
    world.clock.set(raises - TimeDelta::seconds(45));
    world
        .merge::<ComputeGroup>("etl", json!({"metadata": {"annotations": {"look": "now"}}}))
        .await;
    world
        .eventually("the window's nodes are wanted", || async {
            (world.wanted("etl").await? == 4).then_some(())
        })
        .await;
    let late = world.clock.now() - raises;
    assert!((0..3_000).contains(&late.num_milliseconds()), "{late}");
    freeze.ends(&world).await;
    operator.stop().await;
}

#[tokio::test]
async fn a_policy_that_refuses_a_renewed_certificate_keeps_nothing_else_from_being_done() {
    let world = World::new().await;
    let operator = world.operator();
    world.make_cluster_with("lake", json!({"tls": {"issue": {}}})).await;
    world.cluster_is_available("lake").await;
    let freeze = Freeze::of(&world, "", "secrets").await;
    let names = Cell::new(0);
    let written = async || world.get::<Secret>("lake-tls").await?.resource_version();
    world
        .eventually(
            "the policy is in force: no certificate comes for another name",
            || async {
                names.set(names.get() + 1);
                let before = written().await;
                let name = format!("lake-{}.example.com", names.get());
                let further = json!({"spec": {"tls": {"issue": {"dnsNames": [name]}}}});
                world.merge::<LakeCluster>("lake", further).await;
                tokio::time::sleep(Duration::from_secs(2)).await;
                (written().await == before).then_some(())
            },
        )
        .await;

    let changed = json!({"spec": {"frontends": {"resources": {"cpu": "700m"}}}});
    world.merge::<LakeCluster>("lake", changed).await;
    world
        .eventually("the frontends are to have what is written", || async {
            let set = world.get::<StatefulSet>("lake-fe").await?;
            let container = set.spec?.template.spec?.containers.into_iter().next()?;
            let requests = container.resources?.requests?;
            (requests.get("cpu")?.0 == "700m").then_some(())
        })
        .await;
    world
        .eventually("an Event says what was refused", || {
            world.is_told(None, "secrets are frozen")
        })
        .await;
    let before = written().await;
    freeze.ends(&world).await;
    world
        .eventually("the certificate comes", || async {
            (written().await != before).then_some(())
        })
        .await;
    operator.stop().await;
}
