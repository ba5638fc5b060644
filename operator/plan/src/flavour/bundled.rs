//! Springtide's own engine.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, Container, EmptyDirVolumeSource, EnvVar, KeyToPath, Lifecycle, LifecycleHandler, Probe,
    ResourceRequirements, SecretVolumeSource, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::{Map, Value};
use springtide_contract::config::{ComputeConfig, EngineConfig, FORMAT_VERSION, FrontendConfig, StorageConfig};
use springtide_contract::settings::{FRONTEND_SETTINGS, FrontendSetting, SettingError};
use springtide_contract::{paths, ports};

use super::{
    Capabilities, ConfigError, Cordon, DynamicSetting, Flavour, PodShape, UpgradeStep, env, env_from_field, http_get,
    nearest::nearest, port, probe, with_tag,
};
use crate::compute_group::ComputeShape;
use crate::lake_cluster::ClusterShape;
use crate::names;
use crate::settings::Settings;
use crate::sql::{AdminStatement, ComputeNodeRow};
use crate::units;

pub(crate) mod data_deletion;

/// User and group of the image.
const USER: i64 = 10001;
/// The engine's configuration in its ConfigMap.
const CONFIG_FILE: &str = "engine.json";
/// Seconds that a starting process may take; replaying a long journal takes most.
const STARTUP_S: i32 = 600;
/// Seconds that a compute node which does not answer its liveness probe has to end, its hook included.
const HUNG_GRACE_S: i64 = 30;
/// Part of the local volume that the engine uses; the rest is for what it cannot count.
const LOCAL_PERCENT: u64 = 85;
/// Where settings of frontends are written.
const FRONTENDS_CONFIG: &str = "frontends.config";
/// Settings of [`ComputeConfig`] that the operator derives from the ComputeGroup.
const RESERVED_COMPUTE: &[(&str, &str)] = &[
    ("drainTimeoutS", "drain.timeout of the ComputeGroup"),
    ("localLimitBytes", "cacheSize of the ComputeGroup"),
];

/// Springtide's own engine.
#[derive(Clone, Copy, Debug)]
pub struct Bundled;

