use serde_json::{Value, json};
use springtide_crds::department::DeletionPolicy;

use super::*;
use crate::action::Plan;
use crate::compare::FIELD_MANAGER;
use crate::fixture::{ClusterFixture, applied, apply, bound_claim, cluster, condition};
use crate::update::INPUTS_ANNOTATION;

const FRONTENDS: &str = "StatefulSet retail/demo-fe";
const COPY: &str = "ConfigMap retail/demo-fe-copy";
/// What the fixture calls the StatefulSet, and every one that is made after it.
const UID: &str = "uid-of-demo-fe";

fn key() -> ObjectKey {
    ObjectKey::namespaced(ObjectKind::StatefulSet, "retail", "demo-fe")
}

fn copy_key() -> ObjectKey {
    ObjectKey::namespaced(ObjectKind::ConfigMap, "retail", "demo-fe-copy")
}

/// A cluster at rest whose volume has grown from 10Gi to 20Gi.
fn grown() -> ClusterFixture {
    let fixture = cluster("demo").secrets().serving().settled();
    let fixture = fixture.with(|observed| {
        observed.cluster.spec.frontends.metadata_volume.size = springtide_crds::Quantity::new("20Gi");
        observed.volume_claims = vec![bound_claim("meta-demo-fe-0", "20Gi", "20Gi")];
        observed.pods[0].metadata.labels = Some([(REVISION_LABEL.to_owned(), "r1".to_owned())].into());
    });
    live(fixture, |body| body["metadata"]["resourceVersion"] = json!("7"))
}

/// The same after a change of the StatefulSet.
fn live(fixture: ClusterFixture, change: impl FnOnce(&mut Value)) -> ClusterFixture {
    fixture.with(|observed| {
        let mut body = observed.live.get(&key()).cloned().unwrap();
        change(&mut body);
        observed.live.insert(ObjectKind::StatefulSet, body);
    })
}

/// The same with claims that go with the StatefulSet.
fn deletes(fixture: ClusterFixture) -> ClusterFixture {
    let fixture = fixture.with(|observed| observed.cluster.spec.deletion_policy = DeletionPolicy::Delete);
    let fixture = live(fixture, |body| {
        body["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] = json!(DELETE);
    });
    owned(fixture, Some(UID))
}

/// The same with claims of this owner.
fn owned(fixture: ClusterFixture, uid: Option<&str>) -> ClusterFixture {
    let owners = uid.map(|uid| {
        let owner = json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "demo-fe", "uid": uid, "controller": true}]);
        serde_json::from_value(owner).unwrap()
    });
    fixture.with(|observed| {
        for claim in &mut observed.volume_claims {
            claim.metadata.owner_references.clone_from(&owners);
        }
    })
}

/// The same without this object.
fn without(fixture: ClusterFixture, gone: &ObjectKey) -> ClusterFixture {
    fixture.with(|observed| {
        let before = std::mem::take(&mut observed.live);
        for (key, body) in before.iter().filter(|(key, _)| *key != gone) {
            observed.live.insert(key.kind, body.clone());
        }
    })
}

/// What there is after a plan was carried out.
fn after<S>(mut fixture: ClusterFixture, plan: &Plan<S>) -> ClusterFixture {
    for action in &plan.actions {
        fixture = match action {
            Action::Apply(object) => fixture.with(|observed| apply(&mut observed.live, object)),
            Action::Orphan { object, .. } | Action::Delete { object, .. } => without(fixture, object),
            other => panic!("{other:?}"),
        };
    }
    fixture
}

fn size(stateful_set: &Value) -> &Value {
    &stateful_set["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"]
}

fn told(fixture: &ClusterFixture, type_: &str) -> String {
    let status = fixture.plan().status.or_else(|| fixture.0.cluster.status.clone());
    condition(&status.unwrap().conditions, type_)
}

fn names_of<S>(plan: &Plan<S>) -> Vec<String> {
    applied(plan).into_keys().collect()
}

