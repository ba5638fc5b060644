use serde_json::json;
use springtide_crds::department::DeletionPolicy;

use super::*;
use crate::fixture::{ClusterFixture, bound_claim, cluster, ready_pod};

const CLAIM: &str = "meta-demo-fe-0";

/// A cluster with a StatefulSet of this policy, and the claim of its frontend, which it owns or not.
fn ground(policy: DeletionPolicy, is_owned: bool) -> ClusterFixture {
    let mut fixture = cluster("demo").secrets();
    fixture.0.cluster.spec.deletion_policy = policy;
    fixture.settled().with(|observed| {
        let mut claim = bound_claim(CLAIM, "10Gi", "10Gi");
        claim.metadata.resource_version = Some("7".to_owned());
        claim.metadata.owner_references = is_owned.then(|| {
            let live = observed.live.get(&stateful_set(observed)).expect("a StatefulSet");
            vec![owner(&finish::uid(live).expect("a uid"))]
        });
        observed.volume_claims = vec![claim];
    })
}

fn owner(uid: &str) -> OwnerReference {
    OwnerReference {
        api_version: "apps/v1".to_owned(),
        kind: "StatefulSet".to_owned(),
        name: "demo-fe".to_owned(),
        uid: uid.to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

fn deleted(fixture: ClusterFixture, policy: DeletionPolicy) -> ClusterFixture {
    fixture.with(|observed| {
        observed.cluster.metadata.deletion_timestamp =
            Some(serde_json::from_value(json!("2026-11-23T11:00:00Z")).unwrap());
        observed.cluster.spec.deletion_policy = policy;
    })
}

/// What is patched, in order, and whether the object is let go.
fn patches(fixture: &ClusterFixture) -> (Vec<(String, Value)>, bool) {
    let actions = fixture.plan().actions;
    let lets_go = actions.contains(&Action::RemoveFinalizer);
    let patches = actions.into_iter().filter_map(|action| match action {
        Action::Patch { object, fields, .. } => Some((object.to_string(), fields)),
        _ => None,
    });
    (patches.collect(), lets_go)
}

fn claim_patch(owners: &Value) -> (String, Value) {
    (
        format!("PersistentVolumeClaim retail/{CLAIM}"),
        json!({"metadata": {"ownerReferences": owners}}),
    )
}

fn policy_patch(policy: &str) -> (String, Value) {
    (
        "StatefulSet retail/demo-fe".to_owned(),
        json!({"spec": {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": policy}}}),
    )
}

#[test]
fn volumes_of_a_sleeping_cluster_that_are_to_stay_do_not_go_because_they_were_to_go_when_it_fell_asleep() {
    assert_eq!(
        patches(&ground(DeletionPolicy::Retain, true)).0,
        [claim_patch(&json!([]))]
    );
}

#[test]
fn volumes_of_a_sleeping_cluster_that_are_to_go_do_not_stay_because_they_were_to_stay_when_it_fell_asleep() {
    let wanted = claim_patch(&json!([owner("uid-of-demo-fe")]));
    assert_eq!(patches(&ground(DeletionPolicy::Delete, false)).0, [wanted]);
}

#[test]
fn a_claim_that_follows_is_not_written_and_one_of_a_pod_is_left_to_kubernetes() {
    for (policy, is_owned) in [(DeletionPolicy::Retain, false), (DeletionPolicy::Delete, true)] {
        assert_eq!(patches(&ground(policy, is_owned)).0, []);
        let runs = ground(policy, !is_owned).with(|observed| observed.pods = vec![ready_pod("demo-fe-0")]);
        assert_eq!(patches(&runs).0, []);
    }
}

#[test]
fn a_patch_is_for_the_claim_as_it_was_seen() {
    let actions = ground(DeletionPolicy::Retain, true).plan().actions;
    let version = actions.iter().find_map(|action| match action {
        Action::Patch { version, .. } => Some(version.clone()),
        _ => None,
    });
    assert_eq!(version, Some(Some("7".to_owned())));
}

#[test]
fn owners_that_others_have_written_stay_and_a_controller_among_them_decides() {
    let mine = |is_controller| OwnerReference {
        kind: "Backup".to_owned(),
        uid: "another".to_owned(),
        controller: Some(is_controller),
        ..owner("")
    };
    let with = |is_controller, policy, is_owned| {
        patches(&ground(policy, is_owned).with(|observed| {
            let owners = observed.volume_claims[0]
                .metadata
                .owner_references
                .get_or_insert_default();
            owners.insert(0, mine(is_controller));
        }))
        .0
    };
    let both = claim_patch(&json!([mine(false), owner("uid-of-demo-fe")]));
    assert_eq!(with(false, DeletionPolicy::Delete, false), [both]);
    assert_eq!(with(true, DeletionPolicy::Delete, false), []);
    assert_eq!(
        with(true, DeletionPolicy::Retain, true),
        [claim_patch(&json!([mine(true)]))]
    );
}

#[test]
fn a_cluster_that_is_deleted_right_after_its_policy_was_written_goes_by_that_one() {
    let retained = deleted(ground(DeletionPolicy::Delete, true), DeletionPolicy::Retain);
    assert_eq!(patches(&retained), (vec![policy_patch("Retain")], false));
    let taken_along = deleted(ground(DeletionPolicy::Retain, false), DeletionPolicy::Delete);
    assert_eq!(patches(&taken_along), (vec![policy_patch("Delete")], false));
}

#[test]
fn a_deleted_cluster_waits_until_kubernetes_goes_by_the_policy_and_then_goes_with_its_claims_right() {
    let told = |generation: i64, is_awake: bool| {
        let fixture = deleted(ground(DeletionPolicy::Retain, true), DeletionPolicy::Retain).with(|observed| {
            let key = stateful_set(observed);
            let mut live = observed.live.get(&key).expect("a StatefulSet").clone();
            live["metadata"]["generation"] = json!(generation);
            observed.live.insert(key.kind, live);
            observed.pods = is_awake.then(|| ready_pod("demo-fe-0")).into_iter().collect();
        });
        patches(&fixture)
    };
    assert_eq!(told(2, false), (Vec::new(), false));
    for is_awake in [false, true] {
        assert_eq!(told(1, is_awake), (vec![claim_patch(&json!([]))], true));
    }
}

#[test]
fn a_deleted_cluster_without_frontends_goes_at_once() {
    let fixture = deleted(ground(DeletionPolicy::Delete, false), DeletionPolicy::Delete).with(|observed| {
        let key = stateful_set(observed);
        let mut live = observed.live.get(&key).expect("a StatefulSet").clone();
        live["metadata"]["deletionTimestamp"] = json!("2026-11-23T11:00:00Z");
        observed.live.insert(key.kind, live);
    });
    assert_eq!(patches(&fixture), (Vec::new(), true));
}
