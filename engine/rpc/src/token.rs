//! The secret of a cluster: whoever has it is a process of the cluster.
//!
//! It may be replaced while processes run. They do not see a change in the same moment, so that a second token is accepted for as long as it
//! is there: the next one before it is shown, and then the one before.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use axum::{
    extract::{Request, State},
    http::{StatusCode, header::AUTHORIZATION},
    middleware::Next,
    response::{IntoResponse, Response},
};

/// The cluster token. Compared in constant time, never logged. Clones change together.
#[derive(Clone)]
pub struct ClusterToken(Arc<RwLock<Tokens>>);

#[derive(Clone)]
struct Tokens {
    /// What this process shows to others, and accepts.
    shown: Arc<str>,
    /// What it accepts as well.
    second: Option<Arc<str>>,
}

impl ClusterToken {
    /// Takes the text of the token's file; surrounding white space is not part of it.
    ///
    /// Returns `None` when nothing is left: an empty token would let everyone in.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        Self::with_second(text, "")
    }

    /// The same, with the text of a second token that is accepted. It is as good as missing when it is empty.
    #[must_use]
    pub fn with_second(text: &str, second: &str) -> Option<Self> {
        let token = |text: &str| {
            let text = text.trim();
            (!text.is_empty()).then(|| Arc::<str>::from(text))
        };
        let tokens = Tokens {
            shown: token(text)?,
            second: token(second),
        };
        Some(Self(Arc::new(RwLock::new(tokens))))
    }

    /// Shows and accepts from now on what `other` does.
    pub fn replace_with(&self, other: &ClusterToken) {
        let tokens = other.tokens();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = tokens;
    }

    /// The value of the `authorization` header.
    #[must_use]
    pub fn header(&self) -> String {
        format!("Bearer {}", self.tokens().shown)
    }

    /// Whether an `authorization` header carries a token of this cluster.
    #[must_use]
    pub fn accepts(&self, header: Option<&[u8]>) -> bool {
        let Some(given) = header.and_then(|value| value.strip_prefix(b"Bearer ")) else {
            return false;
        };
        let Tokens { shown, second } = self.tokens();
        is_same(given, &shown) || second.is_some_and(|second| is_same(given, &second))
    }

    fn tokens(&self) -> Tokens {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Takes the same time wherever a wrong token differs.
fn is_same(given: &[u8], ours: &str) -> bool {
    let difference = given
        .iter()
        .zip(ours.as_bytes())
        .fold(0_u8, |sum, (a, b)| sum | (a ^ b));
    given.len() == ours.len() && difference == 0
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

#[cfg(test)]
mod tests;
