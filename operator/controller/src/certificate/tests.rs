use std::{collections::BTreeSet, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
    pki_types::{ServerName, UnixTime},
};
use springtide_plan::{CertificateStep, CertificateToWrite, Validity};
use x509_cert::{
    der::oid::db::rfc5280::ID_KP_SERVER_AUTH,
    ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage},
};

use super::*;

const NAMES: [&str; 3] = ["lake.retail.svc", "*.lake-fe-pods.retail.svc", "localhost"];

fn now() -> DateTime<Utc> {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

fn days(days: i64) -> Validity {
    Validity {
        not_before: now() - TimeDelta::days(1),
        not_after: now() + TimeDelta::days(days),
    }
}

fn made(step: CertificateStep, before: &Values, authority: &Values) -> Result<Values, IssueError> {
    let write = CertificateToWrite {
        cluster: "lake".to_owned(),
        namespace: "retail".to_owned(),
        name: "lake-tls".to_owned(),
        labels: BTreeMap::new(),
        replaces: None,
        step,
    };
    issue::values(&write, before, authority)
}

fn authority() -> Values {
    made(CertificateStep::Authority(days(3650)), &Values::new(), &Values::new()).unwrap()
}

fn server(authority: &Values) -> Values {
    let step = CertificateStep::Server {
        authority: "lake-ca".to_owned(),
        names: NAMES.iter().map(|name| (*name).to_owned()).collect(),
        validity: days(90),
    };
    made(step, &Values::new(), authority).unwrap()
}

/// What a client that trusts `ca.crt` of one Secret says to a server with `tls.crt` of another.
fn verified(trusting: &Values, shown: &Values, host: &str, at: DateTime<Utc>) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    for authority in chain(&trusting[AUTHORITIES]) {
        roots.add(authority).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .unwrap();
    let shown = chain(&shown[CERTIFICATE]);
    let host = ServerName::try_from(host.to_owned()).unwrap();
    let at = UnixTime::since_unix_epoch(Duration::from_secs(at.timestamp().try_into().unwrap()));
    verifier
        .verify_server_cert(&shown[0], &shown[1..], &host, &[], at)
        .map(|_| ())
}

#[test]
fn a_client_that_trusts_the_authority_knows_the_frontends_by_each_of_their_names() {
    let authority = authority();
    let server = server(&authority);
    for host in [
        "lake.retail.svc",
        "lake-fe-0.lake-fe-pods.retail.svc",
        "lake-fe-2.lake-fe-pods.retail.svc",
        "localhost",
    ] {
        for trusting in [&authority, &server] {
            verified(trusting, &server, host, now()).unwrap_or_else(|error| panic!("{host}: {error}"));
        }
    }
    for (host, at) in [
        ("another.retail.svc", now()),
        ("lake.retail.svc", now() - TimeDelta::days(2)),
        ("lake.retail.svc", now() + TimeDelta::days(91)),
    ] {
        let error = verified(&authority, &server, host, at).expect_err("it is not good for that");
        assert!(matches!(error, rustls::Error::InvalidCertificate(_)), "{error}");
    }
    let another = self::authority();
    verified(&another, &server, "localhost", now()).expect_err("authorities of the same name are not the same");
}

#[test]
fn a_certificate_of_a_frontend_serves_and_signs_nothing() {
    let server = server(&authority());
    let certificate = &chain(&server[CERTIFICATE])[0];
    let parsed = Certificate::from_der(certificate).unwrap().tbs_certificate;
    let (_, constraints) = parsed.get::<BasicConstraints>().unwrap().unwrap();
    assert!(!constraints.ca);
    let (_, usage) = parsed.get::<ExtendedKeyUsage>().unwrap().unwrap();
    assert_eq!(usage.0, [ID_KP_SERVER_AUTH]);
    let (_, usage) = parsed.get::<KeyUsage>().unwrap().unwrap();
    assert!(usage.digital_signature() && !usage.key_cert_sign(), "{usage:?}");
    assert_eq!(parsed.subject.to_string(), "CN=lake,O=retail");
}

#[test]
fn an_authority_signs_certificates_and_no_other_authority() {
    let authority = authority();
    let certificate = &chain(&authority[CERTIFICATE])[0];
    let parsed = Certificate::from_der(certificate).unwrap().tbs_certificate;
    let (_, constraints) = parsed.get::<BasicConstraints>().unwrap().unwrap();
    assert_eq!((constraints.ca, constraints.path_len_constraint), (true, Some(0)));
    let (_, usage) = parsed.get::<KeyUsage>().unwrap().unwrap();
    assert!(usage.key_cert_sign() && !usage.digital_signature(), "{usage:?}");
}

#[test]
fn no_two_certificates_have_the_same_number_or_key() {
    let authority = authority();
    let [one, other] = [server(&authority), server(&authority)];
    assert_ne!(one[PRIVATE_KEY], other[PRIVATE_KEY]);
    let number = |values: &Values| {
        let certificate = &chain(&values[CERTIFICATE])[0];
        let parsed = Certificate::from_der(certificate).unwrap().tbs_certificate;
        parsed.serial_number.as_bytes().to_vec()
    };
    assert_ne!(number(&one), number(&other));
    assert!(number(&one).len() <= 20 && number(&one)[0] < 0x80, "it is not negative");
}

#[test]
fn what_was_made_is_read_as_what_it_is() {
    let authority = authority();
    let server = server(&authority);
    let (of_authority, of_server) = (facts(&authority), facts(&server));
    let (signs, own) = (of_authority.own.unwrap(), of_server.own.unwrap());
    assert!(signs.has_key && own.has_key);
    assert!(signs.key_id.is_some());
    assert_eq!(own.issuer_key_id, signs.key_id);
    assert_eq!(own.issued_by, "CN=lake certificate authority,O=retail");
    assert_eq!(own.not_after, now() + TimeDelta::days(90));
    assert_eq!(own.names, BTreeSet::from(NAMES.map(str::to_owned)));
    assert_eq!(of_server.trusted, BTreeSet::from_iter(signs.key_id));
}

#[test]
fn what_is_no_certificate_has_no_facts_and_a_key_of_another_is_seen() {
    let mut server = server(&authority());
    let other = self::server(&authority());
    server.insert(PRIVATE_KEY.to_owned(), other[PRIVATE_KEY].clone());
    assert!(!facts(&server).own.unwrap().has_key);
    for garbage in [
        "",
        "x",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        let values = Values::from([CERTIFICATE, AUTHORITIES].map(|key| (key.to_owned(), garbage.as_bytes().to_vec())));
        assert_eq!(facts(&values), SecretCertificates::default(), "{garbage:?}");
    }
}

#[test]
fn clients_that_took_up_both_authorities_see_no_break_when_the_next_one_signs() {
    let first = authority();
    let before = server(&first);
    let with_next = made(CertificateStep::NextAuthority(days(3650)), &first, &Values::new()).unwrap();
    let between = server(&with_next);
    // The old one signs still, for clients that have not looked yet.
    verified(&first, &between, "localhost", now()).unwrap();
    assert_eq!(chain(&between[AUTHORITIES]).len(), 2, "each stands there once");
    let second = made(CertificateStep::Succession, &with_next, &Values::new()).unwrap();
    let after = server(&second);
    verified(&between, &after, "localhost", now()).unwrap();
    verified(&first, &after, "localhost", now()).expect_err("who never looked does not know the next one");
    // Frontends that still show the one from before are known.
    for shown in [&before, &between] {
        verified(&after, shown, "localhost", now()).unwrap();
    }
    assert_eq!(facts(&second).next, None, "its key is in one place");
    assert_eq!(
        facts(&second).own.unwrap().key_id,
        facts(&with_next).next.unwrap().key_id
    );
}

#[test]
fn an_authority_that_is_gone_is_named_and_nothing_of_it_told() {
    let step = CertificateStep::Server {
        authority: "lake-ca".to_owned(),
        names: BTreeSet::new(),
        validity: days(90),
    };
    let mut broken = authority();
    broken.insert(PRIVATE_KEY.to_owned(), b"s3cret".to_vec());
    let unreadable = made(step.clone(), &Values::new(), &broken).unwrap_err().to_string();
    assert!(!unreadable.contains("s3cret"), "{unreadable}");
    let gone = made(step, &Values::new(), &Values::new()).unwrap_err().to_string();
    assert_eq!(
        gone,
        "Secret lake-ca has nothing readable under tls.key, without which nothing can be signed"
    );
}