impl Flavour for Bundled {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            warehouses: true,
            followers: false,
            cordon: Cordon::EngineState,
            queue: true,
            initial_account: None,
            reloads_credentials: true,
            serves_tls: true,
            claims_place: true,
        }
    }

    fn upgrade_order(&self) -> &'static [UpgradeStep] {
        &[UpgradeStep::Compute, UpgradeStep::FrontendLeader]
    }

    fn frontend_image(&self, version: &str, settings: &Settings) -> String {
        with_tag(&settings.engine_image, version)
    }

    fn compute_image(&self, version: &str, settings: &Settings) -> String {
        with_tag(&settings.engine_image, version)
    }

    fn check_config(
        &self,
        frontends: &BTreeMap<String, String>,
        compute: &BTreeMap<String, String>,
    ) -> Result<(), ConfigError> {
        numbers(FRONTENDS_CONFIG, frontends, &FrontendConfig::default(), &[])?;
        for (name, value) in frontends {
            make_sense(name, value)?;
        }
        numbers(
            "computeTemplate.config",
            compute,
            &ComputeConfig::default(),
            RESERVED_COMPUTE,
        )?;
        Ok(())
    }

    fn dynamic_settings(&self) -> Vec<DynamicSetting> {
        let dynamic = FRONTEND_SETTINGS.iter().filter(|setting| setting.is_dynamic);
        dynamic
            .map(|setting| DynamicSetting {
                name: setting.name,
                sql_name: setting.sql_name,
                default: setting.default_value().to_string(),
            })
            .collect()
    }

    fn with_dynamic(
        &self,
        files: &BTreeMap<String, String>,
        settings: &BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let mut files = files.clone();
        if let Some(text) = files.get_mut(CONFIG_FILE)
            && let Some(changed) = with_dynamic(text, settings)
        {
            *text = changed;
        }
        files
    }

    fn smallest_metadata_volume(&self) -> Option<&'static str> {
        None
    }

    fn frontend_files(&self, cluster: &ClusterShape) -> BTreeMap<String, String> {
        let mut config = engine_config(cluster);
        // A frontend does not read it, and must not roll because it changes.
        config.compute = ComputeConfig::default();
        files(&config)
    }

    fn compute_files(&self, compute: &ComputeShape) -> BTreeMap<String, String> {
        let mut config = engine_config(&compute.cluster);
        // The same the other way round.
        config.frontend = FrontendConfig::default();
        config.compute.drain_timeout_s = compute.drain_timeout.as_secs();
        config.compute.local_limit_bytes = local_limit_bytes(compute);
        files(&config)
    }

    fn frontend_pod(&self, cluster: &ClusterShape, files: &str) -> PodShape {
        let health = "/api/health";
        let (mut volumes, mut mounts) = common_volumes(cluster, files);
        for (name, secret, directory) in [
            ("admin", names::admin_secret(&cluster.name), paths::ADMIN_ACCOUNT),
            (
                "operator",
                names::operator_secret(&cluster.name),
                paths::OPERATOR_ACCOUNT,
            ),
        ] {
            volumes.push(secret_volume(name, &secret, &[]));
            mounts.push(read_only(name, directory));
        }
        mounts.push(VolumeMount {
            name: names::METADATA_VOLUME.to_owned(),
            mount_path: paths::FE_META.to_owned(),
            ..VolumeMount::default()
        });
        let engine = Container {
            name: names::ENGINE_CONTAINER.to_owned(),
            image: Some(cluster.frontend_image.clone()),
            args: Some(vec!["fe".to_owned()]),
            env: Some(identity(&names::frontends_headless(&cluster.name))),
            ports: Some(vec![
                port("mysql", ports::FE_MYSQL),
                port("http", ports::FE_HTTP),
                port("rpc", ports::FE_RPC),
                port("edit-log", ports::FE_EDIT_LOG),
            ]),
            startup_probe: Some(probe(health, ports::FE_HTTP, 1, STARTUP_S)),
            readiness_probe: Some(probe(health, ports::FE_HTTP, 2, 2)),
            liveness_probe: Some(probe(health, ports::FE_HTTP, 10, 6)),
            volume_mounts: Some(mounts),
            ..Container::default()
        };
        PodShape {
            engine,
            sidecars: Vec::new(),
            volumes,
            user: USER,
            read_only_root: true,
        }
    }

    fn compute_pod(&self, compute: &ComputeShape, files: &str) -> PodShape {
        let health = "/api/health";
        let cluster = &compute.cluster;
        let drains = !compute.drain_timeout.is_zero();
        let (mut volumes, mut mounts) = common_volumes(cluster, files);
        volumes.push(Volume {
            name: "local".to_owned(),
            empty_dir: Some(EmptyDirVolumeSource {
                size_limit: Some(Quantity(compute.cache_size.0.clone())),
                ..EmptyDirVolumeSource::default()
            }),
            ..Volume::default()
        });
        mounts.push(VolumeMount {
            name: "local".to_owned(),
            mount_path: paths::CN_LOCAL.to_owned(),
            ..VolumeMount::default()
        });
        let engine = Container {
            name: names::ENGINE_CONTAINER.to_owned(),
            image: Some(compute.image.clone()),
            args: Some(vec!["cn".to_owned()]),
            env: Some(identity(&names::compute(&compute.name))),
            ports: Some(vec![
                port("http", ports::CN_HTTP),
                port("heartbeat", ports::CN_HEARTBEAT),
                port("worker", ports::CN_WORKER),
            ]),
            startup_probe: Some(probe(health, ports::CN_HTTP, 1, STARTUP_S)),
            readiness_probe: Some(probe(health, ports::CN_HTTP, 2, 2)),
            liveness_probe: Some(Probe {
                // One that does not answer has no work to end, and its hook would wait as long as for one that has.
                termination_grace_period_seconds: Some(HUNG_GRACE_S),
                ..probe(health, ports::CN_HTTP, 10, 6)
            }),
            lifecycle: drains.then(|| Lifecycle {
                pre_stop: Some(LifecycleHandler {
                    http_get: Some(http_get(&format!("/drain/{}", compute.drain_key), ports::SIDECAR_DRAIN)),
                    ..LifecycleHandler::default()
                }),
                ..Lifecycle::default()
            }),
            volume_mounts: Some(mounts),
            ..Container::default()
        };
        PodShape {
            engine,
            sidecars: drains.then(|| drain_sidecar(compute)).into_iter().collect(),
            volumes,
            user: USER,
            read_only_root: true,
        }
    }

    fn add_compute_node(&self, host: &str, warehouse: &str, warehouse_exists: bool) -> Vec<AdminStatement> {
        let create =
            (!warehouse_exists && warehouse != super::DEFAULT_WAREHOUSE).then(|| AdminStatement::CreateWarehouse {
                warehouse: warehouse.to_owned(),
            });
        let add = AdminStatement::AddComputeNode {
            host: host.to_owned(),
            port: ports::CN_HEARTBEAT,
            warehouse: warehouse.to_owned(),
        };
        create.into_iter().chain([add]).collect()
    }

    fn drop_compute_node(&self, row: &ComputeNodeRow) -> AdminStatement {
        AdminStatement::DropComputeNode {
            node_id: row.id.clone(),
            host: row.host.clone(),
            warehouse: row.warehouse.clone(),
        }
    }

    fn administrator(&self) -> &'static str {
        names::ADMIN_USER
    }

    fn make_accounts(&self, _: &str, _: &str) -> Vec<AdminStatement> {
        Vec::new()
    }
}

