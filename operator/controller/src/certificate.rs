//! Certificates of clusters: what is in a Secret, and what the operator issues.
//!
//! Keys are made, used and written here, and stay in this process otherwise: plans see facts.

use std::collections::BTreeMap;

use chrono::DateTime;
use rustls::{
    crypto::ring::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};
use springtide_plan::{
    CertificateFacts, SecretCertificates,
    certificate::keys::{AUTHORITIES, CERTIFICATE, NEXT_CERTIFICATE, NEXT_PRIVATE_KEY, PRIVATE_KEY},
};
use x509_cert::{
    Certificate,
    der::Decode as _,
    ext::pkix::{AuthorityKeyIdentifier, SubjectAltName, SubjectKeyIdentifier, name::GeneralName},
};

mod issue;
mod write;

pub(crate) use issue::IssueError;
pub(crate) use write::write;

#[cfg(test)]
mod tests;

/// The values of a Secret.
pub(crate) type Values = BTreeMap<String, Vec<u8>>;

/// What may be known of the certificates in a Secret.
pub(crate) fn facts(values: &Values) -> SecretCertificates {
    let pair = |certificate, key| facts_of(value(values, certificate), value(values, key));
    let authorities = chain(value(values, AUTHORITIES));
    SecretCertificates {
        own: pair(CERTIFICATE, PRIVATE_KEY),
        next: pair(NEXT_CERTIFICATE, NEXT_PRIVATE_KEY),
        trusted: authorities
            .iter()
            .filter_map(|authority| read(authority)?.key_id)
            .collect(),
    }
}

/// What is under a key, and nothing where there is none.
fn value<'a>(values: &'a Values, key: &str) -> &'a [u8] {
    values.get(key).map(Vec::as_slice).unwrap_or_default()
}

/// The certificates of a text, up to the first that cannot be read.
pub(crate) fn chain(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem).map_while(Result::ok).collect()
}

fn facts_of(certificates: &[u8], key: &[u8]) -> Option<CertificateFacts> {
    let certificates = chain(certificates);
    let first = certificates.first()?;
    Some(CertificateFacts {
        has_key: fits(first, key),
        ..read(first)?
    })
}

/// What stands in a certificate.
fn read(certificate: &CertificateDer<'_>) -> Option<CertificateFacts> {
    let parsed = Certificate::from_der(certificate).ok()?.tbs_certificate;
    let not_after = parsed.validity.not_after.to_unix_duration().as_secs();
    let key_id = parsed.get::<SubjectKeyIdentifier>().ok()?.map(|(_, key)| key.0);
    let authority = parsed.get::<AuthorityKeyIdentifier>().ok()?;
    let issuer_key_id = authority.and_then(|(_, authority)| authority.key_identifier);
    let names = parsed.get::<SubjectAltName>().ok()?.map(|(_, names)| names.0);
    Some(CertificateFacts {
        key_id: key_id.map(|key| hex::encode(key.as_bytes())),
        issuer_key_id: issuer_key_id.map(|key| hex::encode(key.as_bytes())),
        issued_by: parsed.issuer.to_string(),
        names: names.iter().flatten().filter_map(host_name).collect(),
        not_after: DateTime::from_timestamp(i64::try_from(not_after).ok()?, 0)?,
        has_key: false,
    })
}

fn host_name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.to_string()),
        _ => None,
    }
}

/// Whether the private key is the certificate's.
fn fits(certificate: &CertificateDer<'static>, key: &[u8]) -> bool {
    let Ok(key) = PrivateKeyDer::from_pem_slice(key) else {
        return false;
    };
    any_supported_type(&key).is_ok_and(|key| CertifiedKey::new(vec![certificate.clone()], key).keys_match().is_ok())
}
