//! Certificates that a test makes itself, and the one that a test's frontend shows.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, ResourceExt as _};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, Issuer, KeyPair, SigningKey,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use serde_json::{Value, json};

/// A certificate and its key, in PEM.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// An authority that signs what a test asks for.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn certificate(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn sign(&self, names: &[&str]) -> Pair {
        let issuer: &Issuer<'static, KeyPair> = &self.0;
        signed(issuer, names, |_| {})
    }
}

/// One that signs itself.
pub(crate) fn self_signed(names: &[&str]) -> Pair {
    let key = KeyPair::generate().unwrap();
    let certificate = params(names).self_signed(&key).unwrap();
    Pair {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    }
}

/// One that the authority in a Secret has signed, after `change`.
pub(crate) fn signed_by(authority: &Secret, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Pair {
    let text = |key: &str| String::from_utf8(authority.data.as_ref().unwrap()[key].0.clone()).unwrap();
    let key = KeyPair::from_pem(&text("tls.key")).unwrap();
    // As the operator calls itself there.
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    let cluster = authority.name_any().replace("-ca", "");
    params.distinguished_name = DistinguishedName::new();
    let namespace = authority.namespace().unwrap();
    params.distinguished_name.push(DnType::OrganizationName, namespace);
    let name = format!("{cluster} certificate authority");
    params.distinguished_name.push(DnType::CommonName, name);
    let issuer = Issuer::new(params, key);
    signed(&issuer, names, change)
}

fn signed(issuer: &Issuer<'_, impl SigningKey>, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Pair {
    let mut params = params(names);
    params.use_authority_key_identifier_extension = true;
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    Pair {
        certificate: params.signed_by(&key, issuer).unwrap().pem(),
        key: key.serialize_pem(),
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    CertificateParams::new(names).unwrap()
}

/// A Secret of the type that holds a certificate; without `ca.crt` where there is none.
pub(crate) fn secret(name: &str, pair: &Pair, authority: Option<&str>) -> Value {
    let mut body = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": pair.certificate, "tls.key": pair.key},
    });
    if let Some(authority) = authority {
        body["stringData"]["ca.crt"] = json!(authority);
    }
    body
}

/// What a server with this certificate is configured by; `None` where it is none.
pub(crate) fn server_config(chain: &[u8], key: &[u8]) -> Option<Arc<ServerConfig>> {
    let chain = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<Vec<_>, _>>()
        .ok()?;
    let key = PrivateKeyDer::from_pem_slice(key).ok()?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key);
    config.ok().map(Arc::new)
}

/// What a server is configured by whose pod mounts this Secret.
pub(crate) async fn mounted(client: &Client, namespace: &str, secret: &str) -> Option<Arc<ServerConfig>> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let data = secrets.get_opt(secret).await.ok()??.data?;
    server_config(&data.get("tls.crt")?.0, &data.get("tls.key")?.0)
}
