//! The table of bad input, as far as Kubernetes and the operator see it: each row has a clear message and loses nothing.
//!
//! What the API server can see it refuses when it is written; the rest becomes a condition, and what was accepted stays in force.

use k8s_openapi::{
    api::core::v1::{PersistentVolumeClaim, Pod, ResourceQuota, Secret},
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use springtide_crds::{ComputeGroup, Department, LakeCluster};

use crate::harness::world::{SECRET_ACCESS_KEY, World};

/// A window that is right but for what is written over it.
fn window(changes: Value) -> Value {
    let mut window = json!({
        "name": "peak", "start": "0 8 * * MON-FRI", "duration": "2h", "timeZone": "Europe/Berlin", "minReplicas": 1,
    });
    window
        .as_object_mut()
        .unwrap()
        .extend(changes.as_object().unwrap().clone());
    json!({"spec": {"schedules": [window]}})
}

/// A world with a group `etl` of two nodes that serve.
async fn world_that_serves() -> (World, crate::harness::world::Running) {
    let world = World::new().await;
    let operator = world.operator();
    world.make_cluster("lake").await;
    world.make_group("etl", "lake", json!({"replicas": 2})).await;
    world.group_serves("etl", 2).await;
    (world, operator)
}

/// The condition `type_` of a list.
fn find(conditions: Vec<Condition>, type_: &str) -> Option<Condition> {
    conditions.into_iter().find(|condition| condition.type_ == type_)
}

/// Waits until the group says `reason` in its condition `type_`, and returns the message.
async fn group_says(world: &World, group: &str, type_: &str, reason: &str) -> String {
    world
        .eventually(&format!("{group} says {type_} {reason}"), || async {
            let condition = find(world.get::<ComputeGroup>(group).await?.status?.conditions, type_)?;
            (condition.reason == reason && condition.status != "True").then_some(condition.message)
        })
        .await
}

async fn cluster_says(world: &World, cluster: &str, type_: &str, reason: &str) -> String {
    world
        .eventually(&format!("{cluster} says {type_} {reason}"), || async {
            let condition = find(world.get::<LakeCluster>(cluster).await?.status?.conditions, type_)?;
            (condition.reason == reason && condition.status != "True").then_some(condition.message)
        })
        .await
}

/// Whether there is an Event of type Warning with this reason and a note like this.
async fn warned(world: &World, reason: &str, note: &str) -> Option<()> {
    let events: Api<k8s_openapi::api::core::v1::Event> = world.api();
    let events = events
        .list(&ListParams::default().fields("type=Warning"))
        .await
        .unwrap();
    events
        .items
        .iter()
        .any(|event| {
            event.reason.as_deref() == Some(reason) && event.message.as_deref().unwrap_or_default().contains(note)
        })
        .then_some(())
}

/// A change of a running group that is not accepted: the message names the field and the remedy, an Event tells it too, and the two
/// nodes go on serving under the values that were accepted.
async fn is_not_accepted(patch: Value, reason: &str, parts: &[&str]) {
    let (world, operator) = world_that_serves().await;
    let accepted = world
        .get::<ComputeGroup>("etl")
        .await
        .unwrap()
        .status
        .unwrap()
        .accepted_spec;
    world.merge::<ComputeGroup>("etl", patch).await;
    let message = group_says(&world, "etl", "Accepted", reason).await;
    for part in parts.iter().chain(&["the last accepted values stay in force"]) {
        assert!(message.contains(part), "{part:?} is missing in: {message}");
    }
    world
        .eventually("an Event tells it", || warned(&world, reason, parts[0]))
        .await;
    world.settle().await;
    world.group_serves("etl", 2).await;
    let status = world.get::<ComputeGroup>("etl").await.unwrap().status.unwrap();
    assert_eq!(status.accepted_spec, accepted);
    assert!(find(status.conditions, "Available").unwrap().status == "True");
    world
        .merge::<ComputeGroup>("etl", json!({"spec": {"replicas": 3, "schedules": null}}))
        .await;
    world.group_serves("etl", 3).await;
    operator.stop().await;
}

/// A change that the API server itself refuses, with this message.
async fn is_refused(patch: Value, parts: &[&str]) {
    let (world, operator) = world_that_serves().await;
    let error = world
        .api::<ComputeGroup>()
        .patch("etl", &PatchParams::default(), &Patch::Merge(patch))
        .await
        .expect_err("it is refused");
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "{part:?} is missing in: {message}");
    }
    world.group_serves("etl", 2).await;
    operator.stop().await;
}

