use serde_json::json;
use springtide_crds::department::DeletionPolicy;

use super::*;
use crate::fixture::{ClusterFixture, applied, at, cluster, condition, facts, noon};
use crate::observed::SqlAnswer;
use crate::plan_lake_cluster;

fn issuing(tls: serde_json::Value) -> ClusterFixture {
    cluster("demo").secrets().with(|observed| {
        observed.cluster.spec.tls = Some(serde_json::from_value(tls).unwrap());
    })
}

/// A cluster that serves with a certificate of its own authority.
fn settled() -> ClusterFixture {
    issuing(json!({"issue": {}})).serving().settled()
}

/// What a plan makes: the Secrets, and whether they take the place of others.
fn written(fixture: &ClusterFixture, now: DateTime<Utc>) -> Vec<(String, bool)> {
    let plan = plan_lake_cluster(&fixture.0, now);
    let write = |action: &Action| match action {
        Action::WriteCertificate(write) => Some((write.name.clone(), write.replaces.is_some())),
        _ => None,
    };
    plan.actions.iter().filter_map(write).collect()
}

#[test]
fn the_authority_and_the_certificate_come_before_the_pods_that_mount_it() {
    let fresh = issuing(json!({"issue": {}}));
    assert_eq!(
        written(&fresh, noon()),
        [("demo-ca".to_owned(), false), ("demo-tls".to_owned(), false)]
    );
    let actions = fresh.plan().actions;
    let is_written = |action: &Action| matches!(action, Action::WriteCertificate(_));
    assert!(
        actions[..2].iter().all(is_written),
        "what fails stops what comes after it"
    );
    assert!(actions.iter().skip(2).any(|action| matches!(action, Action::Apply(_))));
    let settled = settled();
    assert_eq!(settled.plan().actions, []);
    let volumes = &settled.0.live.get(&frontends()).unwrap()["spec"]["template"]["spec"]["volumes"];
    let mounted: Vec<&str> = volumes
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|volume| volume["secret"]["secretName"].as_str())
        .collect();
    assert!(mounted.contains(&"demo-tls"), "{mounted:?}");
    assert!(
        !mounted.contains(&"demo-ca"),
        "the key that signs is in no pod: {mounted:?}"
    );
}

fn frontends() -> ObjectKey {
    ObjectKey::namespaced(ObjectKind::StatefulSet, "retail", "demo-fe")
}

#[test]
fn the_certificate_has_all_names_by_which_somebody_connects() {
    let fixture = issuing(json!({"issue": {"dnsNames": ["lake.example.com"]}})).settled();
    let names = fixture.0.secrets["demo-tls"].certificates.own.clone().unwrap().names;
    assert_eq!(
        names.iter().map(String::as_str).collect::<Vec<_>>(),
        [
            "*.demo-fe-pods.retail.svc",
            "*.demo-fe-pods.retail.svc.cluster.local",
            "demo",
            "demo-fe-pods.retail.svc",
            "demo-fe-pods.retail.svc.cluster.local",
            "demo.retail",
            "demo.retail.svc",
            "demo.retail.svc.cluster.local",
            "lake.example.com",
            "localhost",
        ]
    );
}

#[test]
fn a_certificate_is_renewed_when_a_third_of_its_time_is_left_and_no_pod_is_replaced() {
    let settled = settled();
    // It ends after 90 days.
    assert_eq!(written(&settled, at("2027-01-22T11:59:00Z")), []);
    let later = at("2027-01-22T12:01:00Z");
    assert_eq!(written(&settled, later), [("demo-tls".to_owned(), true)]);
    assert_eq!(applied(&plan_lake_cluster(&settled.0, later)).len(), 0);
}

#[test]
fn a_certificate_with_other_names_is_issued_anew_and_no_pod_is_replaced() {
    let renamed = settled().with(|observed| {
        let issue = json!({"issue": {"dnsNames": ["lake.example.com"]}});
        observed.cluster.spec.tls = Some(serde_json::from_value(issue).unwrap());
    });
    assert_eq!(written(&renamed, noon()), [("demo-tls".to_owned(), true)]);
    assert_eq!(applied(&renamed.plan()).len(), 0);
    let settled = renamed.settled();
    assert_eq!(settled.plan().actions, []);
}