/// What the engine may use of its local volume: past the volume's limit the kubelet ends the pod, and what the file system says is
/// free is the whole disk of the machine.
fn local_limit_bytes(compute: &ComputeShape) -> u64 {
    units::bytes(&compute.cache_size).unwrap_or_default() / 100 * LOCAL_PERCENT
}

/// The engine's configuration for a cluster, with the settings of both its frontends and its compute nodes.
fn engine_config(cluster: &ClusterShape) -> EngineConfig {
    EngineConfig {
        format_version: FORMAT_VERSION,
        cluster_name: format!("{}/{}", cluster.namespace, cluster.name),
        cluster_id: cluster.cluster_id.clone(),
        storage: StorageConfig::S3 {
            bucket: cluster.storage.bucket.clone(),
            prefix: cluster.storage.prefix.clone(),
            endpoint: cluster.storage.endpoint.clone(),
            region: cluster.storage.region.clone(),
            path_style: cluster.storage.path_style,
        },
        // Unknown names and texts that are no numbers were refused by `check_config`.
        frontend: numbers(
            FRONTENDS_CONFIG,
            &cluster.frontend_config,
            &FrontendConfig::default(),
            &[],
        )
        .unwrap_or_default(),
        compute: numbers(
            "computeTemplate.config",
            &cluster.compute_config,
            &ComputeConfig::default(),
            &[],
        )
        .unwrap_or_default(),
        tls: cluster.tls_secret.is_some(),
    }
}

/// The file, without settings that are the engine's defaults: a release that knows one more setting writes the same file, and an engine that
/// does not know it yet can read it.
fn files(config: &EngineConfig) -> BTreeMap<String, String> {
    let mut document = serde_json::to_value(config).expect("the configuration is plain data");
    leave_defaults_out(&mut document["frontend"], &FrontendConfig::default());
    leave_defaults_out(&mut document["compute"], &ComputeConfig::default());
    BTreeMap::from([(CONFIG_FILE.to_owned(), text_of(document))])
}

