//! An API server of constant answers: what it has no answer for is forbidden.

#![allow(
    clippy::needless_pass_by_value,
    reason = "what json! makes reads better without a borrow"
)]

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use http::{Request, Response};
use kube::{Client, client::Body};
use serde_json::{Value, json};

/// Paths with what their query has to hold, and the answers.
#[derive(Clone, Debug, Default)]
pub(super) struct ApiServer {
    answers: Vec<(String, String, Vec<u8>)>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl ApiServer {
    /// One that tells its version.
    pub(super) fn new() -> Self {
        let version = json!({
            "major": "1", "minor": "33", "gitVersion": "v1.33.1", "gitCommit": "", "gitTreeState": "", "buildDate": "", "goVersion": "",
            "compiler": "", "platform": "linux/amd64",
        });
        Self::default().object("/version", version)
    }

    /// The list at a path has these items.
    pub(super) fn list(self, path: &str, items: Value) -> Self {
        self.page(path, "", items, "")
    }

    /// One page of a list: `query` is part of the request's query, `next` the token of the page after it.
    pub(super) fn page(self, path: &str, query: &str, items: Value, next: &str) -> Self {
        let list = json!({"apiVersion": "v1", "kind": "List", "metadata": {"continue": next}, "items": items});
        self.answer(path, query, list.to_string().into_bytes())
    }

    pub(super) fn object(self, path: &str, object: Value) -> Self {
        self.answer(path, "", object.to_string().into_bytes())
    }

    /// `query` is part of the request's query; the first answer that fits is given.
    pub(super) fn answer(mut self, path: &str, query: &str, answer: Vec<u8>) -> Self {
        self.answers.push((path.to_owned(), query.to_owned(), answer));
        self
    }

    pub(super) fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let response = server.respond(&request);
            async move { Ok::<_, Infallible>(response) }
        });
        Client::new(service, "default")
    }

    /// The requests so far.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn respond(&self, request: &Request<Body>) -> Response<Body> {
        let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
        self.asked
            .lock()
            .unwrap()
            .push(format!("{} {path}?{query}", request.method()));
        let fits = |(at, with, _): &&(String, String, Vec<u8>)| at == path && query.contains(with.as_str());
        let (code, body) = match self.answers.iter().find(fits) {
            Some((_, _, answer)) => (200, answer.clone()),
            None => {
                let status = json!({
                    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Forbidden", "code": 403,
                    "message": format!("you may not read {path}"),
                });
                (403, status.to_string().into_bytes())
            }
        };
        let response = Response::builder()
            .status(code)
            .header("content-type", "application/json");
        response.body(Body::from(body)).unwrap()
    }
}
