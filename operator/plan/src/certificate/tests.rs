use super::*;
use crate::fixture::certificate::authority;
use crate::fixture::noon;

/// A Secret of an authority that has so many days left.
fn days_left(days: i64) -> SecretCertificates {
    SecretCertificates {
        own: Some(authority("one", noon() + TimeDelta::days(days))),
        next: None,
        trusted: BTreeSet::from(["one".to_owned()]),
    }
}

fn with_next(mut found: SecretCertificates, days: i64) -> SecretCertificates {
    found.next = Some(authority("two", noon() + TimeDelta::days(days)));
    found.trusted.insert("two".to_owned());
    found
}

fn step(found: &SecretCertificates) -> Option<&'static str> {
    of_authority(Some(found), noon()).map(|step| match step {
        CertificateStep::Authority(_) => "another",
        CertificateStep::NextAuthority(_) => "a next one",
        CertificateStep::Succession => "the next one signs",
        CertificateStep::Server { .. } => "a certificate",
    })
}

#[test]
fn an_authority_is_made_once_and_lasts_ten_years() {
    let made = of_authority(None, noon());
    let expected = Validity {
        not_before: noon() - TimeDelta::days(1),
        not_after: noon() + TimeDelta::days(3650),
    };
    assert_eq!(made, Some(CertificateStep::Authority(expected)));
    assert_eq!(step(&days_left(3650)), None);
}

#[test]
fn the_next_authority_is_trusted_long_before_it_signs() {
    // A third is 1216 days and some hours, a sixth 608.
    for (days, next, expected) in [
        (1217, None, None),
        (1216, None, Some("a next one")),
        (1216, Some(3650), None),
        (609, Some(3043), None),
        (608, Some(3042), Some("the next one signs")),
        // The operator was away for years.
        (0, Some(2434), Some("the next one signs")),
        (-1, None, Some("another")),
        (-1, Some(-1), Some("another")),
        (1216, Some(-1), Some("a next one")),
        // It was made under a clock that was far ahead, and begins too late.
        (3651, None, None),
        (3652, None, Some("a next one")),
        (3652, Some(3650), Some("the next one signs")),
        (3650, Some(3652), None),
        (1216, Some(3652), Some("a next one")),
    ] {
        let found = match next {
            None => days_left(days),
            Some(next) => with_next(days_left(days), next),
        };
        assert_eq!(step(&found), expected, "{days} days left, next {next:?}");
    }
}

#[test]
fn an_authority_without_its_key_signs_nothing() {
    let mut found = days_left(3650);
    found.own.as_mut().unwrap().has_key = false;
    assert_eq!(step(&found), Some("another"));
    assert_eq!(step(&with_next(found, 3650)), Some("the next one signs"));
    let mut found = days_left(3650);
    found.own.as_mut().unwrap().key_id = None;
    assert_eq!(step(&found), Some("another"));
    assert_eq!(step(&SecretCertificates::default()), Some("another"));
}

const LASTS: TimeDelta = TimeDelta::days(90);

fn names() -> BTreeSet<String> {
    BTreeSet::from(["demo.retail.svc".to_owned()])
}

/// One that the authority of [`days_left`] has signed, after this change.
fn it_stays(change: impl FnOnce(&mut SecretCertificates)) -> bool {
    let mut issued = SecretCertificates {
        own: Some(CertificateFacts {
            key_id: None,
            names: names(),
            ..authority("one", noon() + LASTS)
        }),
        next: None,
        trusted: BTreeSet::from(["one".to_owned()]),
    };
    change(&mut issued);
    stays(&issued, &days_left(3000), &names(), LASTS, noon())
}

#[test]
fn a_certificate_stays_until_a_third_of_its_time_is_left() {
    assert!(it_stays(|_| {}));
    for (days, expected) in [(91, true), (92, false), (30, true), (29, false), (-1, false)] {
        let ends = noon() + TimeDelta::days(days);
        let stays = it_stays(|issued| issued.own.as_mut().unwrap().not_after = ends);
        assert_eq!(stays, expected, "{days} days left");
    }
}

#[test]
fn a_certificate_that_is_not_what_is_wanted_does_not_stay() {
    assert!(!it_stays(|issued| issued.own = None));
    assert!(!it_stays(|issued| issued.own.as_mut().unwrap().has_key = false));
    assert!(!it_stays(|issued| issued.own.as_mut().unwrap().names.clear()));
    let another = || Some("two".to_owned());
    assert!(!it_stays(
        |issued| issued.own.as_mut().unwrap().issuer_key_id = another()
    ));
    assert!(!it_stays(|issued| issued.own.as_mut().unwrap().issuer_key_id = None));
    assert!(!it_stays(|issued| issued.trusted.clear()));
}

#[test]
fn all_authorities_stand_beside_a_certificate() {
    let authority = with_next(days_left(1000), 3650);
    let mut issued = days_left(90);
    assert!(!stays(&issued, &authority, &BTreeSet::new(), LASTS, noon()));
    issued.trusted.insert("two".to_owned());
    assert!(stays(&issued, &authority, &BTreeSet::new(), LASTS, noon()));
    // One from before is trusted, too.
    let mut authority = days_left(3000);
    authority.trusted.insert("zero".to_owned());
    assert!(!stays(&issued, &authority, &BTreeSet::new(), LASTS, noon()));
}

#[test]
fn a_frontend_is_expected_to_have_one_of_the_names_of_its_certificate() {
    let preferred = ["demo-fe-0.demo-fe-pods.retail.svc", "demo.retail.svc"].map(str::to_owned);
    let expected = |names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        name_to_expect(&names, &preferred)
    };
    for (names, name) in [
        (&["demo.retail.svc", "example.com"][..], Some("demo.retail.svc")),
        (&["Demo.Retail.svc"], Some("demo.retail.svc")),
        (
            &["*.demo-fe-pods.retail.svc"],
            Some("demo-fe-0.demo-fe-pods.retail.svc"),
        ),
        // An asterisk is one label.
        (&["*.svc", "lake.example.com"], Some("lake.example.com")),
        (&["*.example.com"], Some("frontend.example.com")),
        (&[], None),
    ] {
        assert_eq!(expected(names).as_deref(), name, "{names:?}");
    }
}