#[test]
fn a_stateful_set_whose_claims_would_be_too_small_is_made_anew_from_a_copy() {
    let before = grown();
    let plan = before.plan();
    assert_eq!(names_of(&plan), [COPY]);
    assert!(
        told(&before, "Ready").starts_with("False VolumeGrowing: StatefulSet demo-fe is made anew"),
        "{}",
        told(&before, "Ready")
    );

    let kept = after(before.clone(), &plan);
    let plan = kept.plan();
    let expected = Action::Orphan {
        object: key(),
        uid: Some(UID.to_owned()),
        version: Some("7".to_owned()),
    };
    assert_eq!(plan.actions, [expected]);

    // Kubernetes lets go of what it owns; nothing is written to one that goes.
    let leaving = live(kept.clone(), |body| {
        body["metadata"]["deletionTimestamp"] = json!("2026-11-23T12:00:00Z");
    });
    assert_eq!(leaving.plan().actions, []);
    assert!(told(&leaving, "Ready").starts_with("False VolumeGrowing"));

    let gone = after(kept, &plan);
    let plan = gone.plan();
    assert_eq!(names_of(&plan), [FRONTENDS]);
    let again = &applied(&plan)[FRONTENDS];
    let was = before.0.live.get(&key()).unwrap();
    assert_eq!((size(was), size(again)), (&json!("10Gi"), &json!("20Gi")));
    assert_eq!(again["spec"]["template"], was["spec"]["template"]);
    assert_eq!(again["metadata"]["annotations"], was["metadata"]["annotations"]);
    assert_eq!(again["spec"]["replicas"], was["spec"]["replicas"]);

    let made = after(gone, &plan);
    let plan = made.plan();
    let pruned = Action::Delete {
        object: copy_key(),
        uid: Some("uid-of-demo-fe-copy".to_owned()),
    };
    assert_eq!(plan.actions, [pruned]);
    let done = after(made, &plan).settled();
    assert_eq!(done.plan().actions, []);
    assert!(told(&done, "Ready").starts_with("True AllReady"));
}

#[test]
fn it_is_made_anew_only_while_all_is_at_rest() {
    let nothing = |what: &str, fixture: ClusterFixture| {
        let planned = names_of(&fixture.plan());
        assert!(
            !planned.contains(&COPY.to_owned()),
            "{what}, and there is a copy: {planned:?}"
        );
    };
    let rolls = |body: &mut Value| {
        body["status"]["updateRevision"] = json!("r2");
        body["metadata"]["annotations"]["springtide.dev/at-pod-since"] = json!("2026-11-23T11:59:00Z");
    };
    nothing("pods are replaced", live(grown(), rolls));
    nothing(
        "pods are to be replaced",
        grown().with(|observed| {
            observed.cluster.spec.frontends.resources.cpu = springtide_crds::Quantity::new("3");
        }),
    );
    nothing("no pod is there", grown().with(|observed| observed.pods.clear()));
    nothing(
        "the pod is not ready",
        grown().with(|observed| observed.pods[0].status = None),
    );
    nothing(
        "the pod is of another template",
        grown().with(|observed| observed.pods[0].metadata.labels = None),
    );
    let claims = |requested: &str, capacity: &str| {
        let claim = bound_claim("meta-demo-fe-0", requested, capacity);
        grown().with(|observed| observed.volume_claims = vec![claim])
    };
    nothing("the volume has still to grow", claims("20Gi", "10Gi"));
    // As where the storage class refuses it.
    let refused = claims("10Gi", "10Gi");
    nothing("the claim is as it was", refused.clone());
    assert_eq!(
        names_of(&refused.plan()),
        ["PersistentVolumeClaim retail/meta-demo-fe-0"]
    );
    let sleeps = live(grown(), |body| body["spec"]["replicas"] = json!(0));
    let sleeps = sleeps.with(|observed| {
        observed.cluster.spec.suspend = true;
        observed.pods.clear();
    });
    nothing("the frontends sleep", sleeps);
    let other = bound_claim("meta-demo-fe-1", "20Gi", "10Gi");
    let of_none = deletes(grown().with(|observed| observed.volume_claims.push(other)));
    nothing("a claim without a pod goes with the StatefulSet", of_none);
}

#[test]
fn claims_are_let_go_before_and_belong_to_the_new_one_again() {
    let before = deletes(grown());
    let plan = before.plan();
    let written = applied(&plan);
    assert_eq!(names_of(&plan), [COPY, FRONTENDS]);
    assert_eq!(when_deleted(&written[FRONTENDS]), Some("Retain"));
    assert_eq!(size(&written[FRONTENDS]), "10Gi", "templates can never change");
    let Some(Action::Apply(first)) = plan.actions.first() else {
        panic!("{:?}", plan.actions);
    };
    assert_eq!(first.key, copy_key(), "the copy is there before anything is let go");

    let mut kept = after(before, &plan);
    assert_eq!(kept.plan().actions, [], "they still belong to it");
    kept = owned(kept, None);
    let unnoticed = live(kept.clone(), |body| body["metadata"]["generation"] = json!(2));
    assert_eq!(unnoticed.plan().actions, [], "Kubernetes has not taken it up");
    let plan = kept.plan();
    assert!(
        matches!(plan.actions[..], [Action::Orphan { .. }]),
        "{:?}",
        plan.actions
    );
    let again = applied(&after(kept, &plan).plan());
    assert_eq!(when_deleted(&again[FRONTENDS]), Some(DELETE));
}

