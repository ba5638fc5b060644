//! The local Kubernetes, by the scripts in `kubernetes/`, and waiting for what happens in any Kubernetes.

use std::{fmt::Debug, path::PathBuf, time::Duration};

use kube::{Api, api::DynamicObject};
use serde::de::DeserializeOwned;
use tokio::{net::TcpStream, time::Instant};

use crate::{Error, Result, places::Places, process::run, timeline::Progress};

#[cfg(test)]
mod tests;

/// Building Kubernetes the first time takes 17 minutes of two free cores, more when they are busy.
const UP_LIMIT: Duration = Duration::from_secs(60 * 60);
/// Stopping takes seconds.
const DOWN_LIMIT: Duration = Duration::from_secs(300);
/// Time between two looks at something that is waited for.
const LOOK_INTERVAL: Duration = Duration::from_millis(300);

/// Installs the Debian packages that this machine lacks.
pub async fn packages(places: &Places, progress: &Progress) -> Result<()> {
    run(places.e2e("packages"), Duration::from_secs(600))
        .with(progress)
        .await
}

/// Starts a Kubernetes of `nodes` nodes on this machine, or adds what is missing of one that runs.
pub async fn up(places: &Places, nodes: u8, progress: &Progress) -> Result<()> {
    run(places.e2e("kubernetes/up"), UP_LIMIT)
        .arg(nodes.to_string())
        .with(progress)
        .await?;
    progress.say(format!("{nodes} node{}", if nodes == 1 { "" } else { "s" }));
    Ok(())
}

/// Stops it and removes every trace of it but the binaries in the cache.
pub async fn down(places: &Places, progress: &Progress) -> Result<()> {
    run(places.e2e("kubernetes/down"), DOWN_LIMIT).with(progress).await
}

/// Builds the cluster's programs where they are missing, and says where `kubectl` and `helm` are.
pub async fn programs(places: &Places, progress: &Progress) -> Result<PathBuf> {
    run(places.e2e("kubernetes/build"), UP_LIMIT).with(progress).await?;
    let folder = run(places.e2e("kubernetes/build"), UP_LIMIT)
        .arg("bin")
        .output()
        .await?;
    Ok(folder.trim().into())
}

/// What a look at something found.
#[derive(Debug)]
pub enum Look<T> {
    /// It is as wanted.
    Done(T),
    /// Not yet; what was seen instead.
    NotYet(String),
}

/// Looks again and again, until it is `Done` or `limit` has passed. An error ends the wait at once; a look that may fail for
/// a moment says `NotYet`.
pub async fn wait_until<T>(
    what: &str,
    limit: Duration,
    progress: &Progress,
    mut look: impl AsyncFnMut() -> Result<Look<T>>,
) -> Result<T> {
    let end = Instant::now() + limit;
    let mut last = String::new();
    loop {
        match tokio::time::timeout_at(end, look()).await {
            Ok(Ok(Look::Done(value))) => return Ok(value),
            Ok(Ok(Look::NotYet(seen))) => {
                progress.say(seen.as_str());
                last = seen;
            }
            Ok(Err(error)) => return Err(error),
            Err(_) => {}
        }
        if Instant::now() + LOOK_INTERVAL >= end {
            return Err(Error::Timeout {
                what: what.into(),
                seconds: limit.as_secs(),
                last,
            });
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// Waits until somebody listens at an address, at most `limit`: what a client does whose server is away. Answers whether somebody does.
pub async fn listens(host: &str, port: u16, limit: Duration) -> bool {
    let connected = async {
        while TcpStream::connect((host, port)).await.is_err() {
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    };
    tokio::time::timeout(limit, connected).await.is_ok()
}

/// Reads one object; `None` when it is not there.
pub async fn get<K>(api: &Api<K>, name: &str) -> Result<Option<K>>
where
    K: Clone + DeserializeOwned + Debug,
{
    api.get_opt(name)
        .await
        .map_err(Error::kubernetes(format!("get {name}")))
}

/// A standard condition of an object: its status and, for people, `reason: message`.
pub fn condition(object: &DynamicObject, kind: &str) -> Option<(String, String)> {
    let conditions = object.data.pointer("/status/conditions")?.as_array()?;
    let condition = conditions.iter().find(|condition| condition["type"] == kind)?;
    let text = |field: &str| condition[field].as_str().unwrap_or_default();
    Some((
        text("status").into(),
        format!("{kind}={} {}: {}", text("status"), text("reason"), text("message")),
    ))
}