#[test]
fn a_shorter_time_counts_at_once() {
    let shorter = settled().with(|observed| {
        let issue = json!({"issue": {"duration": "1008h"}});
        observed.cluster.spec.tls = Some(serde_json::from_value(issue).unwrap());
    });
    assert_eq!(written(&shorter, noon()), [("demo-tls".to_owned(), true)]);
}

#[test]
fn a_lost_authority_is_made_anew_and_then_signs_a_certificate() {
    let lost = settled().with(|observed| drop(observed.secrets.remove("demo-ca")));
    assert_eq!(written(&lost, noon()), [("demo-ca".to_owned(), false)]);
    // The fixture's next authority has another key, as every one has.
    let other = lost.with(|observed| {
        let ends = noon() + TimeDelta::days(3000);
        let mut facts = observed.secrets["demo-tls"].clone();
        facts.certificates.own = Some(crate::fixture::certificate::authority("other", ends));
        facts.certificates.trusted = BTreeSet::from(["other".to_owned()]);
        observed.secrets.insert("demo-ca".to_owned(), facts);
    });
    assert_eq!(written(&other, noon()), [("demo-tls".to_owned(), true)]);
}

#[test]
fn a_replaced_authority_is_trusted_before_it_signs() {
    let settled = settled();
    // Two thirds of ten years, and the certificate was renewed again and again.
    let later = noon() + TimeDelta::days(2440);
    assert_eq!(written(&settled, later), [("demo-ca".to_owned(), true)]);
    let plan = plan_lake_cluster(&settled.0, later);
    let Some(Action::WriteCertificate(write)) = plan.actions.first() else {
        panic!("{:?}", plan.actions);
    };
    assert!(matches!(write.step, CertificateStep::NextAuthority(_)), "{write:?}");
    let seen = &settled.0.secrets["demo-ca"].version;
    assert_eq!(write.replaces.as_ref(), Some(seen), "only the one that was seen");
}

#[test]
fn a_secret_of_somebody_else_is_not_written_and_is_told() {
    for taken in ["demo-ca", "demo-tls"] {
        let foreign = issuing(json!({"issue": {}})).with(|observed| {
            observed
                .secrets
                .insert(taken.to_owned(), facts(&["tls.crt", "tls.key"]));
        });
        let plan = foreign.plan();
        assert_eq!(plan.actions, []);
        let accepted = condition(&plan.status.unwrap().conditions, "Accepted");
        let begins = format!("False SecretTaken: tls.issue: Secret {taken} in namespace retail is not the operator's");
        assert!(accepted.starts_with(&begins), "{accepted}");
        // Also where it was accepted before.
        let later = settled().with(|observed| {
            let facts = facts(&["tls.crt", "tls.key"]);
            observed.secrets.insert(taken.to_owned(), facts);
        });
        assert_eq!(written(&later, noon()), []);
    }
}

#[test]
fn both_or_neither_and_what_the_engine_cannot_do_are_refused() {
    for (fixture, begins) in [
        (
            issuing(json!({})),
            "False InvalidField: tls: write exactly one of tls.secretName and tls.issue",
        ),
        (
            issuing(json!({"secretName": "s3", "issue": {}})),
            "False InvalidField: tls: write exactly one of tls.secretName and tls.issue",
        ),
        (
            issuing(json!({"issue": {"duration": "1007h"}})),
            "False InvalidField: tls.issue.duration: write between 1008h and 8760h",
        ),
        (
            issuing(json!({"issue": {"duration": "soon"}})),
            "False InvalidField: tls.issue.duration: \"soon\" is not a span of time",
        ),
        (
            issuing(json!({"issue": {}})).starrocks(),
            "False NotSupportedByEngine: tls: the frontends of StarRocks are given no certificate; leave tls out",
        ),
        // Nothing would serve it, and yet each renewal would replace all pods.
        (
            issuing(json!({"secretName": "given"})).starrocks(),
            "False NotSupportedByEngine: tls: the frontends of StarRocks are given no certificate; leave tls out",
        ),
    ] {
        let accepted = condition(&fixture.plan().status.unwrap().conditions, "Accepted");
        assert!(accepted.starts_with(begins), "{accepted}");
    }
}

