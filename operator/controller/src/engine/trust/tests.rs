use std::{collections::BTreeSet, io};

use rcgen::{CertificateParams, KeyPair};
use springtide_plan::certificate::keys::PRIVATE_KEY;

use super::*;
use crate::certificate::facts;

const HOSTS: [&str; 2] = ["lake-fe-0.lake-fe-pods.retail.svc", "lake.retail.svc"];

/// A Secret with a certificate for these names.
fn secret(names: &[&str], authorities: Option<&str>) -> Values {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    let mut values = Values::from([
        (CERTIFICATE.to_owned(), certificate.pem().into_bytes()),
        (PRIVATE_KEY.to_owned(), key.serialize_pem().into_bytes()),
    ]);
    values.extend(authorities.map(|text| (AUTHORITIES.to_owned(), text.as_bytes().to_vec())));
    values
}

fn trust(values: &Values) -> Trust {
    Trust::new("lake-tls", values, &facts(values), &HOSTS.map(str::to_owned))
}

#[test]
fn the_authorities_of_the_secret_count_and_otherwise_those_of_everybody() {
    let own = secret(&["lake.retail.svc"], None);
    let authority = String::from_utf8(own[CERTIFICATE].clone()).unwrap();
    let given = trust(&secret(&["lake.retail.svc"], Some(&authority)));
    assert!(!given.is_public);
    assert_eq!(given.authorities, [chain(authority.as_bytes())[0].to_vec()]);
    assert!(given.options().disable_built_in_roots());
    assert_eq!(given.options().root_certs().len(), 1);
    // cert-manager writes an empty one where the issuer tells no authority.
    for empty in [None, Some("")] {
        let public = trust(&secret(&["lake.retail.svc"], empty));
        assert!(public.is_public && !public.options().disable_built_in_roots());
        assert_eq!(
            public.authorities.len(),
            1,
            "one that has signed itself is its own authority"
        );
        assert!(
            public.remedy().contains("Secret lake-tls has no ca.crt"),
            "{}",
            public.remedy()
        );
    }
    assert!(
        given.remedy().contains("an authority under ca.crt"),
        "{}",
        given.remedy()
    );
}

#[test]
fn nothing_is_left_unverified() {
    for values in [secret(&["lake.retail.svc"], None), Values::new()] {
        let options = trust(&values).options();
        assert!(!options.accept_invalid_certs() && !options.skip_domain_validation());
        assert!(options.tls_hostname_override().is_some_and(|host| !host.is_empty()));
    }
}

#[test]
fn a_certificate_of_a_load_balancer_alone_is_held_to_its_own_name() {
    for (names, expected) in [
        (&["lake.retail.svc", "lake.example.com"][..], "lake.retail.svc"),
        (&["*.lake-fe-pods.retail.svc"], "lake-fe-0.lake-fe-pods.retail.svc"),
        (&["lake.example.com"], "lake.example.com"),
        // Without any name nobody is known by one.
        (&[], "lake-fe-0.lake-fe-pods.retail.svc"),
    ] {
        assert_eq!(trust(&secret(names, None)).host, expected, "{names:?}");
    }
}

#[test]
fn only_what_is_wrong_with_a_certificate_is_distrust() {
    let invalid = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
    let wrapped = |error| mysql_async::Error::from(io::Error::new(io::ErrorKind::InvalidData, error));
    let told = distrust(&wrapped(invalid)).unwrap();
    assert!(told.contains("UnknownIssuer"), "{told}");
    let none = mysql_async::Error::from(DriverError::NoClientSslFlagFromServer);
    assert_eq!(distrust(&none).as_deref(), Some("it offers no TLS"));
    // A frontend that stops in the middle of it, or refuses a connection, is not there.
    assert_eq!(distrust(&wrapped(rustls::Error::HandshakeNotComplete)), None);
    let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
    assert_eq!(distrust(&mysql_async::Error::from(refused)), None);
}

#[test]
fn a_secret_that_is_gone_leaves_those_whom_everybody_trusts_to_vouch_for_a_name_of_the_cluster() {
    let gone = Trust::new(
        "gone",
        &Values::new(),
        &SecretCertificates::default(),
        &HOSTS.map(str::to_owned),
    );
    assert!(gone.authorities.is_empty() && gone.is_public);
    let names: BTreeSet<&str> = HOSTS.into();
    assert!(names.contains(gone.host.as_str()));
}
