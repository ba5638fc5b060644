//! Requests to the store that are signed again, where their keys were replaced.
//!
//! This is below all that the store's client does, so that it is true of every request: of parts of an upload and pages of a listing, too,
//! which could not be repeated from above.

use std::sync::Arc;

use async_trait::async_trait;
use object_store::{
    ClientOptions,
    aws::{AwsAuthorizer, AwsCredential},
    client::{HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, SpawnedReqwestConnector},
};

use super::keys::MountedKeys;

#[cfg(test)]
mod tests;

/// The service that requests are signed for.
const SERVICE: &str = "s3";
/// The header with the hash of the body, which the store's client has written.
const DIGEST: &str = "x-amz-content-sha256";

/// Connects to the store with keys that may change.
#[derive(Debug)]
pub(super) struct SigningConnector {
    pub(super) inner: SpawnedReqwestConnector,
    pub(super) keys: Arc<MountedKeys>,
    pub(super) region: String,
}

impl HttpConnector for SigningConnector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(SigningService {
            client: self.inner.connect(options)?,
            keys: Arc::clone(&self.keys),
            region: self.region.clone(),
        }))
    }
}

#[derive(Debug)]
struct SigningService {
    client: HttpClient,
    keys: Arc<MountedKeys>,
    region: String,
}

#[async_trait]
impl HttpService for SigningService {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let signed = self.keys.contested();
        if let Some(pair) = &signed {
            self.sign(&mut request, pair);
        }
        let mut again = request.clone();
        let answer = self.client.execute(request).await?;
        if !is_refusal(&answer) {
            if let Some(pair) = &signed
                && is_proof(&answer)
            {
                self.keys.taken(pair);
            }
            return Ok(answer);
        }
        let Some(other) = self.keys.instead_of(signed.as_deref()) else {
            return Ok(answer);
        };
        drop(answer);
        self.sign(&mut again, &other);
        let answer = self.client.execute(again).await?;
        if is_proof(&answer) {
            self.keys.taken_instead(&other);
        }
        Ok(answer)
    }
}

impl SigningService {
    /// Writes the headers of another signature over those that there are.
    fn sign(&self, request: &mut HttpRequest, pair: &AwsCredential) {
        let digest = request.headers().get(DIGEST);
        // It is no hash where the body is not signed.
        let digest = digest.and_then(|value| hex::decode(value.as_bytes()).ok());
        AwsAuthorizer::new(pair, SERVICE, &self.region)
            .with_sign_payload(digest.is_some())
            .authorize(request, digest.as_deref());
    }
}

/// Whether the store has not taken the keys, or does not let them do this.
fn is_refusal(answer: &HttpResponse) -> bool {
    matches!(answer.status().as_u16(), 401 | 403)
}

/// Whether the store has taken the keys. What it says of an overload or of a missing bucket may come before it has looked at them.
fn is_proof(answer: &HttpResponse) -> bool {
    matches!(answer.status().as_u16(), 200..=299 | 304 | 409 | 412 | 416)
}
