//! What every department stands on: a Kubernetes with the images, an S3 server, the operator.

use std::path::PathBuf;

use crate::{
    Error, Result, cluster, departments,
    images::{self, Delivery, Image},
    places::Places,
    storage::{self, Storage},
    target::Target,
    timeline::Timeline,
};

/// Where it is.
#[derive(Clone, Debug)]
pub struct Options {
    /// Nodes of the local Kubernetes.
    pub nodes: u8,
    /// Another Kubernetes, with the way by which images get there.
    pub context: Option<(String, Delivery)>,
    /// Only say how images would get there.
    pub dry_run: bool,
}

/// What every department stands on.
#[derive(Debug)]
pub struct Platform {
    /// The Kubernetes.
    pub target: Target,
    /// The S3 server.
    pub storage: Storage,
}

/// A Kubernetes with the images, the S3 server and the operator; nothing of that in a dry run.
pub async fn start(places: &Places, timeline: &Timeline, options: &Options) -> Result<Option<Platform>> {
    let (target, tools, images) = prepare(places, timeline, options).await?;
    if options.dry_run {
        for image in &images {
            timeline.note(target.delivery.command(places, image, &tools).line());
        }
        return Ok(None);
    }
    timeline
        .step("images to the nodes", async |p| {
            images::deliver(places, &target.delivery, &images, &tools, &p).await
        })
        .await?;
    let server = images.iter().find(|image| image.short_name() == images::S3_SERVER);
    let server = server.ok_or_else(|| Error::Missing("images/build made no versitygw".into()))?;
    let client = target.client().await?;
    timeline
        .step("registry login", async |p| {
            for namespace in [departments::OPERATOR_NAMESPACE, storage::NAMESPACE] {
                storage::namespace(&client, namespace).await?;
                departments::pull_secret(&target, &client, namespace).await?;
            }
            p.say(
                if matches!(target.delivery, Delivery::Registry { login: Some(_), .. }) {
                    "in a pull secret"
                } else {
                    "none needed"
                },
            );
            Ok(())
        })
        .await?;

    timeline.heading("Platform");
    let storage = timeline
        .step("S3 server (versitygw)", async |p| {
            let storage = storage::start(&target, places, server, tools.clone(), &p).await?;
            p.say(format!(
                "{} in the cluster, {} from here",
                storage::ENDPOINT,
                storage.url()
            ));
            Ok(storage)
        })
        .await?;
    timeline
        .step("operator by helm", async |p| {
            departments::install_operator(&target, places, &p).await
        })
        .await?;
    Ok(Some(Platform { target, storage }))
}

/// A cluster, and the images as archives.
async fn prepare(places: &Places, timeline: &Timeline, options: &Options) -> Result<(Target, PathBuf, Vec<Image>)> {
    timeline.heading("This machine");
    timeline
        .step("packages", async |p| cluster::packages(places, &p).await)
        .await?;
    let target = match &options.context {
        None => {
            timeline
                .step("Kubernetes", async |p| cluster::up(places, options.nodes, &p).await)
                .await?;
            Target::local(places)
        }
        Some((context, delivery)) => {
            let programs = timeline
                .step("kubectl and helm", async |p| cluster::programs(places, &p).await)
                .await?;
            Target::context(context.clone(), delivery.clone(), programs)
        }
    };
    let tools = timeline
        .step("tools", async |p| {
            images::tools(places, target.delivery.tools(), &p).await
        })
        .await?;
    let images = timeline
        .step("images", async |p| images::pack(places, &p).await)
        .await?;
    Ok((target, tools, images))
}
