//! The Secrets of a cluster: read by name, as the operator may not list them. Values stay in this process: plans see which keys
//! there are, and a hash.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt;
use sha2::{Digest, Sha256};
use springtide_contract::paths;
use springtide_crds::{ConditionType, LakeCluster};
use springtide_plan::{ObjectVersion, SecretCertificates, SecretFacts, names};

use crate::{certificate, context::Context, engine::Trust, kubernetes::KubernetesError, observe::frontend_pods};

/// How long Secrets that were read are good where something is wrong, which another value may mend.
const GOOD_FOR: Duration = Duration::from_secs(10);
/// And where all is well: a new password is taken up within a minute, and a thousand groups read hundreds of them in it, not thousands.
const PROVEN_FOR: Duration = Duration::from_secs(60);

/// The Secrets of a cluster that exist, with their values.
#[derive(Default)]
pub(crate) struct SecretValues {
    /// Uid of the cluster: another one of this name may have been made, whose predecessor took its accounts with it.
    cluster: Option<String>,
    /// The names that were asked for, whether or not there is such a Secret.
    asked: BTreeSet<String>,
    secrets: BTreeMap<String, ReadSecret>,
}

/// A Secret as it was read.
#[derive(Default)]
struct ReadSecret {
    data: BTreeMap<String, Vec<u8>>,
    owner: Option<String>,
    version: ObjectVersion,
    /// Read once, and not at each look: keys are tried for it.
    certificates: SecretCertificates,
}

impl std::fmt::Debug for SecretValues {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.secrets.keys()).finish()
    }
}

/// The Secrets that a cluster names or makes.
pub(crate) async fn of_cluster(context: &Context, cluster: &LakeCluster) -> Result<Arc<SecretValues>, KubernetesError> {
    let namespace = cluster.namespace().unwrap_or_default();
    let key = (namespace.clone(), cluster.name_any());
    let accepted = cluster
        .status
        .as_ref()
        .and_then(|status| status.accepted_spec.as_deref());
    let specs = [Some(&cluster.spec), accepted];
    let mut named: BTreeSet<String> = specs
        .into_iter()
        .flatten()
        .flat_map(|spec| springtide_plan::lake_cluster::secrets(&key.1, spec))
        .collect();
    // A pod of before a change has the Secret of before.
    named.extend(
        frontend_pods(context, &namespace, &key.1)
            .iter()
            .filter_map(|pod| tls_secret(pod).map(str::to_owned)),
    );
    if cluster.metadata.deletion_timestamp.is_some() {
        // What was issued at some time goes with the cluster.
        named.extend([names::authority_secret(&key.1), names::certificate_secret(&key.1)]);
    }
    // What was read says nothing of a Secret that is named since.
    if let Some(values) = context.secrets.get(&key)
        && values.cluster == cluster.uid()
        && named.is_subset(&values.asked)
    {
        return Ok(values);
    }
    let mut secrets = BTreeMap::new();
    let mut is_proven = is_proven(cluster);
    for name in &named {
        let Some(secret) = context.kubernetes.get::<Secret>(&namespace, name).await? else {
            is_proven = false;
            continue;
        };
        secrets.insert(name.clone(), ReadSecret::new(secret));
    }
    let values = Arc::new(SecretValues {
        cluster: cluster.uid(),
        asked: named,
        secrets,
    });
    let good_for = if is_proven { PROVEN_FOR } else { GOOD_FOR };
    context.secrets.put(key, Arc::clone(&values), good_for);
    Ok(values)
}

/// Whether the bucket was reached and the operator's account works with the values that there are.
pub(crate) fn is_proven(cluster: &LakeCluster) -> bool {
    let conditions = cluster.status.iter().flat_map(|status| &status.conditions);
    let needed = [ConditionType::StorageReady, ConditionType::OperatorAccountReady];
    conditions
        .filter(|condition| condition.status == "True")
        .filter(|condition| needed.iter().any(|needed| needed.as_str() == condition.type_))
        .count()
        == needed.len()
}

