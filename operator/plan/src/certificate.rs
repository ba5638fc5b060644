//! Certificates: what may be known of them, and which are to be made.
//!
//! A cluster has an authority of its own for ten years, in a Secret that no pod mounts. In the last third of them there is a next one
//! beside it, which clients are to trust already; it signs from the last sixth on. So whoever takes up `ca.crt` once in a year and a half
//! never sees a certificate of an authority that they do not know.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use crate::observed::ObjectVersion;

/// The keys of a Secret with certificates.
pub mod keys {
    /// The certificate, and those of the authorities between it and one that is trusted.
    pub const CERTIFICATE: &str = "tls.crt";
    /// Its private key.
    pub const PRIVATE_KEY: &str = "tls.key";
    /// The authorities that are to be trusted.
    pub const AUTHORITIES: &str = "ca.crt";
    /// The authority that comes after the one under `tls.crt`.
    pub const NEXT_CERTIFICATE: &str = "next.crt";
    /// Its private key.
    pub const NEXT_PRIVATE_KEY: &str = "next.key";
}

/// How long an authority is good.
const AUTHORITY_LASTS: TimeDelta = TimeDelta::days(3650);
/// How long before now a certificate begins to be good: clocks differ.
const BACKDATED: TimeDelta = TimeDelta::days(1);

/// What may be known of the certificates in a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SecretCertificates {
    /// The first one under `tls.crt`; `None` where there is none, or it cannot be read.
    pub own: Option<CertificateFacts>,
    /// The one under `next.crt`.
    pub next: Option<CertificateFacts>,
    /// The identifiers of the keys of the authorities under `ca.crt`.
    pub trusted: BTreeSet<String>,
}

/// What may be known of a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CertificateFacts {
    /// Identifier of its key, in hexadecimal digits. Those of authorities have one.
    pub key_id: Option<String>,
    /// Identifier of the key that has signed it.
    pub issuer_key_id: Option<String>,
    /// The name of who has signed it.
    pub issued_by: String,
    /// The host names in it.
    pub names: BTreeSet<String>,
    /// Until when it is good.
    pub not_after: DateTime<Utc>,
    /// The private key beside it is its own.
    pub has_key: bool,
}

/// From when until when a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Validity {
    /// From then on.
    pub not_before: DateTime<Utc>,
    /// Until then.
    pub not_after: DateTime<Utc>,
}

impl Validity {
    /// For so long from now on.
    pub(crate) fn of(lasts: TimeDelta, now: DateTime<Utc>) -> Self {
        Self {
            not_before: now - BACKDATED,
            not_after: now + lasts,
        }
    }
}

/// A Secret that is to hold a new certificate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CertificateToWrite {
    /// The cluster that it is for.
    pub cluster: String,
    /// Namespace of the Secret.
    pub namespace: String,
    /// Name of the Secret.
    pub name: String,
    /// Labels of the Secret.
    pub labels: BTreeMap<String, String>,
    /// The Secret whose values are replaced; `None`: there is none, and one that has come since is left alone.
    pub replaces: Option<ObjectVersion>,
    /// What is made.
    pub step: CertificateStep,
}

/// What is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum CertificateStep {
    /// The cluster's authority.
    Authority(Validity),
    /// The authority that comes after it, which is trusted from now on.
    NextAuthority(Validity),
    /// The next authority signs from now on. The one before is still trusted.
    Succession,
    /// A certificate of the frontends.
    Server {
        /// The Secret with the authority that signs it.
        authority: String,
        /// The host names in it.
        names: BTreeSet<String>,
        /// How long it is good.
        validity: Validity,
    },
}

/// What is to be done about the authority that is in a Secret.
pub(crate) fn of_authority(found: Option<&SecretCertificates>, now: DateTime<Utc>) -> Option<CertificateStep> {
    let is_good =
        |authority: &&CertificateFacts| authority.has_key && authority.key_id.is_some() && authority.not_after > now;
    // The clock was far ahead when it was made, and clients that look when it begins do not trust it yet.
    let is_early = |authority: &CertificateFacts| authority.not_after - now > AUTHORITY_LASTS + BACKDATED;
    let own = found.and_then(|found| found.own.as_ref()).filter(is_good);
    let next = found
        .and_then(|found| found.next.as_ref())
        .filter(is_good)
        .filter(|next| !is_early(next));
    let validity = Validity::of(AUTHORITY_LASTS, now);
    let Some(own) = own else {
        return Some(match next {
            Some(_) => CertificateStep::Succession,
            None => CertificateStep::Authority(validity),
        });
    };
    let left = own.not_after - now;
    match next {
        // Who trusts the one before goes on doing so.
        None if is_early(own) => Some(CertificateStep::NextAuthority(validity)),
        Some(_) if is_early(own) => Some(CertificateStep::Succession),
        None if left < AUTHORITY_LASTS / 3 => Some(CertificateStep::NextAuthority(validity)),
        Some(_) if left < AUTHORITY_LASTS / 6 => Some(CertificateStep::Succession),
        _ => None,
    }
}

/// Whether a certificate that the operator issued stays: it is signed by the authority that signs now and has the names that are wanted, it
/// is good for long enough and not for much longer than it is to be, and all authorities stand beside it.
pub(crate) fn stays(
    issued: &SecretCertificates,
    authority: &SecretCertificates,
    names: &BTreeSet<String>,
    lasts: TimeDelta,
    now: DateTime<Utc>,
) -> bool {
    let (Some(certificate), Some(signs)) = (&issued.own, &authority.own) else {
        return false;
    };
    let left = certificate.not_after - now;
    let of_authorities = [Some(signs), authority.next.as_ref()];
    let mut to_be_trusted = of_authorities
        .into_iter()
        .flatten()
        .filter_map(|authority| authority.key_id.as_ref())
        .chain(&authority.trusted);
    certificate.has_key
        && certificate.issuer_key_id.is_some()
        && certificate.issuer_key_id == signs.key_id
        && certificate.names == *names
        && left >= lasts / 3
        // A shorter time was written since, or the clock was far ahead when it was made.
        && left <= lasts + BACKDATED
        && to_be_trusted.all(|key| issued.trusted.contains(key))
}

/// A host name that a certificate with these names is good for: one of `preferred`, or else one of its own. `None` where it has none.
#[must_use]
pub fn name_to_expect(names: &BTreeSet<String>, preferred: &[String]) -> Option<String> {
    let covered = preferred
        .iter()
        .find(|wanted| names.iter().any(|name| covers(name, wanted)));
    covered.cloned().or_else(|| {
        let first = names
            .iter()
            .find(|name| !name.starts_with("*."))
            .or_else(|| names.first())?;
        Some(match first.strip_prefix("*.") {
            // Any one label will do.
            Some(domain) => format!("frontend.{domain}"),
            None => first.clone(),
        })
    })
}

/// Whether a name of a certificate is this one; an asterisk stands for one label.
fn covers(name: &str, wanted: &str) -> bool {
    match name.strip_prefix("*.") {
        Some(domain) => wanted
            .split_once('.')
            .is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(domain)),
        None => name.eq_ignore_ascii_case(wanted),
    }
}

#[cfg(test)]
mod tests;