fn text_of(mut document: Value) -> String {
    if let Some(fields) = document.as_object_mut() {
        fields.retain(|_, value| value.as_object().is_none_or(|fields| !fields.is_empty()));
    }
    let text = serde_json::to_string_pretty(&document).expect("a document of JSON has a text");
    text + "\n"
}

/// The file of a frontend with these dynamic settings; `None` where it is none that this operator knows. Defaults are left out, too.
fn with_dynamic(text: &str, settings: &BTreeMap<String, String>) -> Option<String> {
    let mut document: Value = serde_json::from_str(text).ok()?;
    let fields = document.as_object_mut()?;
    let frontend = fields.entry("frontend").or_insert_with(|| Value::Object(Map::new()));
    let frontend = frontend.as_object_mut()?;
    for setting in FRONTEND_SETTINGS.iter().filter(|setting| setting.is_dynamic) {
        let written: Option<u64> = settings.get(setting.name).and_then(|text| text.parse().ok());
        match written.filter(|value| *value != setting.default_value()) {
            Some(value) => frontend.insert(setting.name.to_owned(), Value::from(value)),
            None => frontend.remove(setting.name),
        };
    }
    Some(text_of(document))
}

/// Whether a setting of frontends, which is a number, is one that a frontend takes.
fn make_sense(name: &str, value: &str) -> Result<(), ConfigError> {
    let Some(setting) = FRONTEND_SETTINGS.iter().find(|setting| setting.name == name) else {
        return Ok(());
    };
    match setting.check(value) {
        Err(SettingError::NotAValue { .. }) => Err(ConfigError::NotAValue {
            field: FRONTENDS_CONFIG,
            name: name.to_owned(),
            value: value.to_owned(),
            expected: bounds(setting),
        }),
        _ => Ok(()),
    }
}

fn bounds(setting: &FrontendSetting) -> String {
    let FrontendSetting { unit, least, most, .. } = setting;
    format!("a number of {unit} from {least} to {most}")
}

fn leave_defaults_out<T: serde::Serialize>(settings: &mut Value, defaults: &T) {
    let defaults = serde_json::to_value(defaults).unwrap_or_default();
    if let Some(settings) = settings.as_object_mut() {
        settings.retain(|name, value| defaults.get(name) != Some(value));
    }
}

