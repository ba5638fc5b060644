//! The process that deletes the data of a cluster on S3, of whichever engine: the bundled engine's own program, which knows how to
//! talk to a store and whose a place is.

use k8s_openapi::api::core::v1::{
    Container, DownwardAPIVolumeFile, DownwardAPIVolumeSource, EmptyDirVolumeSource, ObjectFieldSelector, Volume,
    VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use springtide_contract::config::{ComputeConfig, FrontendConfig};
use springtide_contract::paths;

use super::{CONFIG_FILE, USER, engine_config, files, read_only, storage_keys};
use crate::flavour::PodShape;
use crate::lake_cluster::ClusterShape;
use crate::names;
use crate::settings::Settings;

/// The engine's configuration as the process reads it. It stands in an annotation of the pod: a ConfigMap would be one object more that
/// has to be taken away in the end.
pub(crate) fn config(cluster: &ClusterShape) -> String {
    let mut config = engine_config(cluster);
    // It runs neither.
    config.frontend = FrontendConfig::default();
    config.compute = ComputeConfig::default();
    config.tls = false;
    files(&config).remove(CONFIG_FILE).unwrap_or_default()
}

/// The pod, as far as the engine decides it. `place` is what somebody has asked for by name; `claims_place` says whether only what is known
/// to be the cluster's is deleted there, or everything.
pub(crate) fn pod(cluster: &ClusterShape, place: &str, claims_place: bool, settings: &Settings) -> PodShape {
    let mut arguments = vec!["delete-data".to_owned(), "--place".to_owned(), place.to_owned()];
    if !claims_place {
        arguments.push("--whole-prefix".to_owned());
    }
    let directory = paths::ENGINE_CONFIG
        .rsplit_once('/')
        .map_or("/", |(directory, _)| directory);
    let mut volumes = vec![
        Volume {
            name: "config".to_owned(),
            downward_api: Some(DownwardAPIVolumeSource {
                items: Some(vec![DownwardAPIVolumeFile {
                    path: CONFIG_FILE.to_owned(),
                    field_ref: Some(ObjectFieldSelector {
                        api_version: Some("v1".to_owned()),
                        field_path: format!("metadata.annotations['{}']", names::ENGINE_CONFIG_ANNOTATION),
                    }),
                    ..DownwardAPIVolumeFile::default()
                }]),
                ..DownwardAPIVolumeSource::default()
            }),
            ..Volume::default()
        },
        Volume {
            name: "tmp".to_owned(),
            empty_dir: Some(EmptyDirVolumeSource {
                size_limit: Some(Quantity("64Mi".to_owned())),
                ..EmptyDirVolumeSource::default()
            }),
            ..Volume::default()
        },
    ];
    let mut mounts = vec![
        read_only("config", directory),
        VolumeMount {
            name: "tmp".to_owned(),
            mount_path: "/tmp".to_owned(),
            ..VolumeMount::default()
        },
    ];
    if let Some((volume, mount)) = storage_keys(cluster) {
        volumes.push(volume);
        mounts.push(mount);
    }
    PodShape {
        engine: Container {
            name: names::ENGINE_CONTAINER.to_owned(),
            // Not the cluster's own: an older one may not know how, and another engine never does.
            image: Some(settings.engine_image.clone()),
            args: Some(arguments),
            volume_mounts: Some(mounts),
            ..Container::default()
        },
        sidecars: Vec::new(),
        volumes,
        user: USER,
        read_only_root: true,
    }
}
