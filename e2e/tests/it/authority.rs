//! Certificates as an authority issues them: by an intermediate one, so that servers show a chain.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd,
};

/// An authority that clients may trust.
pub(crate) struct Authority {
    root: CertifiedIssuer<'static, KeyPair>,
    issuing: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let root = CertifiedIssuer::self_signed(of_authority(name), key()).expect("a certificate");
        let issuing = CertifiedIssuer::signed_by(of_authority(&format!("{name}, issuing")), key(), &*root);
        Self {
            issuing: issuing.expect("a certificate"),
            root,
        }
    }

    /// Its own certificate.
    pub(crate) fn certificate(&self) -> String {
        self.root.pem()
    }

    /// A new certificate for a host, with the one that it was issued by behind it, and its key.
    pub(crate) fn issue(&self, host: &str) -> (String, String) {
        let mut params = CertificateParams::new(vec![host.to_owned()]).expect("a name");
        params.not_after = date_time_ymd(2099, 1, 1);
        let key = key();
        let certificate = params.signed_by(&key, &*self.issuing).expect("a certificate");
        let chain = format!("{}{}", certificate.pem(), self.issuing.pem());
        (chain, key.serialize_pem())
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

fn of_authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}
