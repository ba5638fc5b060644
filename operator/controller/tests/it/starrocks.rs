//! Clusters of StarRocks: accounts that are made and closed, and frontends that elect one of them. The frontends are played.

use std::collections::BTreeMap;

use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{Event, PersistentVolumeClaim, Secret},
};
use kube::api::ListParams;
use serde_json::json;
use springtide_crds::{ComputeGroup, LakeCluster};

use crate::{
    harness::{
        starrocks::ROOT,
        world::{World, is_true},
    },
    updates::{cluster_is, group_is},
};

/// A key of a Secret.
async fn secret(world: &World, name: &str, key: &str) -> String {
    let secret = world.get::<Secret>(name).await.unwrap();
    String::from_utf8(secret.data.unwrap().remove(key).unwrap().0).unwrap()
}

/// Both accounts have the passwords of their Secrets, and nobody gets in without one.
async fn accounts_are_closed(world: &World) {
    let passwords = world.starrocks(|starrocks| starrocks.passwords.clone());
    let expected = BTreeMap::from([
        (ROOT.to_owned(), secret(world, "lake-admin", "password").await),
        (
            "springtide_operator".to_owned(),
            secret(world, "lake-operator", "password").await,
        ),
    ]);
    assert_eq!(passwords, expected);
    assert_eq!(secret(world, "lake-admin", "username").await, ROOT);
}

#[tokio::test]
async fn root_has_a_password_before_the_cluster_is_available_and_is_never_used_again() {
    let world = World::new().await;
    let operator = world.operator();
    world.make_starrocks("lake", 1).await;
    world.cluster_is_available("lake").await;
    accounts_are_closed(&world).await;
    let by_root = || world.starrocks(|starrocks| starrocks.logins.iter().filter(|user| *user == ROOT).count());
    world.settle().await;
    let before = by_root();
    assert!(before > 0);
    world.stays_quiet(std::time::Duration::from_secs(3)).await;
    operator.stop().await;
    let next = world.operator();
    world.make_group("etl", "lake", json!({"replicas": 2})).await;
    world.group_serves("etl", 2).await;
    assert_eq!(by_root(), before);

    // Somebody takes the operator's account away, and root's password.
    world.starrocks(|starrocks| {
        starrocks.passwords = BTreeMap::from([(ROOT.to_owned(), String::new())]);
    });
    next.crash().await;
    let next = world.operator();
    let told = account_is(&world, "LoginRefused").await;
    assert!(told.contains("ALTER USER springtide_operator IDENTIFIED BY"), "{told}");
    assert_eq!(by_root(), before, "that is a person's to mend");
    next.stop().await;

    let passwords = [
        secret(&world, "lake-admin", "password").await,
        secret(&world, "lake-operator", "password").await,
    ];
    let events = world.api::<Event>().list(&ListParams::default()).await.unwrap();
    let cluster = world.get::<LakeCluster>("lake").await.unwrap();
    let told = serde_json::to_string(&(events.items, cluster)).unwrap();
    for password in passwords {
        assert!(!told.contains(&password));
    }
}

/// Message of the condition about the operator's account, when it has this reason.
async fn account_is(world: &World, reason: &str) -> String {
    world
        .eventually(&format!("the operator's account is {reason}"), || async {
            let status = world.get::<LakeCluster>("lake").await?.status?;
            let mut conditions = status.conditions.into_iter();
            let told = conditions.find(|told| told.type_ == "OperatorAccountReady")?;
            (told.reason == reason).then_some(told.message)
        })
        .await
}

#[tokio::test]
async fn an_operator_that_dies_between_two_statements_leaves_no_account_open() {
    let world = World::new().await;
    world.make_starrocks("lake", 1).await;
    for statements in 0..5 {
        let before = world.frontend.changes().len();
        world.starrocks(|starrocks| {
            (starrocks.answered, starrocks.is_mute) = (Some(statements), false);
        });
        let namespace = world.another_operator_namespace(statements).await;
        let operator = world.operator_with(|settings| settings.pod_namespace = namespace);
        world
            .eventually("the last statement was carried out, and not answered", || async {
                world.starrocks(|starrocks| starrocks.is_mute).then_some(())
            })
            .await;
        operator.crash().await;
        assert_eq!(world.frontend.changes().len(), before + statements + 1);
    }
    world.starrocks(|starrocks| (starrocks.answered, starrocks.is_mute) = (None, false));
    let operator = world.operator();
    world.cluster_is_available("lake").await;
    accounts_are_closed(&world).await;
    operator.stop().await;
}