#[test]
fn an_update_that_is_held_back_is_held_back_after_it() {
    let before = grown().with(|observed| observed.settings.engine_image = "elsewhere.example/engine:1".to_owned());
    assert!(told(&before, "UpToDate").starts_with("False UpdatePending"));
    let image = |body: &Value| body["spec"]["template"]["spec"]["containers"][0]["image"].clone();
    let was = before.0.live.get(&key()).cloned().unwrap();

    let kept = after(before.clone(), &before.plan());
    let gone = after(kept.clone(), &kept.plan());
    let again = applied(&gone.plan())[FRONTENDS].clone();
    assert_eq!(image(&again), image(&was));
    assert_eq!(
        again["metadata"]["annotations"][INPUTS_ANNOTATION],
        was["metadata"]["annotations"][INPUTS_ANNOTATION]
    );
    let made = after(gone.clone(), &gone.plan());
    assert!(told(&made, "UpToDate").starts_with("False UpdatePending"));

    // A wish that comes while there is none waits until there is one: the first revision of a StatefulSet is rolled out by nobody.
    let wished = gone.with(|observed| {
        observed.cluster.spec.frontends.resources.cpu = springtide_crds::Quantity::new("3");
    });
    assert_eq!(applied(&wished.plan())[FRONTENDS], again);
}

#[test]
fn what_others_have_written_into_the_template_replaces_no_pod() {
    let before = live(grown(), |body| {
        let ours = json!({
            "f:metadata": {
                "f:annotations": {
                    "f:springtide.dev/files": {}, "f:springtide.dev/engine-version": {},
                    "f:kubectl.kubernetes.io/default-container": {},
                },
                "f:labels": {},
            },
            "f:spec": {},
        });
        let theirs = json!({"f:metadata": {"f:annotations": {"f:restartedAt": {}}}});
        body["metadata"]["managedFields"] = json!([
            {"manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": {"f:spec": {"f:template": ours}}},
            {"manager": "kubectl-rollout", "operation": "Update", "fieldsV1": {"f:spec": {"f:template": theirs}}},
        ]);
        body["spec"]["template"]["metadata"]["annotations"]["restartedAt"] = json!("noon");
    });
    let kept = after(before.clone(), &before.plan());
    let gone = after(kept.clone(), &kept.plan());
    let again = applied(&gone.plan())[FRONTENDS].clone();
    let was = before.0.live.get(&key()).unwrap();
    assert_eq!(again["spec"]["template"], was["spec"]["template"]);
    let noted = inputs::hash_of(&again["spec"]["template"]);
    assert_eq!(again["metadata"]["annotations"][TEMPLATE_ANNOTATION], noted);
}

#[test]
fn a_deletion_in_the_middle_leaves_no_pod_without_an_owner_and_no_volume() {
    let ends = |fixture: ClusterFixture| {
        fixture.with(|observed| {
            let now = serde_json::from_value(json!("2026-11-23T12:00:00Z")).unwrap();
            observed.cluster.metadata.deletion_timestamp = Some(now);
        })
    };
    let is_free = |fixture: &ClusterFixture| fixture.plan().actions.contains(&Action::RemoveFinalizer);
    let before = deletes(grown());
    assert!(is_free(&ends(before.clone())), "nothing is made anew");

    // Claims that were let go belong to it again first.
    let kept = ends(after(before.clone(), &before.plan()));
    let plan = kept.plan();
    assert_eq!(names_of(&plan), [FRONTENDS]);
    assert_eq!(when_deleted(&applied(&plan)[FRONTENDS]), Some(DELETE));
    assert_eq!(size(&applied(&plan)[FRONTENDS]), "10Gi");
    let taken_back = after(kept.clone(), &plan);
    assert!(is_free(&taken_back));
    assert_eq!(owned(taken_back, None).plan().actions, []);

    // One that goes is waited for, and made again for its pods to go with it.
    let leaving = live(kept.clone(), |body| {
        body["metadata"]["deletionTimestamp"] = json!("2026-11-23T12:00:00Z");
    });
    assert_eq!(leaving.plan().actions, []);
    let gone = without(kept, &key());
    let plan = gone.plan();
    assert_eq!(when_deleted(&applied(&plan)[FRONTENDS]), Some(DELETE));
    assert!(is_free(&after(gone.clone(), &plan)));

    // Somebody has thought better of it.
    let retained = gone.with(|observed| observed.cluster.spec.deletion_policy = DeletionPolicy::Retain);
    let plan = retained.plan();
    assert_eq!(when_deleted(&applied(&plan)[FRONTENDS]), Some("Retain"));
    assert!(is_free(&owned(after(retained, &plan), None)));
}

#[test]
fn a_copy_that_is_not_readable_is_no_copy() {
    let spoilt = grown().with(|observed| {
        let copy =
            json!({"metadata": {"name": "demo-fe-copy", "namespace": "retail"}, "data": {OBJECT: "{", REPLACES: UID}});
        observed.live.insert(ObjectKind::ConfigMap, copy);
    });
    assert_eq!(names_of(&spoilt.plan()), [COPY], "it is written anew");
    let gone = without(spoilt, &key());
    assert!(names_of(&gone.plan()).contains(&FRONTENDS.to_owned()));
}
