//! The four images, and the ways by which they get to a cluster's nodes.
//!
//! Names carry no registry host (`springtide.dev/engine:0.1.0`), so that a node takes what was put into it. For a registry the
//! same images are pushed as `REGISTRY/springtide.dev/engine:0.1.0`, as the chart's `imageRegistry` expects.

use std::{path::PathBuf, time::Duration};

use crate::{
    Error, Result,
    places::Places,
    process::{Run, run},
    timeline::Progress,
};

#[cfg(test)]
mod tests;

/// The S3 server's program.
pub const S3_SERVER: &str = "versitygw";
/// Building the tools the first time takes minutes of two free cores.
const TOOLS_LIMIT: Duration = Duration::from_secs(45 * 60);
/// Packing or loading all images; a debug engine is some hundred MB.
const LIMIT: Duration = Duration::from_secs(900);

/// One image as an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The archive, as `docker load` takes it.
    pub archive: PathBuf,
    /// Its name without a registry: `springtide.dev/engine:0.1.0`.
    pub name: String,
    /// Size of the archive, for people.
    pub size: String,
}

impl Image {
    /// `engine` of `springtide.dev/engine:0.1.0`.
    pub fn short_name(&self) -> &str {
        let path = self.name.rsplit_once('/').map_or(self.name.as_str(), |(_, last)| last);
        path.split_once(':').map_or(path, |(name, _)| name)
    }

    /// Its name in a registry.
    pub fn in_registry(&self, registry: &str) -> String {
        format!("{}/{}", registry.trim_end_matches('/'), self.name)
    }
}

/// How images get to the nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Into the containerd of each node of the local Kubernetes.
    LocalNodes,
    /// `kind load image-archive`.
    Kind {
        /// Name of the kind cluster.
        cluster: String,
    },
    /// `k3d image import`.
    K3d {
        /// Name of the k3d cluster.
        cluster: String,
    },
    /// Pushed to a registry, from which the nodes pull.
    Registry {
        /// Address and path: `registry.example.com/analytics`.
        registry: String,
        /// A Docker `config.json` with the registry's login, for the push and as the pods' pull secret.
        login: Option<PathBuf>,
    },
}

impl Delivery {
    /// The way for a context: `kind-NAME` and `k3d-NAME` say it themselves, any other needs a registry.
    pub fn for_context(context: &str, registry: Option<String>, login: Option<PathBuf>) -> Result<Self> {
        if let Some(registry) = registry {
            return Ok(Self::Registry { registry, login });
        }
        if let Some(cluster) = context.strip_prefix("kind-") {
            Ok(Self::Kind {
                cluster: cluster.into(),
            })
        } else if let Some(cluster) = context.strip_prefix("k3d-") {
            Ok(Self::K3d {
                cluster: cluster.into(),
            })
        } else {
            Err(Error::Missing(format!(
                "how do images get to the cluster of context {context}? name a registry that it pulls from with REGISTRY=host/path \
                 (and REGISTRY_LOGIN=config.json where it wants a password); contexts kind-* and k3d-* need none"
            )))
        }
    }

    /// The tools that this way and the S3 server need.
    pub fn tools(&self) -> &'static [&'static str] {
        match self {
            Self::Registry { .. } => &[S3_SERVER, "crane"],
            Self::LocalNodes | Self::Kind { .. } | Self::K3d { .. } => &[S3_SERVER],
        }
    }

    /// The name under which the nodes know an image.
    pub fn name_of(&self, image: &Image) -> String {
        match self {
            Self::Registry { registry, .. } => image.in_registry(registry),
            Self::LocalNodes | Self::Kind { .. } | Self::K3d { .. } => image.name.clone(),
        }
    }

    /// The command that brings one image to the nodes.
    pub fn command(&self, places: &Places, image: &Image, tools: &std::path::Path) -> Run {
        match self {
            Self::LocalNodes => run(places.e2e("kubernetes/load"), LIMIT).arg(&image.archive),
            Self::Kind { cluster } => run("kind", LIMIT)
                .args(["load", "image-archive"])
                .arg(&image.archive)
                .args(["--name", cluster]),
            Self::K3d { cluster } => run("k3d", LIMIT)
                .args(["image", "import"])
                .arg(&image.archive)
                .args(["--cluster", cluster]),
            Self::Registry { registry, login } => {
                let push = run(tools.join("crane"), LIMIT)
                    .arg("push")
                    .arg(&image.archive)
                    .arg(image.in_registry(registry));
                match login.as_ref().and_then(|file| file.parent()) {
                    Some(folder) => push.env("DOCKER_CONFIG", folder),
                    None => push,
                }
            }
        }
    }
}

/// Builds tools of `tools/` where they are missing, and says in which folder they are.
pub async fn tools(places: &Places, names: &[&str], progress: &Progress) -> Result<PathBuf> {
    let build = places.e2e("tools/build");
    run(&build, TOOLS_LIMIT).args(names).with(progress).await?;
    Ok(run(&build, LIMIT).arg("bin").output().await?.trim().into())
}

/// Packs the images of the programs that cargo built, those that changed.
pub async fn pack(places: &Places, progress: &Progress) -> Result<Vec<Image>> {
    pack_as(places, env!("CARGO_PKG_VERSION"), &places.images(), progress).await
}

/// The same with the tags of another version, beside them: the next release, as far as Kubernetes is concerned.
pub async fn pack_next(places: &Places, version: &str, progress: &Progress) -> Result<Vec<Image>> {
    pack_as(places, version, &places.images().join(version), progress).await
}

async fn pack_as(places: &Places, version: &str, folder: &std::path::Path, progress: &Progress) -> Result<Vec<Image>> {
    let printed = run(places.e2e("images/build"), LIMIT)
        .arg(places.programs())
        .arg(folder)
        .arg(version)
        .output()
        .await?;
    let images: Vec<Image> = printed.lines().filter_map(parse).collect();
    progress.say(
        images
            .iter()
            .map(|image| format!("{} {}", image.short_name(), image.size))
            .collect::<Vec<_>>()
            .join(", "),
    );
    Ok(images)
}

/// Brings the images to the nodes; with `dry_run`, only prints how.
pub async fn deliver(
    places: &Places,
    delivery: &Delivery,
    images: &[Image],
    tools: &std::path::Path,
    progress: &Progress,
) -> Result<()> {
    for image in images {
        progress.say(image.name.as_str());
        delivery.command(places, image, tools).with(progress).await?;
    }
    progress.say(match delivery {
        Delivery::LocalNodes => "in every node".to_owned(),
        Delivery::Kind { cluster } => format!("in kind cluster {cluster}"),
        Delivery::K3d { cluster } => format!("in k3d cluster {cluster}"),
        Delivery::Registry { registry, .. } => format!("in {registry}"),
    });
    Ok(())
}

fn parse(line: &str) -> Option<Image> {
    let mut words = line.split(' ');
    Some(Image {
        archive: words.next()?.into(),
        name: words.next()?.into(),
        size: words.next()?.into(),
    })
}
