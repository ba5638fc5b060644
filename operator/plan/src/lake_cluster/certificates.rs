//! The certificate of the MySQL port: which names it has, when the operator issues one, and what is told of it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use springtide_crds::lake_cluster::{CertificateStatus, Tls};
use springtide_crds::{LakeCluster, Reason};

use super::ClusterShape;
use crate::action::Action;
use crate::certificate::{self, CertificateStep, CertificateToWrite, Validity};
use crate::condition::instant_text;
use crate::finish::Rejection;
use crate::flavour::flavour;
use crate::names::{self, Owner};
use crate::object::{ObjectKey, ObjectKind};
use crate::observed::{ObservedLakeCluster, SecretFacts};
use crate::units;

/// Shortest time that a certificate is good. A third of it is what alerts on certificates that end soon look ahead, so none is told of one
/// that is about to be renewed.
const SHORTEST: TimeDelta = TimeDelta::days(42);
/// Longest time: always shorter than what an authority has left that signs.
const LONGEST: TimeDelta = TimeDelta::days(365);

/// A certificate that the operator issues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedShape {
    /// Names of load balancers and the like, as written.
    pub dns_names: BTreeSet<String>,
    /// How long a certificate is good.
    pub lasts: TimeDelta,
}

impl IssuedShape {
    /// Checks `spec.tls` of a cluster with this engine.
    pub(super) fn new(tls: &Tls, engine: springtide_crds::lake_cluster::EngineKind) -> Result<Option<Self>, Rejection> {
        let Tls { secret_name, issue } = tls;
        if secret_name.is_some() == issue.is_some() {
            return Err(Rejection::field(
                "tls",
                "write exactly one of tls.secretName and tls.issue",
            ));
        }
        if !flavour(engine).capabilities().serves_tls {
            return Err(Rejection::new(
                Reason::NotSupportedByEngine,
                format!(
                    "tls: the frontends of {engine:?} are given no certificate; leave tls out, and end TLS in front of them"
                ),
            ));
        }
        let Some(issue) = issue else { return Ok(None) };
        let malformed = |cause: String| Rejection::field("tls.issue.duration", cause);
        let lasts = units::duration(&issue.duration).map_err(|error| malformed(error.to_string()))?;
        let lasts = TimeDelta::from_std(lasts)
            .ok()
            .filter(|lasts| (SHORTEST..=LONGEST).contains(lasts))
            .ok_or_else(|| malformed("write between 1008h and 8760h".to_owned()))?;
        Ok(Some(Self {
            dns_names: issue.dns_names.iter().cloned().collect(),
            lasts,
        }))
    }
}

/// The Secret with the certificate that `tls` names or has issued.
pub(super) fn secret(cluster: &str, tls: &Tls) -> Option<String> {
    let issued = tls.issue.as_ref().map(|_| names::certificate_secret(cluster));
    tls.secret_name.clone().or(issued)
}

/// A Secret of the operator's that somebody else has made is not written, and is told.
pub(super) fn check_owner(shape: &ClusterShape, secrets: &BTreeMap<String, SecretFacts>) -> Result<(), Rejection> {
    if shape.issued.is_none() {
        return Ok(());
    }
    for name in own_secrets(&shape.name) {
        if secrets.get(&name).is_some_and(|facts| !is_own(&shape.name, facts)) {
            return Err(Rejection::new(
                Reason::SecretTaken,
                format!(
                    "tls.issue: Secret {name} in namespace {} is not the operator's; delete it, or write tls.secretName for a certificate of your own",
                    shape.namespace
                ),
            ));
        }
    }
    Ok(())
}

fn own_secrets(cluster: &str) -> [String; 2] {
    [names::authority_secret(cluster), names::certificate_secret(cluster)]
}

fn is_own(cluster: &str, facts: &SecretFacts) -> bool {
    let owner = names::owner("LakeCluster", cluster);
    facts.owner.as_ref() == Some(&owner)
}

