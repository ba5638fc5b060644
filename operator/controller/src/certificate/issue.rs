//! Issuing: the values of a Secret, made from those that it has and from the authority's.

use rand::{Rng, TryRngCore, rngs::OsRng};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SerialNumber,
};
use springtide_plan::{
    CertificateStep, CertificateToWrite, Validity,
    certificate::keys::{AUTHORITIES, CERTIFICATE, NEXT_CERTIFICATE, NEXT_PRIVATE_KEY, PRIVATE_KEY},
};
use time::OffsetDateTime;
use x509_cert::{
    Certificate,
    der::{Decode as _, asn1::Utf8StringRef},
};

use super::{Values, chain, value};

/// Bytes of a serial number: more than anybody guesses, and fewer than the twenty that there may be.
const SERIAL_BYTES: usize = 16;
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Why a certificate was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IssueError {
    /// The library refuses a name or a key.
    #[error("a certificate cannot be made: {0}")]
    Made(#[from] rcgen::Error),
    /// A time that no certificate can have.
    #[error("a certificate cannot be made for this time: {0}")]
    Time(#[from] time::error::ComponentRange),
    /// What is to be used is not there.
    #[error("Secret {secret} has nothing readable under {key}, without which nothing can be signed")]
    Lacks { secret: String, key: &'static str },
}

/// A certificate and its key, in PEM.
struct Pair {
    certificate: String,
    key: String,
}

/// The values that the Secret is to have. `before` is what it has now, and `authority` what the Secret of the authority has.
pub(super) fn values(write: &CertificateToWrite, before: &Values, authority: &Values) -> Result<Values, IssueError> {
    let own = |key| value(before, key);
    let text = |key: &str, value: &[u8]| (key.to_owned(), value.to_vec());
    Ok(match &write.step {
        CertificateStep::Authority(validity) => {
            let Pair { certificate, key } = new_authority(write, *validity)?;
            Values::from([
                text(CERTIFICATE, certificate.as_bytes()),
                text(PRIVATE_KEY, key.as_bytes()),
                text(AUTHORITIES, certificate.as_bytes()),
            ])
        }
        CertificateStep::NextAuthority(validity) => {
            let Pair { certificate, key } = new_authority(write, *validity)?;
            let trusted = [own(CERTIFICATE), certificate.as_bytes(), own(AUTHORITIES)];
            Values::from([
                text(CERTIFICATE, own(CERTIFICATE)),
                text(PRIVATE_KEY, own(PRIVATE_KEY)),
                text(NEXT_CERTIFICATE, certificate.as_bytes()),
                text(NEXT_PRIVATE_KEY, key.as_bytes()),
                text(AUTHORITIES, &bundle(&trusted)),
            ])
        }
        CertificateStep::Succession => {
            let trusted = [own(NEXT_CERTIFICATE), own(CERTIFICATE), own(AUTHORITIES)];
            Values::from([
                text(CERTIFICATE, own(NEXT_CERTIFICATE)),
                text(PRIVATE_KEY, own(NEXT_PRIVATE_KEY)),
                text(AUTHORITIES, &bundle(&trusted)),
            ])
        }
        CertificateStep::Server {
            authority: secret,
            names,
            validity,
        } => {
            let signs = |key| readable(authority, secret, key);
            let signing_key = KeyPair::from_pem(signs(PRIVATE_KEY)?)?;
            let mut signer = CertificateParams::new(Vec::<String>::new())?;
            signer.distinguished_name =
                subject(signs(CERTIFICATE)?.as_bytes()).ok_or_else(|| lacks(secret, CERTIFICATE))?;
            let issuer = Issuer::new(signer, signing_key);
            let mut params = CertificateParams::new(names.iter().cloned().collect::<Vec<_>>())?;
            describe(&mut params, write, write.cluster.clone(), *validity)?;
            params.is_ca = IsCa::ExplicitNoCa;
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            params.use_authority_key_identifier_extension = true;
            let key = KeyPair::generate()?;
            let certificate = params.signed_by(&key, &issuer)?.pem();
            let trusted = [CERTIFICATE, NEXT_CERTIFICATE, AUTHORITIES].map(|key| value(authority, key));
            Values::from([
                text(CERTIFICATE, certificate.as_bytes()),
                text(PRIVATE_KEY, key.serialize_pem().as_bytes()),
                text(AUTHORITIES, &bundle(&trusted)),
            ])
        }
    })
}

fn readable<'a>(values: &'a Values, secret: &str, key: &'static str) -> Result<&'a str, IssueError> {
    let text = std::str::from_utf8(value(values, key)).unwrap_or_default();
    if text.is_empty() {
        return Err(lacks(secret, key));
    }
    Ok(text)
}

fn lacks(secret: &str, key: &'static str) -> IssueError {
    IssueError::Lacks {
        secret: secret.to_owned(),
        key,
    }
}

/// The name of an authority, as its certificate has it; `None` where that is none of the operator's.
fn subject(certificate: &[u8]) -> Option<DistinguishedName> {
    let certificate = chain(certificate).into_iter().next()?;
    let subject = Certificate::from_der(&certificate).ok()?.tbs_certificate.subject;
    let mut name = DistinguishedName::new();
    for part in subject.0.iter().flat_map(|part| part.0.iter()) {
        let arcs: Vec<u64> = part.oid.arcs().map(u64::from).collect();
        let value = part.value.decode_as::<Utf8StringRef<'_>>().ok()?;
        name.push(DnType::from_oid(&arcs), value.as_str());
    }
    Some(name)
}

/// Signs itself, and no other authority below it.
fn new_authority(write: &CertificateToWrite, validity: Validity) -> Result<Pair, IssueError> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    let name = format!("{} certificate authority", write.cluster);
    describe(&mut params, write, name, validity)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    Ok(Pair {
        certificate: params.self_signed(&key)?.pem(),
        key: key.serialize_pem(),
    })
}

/// Whose it is, for how long, and a number that nobody else has.
fn describe(
    params: &mut CertificateParams,
    write: &CertificateToWrite,
    name: String,
    validity: Validity,
) -> Result<(), IssueError> {
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, write.namespace.clone());
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = OffsetDateTime::from_unix_timestamp(validity.not_before.timestamp())?;
    params.not_after = OffsetDateTime::from_unix_timestamp(validity.not_after.timestamp())?;
    let serial: [u8; SERIAL_BYTES] = OsRng.unwrap_err().random();
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(())
}

/// All certificates of these texts in their order, each once.
fn bundle(texts: &[&[u8]]) -> Vec<u8> {
    let mut found: Vec<String> = Vec::new();
    for text in texts {
        for section in String::from_utf8_lossy(text).split_inclusive(END) {
            if let Some((_, body)) = section.split_once(BEGIN)
                && section.ends_with(END)
            {
                let certificate = format!("{BEGIN}{body}\n");
                if !found.contains(&certificate) {
                    found.push(certificate);
                }
            }
        }
    }
    found.concat().into_bytes()
}
