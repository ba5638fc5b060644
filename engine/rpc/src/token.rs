//! The secret of a cluster: whoever has it is a process of the cluster.

use std::fmt;

use axum::{
    extract::{Request, State},
    http::{StatusCode, header::AUTHORIZATION},
    middleware::Next,
    response::{IntoResponse, Response},
};

/// The cluster token. Compared in constant time, never shown.
#[derive(Clone)]
pub struct ClusterToken(std::sync::Arc<str>);

impl ClusterToken {
    /// Takes the text of the token's file; surrounding white space is not part of it.
    ///
    /// Returns `None` when nothing is left: an empty token would let everyone in.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(text.into()))
    }

    /// The value of the `authorization` header.
    #[must_use]
    pub fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// Whether an `authorization` header carries this token.
    #[must_use]
    pub fn accepts(&self, header: Option<&[u8]>) -> bool {
        let Some(token) = header.and_then(|value| value.strip_prefix(b"Bearer ")) else {
            return false;
        };
        let ours = self.0.as_bytes();
        let difference = token.iter().zip(ours).fold(0_u8, |sum, (a, b)| sum | (a ^ b));
        token.len() == ours.len() && difference == 0
    }
}

impl fmt::Debug for ClusterToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterToken(***)")
    }
}

/// Axum middleware for internal routers: `middleware::from_fn_with_state(token, require_token)`.
pub async fn require_token(State(token): State<ClusterToken>, request: Request, next: Next) -> Response {
    if token.accepts(
        request
            .headers()
            .get(AUTHORIZATION)
            .map(axum::http::HeaderValue::as_bytes),
    ) {
        next.run(request).await
    } else {
        (StatusCode::UNAUTHORIZED, "the cluster token is missing or wrong").into_response()
    }
}
