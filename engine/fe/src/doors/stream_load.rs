//! Stream Load at the frontend: finds a compute node, and sends the client or its bytes there.
//!
//! As in StarRocks the client says `Expect: 100-continue` and is answered by a 307 before it sends a byte. A client that cannot
//! reach compute nodes, from outside of the cluster's network, adds `X-Springtide-Proxy: 1` or `?proxy=true`, and its bytes go
//! through the frontend.

use std::{net::SocketAddr, time::Duration};

use axum::{
    body::Body,
    extract::{ConnectInfo, Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode, Uri,
        header::{CONNECTION, CONTENT_TYPE, EXPECT, HOST, LOCATION, TRANSFER_ENCODING, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use rand::seq::IndexedRandom;
use springtide_contract::drain::longest_commit;
use springtide_model::DEFAULT_WAREHOUSE;
use springtide_rpc::message::REDIRECT_PARAMETER;

use super::{
    CoreSlot,
    basic::{self, Denied},
    http::{failed, not_ready},
};
use crate::core::{Core, NodeView, Patience, Route, transactions::DEFAULT_TIMEOUT};

/// Header that asks for the bytes to go through the frontend.
const PROXY_HEADER: &str = "x-springtide-proxy";
/// Header that names the warehouse whose nodes load.
const WAREHOUSE_HEADER: &str = "warehouse";
/// Header with the seconds that a load may take.
const TIMEOUT_HEADER: &str = "timeout";
/// Time beyond the load's own for the node to answer.
const PROXY_SLACK: Duration = Duration::from_secs(60);
/// Time to open a connection to a node.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Carries bytes to compute nodes.
#[derive(Clone, Debug)]
pub(super) struct Proxy(Option<reqwest::Client>);

impl Proxy {
    pub(super) fn new() -> Self {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .build();
        if let Err(error) = &client {
            tracing::error!(%error, "cannot carry Stream Loads through the frontend");
        }
        Self(client.ok())
    }
}

/// What the door needs.
#[derive(Clone, Debug)]
pub(super) struct Door {
    pub(super) slot: CoreSlot,
    pub(super) proxy: Proxy,
}

pub(super) async fn stream_load(
    State(door): State<Door>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let Some(core) = door.slot.ready() else {
        return not_ready();
    };
    if let Err(denied) = basic::authenticate(core, request.headers()) {
        return unauthorized(&denied, peer);
    }
    let expects = request.headers().get(EXPECT);
    if !expects.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return failed(StatusCode::BAD_REQUEST, "There is no 100-continue header");
    }
    let (_route, node) = match choose_node(core, request.headers()).await {
        Ok(chosen) => chosen,
        Err(message) => return failed(StatusCode::INTERNAL_SERVER_ERROR, &message),
    };
    let Some(url) = url_at(&node, request.uri()) else {
        return failed(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the compute node has no usable address",
        );
    };
    if wants_proxy(request.headers(), request.uri()) {
        return carry(core, &door.proxy, &node, url, request).await;
    }
    let separator = if url.contains('?') { '&' } else { '?' };
    let redirect = core.expect_at(node.node.id);
    let url = format!("{url}{separator}{REDIRECT_PARAMETER}={redirect}");
    (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, url)]).into_response()
}

fn unauthorized(denied: &Denied, peer: SocketAddr) -> Response {
    let message = match denied {
        Denied::NoCredentials => "Need auth information.".to_owned(),
        Denied::Wrong { user } => format!("Access denied for {user}@{}", peer.ip()),
    };
    let mut response = failed(StatusCode::UNAUTHORIZED, &message);
    let realm = HeaderValue::from_static("Basic realm=\"\"");
    response.headers_mut().insert(WWW_AUTHENTICATE, realm);
    response
}

