use rcgen::{CertificateParams, KeyPair, date_time_ymd};
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
