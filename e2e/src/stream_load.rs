//! A client of Stream Load on this machine.

use std::time::Duration;

use futures::StreamExt;
use kube::Client;
use reqwest::{StatusCode, redirect::Policy};
use serde_json::Value;
use springtide_contract::ports;

use crate::{Error, Result, sql::Door, target::Target};

/// One request, with the load.
const LIMIT: Duration = Duration::from_secs(120);

/// How a load gets to a compute node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To the compute node that the frontend names.
    Redirect,
    /// Through the frontend, for clients that reach no compute node.
    Proxy,
}

/// Loads rows into the tables of a cluster, as its administrator.
#[derive(Debug)]
pub struct StreamLoad {
    door: Door,
    user: String,
    password: String,
}

impl StreamLoad {
    /// Opens the way to the frontends' HTTP port.
    pub async fn open(
        target: &Target,
        client: &Client,
        namespace: &str,
        service: &str,
        user: &str,
        password: &str,
    ) -> Result<Self> {
        Ok(Self {
            door: Door::open(target, client, namespace, service, ports::FE_HTTP).await?,
            user: user.to_owned(),
            password: password.to_owned(),
        })
    }

    /// Loads CSV rows into `database.table`; gives the engine's answer.
    pub async fn load(&self, table: (&str, &str), headers: &[(&str, &str)], body: &str, way: Way) -> Result<Value> {
        self.load_slowly(table, headers, body, way, Duration::ZERO).await
    }

    /// As [`StreamLoad::load`], of a client whose rows come one by one, the last of them after `lasts`.
    pub async fn load_slowly(
        &self,
        table: (&str, &str),
        headers: &[(&str, &str)],
        body: &str,
        way: Way,
        lasts: Duration,
    ) -> Result<Value> {
        let (database, table) = table;
        let url = format!("http://{}/api/{database}/{table}/_stream_load", self.door.address());
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .timeout(LIMIT)
            .build()
            .map_err(failed("make a client"))?;
        let send = async |url: &str| {
            let mut request = client
                .put(url)
                .basic_auth(&self.user, Some(&self.password))
                .header("expect", "100-continue")
                .header("column_separator", ",")
                .body(paced(body, lasts));
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            if way == Way::Proxy {
                request = request.header("x-springtide-proxy", "1");
            }
            request.send().await.map_err(failed("send a load"))
        };
        let mut answer = send(&url).await?;
        if way == Way::Redirect && answer.status().is_success() {
            return Err(Error::Missing(
                "the frontend took a load itself, without a redirect".into(),
            ));
        }
        if way == Way::Redirect && answer.status() == StatusCode::TEMPORARY_REDIRECT {
            let location = answer
                .headers()
                .get("location")
                .and_then(|location| location.to_str().ok())
                .and_then(|location| reqwest::Url::parse(location).ok())
                .ok_or_else(|| Error::Missing("the redirect of a load leads nowhere".into()))?;
            answer = send(location.as_str()).await?;
        }
        let text = answer.text().await.map_err(failed("read the answer of a load"))?;
        serde_json::from_str(&text).map_err(|error| Error::Missing(format!("a JSON answer of a load: {error}: {text}")))
    }
}

/// A body whose lines come one by one; with no time for them, all at once.
fn paced(body: &str, lasts: Duration) -> reqwest::Body {
    if lasts.is_zero() {
        return body.to_owned().into();
    }
    let lines: Vec<String> = body.split_inclusive('\n').map(str::to_owned).collect();
    let pause = lasts / u32::try_from(lines.len()).unwrap_or(u32::MAX).max(1);
    let lines = futures::stream::iter(lines).then(move |line| async move {
        tokio::time::sleep(pause).await;
        Ok::<_, std::io::Error>(line)
    });
    reqwest::Body::wrap_stream(lines)
}

fn failed(doing: &'static str) -> impl FnOnce(reqwest::Error) -> Error {
    move |error| {
        let cause = std::error::Error::source(&error)
            .map(ToString::to_string)
            .unwrap_or_default();
        Error::Missing(format!("{doing}: {error}: {cause}"))
    }
}