/// Any node of the warehouse that takes work, as soon as there is one: loads spread by chance. It is not drained while the route is
/// held; all others may be.
async fn choose_node(core: &Core, headers: &HeaderMap) -> Result<(Route, NodeView), String> {
    let warehouse = headers
        .get(WAREHOUSE_HEADER)
        .map_or(Ok(DEFAULT_WAREHOUSE), HeaderValue::to_str)
        .map_err(|_| "header 'warehouse' must be plain text".to_owned())?;
    let mut route = core
        .load_route_when_available(warehouse, "a Stream Load through the frontend", Patience::STREAM_LOAD)
        .await;
    let Some(node) = route.nodes().choose(&mut rand::rng()).cloned() else {
        let instead = core.instead_of(warehouse, "set the header 'warehouse' to");
        return Err(format!("Warehouse {warehouse} is not available; {instead}."));
    };
    route.keep_only(node.node.id);
    Ok((route, node))
}

fn url_at(node: &NodeView, uri: &Uri) -> Option<String> {
    let port = node.reply.as_ref()?.http_port;
    let path = uri.path_and_query().map_or(uri.path(), |both| both.as_str());
    Some(format!("http://{}{path}", node.authority(port)))
}

fn wants_proxy(headers: &HeaderMap, uri: &Uri) -> bool {
    let by_header = headers
        .get(PROXY_HEADER)
        .is_some_and(|value| value == "1" || value == "true");
    let by_query = uri
        .query()
        .is_some_and(|query| query.split('&').any(|pair| pair == "proxy=true" || pair == "proxy=1"));
    by_header || by_query
}

/// Carries the request's bytes to the node and the node's answer back. Not repeated: the bytes are gone, and the label tells
/// the client whether it may.
async fn carry(core: &Core, proxy: &Proxy, node: &NodeView, url: String, request: Request) -> Response {
    let Some(client) = &proxy.0 else {
        return failed(
            StatusCode::INTERNAL_SERVER_ERROR,
            "this frontend cannot carry Stream Loads",
        );
    };
    let timeout = answer_timeout(request.headers(), node);
    let (head, body) = request.into_parts();
    let mut headers = head.headers;
    for name in [
        HOST,
        CONNECTION,
        TRANSFER_ENCODING,
        HeaderName::from_static(PROXY_HEADER),
    ] {
        headers.remove(name);
    }
    let sent = client
        .put(url)
        .headers(headers)
        .timeout(timeout)
        .body(reqwest::Body::wrap_stream(body.into_data_stream()))
        .send()
        .await;
    match sent {
        Ok(answer) => {
            let mut response = Response::builder().status(answer.status());
            if let Some(kind) = answer.headers().get(CONTENT_TYPE) {
                response = response.header(CONTENT_TYPE, kind);
            }
            response
                .body(Body::from_stream(answer.bytes_stream()))
                .unwrap_or_else(|_| failed(StatusCode::BAD_GATEWAY, "the compute node's answer cannot be passed on"))
        }
        Err(error) => {
            if error.is_connect() {
                core.report_unreachable(node.node.id);
            }
            let problem = if error.is_timeout() && !error.is_connect() {
                format!("it did not answer within {} s", timeout.as_secs())
            } else {
                error.without_url().to_string()
            };
            failed(
                StatusCode::BAD_GATEWAY,
                &format!(
                    "compute node {} did not finish the load: {problem}; load again under the same label",
                    node.node.host
                ),
            )
        }
    }
}

/// How long the node may take: as long as the load, but for no longer than its drain lets a load go on there. A node that hangs would
/// keep its drain waiting for the client's time.
fn answer_timeout(headers: &HeaderMap, node: &NodeView) -> Duration {
    let asked = load_timeout(headers) + PROXY_SLACK;
    let drain_timeout = node
        .reply
        .as_ref()
        .map(|reply| Duration::from_secs(reply.drain_timeout_s));
    drain_timeout
        .and_then(longest_commit)
        .map_or(asked, |longest| asked.min(longest))
}

fn load_timeout(headers: &HeaderMap) -> Duration {
    headers
        .get(TIMEOUT_HEADER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map_or(DEFAULT_TIMEOUT, Duration::from_secs)
        .min(crate::core::transactions::MAX_TIMEOUT)
}
