use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use crate::action::Action;
use crate::fixture::{ClusterFixture, applied, apply, bound_claim, cluster, condition, group, ready_pod, statements};
use crate::object::{ObjectKey, ObjectKind};
use crate::observed::SqlAnswer;
use crate::sql::{ComputeNodeRow, FrontendRow};

#[test]
fn nodes_of_a_group_that_was_deleted_while_no_operator_was_there_are_forgotten() {
    let row = |id: &str, host: &str, alive: bool| ComputeNodeRow {
        id: id.to_owned(),
        host: host.to_owned(),
        heartbeat_port: 9050,
        alive,
        warehouse: "w".to_owned(),
        ..ComputeNodeRow::default()
    };
    let fixture = cluster("demo").secrets().serving().with(|observed| {
        observed.groups = vec![group("etl").0.group];
        observed.compute_pods.insert("old-cn-1".to_owned());
        if let SqlAnswer::Answered { compute_nodes, .. } = &mut observed.sql {
            *compute_nodes = vec![
                row("1", "old-cn-0.old-cn.retail.svc", false),
                row("2", "old-cn-1.old-cn.retail.svc", false),
                row("3", "old-cn-2.old-cn.retail.svc", true),
                row("4", "etl-cn-7.etl-cn.retail.svc", false),
                row("5", "old-cn-0.old-cn.finance.svc", false),
                row("6", "by-hand.example.com", false),
                row("7", "10.0.0.7", false),
            ];
        }
    });
    assert_eq!(
        statements(&fixture.plan()),
        ["ALTER SYSTEM DROP COMPUTE NODE 1 FROM WAREHOUSE w"],
        "the others have a pod, live, have a group, or are somebody else's"
    );
}

/// A cluster of StarRocks with pods of three frontends, of which fewer are wanted; which of them the engine knows, and who is alive.
fn three(wanted: i32, known: &[(u32, bool)], leader: u32) -> ClusterFixture {
    let rows: Vec<FrontendRow> = known
        .iter()
        .map(|(ordinal, alive)| FrontendRow {
            name: format!("fe-{ordinal}"),
            host: format!("demo-fe-{ordinal}.demo-fe-pods.retail.svc.cluster.local"),
            is_leader: *ordinal == leader,
            alive: *alive,
            ..FrontendRow::default()
        })
        .collect();
    let three = cluster("demo").starrocks().secrets().serving().with(|observed| {
        observed.cluster.spec.frontends.replicas = 3;
        observed.pods = (0..3).map(|ordinal| pod_of(&format!("demo-fe-{ordinal}"))).collect();
        if let SqlAnswer::Answered { frontends, .. } = &mut observed.sql {
            *frontends = rows;
        }
    });
    let settled = three.settled();
    settled.with(|observed| observed.cluster.spec.frontends.replicas = wanted)
}

/// Of the revision that the StatefulSet of the fixture has.
fn pod_of(name: &str) -> Pod {
    let mut pod = ready_pod(name);
    pod.metadata.labels = Some([("controller-revision-hash".to_owned(), "r1".to_owned())].into());
    pod
}

fn frontends_of(fixture: &ClusterFixture) -> Option<i64> {
    applied(&fixture.plan()).get("StatefulSet retail/demo-fe")?["spec"]["replicas"].as_i64()
}

fn ready(fixture: &ClusterFixture) -> String {
    condition(&fixture.plan().status.unwrap().conditions, "Ready")
}

const ALL_ALIVE: [(u32, bool); 3] = [(0, true), (1, true), (2, true)];

#[test]
fn frontends_that_are_to_go_are_dropped_first_one_after_the_other() {
    let first = three(1, &ALL_ALIVE, 0);
    assert_eq!(
        statements(&first.plan()),
        ["ALTER SYSTEM DROP FOLLOWER 'demo-fe-2.demo-fe-pods.retail.svc.cluster.local:9010'"]
    );
    assert_eq!(frontends_of(&first), None, "all pods stay");
    let told = ready(&first);
    assert!(
        told.starts_with("False FrontendLeaving: 3 frontends are to become 1: waits for the engine to drop demo-fe-2."),
        "{told}"
    );
    let second = three(1, &ALL_ALIVE[..2], 0);
    assert_eq!(
        statements(&second.plan()),
        ["ALTER SYSTEM DROP FOLLOWER 'demo-fe-1.demo-fe-pods.retail.svc.cluster.local:9010'"]
    );
    let gone = three(1, &ALL_ALIVE[..1], 0);
    assert_eq!((statements(&gone.plan()), frontends_of(&gone)), (vec![], Some(1)));
}

#[test]
fn one_that_is_dead_is_dropped_before_one_that_votes() {
    let dead = three(1, &[(0, true), (1, false), (2, true)], 0);
    assert_eq!(
        statements(&dead.plan()),
        ["ALTER SYSTEM DROP FOLLOWER 'demo-fe-1.demo-fe-pods.retail.svc.cluster.local:9010'"]
    );
}

#[test]
fn none_is_dropped_where_too_few_would_vote() {
    let fixture = three(3, &[(0, true), (1, false), (2, true)], 0).with(|observed| {
        observed.cluster.spec.frontends.replicas = 1;
        if let SqlAnswer::Answered { frontends, .. } = &mut observed.sql {
            frontends[1].host = "by-hand.example.com".to_owned();
        }
    });
    assert_eq!(statements(&fixture.plan()), [""; 0]);
    let told = ready(&fixture);
    assert!(told.contains("only 1 of 2 would be"), "{told}");
}

