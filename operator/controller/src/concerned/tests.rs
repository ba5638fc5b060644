use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;
use crate::cache::{ObjectCache, TypedCache};

fn object<K: DeserializeOwned>(body: Value) -> K {
    serde_json::from_value(body).unwrap()
}

fn cache<K: kube::ResourceExt + Clone>(objects: &[&K]) -> TypedCache<K> {
    let cache = TypedCache::default();
    for object in objects {
        cache.put(K::clone(object));
    }
    cache
}

fn department() -> Department {
    object(json!({"apiVersion": "springtide.dev/v1alpha1", "kind": "Department",
        "metadata": {"name": "retail", "generation": 1}, "spec": {"namespaces": [{"name": "retail"}]}}))
}

fn cluster() -> LakeCluster {
    object(json!({"apiVersion": "springtide.dev/v1alpha1", "kind": "LakeCluster",
        "metadata": {"name": "lake", "namespace": "retail", "generation": 1},
        "spec": {"engine": {"version": "0.1.0"}, "storage": {"bucket": "retail", "prefix": "lake", "credentials": {"secretRef": {"name": "storage"}}}}}))
}

fn group() -> ComputeGroup {
    object(json!({"apiVersion": "springtide.dev/v1alpha1", "kind": "ComputeGroup",
        "metadata": {"name": "etl", "namespace": "retail", "generation": 1}, "spec": {"cluster": "lake"}}))
}

fn caches() -> Caches {
    Caches {
        departments: cache(&[&department()]),
        clusters: cache(&[&cluster()]),
        groups: cache(&[&group()]),
        calendars: cache(&[]),
        pods: cache(&[]),
        objects: ObjectCache::default(),
    }
}

fn the_department() -> Target {
    Target::Department("retail".to_owned())
}

fn the_cluster() -> Target {
    cluster_target(&cluster())
}

fn the_group() -> Target {
    group_target(&group())
}

#[test]
fn what_is_new_or_gone_concerns_all_who_count_it() {
    let caches = caches();
    assert_eq!(
        by_group(&caches, None, &group()),
        [the_group(), the_cluster(), the_department()]
    );
    assert_eq!(
        by_cluster(&caches, None, &cluster()),
        [the_cluster(), the_group(), the_department()]
    );
    assert_eq!(
        by_department(&caches, None, &department()),
        [the_department(), the_cluster(), the_group()]
    );
}

#[test]
fn a_status_that_others_do_not_read_concerns_nobody_else() {
    let caches = caches();
    let status = json!({"conditions": [], "observedGeneration": 1});
    let (mut group_after, mut cluster_after, mut department_after) = (group(), cluster(), department());
    group_after.status = object(json!({"replicas": 3, "servingReplicas": 0, "wantedReplicas": 3}));
    cluster_after.status = object(status.clone());
    department_after.status = object(status);
    assert_eq!(by_group(&caches, Some(&group()), &group_after), [the_group()]);
    assert_eq!(by_cluster(&caches, Some(&cluster()), &cluster_after), [the_cluster()]);
    assert_eq!(
        by_department(&caches, Some(&department()), &department_after),
        [the_department()]
    );
}

#[test]
fn what_a_cluster_shows_of_its_groups_concerns_it() {
    let caches = caches();
    for status in [
        json!({"replicas": 1, "servingReplicas": 1}),
        json!({"replicas": 0, "servingReplicas": 0, "wantedReplicas": 0}),
        json!({"acceptedSpec": {"cluster": "lake", "replicas": 0, "wakeOnQuery": true}}),
        json!({"replicas": 0, "servingReplicas": 0, "nextTransition": {"at": "2030-06-03T08:00:00Z", "floor": 2}}),
        json!({"replicas": 0, "servingReplicas": 0, "engine": {"version": "0.2.0", "image": "e"}}),
    ] {
        let mut after = group();
        after.status = object(status.clone());
        assert_eq!(
            by_group(&caches, Some(&group()), &after),
            [the_group(), the_cluster()],
            "{status}"
        );
    }
}

#[test]
fn what_groups_take_from_their_cluster_concerns_them() {
    let caches = caches();
    let mut changed = cluster();
    changed.metadata.generation = Some(2);
    let mut led = cluster();
    led.status = object(json!({"leader": "lake-fe-0"}));
    let mut accepted = cluster();
    accepted.status = object(json!({"acceptedSpec": cluster().spec}));
    let mut runs = cluster();
    runs.status = object(json!({"engine": {"version": "0.2.0", "image": "e"}}));
    let mut maintained = cluster();
    maintained.metadata.annotations = Some(
        [(
            names::MAINTENANCE_UNTIL_ANNOTATION.to_owned(),
            "2030-06-03T08:00:00Z".to_owned(),
        )]
        .into(),
    );
    for after in [changed, led, accepted, runs, maintained] {
        assert_eq!(
            by_cluster(&caches, Some(&cluster()), &after),
            [the_cluster(), the_group()]
        );
    }
}

#[test]
fn a_namespace_that_a_department_gives_up_concerns_what_is_in_it() {
    let caches = caches();
    let mut after = department();
    after.spec.namespaces.clear();
    after.metadata.generation = Some(2);
    assert_eq!(
        by_department(&caches, Some(&department()), &after),
        [the_department(), the_cluster(), the_group()]
    );
}

#[test]
fn a_calendar_concerns_groups_that_name_it_and_those_whose_accepted_windows_do() {
    let calendar: Calendar = object(json!({"apiVersion": "springtide.dev/v1alpha1", "kind": "Calendar",
        "metadata": {"name": "holidays", "namespace": "retail"}, "spec": {}}));
    let naming = |calendars: &[&str]| {
        json!({"cluster": "lake", "schedules": [{"name": "morning", "start": "0 8 * * *", "duration": "2h",
            "timeZone": "Etc/UTC", "minReplicas": 4, "calendars": calendars}]})
    };
    let concerned = |written: &[&str], accepted: &[&str]| {
        let group: ComputeGroup = object(json!({"apiVersion": "springtide.dev/v1alpha1", "kind": "ComputeGroup",
            "metadata": {"name": "etl", "namespace": "retail"},
            "spec": naming(written), "status": {"acceptedSpec": naming(accepted)}}));
        let caches = Caches {
            groups: cache(&[&group]),
            ..caches()
        };
        by_calendar(&caches, None, &calendar)
    };
    assert_eq!(concerned(&["holidays"], &[]), [the_group()]);
    assert_eq!(concerned(&["holiday"], &["holidays"]), [the_group()]);
    assert_eq!(concerned(&["holiday"], &["fairs"]), []);
}
