//! Certificates of the client ports, read again when their files change.

use std::{path::Path, sync::Arc, time::Duration};

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use springtide_contract::{
    config::{Refusal, RefusalReason},
    paths,
};
use tokio::sync::watch;

use crate::place::Place;

/// Time between two looks at the certificate's files; the kubelet takes longer to bring a new Secret.
const RELOAD_INTERVAL: Duration = Duration::from_secs(10);

/// Reads the certificate now, and again whenever its files changed, for as long as somebody looks.
///
/// # Errors
/// [`RefusalReason::SecretMissing`] when it cannot be read now. A later one that cannot be read is logged, and the old stays.
pub fn watch_certificate(place: &Place) -> Result<watch::Receiver<Arc<ServerConfig>>, Refusal> {
    let directory = place.path(paths::TLS);
    let (mut bytes, config) = read(&directory).map_err(|problem| Refusal {
        reason: RefusalReason::SecretMissing,
        message: format!("the certificate in {} cannot be used: {problem}", directory.display()),
    })?;
    let (sender, receiver) = watch::channel(config);
    tokio::spawn(async move {
        while !sender.is_closed() {
            tokio::time::sleep(RELOAD_INTERVAL).await;
            match read(&directory) {
                Ok((now, config)) if now != bytes => {
                    tracing::info!("the certificate was renewed");
                    bytes = now;
                    sender.send_replace(config);
                }
                Ok(_) => {}
                Err(problem) => tracing::warn!(problem, "the renewed certificate cannot be used; the old one stays"),
            }
        }
    });
    Ok(receiver)
}

type Certificate = ([Vec<u8>; 2], Arc<ServerConfig>);

fn read(directory: &Path) -> Result<Certificate, String> {
    let file = |name: &str| std::fs::read(directory.join(name)).map_err(|error| format!("{name}: {error}"));
    let (chain, key) = (file("tls.crt")?, file("tls.key")?);
    let certificates = CertificateDer::pem_slice_iter(&chain)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("tls.crt: {error}"))?;
    let private = PrivateKeyDer::from_pem_slice(&key).map_err(|error| format!("tls.key: {error}"))?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(certificates, private)
        .map_err(|error| format!("tls.crt and tls.key: {error}"))?;
    Ok(([chain, key], Arc::new(config)))
}