#[test]
fn a_leader_that_is_to_go_is_for_a_person_to_move() {
    let fixture = three(1, &ALL_ALIVE, 2);
    assert_eq!((statements(&fixture.plan()), frontends_of(&fixture)), (vec![], None));
    let told = ready(&fixture);
    assert!(told.contains("kubectl -n retail delete pod demo-fe-2"), "{told}");
}

#[test]
fn pods_stay_while_nobody_answers_who_could_drop_one() {
    let mute = three(1, &ALL_ALIVE, 0).with(|observed| {
        observed.sql = SqlAnswer::Unreachable {
            message: "no answer".to_owned(),
        };
    });
    assert_eq!(frontends_of(&mute), None);
    let leaderless = three(1, &[(1, true), (2, true)], 0);
    assert_eq!(
        (statements(&leaderless.plan()), frontends_of(&leaderless)),
        (vec![], None)
    );
}

#[test]
fn a_cluster_that_goes_to_sleep_keeps_its_members() {
    let fixture = three(3, &ALL_ALIVE, 0).with(|observed| observed.cluster.spec.suspend = true);
    assert_eq!((statements(&fixture.plan()), frontends_of(&fixture)), (vec![], Some(0)));
}

#[test]
fn followers_are_made_known_one_after_the_other() {
    let one_known = three(3, &ALL_ALIVE[..1], 0);
    let add = |ordinal: u32| format!("ALTER SYSTEM ADD FOLLOWER 'demo-fe-{ordinal}.demo-fe-pods.retail.svc:9010'");
    assert_eq!(statements(&one_known.plan()), [add(1)]);
    let joins = three(3, &[(0, true), (1, false)], 0).with(|observed| {
        if let SqlAnswer::Answered { frontends, .. } = &mut observed.sql {
            frontends[1].never_joined = true;
        }
    });
    assert_eq!(statements(&joins.plan()), [""; 0]);
    assert_eq!(statements(&three(3, &ALL_ALIVE[..2], 0).plan()), [add(2)]);
    assert_eq!(statements(&three(3, &ALL_ALIVE, 0).plan()), [""; 0]);
}

#[test]
fn a_frontend_is_not_made_again_with_the_metadata_that_it_was_dropped_with() {
    let grows = |claim: &str| {
        let one = cluster("demo").starrocks().secrets().serving().settled();
        one.with(|observed| {
            observed.cluster.spec.frontends.replicas = 3;
            observed.pods = vec![pod_of("demo-fe-0")];
            observed.volume_claims = vec![
                bound_claim("meta-demo-fe-0", "10Gi", "10Gi"),
                bound_claim(claim, "10Gi", "10Gi"),
            ];
        })
    };
    let former = grows("meta-demo-fe-2");
    assert_eq!(former.plan().actions, []);
    let accepted = condition(&former.plan().status.unwrap().conditions, "Accepted");
    assert!(
        accepted.starts_with("False InvalidField: frontends.replicas: volume claim meta-demo-fe-2 has the metadata of a frontend that the engine does not know"),
        "{accepted}"
    );
    assert!(
        accepted.contains("kubectl -n retail delete persistentvolumeclaim meta-demo-fe-2"),
        "{accepted}"
    );
    assert_eq!(frontends_of(&grows("meta-demo-fe-keep")), Some(3));
}

#[test]
fn a_new_version_comes_to_the_followers_first_and_to_the_leader_last() {
    let rolls = three(3, &ALL_ALIVE, 1).with(|observed| {
        observed.cluster.spec.engine.version = "3.5.6".to_owned();
    });
    let begun = rolls.plan();
    assert_eq!(
        applied(&begun)["StatefulSet retail/demo-fe"]["spec"]["updateStrategy"],
        json!({"type": "OnDelete"})
    );
    let rolling = rolls.with(|observed| {
        for action in &begun.actions {
            if let Action::Apply(object) = action {
                apply(&mut observed.live, object);
            }
        }
        let key = ObjectKey::namespaced(ObjectKind::StatefulSet, "retail", "demo-fe");
        let mut live = observed.live.get(&key).unwrap().clone();
        live["status"]["updateRevision"] = json!("r2");
        observed.live.insert(ObjectKind::StatefulSet, live);
        for pod in &mut observed.pods {
            pod.metadata.uid = Some(format!("uid-of-{}", pod.metadata.name.as_deref().unwrap()));
        }
    });
    let replaces = |fixture: &ClusterFixture| {
        let plan = fixture.plan();
        plan.actions.iter().find_map(|action| match action {
            Action::ReplacePod { name, uid, .. } => Some((name.clone(), uid.clone())),
            _ => None,
        })
    };
    let pod = |name: &str| Some((name.to_owned(), Some(format!("uid-of-{name}"))));
    assert_eq!(replaces(&rolling), pod("demo-fe-2"));
    let replaced = |fixture: ClusterFixture, ordinal: usize| {
        fixture.with(|observed| {
            let labels = observed.pods[ordinal].metadata.labels.as_mut().unwrap();
            labels.insert("controller-revision-hash".to_owned(), "r2".to_owned());
        })
    };
    let rolling = replaced(rolling, 2);
    assert_eq!(replaces(&rolling), pod("demo-fe-0"));
    let rolling = replaced(rolling, 0);
    assert_eq!(replaces(&rolling), pod("demo-fe-1"));
}