/// What is to be made now, the authority first.
pub(super) fn due(observed: &ObservedLakeCluster, shape: &ClusterShape, now: DateTime<Utc>) -> Vec<Action> {
    let Some(issued) = &shape.issued else {
        return Vec::new();
    };
    // Values that were accepted before may be in force, while somebody has put a Secret of their own into the place.
    if check_owner(shape, &observed.secrets).is_err() {
        return Vec::new();
    }
    let [authority_name, certificate_name] = own_secrets(&shape.name);
    let (authority, certificate) = (
        observed.secrets.get(&authority_name),
        observed.secrets.get(&certificate_name),
    );
    let write = |name: &str, replaces: Option<&SecretFacts>, step| {
        Action::WriteCertificate(Box::new(CertificateToWrite {
            cluster: shape.name.clone(),
            namespace: shape.namespace.clone(),
            name: name.to_owned(),
            labels: Owner::of_cluster(&observed.cluster).labels,
            replaces: replaces.map(|facts| facts.version.clone()),
            step,
        }))
    };
    let of_authority = certificate::of_authority(authority.map(|facts| &facts.certificates), now);
    let names = wanted_names(shape, issued);
    let is_due = match (certificate, authority) {
        (None, _) => true,
        (Some(certificate), Some(authority)) if of_authority.is_none() => {
            let (own, signs) = (&certificate.certificates, &authority.certificates);
            !certificate::stays(own, signs, &names, issued.lasts, now)
        }
        // When the authority is as it is to be.
        _ => false,
    };
    let server = is_due.then(|| CertificateStep::Server {
        authority: authority_name.clone(),
        names,
        validity: Validity::of(issued.lasts, now),
    });
    let of_authority = of_authority.map(|step| write(&authority_name, authority, step));
    let server = server.map(|step| write(&certificate_name, certificate, step));
    of_authority.into_iter().chain(server).collect()
}

/// Whether there is a certificate, such as it is: then nothing that is written waits for a better one.
pub(super) fn can_be_mounted(observed: &ObservedLakeCluster, shape: &ClusterShape) -> bool {
    let secret = shape.tls_secret.as_ref();
    secret.is_some_and(|secret| observed.secrets.contains_key(secret))
}

/// All names by which somebody may connect: those of the Service for clients, those of the frontends, this machine's, and those that are
/// written.
fn wanted_names(shape: &ClusterShape, issued: &IssuedShape) -> BTreeSet<String> {
    let (namespace, domain) = (&shape.namespace, &shape.cluster_domain);
    let service = names::client_service(&shape.name);
    let pods = names::frontends_headless(&shape.name);
    let mut names = issued.dns_names.clone();
    names.extend([
        "localhost".to_owned(),
        service.clone(),
        format!("{service}.{namespace}"),
    ]);
    for host in [service, pods.clone(), format!("*.{pods}")] {
        names.extend([
            format!("{host}.{namespace}.svc"),
            format!("{host}.{namespace}.svc.{domain}"),
        ]);
    }
    names
}

/// What the status says of the certificate that pods mount.
pub(super) fn status(observed: &ObservedLakeCluster, shape: &ClusterShape) -> Option<CertificateStatus> {
    let secret = shape.tls_secret.as_ref()?;
    let certificate = observed.secrets.get(secret)?.certificates.own.as_ref()?;
    Some(CertificateStatus {
        secret: secret.clone(),
        not_after: instant_text(certificate.not_after),
        issued_by: certificate.issued_by.chars().take(MOST_OF_A_NAME).collect(),
    })
}

/// Characters of an authority's name in the status.
const MOST_OF_A_NAME: usize = 500;

/// What goes with a cluster whose volumes and accounts go.
pub(super) fn deletions(cluster: &LakeCluster, secrets: &BTreeMap<String, SecretFacts>) -> Vec<Action> {
    let name = cluster.metadata.name.clone().unwrap_or_default();
    let namespace = cluster.metadata.namespace.clone().unwrap_or_default();
    let delete = |secret: String| {
        let facts = secrets.get(&secret).filter(|facts| is_own(&name, facts))?;
        Some(Action::Delete {
            object: ObjectKey::namespaced(ObjectKind::Secret, &namespace, &secret),
            uid: Some(facts.version.uid.clone()),
        })
    };
    own_secrets(&name).into_iter().filter_map(delete).collect()
}

#[cfg(test)]
mod tests;