#[test]
fn the_status_says_when_the_certificate_ends_whoever_has_made_it() {
    let certificate = settled().0.cluster.status.unwrap().certificate.unwrap();
    let expected = CertificateStatus {
        secret: "demo-tls".to_owned(),
        not_after: "2027-02-21T12:00:00Z".to_owned(),
        issued_by: "CN=demo".to_owned(),
    };
    assert_eq!(certificate, expected);
    let given = |readable: bool| {
        let fixture = issuing(json!({"secretName": "given"})).with(|observed| {
            let mut facts = facts(&["tls.crt", "tls.key"]);
            let authority = crate::fixture::certificate::authority("a", noon());
            facts.certificates.own = readable.then_some(authority);
            observed.secrets.insert("given".to_owned(), facts);
        });
        assert_eq!(written(&fixture, noon()), []);
        fixture.plan().status.unwrap().certificate
    };
    assert_eq!(given(true).unwrap().secret, "given");
    assert_eq!(given(false), None);
}

#[test]
fn both_secrets_go_with_the_cluster_only_when_data_goes() {
    let deleted = |policy| {
        let written = issuing(json!({"issue": {}})).with(|observed| observed.cluster.spec.deletion_policy = policy);
        written.serving().settled().with(|observed| {
            observed.cluster.metadata.deletion_timestamp =
                Some(serde_json::from_value(json!("2026-11-23T11:00:00Z")).unwrap());
            // It is issued no longer; what was made goes all the same.
            observed.cluster.spec.tls = None;
        })
    };
    let gone = |fixture: &ClusterFixture| -> Vec<(String, Option<String>)> {
        let actions = fixture.plan().actions;
        let gone = actions.into_iter().filter_map(|action| match action {
            Action::Delete { object, uid } => Some((object.name, uid)),
            _ => None,
        });
        gone.collect()
    };
    assert_eq!(gone(&deleted(DeletionPolicy::Retain)), []);
    let with_data = gone(&deleted(DeletionPolicy::Delete));
    for name in ["demo-ca", "demo-tls"] {
        let expected = (name.to_owned(), Some(format!("uid-of-{name}")));
        assert!(with_data.contains(&expected), "{with_data:?}");
    }
    let foreign = deleted(DeletionPolicy::Delete).with(|observed| {
        observed.secrets.get_mut("demo-tls").unwrap().owner = None;
    });
    assert!(!gone(&foreign).iter().any(|(name, _)| name == "demo-tls"));
}

#[test]
fn a_certificate_that_the_operator_does_not_trust_is_told() {
    let fixture = cluster("demo").secrets().with(|observed| {
        observed.sql = SqlAnswer::CertificateNotTrusted {
            message: "the frontend shows another one".to_owned(),
        };
    });
    let conditions = fixture.plan().status.unwrap().conditions;
    assert_eq!(
        condition(&conditions, "OperatorAccountReady"),
        "False CertificateNotTrusted: the operator does not log in: the frontend shows another one"
    );
    assert_eq!(
        condition(&conditions, "Available"),
        "False CertificateNotTrusted: a frontend answers, but the operator does not log in: the frontend shows another one"
    );
}

#[test]
fn the_same_secret_is_no_other_wish_whoever_writes_it() {
    let inputs = |tls: serde_json::Value| {
        let fixture = issuing(tls);
        let spec = &fixture.0.cluster.spec;
        let shape = ClusterShape::new(&fixture.0.cluster, spec, &fixture.0.settings).unwrap();
        crate::inputs::of_frontends(spec, &shape, None)
    };
    let given = inputs(json!({"secretName": "demo-tls"}));
    assert_eq!(inputs(json!({"issue": {}})), given);
    assert_eq!(inputs(json!({"issue": {"dnsNames": ["lake.example.com"]}})), given);
    assert_ne!(inputs(json!({"secretName": "another"})), given);
}