impl SecretValues {
    /// What a plan may know of the Secrets of `cluster`.
    pub(crate) fn facts(&self, cluster: &str) -> BTreeMap<String, SecretFacts> {
        let token = self.text(&names::internal_secret(cluster), paths::TOKEN_FILE);
        let token = token.unwrap_or_default();
        self.secrets
            .iter()
            .map(|(name, secret)| (name.clone(), secret.facts(&token)))
            .collect()
    }

    /// A key's value as text, if it is there and not empty.
    pub(crate) fn text(&self, secret: &str, key: &str) -> Option<String> {
        let value = self.secrets.get(secret)?.data.get(key)?;
        let text = String::from_utf8(value.clone()).ok()?;
        (!text.is_empty()).then_some(text)
    }

    /// How a frontend that shows the certificate in this Secret is known, whose own names are `hosts`.
    pub(crate) fn trust(&self, secret: &str, hosts: &[String]) -> Trust {
        match self.secrets.get(secret) {
            Some(read) => Trust::new(secret, &read.data, &read.certificates, hosts),
            None => Trust::new(secret, &BTreeMap::new(), &SecretCertificates::default(), hosts),
        }
    }

    /// The operator's account: user and password.
    pub(crate) fn operator_account(&self, cluster: &str) -> Option<(String, String)> {
        let secret = names::operator_secret(cluster);
        let user = self.text(&secret, paths::USERNAME_FILE)?;
        Some((user, self.text(&secret, paths::PASSWORD_FILE)?))
    }

    /// The path component that drain sidecars answer to.
    pub(crate) fn drain_key(&self, cluster: &str) -> Option<String> {
        let token = self.text(&names::internal_secret(cluster), paths::TOKEN_FILE)?;
        Some(springtide_contract::drain::drain_key(&token))
    }
}

impl ReadSecret {
    fn new(secret: Secret) -> Self {
        let owner = secret.labels().get(names::OWNER_LABEL).cloned();
        let version = ObjectVersion {
            uid: secret.uid().unwrap_or_default(),
            resource_version: secret.resource_version().unwrap_or_default(),
        };
        let data: BTreeMap<String, Vec<u8>> = secret
            .data
            .unwrap_or_default()
            .into_iter()
            .map(|(key, value)| (key, value.0))
            .collect();
        Self {
            certificates: certificate::facts(&data),
            data,
            owner,
            version,
        }
    }

    fn facts(&self, token: &str) -> SecretFacts {
        let Self {
            data,
            owner,
            version,
            certificates,
        } = self;
        SecretFacts {
            owner: owner.clone(),
            version: version.clone(),
            certificates: certificates.clone(),
            ..facts(data, token)
        }
    }
}

/// The Secret with the certificate that a frontend's pod shows; `None`: it does not speak TLS.
pub(crate) fn tls_secret(pod: &Pod) -> Option<&str> {
    let volumes = pod.spec.as_ref()?.volumes.as_ref()?;
    let volume = volumes.iter().find(|volume| volume.name == names::TLS_VOLUME)?;
    volume.secret.as_ref()?.secret_name.as_deref()
}

/// The hash is keyed with the cluster's token: whoever reads it in a pod cannot try values against it.
fn facts(data: &BTreeMap<String, Vec<u8>>, token: &str) -> SecretFacts {
    let mut hash = Sha256::new();
    hash.update((token.len() as u64).to_be_bytes());
    hash.update(token);
    for (key, value) in data {
        // Lengths keep apart what would run together: {"a": "bc"} and {"ab": "c"}.
        hash.update((key.len() as u64).to_be_bytes());
        hash.update(key);
        hash.update((value.len() as u64).to_be_bytes());
        hash.update(value);
    }
    let keys: BTreeSet<String> = data
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, _)| key.clone())
        .collect();
    SecretFacts {
        keys,
        hash: hex::encode(hash.finalize()),
        ..SecretFacts::default()
    }
}

#[cfg(test)]
mod tests;