#[tokio::test]
async fn wrong_cron_is_refused_by_its_form() {
    is_refused(
        window(json!({"start": "every morning"})),
        &[
            "spec.schedules[0].start",
            "write five fields of cron",
            "0 8 * * MON-FRI",
        ],
    )
    .await;
}

#[tokio::test]
async fn wrong_cron_is_not_accepted() {
    is_not_accepted(
        window(json!({"start": "0 25 * * *"})),
        "InvalidSchedule",
        &["schedules[peak].start: hour \"25\"", "0 to 23"],
    )
    .await;
}

#[tokio::test]
async fn an_unknown_time_zone_is_not_accepted() {
    is_not_accepted(
        window(json!({"timeZone": "Europe/Berlinn"})),
        "UnknownTimeZone",
        &[
            "schedules[peak].timeZone: \"Europe/Berlinn\" is not known",
            "did you mean \"Europe/Berlin\"?",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_minimum_above_the_maximum_is_refused() {
    is_refused(
        window(json!({"minReplicas": 5, "maxReplicas": 2})),
        &[
            "spec.schedules[0]",
            "minReplicas is above maxReplicas: lower minReplicas or raise maxReplicas",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_floor_above_the_quota_is_not_accepted_when_it_is_written() {
    let (world, operator) = world_that_serves().await;
    let quota: ResourceQuota = serde_json::from_value(json!({
        "metadata": {"name": "small"}, "spec": {"hard": {"pods": "6"}},
    }))
    .unwrap();
    world
        .api::<ResourceQuota>()
        .create(&PostParams::default(), &quota)
        .await
        .unwrap();
    world
        .eventually("the quota counts the three pods", || async {
            let used = world.get::<ResourceQuota>("small").await?.status?.used?;
            (used.get("pods")?.0 == "3").then_some(())
        })
        .await;
    // Far from now, so that only the words and not the hour can bring the condition.
    let far = window(json!({"start": "0 8 1 1 *", "minReplicas": 6}));
    world.merge::<ComputeGroup>("etl", far).await;
    let message = group_says(&world, "etl", "Accepted", "QuotaExceeded").await;
    assert!(
        message.starts_with("schedules: minReplicas 6 needs 6 of pods, but the namespace's quota leaves 5"),
        "{message}"
    );
    assert!(message.contains("write 5 or less"), "{message}");
    world.group_serves("etl", 2).await;
    let fits = window(json!({"start": "0 8 1 1 *", "minReplicas": 5}));
    world.merge::<ComputeGroup>("etl", fits).await;
    world
        .eventually("five fit", || async {
            let status = world.get::<ComputeGroup>("etl").await?.status?;
            (find(status.conditions, "Accepted")?.status == "True").then_some(())
        })
        .await;
    operator.stop().await;
}

/// A pod whose engine refused to start, as the kubelet shows it.
fn refused(reason: &str, message: &str) -> Value {
    let line = json!({"reason": reason, "message": message}).to_string();
    json!([{
        "name": "engine", "image": "springtide.dev/engine:0.1.0", "imageID": "", "ready": false, "restartCount": 3, "started": false,
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s restarting failed container"}},
        "lastState": {"terminated": {"exitCode": 2, "reason": "Error", "message": format!("starts\n{line}\n")}},
    }])
}

fn is_frontend(pod: &Pod) -> bool {
    pod.name_any().contains("-fe-")
}

#[tokio::test]
async fn a_bucket_that_does_not_exist_is_named() {
    let world = World::new().await;
    let message = "there is no bucket retail at AWS; create it";
    world.break_pods(move |pod| is_frontend(pod).then(|| refused("BucketNotFound", message)));
    let operator = world.operator();
    world.make_cluster("lake").await;
    world.make_group("etl", "lake", json!({"replicas": 1})).await;
    let expected = format!("pod lake-fe-0 does not start: {message}");
    for condition in ["Available", "StorageReady"] {
        assert_eq!(
            cluster_says(&world, "lake", condition, "BucketNotFound").await,
            expected
        );
    }
    world
        .eventually("an Event tells it", || warned(&world, "BucketNotFound", message))
        .await;
    group_says(&world, "etl", "Available", "ClusterNotReady").await;
    // The bucket is made: the next start succeeds, without anything else being done.
    world.break_pods(|_| None);
    world.group_serves("etl", 1).await;
    operator.stop().await;
}

#[tokio::test]
async fn a_wrong_key_of_the_store_rolls_no_pod_and_is_told_where_one_starts_with_it() {
    let world = World::new().await;
    let operator = world.operator();
    world.make_cluster("lake").await;
    world.make_group("etl", "lake", json!({"replicas": 1})).await;
    world.group_serves("etl", 1).await;
    let claim = world
        .get::<PersistentVolumeClaim>("meta-lake-fe-0")
        .await
        .unwrap()
        .uid();
    let pods = async || {
        let frontend = world.get::<Pod>("lake-fe-0").await.unwrap().uid();
        (frontend, world.get::<Pod>("etl-cn-0").await.unwrap().uid())
    };
    let before = pods().await;
    // The pods read the key by themselves.
    set_key(&world, "wrong").await;
    world.settle().await;
    assert_eq!(pods().await, before);
    // The frontend's process is started again, and does not start with it.
    world.break_pods(|pod| is_frontend(pod).then(|| refused("StorageAccessDenied", "the store refuses the key")));
    let message = cluster_says(&world, "lake", "Available", "StorageAccessDenied").await;
    assert_eq!(message, "pod lake-fe-0 does not start: the store refuses the key");
    assert!(
        find(
            world
                .get::<LakeCluster>("lake")
                .await
                .unwrap()
                .status
                .unwrap()
                .conditions,
            "Accepted"
        )
        .unwrap()
        .status
            == "True"
    );
    set_key(&world, SECRET_ACCESS_KEY).await;
    world.break_pods(|_| None);
    world.cluster_is_available("lake").await;
    world.group_serves("etl", 1).await;
    assert_eq!(pods().await, before);
    assert_eq!(
        world
            .get::<PersistentVolumeClaim>("meta-lake-fe-0")
            .await
            .unwrap()
            .uid(),
        claim,
        "the volume with the metadata is the same"
    );
    operator.stop().await;
}

/// Writes the secret key, and has the operator look: it reads Secrets by name and is not called when one changes.
async fn set_key(world: &World, key: &str) {
    world
        .merge::<Secret>("storage", json!({"stringData": {"secret-access-key": key}}))
        .await;
    // What was read before is good for ten seconds.
    tokio::time::sleep(std::time::Duration::from_secs(11)).await;
    let look = json!({"metadata": {"annotations": {"key": key}}});
    world.merge::<LakeCluster>("lake", look).await;
}

#[tokio::test]
async fn a_department_over_its_quota_is_told_and_keeps_what_runs() {
    let world = World::alone().await;
    let operator = world.operator();
    let (name, namespace) = (format!("dept-{}", world.namespace), world.namespace.clone());
    let body = json!({
        "apiVersion": "springtide.dev/v1alpha1", "kind": "Department", "metadata": {"name": name},
        "spec": {"namespaces": [{"name": namespace, "quota": {"pods": 4, "cpu": 8, "memory": "32Gi"}}]},
    });
    Api::<Department>::all(world.client.clone())
        .patch(&name, &PatchParams::apply("a-test"), &Patch::Apply(body))
        .await
        .unwrap();
    world
        .eventually("the quota is enforced", || async {
            world.get::<ResourceQuota>("springtide-department").await?.status?.hard
        })
        .await;
    world.make_cluster("lake").await;
    world.make_group("etl", "lake", json!({"replicas": 2})).await;
    world.group_serves("etl", 2).await;
    crate::lifecycle::scale(&world, "etl", 9).await;
    let message = group_says(&world, "etl", "Ready", "PodOverQuota").await;
    assert!(
        message.contains("exceeded quota: springtide-department") && message.contains("ask for fewer replicas"),
        "{message}"
    );
    let status = world
        .eventually("three nodes fit and serve", || async {
            let status = world.get::<ComputeGroup>("etl").await?.status?;
            (status.serving_replicas == 3).then_some(status)
        })
        .await;
    assert_eq!(status.wanted_replicas, Some(9));
    assert_eq!(find(status.conditions, "Available").unwrap().reason, "PartlyServing");
    world
        .eventually("an Event tells it", || warned(&world, "PodOverQuota", "exceeded quota"))
        .await;
    crate::lifecycle::scale(&world, "etl", 1).await;
    world.group_serves("etl", 1).await;
    operator.stop().await;
}

#[tokio::test]
async fn a_certificate_that_exists_is_not_said_to_be_missing_because_it_was_named_just_now() {
    let world = World::new().await;
    let operator = world.operator();
    world.make_cluster("lake").await;
    // All Secrets of the cluster were read, and are good for a while.
    world.cluster_is_available("lake").await;
    world.settle().await;
    let certificate = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "certificate"},
        "type": "kubernetes.io/tls", "stringData": {"tls.crt": "x", "tls.key": "x"}});
    world.create::<Secret>(certificate).await;
    let tls = json!({"spec": {"tls": {"secretName": "certificate"}}});
    world.merge::<LakeCluster>("lake", tls).await;
    let accepted = world
        .eventually("the operator has seen it", || async {
            let cluster = world.get::<LakeCluster>("lake").await?;
            let status = cluster.status?;
            let is_seen = status.observed_generation == cluster.metadata.generation;
            let mut conditions = status.conditions.into_iter();
            let accepted = conditions.find(|condition| condition.type_ == "Accepted")?;
            is_seen.then_some(accepted)
        })
        .await;
    assert_eq!(accepted.status, "True", "{}", accepted.message);
    operator.stop().await;
}

#[tokio::test]
async fn a_claim_that_cannot_bind_is_named_with_its_class() {
    let world = World::new().await;
    world.refuse_volumes("meta-lake-fe");
    world.hold_back("lake-fe-");
    // Claims may take a while; the operator's patience is over at once for it.
    world.clock.set(chrono::Utc::now() + chrono::TimeDelta::minutes(5));
    let operator = world.operator();
    world
        .make_cluster_with(
            "lake",
            json!({"frontends": {"metadataVolume": {"storageClassName": "nosuch"}}}),
        )
        .await;
    let message = cluster_says(&world, "lake", "Available", "VolumeNotBound").await;
    for part in [
        "volume claim meta-lake-fe-0 is not bound",
        "nosuch",
        "check frontends.metadataVolume.storageClassName",
    ] {
        assert!(message.contains(part), "{part:?} is missing in: {message}");
    }
    world
        .eventually("an Event tells it", || {
            warned(&world, "VolumeNotBound", "meta-lake-fe-0")
        })
        .await;
    world.offer_volumes();
    world.release("lake-fe-");
    world.cluster_is_available("lake").await;
    operator.stop().await;
}

#[tokio::test]
async fn an_image_that_does_not_exist_is_named_and_the_right_one_takes_over() {
    let (world, operator) = world_that_serves().await;
    let claim = world
        .get::<PersistentVolumeClaim>("meta-lake-fe-0")
        .await
        .unwrap()
        .uid();
    world.break_pods(|pod| {
        let image = pod.spec.as_ref()?.containers.first()?.image.clone()?;
        image.ends_with(":9.9.9").then(|| {
            json!([{
                "name": "engine", "image": image, "imageID": "", "ready": false, "restartCount": 0, "started": false,
                "state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image: not found"}},
                "lastState": {},
            }])
        })
    });
    world
        .merge::<LakeCluster>("lake", json!({"spec": {"engine": {"version": "9.9.9"}}}))
        .await;
    // Nodes go to another version first, and one at a time: one of two is taken away by it, and no frontend.
    let message = group_says(&world, "etl", "Ready", "ImagePullFailed").await;
    for part in [
        "image springtide.dev/engine:9.9.9 cannot be pulled",
        "spec.engine.version",
        "imagePullSecrets",
    ] {
        assert!(message.contains(part), "{part:?} is missing in: {message}");
    }
    cluster_says(&world, "lake", "UpToDate", "WaitingForTurn").await;
    world.cluster_is_available("lake").await;
    world
        .merge::<LakeCluster>("lake", json!({"spec": {"engine": {"version": "0.1.0"}}}))
        .await;
    world.cluster_is_available("lake").await;
    world.group_serves("etl", 2).await;
    assert_eq!(
        world
            .get::<PersistentVolumeClaim>("meta-lake-fe-0")
            .await
            .unwrap()
            .uid(),
        claim
    );
    operator.stop().await;
}
