use base64::{Engine as _, prelude::BASE64_STANDARD};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, Issuer, KeyPair, PKCS_ED25519, date_time_ymd};
use springtide_mounted::kubelet;

use super::*;

/// A certificate and its key, good until the beginning of this year.
fn certificate(year: i32) -> (String, String) {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_after = date_time_ymd(year, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

fn seconds(year: i32) -> i64 {
    let begins = chrono::NaiveDate::from_ymd_opt(year, 1, 1).unwrap();
    begins.and_hms_opt(0, 0, 0).unwrap().and_utc().timestamp()
}

fn install_crypto() {
    // Another test may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Waits until the certificate is good until this year.
async fn until_good_until(tls: &mut Tls, year: i32) {
    let is_that = |not_after: &Option<i64>| *not_after == Some(seconds(year));
    let waiting = tls.not_after.wait_for(is_that);
    let waited = tokio::time::timeout(Duration::from_secs(30), waiting).await;
    waited.expect("it is renewed").expect("somebody looks");
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_over_and_a_broken_one_is_not() {
    install_crypto();
    let folder = tempfile::tempdir().unwrap();
    let write = |chain: &str, key: &str| kubelet::write(folder.path(), &[(CHAIN, chain), (KEY, key)]).unwrap();
    let (chain, key) = certificate(2031);
    write(&chain, &key);
    let mut tls = follow(folder.path(), Duration::from_millis(5)).unwrap();
    assert_eq!(*tls.not_after.borrow(), Some(seconds(2031)));
    // A chain with the key of another one, nothing, and something else.
    let (other, other_key) = certificate(2032);
    for (chain, key) in [
        (&*other, &*key),
        (&*other, ""),
        ("", &*other_key),
        ("no certificate", &*other_key),
    ] {
        write(chain, key);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(*tls.not_after.borrow(), Some(seconds(2031)));
        assert!(follow(folder.path(), LOOK_INTERVAL).is_err(), "nobody starts with it");
    }
    write(&other, &other_key);
    until_good_until(&mut tls, 2032).await;
    // After 2049, times are written otherwise.
    let (late, late_key) = certificate(2051);
    write(&late, &late_key);
    until_good_until(&mut tls, 2051).await;
}

#[test]
fn what_is_no_certificate_has_no_end() {
    let (chain, _) = certificate(2031);
    let der = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap();
    assert_eq!(not_after::read(&der), Some(seconds(2031)));
    for end in 0..der.len().min(200) {
        // Cut off, and one bit wrong: anything but a panic.
        assert_eq!(not_after::read(&der[..end]), None);
        let mut wrong = der.to_vec();
        wrong[end] ^= 0x80;
        not_after::read(&wrong);
    }
}

/// A key of tests alone: `ring` uses keys of this kind and makes none.
const RSA: &str = include_str!("rsa.pem");

/// Content of the first element of DER, and what comes behind it.
fn first(der: &[u8]) -> (&[u8], &[u8]) {
    let (length, head) = match der[1] {
        short @ 0..0x80 => (usize::from(short), 2),
        long => {
            let digits = &der[2..2 + usize::from(long & 0x7f)];
            let length = digits
                .iter()
                .fold(0, |length, digit| (length << 8) | usize::from(*digit));
            (length, 2 + digits.len())
        }
    };
    (&der[head..head + length], &der[head + length..])
}

/// The key within PKCS#8, with the name of its own encoding.
fn own_encoding(key: &KeyPair, name: &str) -> String {
    let (fields, _) = first(key.serialized_der());
    let (_version, fields) = first(fields);
    let (_algorithm, fields) = first(fields);
    let (own, _) = first(fields);
    let text = BASE64_STANDARD.encode(own);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    format!("-----BEGIN {name}-----\n{}\n-----END {name}-----\n", lines.join("\n"))
}

/// A chain of a certificate that is good until 2031, and its issuer, as cert-manager writes `tls.crt`.
fn chain_for(key: &KeyPair) -> String {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let mut params = CertificateParams::new(vec!["lake.retail.svc".to_owned()]).unwrap();
    params.not_after = date_time_ymd(2031, 1, 1);
    let signs: &Issuer<'_, KeyPair> = &issuer;
    let own = params.signed_by(key, signs).unwrap();
    format!("{}{}", own.pem(), issuer.pem())
}

#[test]
fn keys_are_taken_in_each_encoding_that_cert_manager_writes() {
    install_crypto();
    let ecdsa = KeyPair::generate().unwrap();
    let ed25519 = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let rsa = KeyPair::from_pem(RSA).unwrap();
    let other = KeyPair::generate().unwrap();
    for (name, key, text) in [
        ("ECDSA in PKCS#8", &ecdsa, ecdsa.serialize_pem()),
        ("ECDSA in SEC1", &ecdsa, own_encoding(&ecdsa, "EC PRIVATE KEY")),
        ("Ed25519 in PKCS#8", &ed25519, ed25519.serialize_pem()),
        ("RSA in PKCS#8", &rsa, rsa.serialize_pem()),
        ("RSA in PKCS#1", &rsa, own_encoding(&rsa, "RSA PRIVATE KEY")),
    ] {
        let files = [chain_for(key), text].map(String::into_bytes);
        let read = parse(&files).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        assert_eq!(read.not_after, Some(seconds(2031)), "{name}");
        // A renewal has another key (`rotationPolicy: Always`): half of it is no certificate.
        let [_, text] = files;
        assert!(parse(&[chain_for(&other).into_bytes(), text]).is_err(), "{name}");
    }
}

#[tokio::test]
async fn the_authoritys_certificate_beside_it_may_be_there_and_may_be_empty() {
    install_crypto();
    let (chain, key) = certificate(2031);
    for authority in [None, Some(""), Some(chain.as_str())] {
        let folder = tempfile::tempdir().unwrap();
        let mut files = vec![(CHAIN, chain.as_str()), (KEY, key.as_str())];
        files.extend(authority.map(|text| ("ca.crt", text)));
        kubelet::write(folder.path(), &files).unwrap();
        let tls = follow(folder.path(), LOOK_INTERVAL).unwrap();
        assert_eq!(*tls.not_after.borrow(), Some(seconds(2031)), "{authority:?}");
    }
}
