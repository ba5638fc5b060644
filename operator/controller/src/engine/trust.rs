//! How the operator knows a frontend that speaks TLS: by the authorities of the Secret that its pod mounts, and by a name.
//!
//! - *Authorities* are those under `ca.crt`. Where there are none, those that everybody trusts, and the certificates under `tls.crt`
//!   themselves: who writes that key could write the other one as well. A certificate without its authority's is not enough, unless it has
//!   signed itself.
//! - The *name* is that of the pod or of the cluster's Service, where the certificate in the Secret has one of them. A certificate for a
//!   load balancer alone has none, and then the name is one of its own: whoever shows it has a certificate for the same name from
//!   the same authority.
//!
//! Nobody is trusted without both, and nothing is sent without TLS to who is expected to speak it.

use mysql_async::{DriverError, IoError, SslOpts};
use springtide_plan::{
    SecretCertificates,
    certificate::{
        keys::{AUTHORITIES, CERTIFICATE},
        name_to_expect,
    },
};

use crate::certificate::{Values, chain};

#[cfg(test)]
mod tests;

/// What a frontend is to show.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Trust {
    /// The Secret that says so.
    secret: String,
    /// The name that is to be in the certificate.
    host: String,
    /// Authorities, in DER.
    authorities: Vec<Vec<u8>>,
    /// Whether the Secret names none, and those that everybody trusts will do.
    is_public: bool,
}

impl Trust {
    /// By a Secret with these values. `hosts` are the names of the frontend, the best one first.
    pub(crate) fn new(secret: &str, values: &Values, certificates: &SecretCertificates, hosts: &[String]) -> Self {
        let under = |key: &str| values.get(key).map(|text| chain(text)).unwrap_or_default();
        let given = under(AUTHORITIES);
        let is_public = given.is_empty();
        let authorities = if is_public { under(CERTIFICATE) } else { given };
        let expected = certificates
            .own
            .as_ref()
            .and_then(|own| name_to_expect(&own.names, hosts));
        Self {
            secret: secret.to_owned(),
            host: expected.or_else(|| hosts.first().cloned()).unwrap_or_default(),
            authorities: authorities.iter().map(|authority| authority.to_vec()).collect(),
            is_public,
        }
    }

    /// What the client is told.
    pub(super) fn options(&self) -> SslOpts {
        let authorities = self.authorities.iter().cloned().map(Into::into).collect();
        SslOpts::default()
            .with_root_certs(authorities)
            .with_disable_built_in_roots(!self.is_public)
            .with_danger_tls_hostname_override(Some(self.host.clone()))
    }

    /// What to do about a frontend that is not trusted.
    pub(super) fn remedy(&self) -> String {
        let Self { secret, host, .. } = self;
        if self.is_public {
            format!(
                "Secret {secret} has no ca.crt, so it is to have a certificate for {host} of an authority that everybody trusts; put the certificate of your own authority under ca.crt"
            )
        } else {
            format!(
                "by Secret {secret} it is to have a certificate for {host} of an authority under ca.crt; put the right one there, or wait two minutes where it was replaced just now"
            )
        }
    }
}

/// Why a frontend is not trusted; `None` for what is another problem.
pub(super) fn distrust(error: &mysql_async::Error) -> Option<String> {
    match error {
        mysql_async::Error::Io(IoError::Tls(error)) => Some(error.to_string()),
        mysql_async::Error::Io(IoError::Io(error)) => {
            let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
            matches!(error, rustls::Error::InvalidCertificate(_)).then(|| error.to_string())
        }
        mysql_async::Error::Driver(DriverError::NoClientSslFlagFromServer) => Some("it offers no TLS".to_owned()),
        _ => None,
    }
}