/// Writes `settings` over `defaults`, whose fields are all whole numbers.
fn numbers<T: serde::Serialize + serde::de::DeserializeOwned>(
    field: &'static str,
    settings: &BTreeMap<String, String>,
    defaults: &T,
    reserved: &[(&str, &'static str)],
) -> Result<T, ConfigError> {
    let mut fields: Map<String, Value> = match serde_json::to_value(defaults) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    for (name, value) in settings {
        if let Some((_, instead)) = reserved.iter().find(|(reserved, _)| reserved == name) {
            return Err(ConfigError::Reserved {
                field,
                name: name.clone(),
                instead,
            });
        }
        if !fields.contains_key(name) {
            let known: Vec<&str> = fields.keys().map(String::as_str).collect();
            let nearest = nearest(name, known.iter().copied());
            return Err(ConfigError::Unknown {
                field,
                name: name.clone(),
                hint: nearest.map_or_else(String::new, |nearest| format!(" (did you mean {nearest}?)")),
                known: known.join(", "),
            });
        }
        let not_a_number = || ConfigError::NotANumber {
            field,
            name: name.clone(),
            value: value.clone(),
        };
        let number: u64 = value.parse().map_err(|_| not_a_number())?;
        fields.insert(name.clone(), Value::from(number));
        // A number that is too large for its field shows here.
        serde_json::from_value::<T>(Value::Object(fields.clone())).map_err(|_| not_a_number())?;
    }
    Ok(serde_json::from_value(Value::Object(fields)).expect("every field was tried when it was set"))
}

/// Who the process is: its host name is what it registers under.
fn identity(service: &str) -> Vec<EnvVar> {
    vec![
        env_from_field("POD_NAME", "metadata.name"),
        env_from_field("POD_NAMESPACE", "metadata.namespace"),
        env("SPRINGTIDE_HOST", format!("$(POD_NAME).{service}.$(POD_NAMESPACE).svc")),
    ]
}

/// What frontends and compute nodes read alike.
fn common_volumes(cluster: &ClusterShape, config_map: &str) -> (Vec<Volume>, Vec<VolumeMount>) {
    let directory = paths::ENGINE_CONFIG
        .rsplit_once('/')
        .map_or("/", |(directory, _)| directory);
    let mut volumes = vec![
        Volume {
            name: "config".to_owned(),
            config_map: Some(ConfigMapVolumeSource {
                name: config_map.to_owned(),
                ..ConfigMapVolumeSource::default()
            }),
            ..Volume::default()
        },
        secret_volume("internal", &names::internal_secret(&cluster.name), &[]),
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
        read_only("internal", paths::INTERNAL),
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
    if let Some(secret) = &cluster.tls_secret {
        volumes.push(secret_volume(names::TLS_VOLUME, secret, &[]));
        mounts.push(read_only(names::TLS_VOLUME, paths::TLS));
    }
    (volumes, mounts)
}

/// The keys to the store, where there are any.
fn storage_keys(cluster: &ClusterShape) -> Option<(Volume, VolumeMount)> {
    let secret = cluster.storage_secret.as_ref()?;
    let items = [
        (secret.access_key_id_key.as_str(), paths::ACCESS_KEY_ID_FILE),
        (secret.secret_access_key_key.as_str(), paths::SECRET_ACCESS_KEY_FILE),
    ];
    let volume = secret_volume("storage", &secret.name, &items);
    Some((volume, read_only("storage", paths::STORAGE_CREDENTIALS)))
}

/// A Secret as files that only the owner and the group can read; `items` renames keys.
fn secret_volume(name: &str, secret: &str, items: &[(&str, &str)]) -> Volume {
    let items: Vec<KeyToPath> = items
        .iter()
        .map(|(key, path)| KeyToPath {
            key: (*key).to_owned(),
            path: (*path).to_owned(),
            mode: None,
        })
        .collect();
    Volume {
        name: name.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret.to_owned()),
            default_mode: Some(0o440),
            items: (!items.is_empty()).then_some(items),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}

fn read_only(name: &str, directory: &str) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: directory.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    }
}

/// Answers the engine's `preStop`. A native sidecar: it ends after the engine, so it can hold the hook to the end.
fn drain_sidecar(compute: &ComputeShape) -> Container {
    Container {
        name: names::DRAIN_CONTAINER.to_owned(),
        image: Some(compute.sidecar_image.clone()),
        args: Some(vec![
            "drain".to_owned(),
            "--timeout".to_owned(),
            format!("{}s", compute.drain_timeout.as_secs()),
        ]),
        restart_policy: Some("Always".to_owned()),
        ports: Some(vec![port("drain", ports::SIDECAR_DRAIN)]),
        // The engine starts after it: no node serves whose hook would not be answered.
        startup_probe: Some(probe("/healthz", ports::SIDECAR_DRAIN, 1, STARTUP_S)),
        resources: Some(ResourceRequirements {
            requests: Some(amounts(&[("cpu", "10m"), ("memory", "32Mi")])),
            limits: Some(amounts(&[("memory", "64Mi")])),
            ..ResourceRequirements::default()
        }),
        volume_mounts: Some(vec![read_only("internal", paths::INTERNAL)]),
        ..Container::default()
    }
}

fn amounts(amounts: &[(&str, &str)]) -> BTreeMap<String, Quantity> {
    amounts
        .iter()
        .map(|(name, amount)| ((*name).to_owned(), Quantity((*amount).to_owned())))
        .collect()
}