#[tokio::test]
async fn a_cluster_whose_root_has_a_password_says_what_a_person_runs_and_goes_on_then() {
    let world = World::new().await;
    world.make_starrocks("lake", 1).await;
    world.starrocks(|starrocks| {
        starrocks.passwords.insert(ROOT.to_owned(), "of somebody".to_owned());
    });
    let operator = world.operator();
    let told = account_is(&world, "LoginRefused").await;
    let run = told.split_once("Run as root: ").unwrap().1;
    let password = secret(&world, "lake-operator", "password").await;
    let run = run.replace("<password of Secret lake-operator>", &password);
    for statement in run.split("; ") {
        let changed = world.starrocks(|starrocks| starrocks.change(ROOT, statement, ""));
        changed.expect("it is known").expect("it may be run");
    }
    world.cluster_is_available("lake").await;
    let root = world.starrocks(|starrocks| starrocks.passwords[ROOT].clone());
    assert_eq!(root, "of somebody", "nobody else's password is changed");
    assert!(world.starrocks(|starrocks| !starrocks.logins.contains(&ROOT.to_owned())));
    operator.stop().await;
}

#[tokio::test]
async fn a_newer_starrocks_comes_to_the_nodes_then_to_the_followers_and_to_the_leader_last() {
    let world = World::new().await;
    let operator = world.operator();
    world.make_starrocks("lake", 3).await;
    world.make_group("etl", "lake", json!({"replicas": 1})).await;
    world.frontends_serve("lake", 3).await;
    world.group_serves("etl", 1).await;
    group_is(&world, "etl", "UpToDate").await;
    world.frontend.catalog.lock().unwrap().leader = "lake-fe-1".to_owned();

    world.hold_back("etl-cn-0");
    let newer = json!({"spec": {"engine": {"version": "3.5.6"}}});
    world.merge::<LakeCluster>("lake", newer).await;
    cluster_is(&world, "lake", "WaitingForTurn").await;
    world.hold_back("lake-fe-2");
    world.release("etl-cn-0");
    world
        .eventually("the first follower is replaced", || async {
            (world.pods_deleted() == ["lake-fe-2"]).then_some(())
        })
        .await;
    let group = world.get::<ComputeGroup>("etl").await.unwrap();
    assert_eq!(group.status.unwrap().engine.unwrap().version, "3.5.6");
    // It has not come back, so nobody else goes.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(world.pods_deleted(), ["lake-fe-2"]);
    world.release("lake-fe-2");
    cluster_is(&world, "lake", "UpToDate").await;
    assert_eq!(world.pods_deleted(), ["lake-fe-2", "lake-fe-0", "lake-fe-1"]);
    let set = world.get::<StatefulSet>("lake-fe").await.unwrap();
    let strategy = set.spec.unwrap().update_strategy.unwrap();
    assert_eq!(strategy.type_.as_deref(), Some("RollingUpdate"));
    world.frontends_serve("lake", 3).await;
    world.settle().await;
    world.stays_quiet(std::time::Duration::from_secs(3)).await;
    operator.stop().await;
}

#[tokio::test]
async fn frontends_that_go_are_dropped_first_and_come_back_without_their_old_metadata() {
    let world = World::new().await;
    let operator = world.operator();
    world.make_starrocks("lake", 3).await;
    world.frontends_serve("lake", 3).await;
    let frontends = async |replicas: i32| {
        let spec = json!({"spec": {"frontends": {"replicas": replicas}}});
        world.merge::<LakeCluster>("lake", spec).await;
    };
    frontends(1).await;
    world
        .eventually("one frontend is left", || async {
            let set = world.get::<StatefulSet>("lake-fe").await?;
            (set.spec?.replicas == Some(1)).then_some(())
        })
        .await;
    let changes = world.frontend.changes();
    let dropped: Vec<&String> = changes
        .iter()
        .filter(|change| change.contains("DROP FOLLOWER"))
        .collect();
    assert_eq!(dropped.len(), 2, "{changes:?}");
    assert!(
        dropped[0].contains("'lake-fe-2.") && dropped[1].contains("'lake-fe-1."),
        "{dropped:?}"
    );
    world.frontends_serve("lake", 1).await;

    frontends(3).await;
    world
        .eventually("their old metadata is in the way", || async {
            let status = world.get::<LakeCluster>("lake").await?.status?;
            let mut conditions = status.conditions.iter();
            let told = conditions.find(|told| told.type_ == "Accepted" && told.status == "False")?;
            told.message.contains("meta-lake-fe-1").then_some(())
        })
        .await;
    let available = world.get::<LakeCluster>("lake").await.unwrap().status.unwrap();
    assert!(is_true(&available.conditions, "Available"));
    for claim in ["meta-lake-fe-1", "meta-lake-fe-2"] {
        world.delete::<PersistentVolumeClaim>(claim).await;
    }
    world.frontends_serve("lake", 3).await;
    operator.stop().await;
}
