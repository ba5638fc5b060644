//! Writing: a Secret is made where there is none, and replaced where it is still the one that was seen. Of two operators that believe to
//! lead, one writes and the other has a conflict.

use std::collections::BTreeMap;

use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use springtide_plan::{CertificateStep, CertificateToWrite, ObjectKey, ObjectKind};

use super::{Values, issue};
use crate::{apply::ApplyError, context::Context};

/// What holds a certificate and its key.
const TYPE: &str = "kubernetes.io/tls";

/// Makes what is to be made, and writes it.
pub(crate) async fn write(context: &Context, write: &CertificateToWrite) -> Result<(), ApplyError> {
    let written = make_and_write(context, write).await;
    // What was read of the cluster's Secrets is old, whatever came of this.
    context
        .secrets
        .forget(&(write.namespace.clone(), write.cluster.clone()));
    written
}

async fn make_and_write(context: &Context, write: &CertificateToWrite) -> Result<(), ApplyError> {
    let key = ObjectKey::namespaced(ObjectKind::Secret, &write.namespace, &write.name);
    let before = match &write.replaces {
        Some(_) => read(context, write, &write.name).await?,
        None => None,
    };
    let authority = match &write.step {
        CertificateStep::Server { authority, .. } => read(context, write, authority).await?,
        _ => None,
    };
    let values = issue::values(
        write,
        &before.as_ref().map(values_of).unwrap_or_default(),
        &authority.as_ref().map(values_of).unwrap_or_default(),
    )?;
    let data = values
        .into_iter()
        .map(|(key, value)| (key, ByteString(value)))
        .collect();
    match (&write.replaces, before) {
        (Some(seen), Some(mut secret)) => {
            // Labels and annotations of others stay.
            secret
                .metadata
                .labels
                .get_or_insert_default()
                .extend(write.labels.clone());
            secret.metadata.uid = Some(seen.uid.clone());
            secret.metadata.resource_version = Some(seen.resource_version.clone());
            secret.metadata.managed_fields = None;
            secret.data = Some(data);
            context.kubernetes.replace(&key, &secret).await?;
        }
        // It went meanwhile; the next look makes it.
        (Some(_), None) => return Ok(()),
        (None, _) => {
            let body = serde_json::to_value(new(write, data)).expect("a Secret is plain data");
            if !context.kubernetes.create(&key, body).await? {
                tracing::info!(object = %key, "somebody has made it meanwhile");
                return Ok(());
            }
        }
    }
    tracing::info!(object = %key, made = label(&write.step), "a certificate was written");
    Ok(())
}

async fn read(context: &Context, write: &CertificateToWrite, name: &str) -> Result<Option<Secret>, ApplyError> {
    Ok(context.kubernetes.get::<Secret>(&write.namespace, name).await?)
}

fn values_of(secret: &Secret) -> Values {
    let data = secret.data.iter().flatten();
    data.map(|(key, value)| (key.clone(), value.0.clone())).collect()
}

fn new(write: &CertificateToWrite, data: BTreeMap<String, ByteString>) -> Secret {
    Secret {
        metadata: ObjectMeta {
            name: Some(write.name.clone()),
            namespace: Some(write.namespace.clone()),
            labels: Some(write.labels.clone()),
            ..ObjectMeta::default()
        },
        type_: Some(TYPE.to_owned()),
        data: Some(data),
        ..Secret::default()
    }
}

fn label(step: &CertificateStep) -> &'static str {
    match step {
        CertificateStep::Authority(_) => "an authority",
        CertificateStep::NextAuthority(_) => "the next authority",
        CertificateStep::Succession => "the next authority signs",
        CertificateStep::Server { .. } => "a certificate of the frontends",
    }
}
