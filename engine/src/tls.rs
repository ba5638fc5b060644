//! Certificates of the client ports, read anew when their files change.

use std::{path::Path, sync::Arc, time::Duration};

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use springtide_contract::{
    config::{Refusal, RefusalReason},
    paths,
};
use springtide_fe::Tls;
use springtide_mounted::{Names, Watched};
use tokio::sync::watch;

use crate::place::Place;

mod not_after;
#[cfg(test)]
mod tests;

/// Time between two looks at the certificate's files; the kubelet takes longer to bring a new Secret.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// A chain and its key, under the names that Secrets of type `kubernetes.io/tls` have.
const FILES: Names = Names::all(&[CHAIN, KEY]);
const CHAIN: &str = "tls.crt";
const KEY: &str = "tls.key";

/// Reads the certificate now, and again whenever its files change, for as long as somebody looks.
///
/// # Errors
/// [`RefusalReason::SecretMissing`] when it cannot be used now. A later one that cannot be used is logged, and the old stays.
pub fn watch_certificate(place: &Place) -> Result<Tls, Refusal> {
    let directory = place.path(paths::TLS);
    follow(&directory, LOOK_INTERVAL).map_err(|problem| Refusal {
        reason: RefusalReason::SecretMissing,
        message: format!("the certificate in {} cannot be used: {problem}", directory.display()),
    })
}

fn follow(directory: &Path, look_interval: Duration) -> Result<Tls, String> {
    let (mut files, Certificate { config, not_after }) = Watched::open(directory, FILES, parse)?;
    let (configs, current) = watch::channel(config);
    let (expiries, expiry) = watch::channel(not_after);
    tokio::spawn(async move {
        while !configs.is_closed() {
            tokio::time::sleep(look_interval).await;
            match files.look() {
                None => {}
                Some(Ok(Certificate { config, not_after })) => {
                    tracing::info!(not_after, "the certificate was renewed");
                    configs.send_replace(config);
                    expiries.send_replace(not_after);
                }
                Some(Err(problem)) => {
                    tracing::warn!(problem, "the renewed certificate cannot be used; the old one stays");
                }
            }
        }
    });
    Ok(Tls {
        current: current.into(),
        not_after: expiry,
    })
}

/// A certificate that a server can show.
struct Certificate {
    config: Arc<ServerConfig>,
    /// Until when it is good, in seconds since 1970; `None` where that cannot be read.
    not_after: Option<i64>,
}

fn parse(contents: &[Vec<u8>]) -> Result<Certificate, String> {
    let [chain, key] = contents else {
        return Err("there are other files than were asked for".to_owned());
    };
    let certificates = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("{CHAIN}: {error}"))?;
    let private = PrivateKeyDer::from_pem_slice(key).map_err(|error| format!("{KEY}: {error}"))?;
    let not_after = certificates.first().and_then(|own| not_after::read(own));
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(certificates, private)
        .map_err(|error| format!("{CHAIN} and {KEY}: {error}"))?;
    Ok(Certificate {
        config: Arc::new(config),
        not_after,
    })
}
