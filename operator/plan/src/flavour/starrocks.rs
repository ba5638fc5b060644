//! StarRocks in shared-data mode.
//!
//! The images' own start scripts register a compute node as root. Ours do not: the operator registers nodes, so no pod of a
//! compute node holds an SQL account, and a node that restarts does not drop itself.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, Container, EmptyDirVolumeSource, EnvVar, EnvVarSource, ExecAction, Lifecycle,
    LifecycleHandler, SecretKeySelector, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{
    Capabilities, ConfigError, Cordon, DEFAULT_WAREHOUSE, DynamicSetting, Flavour, PodShape, UpgradeStep, env,
    env_from_field, port, probe,
};
use crate::compute_group::ComputeShape;
use crate::lake_cluster::ClusterShape;
use crate::names;
use crate::settings::Settings;
use crate::sql::{AdminStatement, ComputeNodeRow};

mod settings;

use settings::{DANGEROUS, DYNAMIC, RESERVED};

/// User and group that the images support beside root.
const USER: i64 = 1000;
/// The account that StarRocks begins with, without a password. It cannot be dropped.
const ROOT: &str = "root";
/// Where the images have the engine.
const HOME: &str = "/opt/starrocks";
const FE_MYSQL: u16 = springtide_contract::ports::FE_MYSQL;
const FE_HTTP: u16 = springtide_contract::ports::FE_HTTP;
const FE_RPC: u16 = springtide_contract::ports::FE_RPC;
const FE_EDIT_LOG: u16 = springtide_contract::ports::FE_EDIT_LOG;
/// Metadata service of the shared-data mode.
const FE_CLOUD_META: u16 = 6090;
const CN_HTTP: u16 = springtide_contract::ports::CN_HTTP;
const CN_HEARTBEAT: u16 = springtide_contract::ports::CN_HEARTBEAT;
const CN_THRIFT: u16 = 9060;
const CN_BRPC: u16 = 8060;
const CN_STARLET: u16 = 9070;

const FE_CONF: &str = "fe.conf";
const CN_CONF: &str = "cn.conf";
const FE_ENTRYPOINT: &str = "fe-entrypoint.sh";
const CN_ENTRYPOINT: &str = "cn-entrypoint.sh";
/// Where the ConfigMap with configuration and scripts is mounted.
const CONFIG_MOUNT: &str = "/etc/springtide/starrocks";

/// Whether name and value are one line of a properties file, and nothing else: a space or a colon ends a name there too, and a
/// backslash goes on with the next line.
fn is_line(name: &str, value: &str) -> bool {
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    !name.is_empty() && name.bytes().all(is_name) && !value.chars().any(char::is_control) && !value.ends_with('\\')
}

/// StarRocks in shared-data mode.
#[derive(Clone, Copy, Debug)]
pub struct StarRocks;

impl Flavour for StarRocks {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            warehouses: false,
            followers: true,
            cordon: Cordon::ShutdownSignal,
            queue: false,
            initial_account: Some(ROOT),
            // The keys stand in the environment.
            reloads_credentials: false,
            serves_tls: false,
            claims_place: false,
        }
    }

    fn upgrade_order(&self) -> &'static [UpgradeStep] {
        &[
            UpgradeStep::Compute,
            UpgradeStep::FrontendFollowers,
            UpgradeStep::FrontendLeader,
        ]
    }

    fn frontend_image(&self, version: &str, _: &Settings) -> String {
        format!("starrocks/fe-ubuntu:{version}")
    }

    fn compute_image(&self, version: &str, _: &Settings) -> String {
        format!("starrocks/cn-ubuntu:{version}")
    }

    fn check_config(
        &self,
        frontends: &BTreeMap<String, String>,
        compute: &BTreeMap<String, String>,
    ) -> Result<(), ConfigError> {
        for (field, settings) in [("frontends.config", frontends), ("computeTemplate.config", compute)] {
            for (name, value) in settings {
                if let Some((_, instead)) = RESERVED.iter().find(|(reserved, _)| reserved == name) {
                    return Err(ConfigError::Reserved {
                        field,
                        name: name.clone(),
                        instead,
                    });
                }
                if let Some((_, why)) = DANGEROUS.iter().find(|(dangerous, _)| dangerous == name) {
                    return Err(ConfigError::Dangerous {
                        field,
                        name: name.clone(),
                        why,
                    });
                }
                if !is_line(name, value) {
                    return Err(ConfigError::Malformed {
                        field,
                        name: name.clone(),
                    });
                }
            }
        }
        for setting in DYNAMIC {
            if let Some(value) = frontends.get(setting.name)
                && !setting.takes(value)
            {
                return Err(ConfigError::NotAValue {
                    field: "frontends.config",
                    name: setting.name.to_owned(),
                    value: value.clone(),
                    expected: setting.expected().to_owned(),
                });
            }
        }
        Ok(())
    }

    fn dynamic_settings(&self) -> Vec<DynamicSetting> {
        let setting = |setting: &settings::Dynamic| DynamicSetting {
            name: setting.name,
            sql_name: setting.name,
            default: setting.default.to_owned(),
        };
        DYNAMIC.iter().map(setting).collect()
    }

    fn with_dynamic(
        &self,
        files: &BTreeMap<String, String>,
        settings: &BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let mut files = files.clone();
        if let Some(text) = files.get_mut(FE_CONF) {
            *text = with_dynamic(text, settings);
        }
        files
    }

    fn smallest_metadata_volume(&self) -> Option<&'static str> {
        // 5 GB must be free, and a file system takes a part of the volume.
        Some("6Gi")
    }

    fn frontend_files(&self, cluster: &ClusterShape) -> BTreeMap<String, String> {
        BTreeMap::from([
            (FE_CONF.to_owned(), fe_conf(cluster)),
            (
                FE_ENTRYPOINT.to_owned(),
                include_str!("starrocks/fe-entrypoint.sh").to_owned(),
            ),
        ])
    }

    fn compute_files(&self, compute: &ComputeShape) -> BTreeMap<String, String> {
        BTreeMap::from([
            (CN_CONF.to_owned(), cn_conf(compute)),
            (
                CN_ENTRYPOINT.to_owned(),
                include_str!("starrocks/cn-entrypoint.sh").to_owned(),
            ),
        ])
    }

    fn frontend_pod(&self, cluster: &ClusterShape, files: &str) -> PodShape {
        let health = "/api/health";
        let service = names::frontends_headless(&cluster.name);
        let mut env_vars = identity("fe", &service);
        if let Some(secret) = &cluster.storage_secret {
            env_vars.push(env_from_secret(
                "S3_ACCESS_KEY",
                &secret.name,
                &secret.access_key_id_key,
            ));
            env_vars.push(env_from_secret(
                "S3_SECRET_KEY",
                &secret.name,
                &secret.secret_access_key_key,
            ));
        }
        let mut mounts = vec![
            mount(names::METADATA_VOLUME, &format!("{HOME}/fe/meta")),
            mount("log", &format!("{HOME}/fe/log")),
        ];
        mounts.extend(config_mounts("fe", FE_CONF));
        let engine = Container {
            name: names::ENGINE_CONTAINER.to_owned(),
            image: Some(cluster.frontend_image.clone()),
            command: Some(vec!["bash".to_owned(), format!("{CONFIG_MOUNT}/{FE_ENTRYPOINT}")]),
            args: Some(vec![service]),
            env: Some(env_vars),
            ports: Some(vec![
                port("mysql", FE_MYSQL),
                port("http", FE_HTTP),
                port("rpc", FE_RPC),
                port("edit-log", FE_EDIT_LOG),
                port("cloud-meta", FE_CLOUD_META),
            ]),
            startup_probe: Some(probe(health, FE_HTTP, 5, 120)),
            readiness_probe: Some(probe(health, FE_HTTP, 5, 3)),
            liveness_probe: Some(probe(health, FE_HTTP, 10, 6)),
            // A leader that is told to stop gracefully hands over within a second or two; others notice one that just ends after some ten.
            lifecycle: Some(stop_hook("fe", "stop_fe.sh", "-g")),
            volume_mounts: Some(mounts),
            ..Container::default()
        };
        pod(engine, files, Vec::new())
    }

    fn compute_pod(&self, compute: &ComputeShape, files: &str) -> PodShape {
        let health = "/api/health";
        let name = names::compute(&compute.name);
        let mut mounts = vec![
            mount("storage", &format!("{HOME}/cn/storage")),
            mount("log", &format!("{HOME}/cn/log")),
        ];
        mounts.extend(config_mounts("cn", CN_CONF));
        let engine = Container {
            name: names::ENGINE_CONTAINER.to_owned(),
            image: Some(compute.image.clone()),
            command: Some(vec!["bash".to_owned(), format!("{CONFIG_MOUNT}/{CN_ENTRYPOINT}")]),
            env: Some(identity("cn", &name)),
            ports: Some(vec![
                port("http", CN_HTTP),
                port("heartbeat", CN_HEARTBEAT),
                port("thrift", CN_THRIFT),
                port("brpc", CN_BRPC),
                port("starlet", CN_STARLET),
            ]),
            startup_probe: Some(probe(health, CN_HTTP, 5, 120)),
            readiness_probe: Some(probe(health, CN_HTTP, 5, 3)),
            liveness_probe: Some(probe(health, CN_HTTP, 10, 6)),
            // SIGTERM is the only cordon that StarRocks has; the entrypoint waits until the process has finished what runs.
            lifecycle: None,
            volume_mounts: Some(mounts),
            ..Container::default()
        };
        let storage = Volume {
            name: "storage".to_owned(),
            empty_dir: Some(EmptyDirVolumeSource {
                size_limit: Some(Quantity(compute.cache_size.0.clone())),
                ..EmptyDirVolumeSource::default()
            }),
            ..Volume::default()
        };
        pod(engine, files, vec![storage])
    }

    fn add_compute_node(&self, host: &str, _: &str, _: bool) -> Vec<AdminStatement> {
        vec![AdminStatement::AddComputeNode {
            host: host.to_owned(),
            port: CN_HEARTBEAT,
            warehouse: DEFAULT_WAREHOUSE.to_owned(),
        }]
    }

    fn drop_compute_node(&self, row: &ComputeNodeRow) -> AdminStatement {
        AdminStatement::DropComputeNodeAt {
            node_id: row.id.clone(),
            host: row.host.clone(),
            port: row.heartbeat_port,
            warehouse: row.warehouse.clone(),
        }
    }

    fn administrator(&self) -> &'static str {
        ROOT
    }

    /// The privilege to add and drop nodes can be granted to nobody, it comes with a built-in role; of those `cluster_admin` has the least.
    fn make_accounts(&self, operator_secret: &str, admin_secret: &str) -> Vec<AdminStatement> {
        let user = names::OPERATOR_USER.to_owned();
        vec![
            AdminStatement::CreateOperatorAccount {
                user: user.clone(),
                secret: operator_secret.to_owned(),
            },
            // One that is there already may have the password of a Secret that is gone.
            AdminStatement::SetOperatorPassword {
                user: user.clone(),
                secret: operator_secret.to_owned(),
            },
            AdminStatement::GrantOperatorRoles { user: user.clone() },
            AdminStatement::ActivateOperatorRoles { user },
            // Last: until it is done, all of them can be repeated.
            AdminStatement::SetOwnPassword {
                secret: admin_secret.to_owned(),
            },
        ]
    }
}

/// The keys stand in the environment, which `fe.conf` refers to: a ConfigMap is no place for a secret.
fn fe_conf(cluster: &ClusterShape) -> String {
    let storage = &cluster.storage;
    let mut settings = vec![
        ("run_mode", "shared_data".to_owned()),
        ("cloud_native_storage_type", "S3".to_owned()),
        ("cloud_native_meta_port", FE_CLOUD_META.to_string()),
        ("enable_load_volume_from_conf", "true".to_owned()),
        ("aws_s3_path", format!("{}/{}", storage.bucket, storage.prefix)),
        ("aws_s3_region", storage.region.clone()),
        ("meta_dir", format!("{HOME}/fe/meta")),
        ("http_port", FE_HTTP.to_string()),
        ("query_port", FE_MYSQL.to_string()),
        ("rpc_port", FE_RPC.to_string()),
        ("edit_log_port", FE_EDIT_LOG.to_string()),
    ];
    if let Some(endpoint) = &storage.endpoint {
        settings.push(("aws_s3_endpoint", endpoint.clone()));
    }
    if cluster.storage_secret.is_some() {
        settings.push(("aws_s3_use_aws_sdk_default_behavior", "false".to_owned()));
        settings.push(("aws_s3_access_key", "${S3_ACCESS_KEY}".to_owned()));
        settings.push(("aws_s3_secret_key", "${S3_SECRET_KEY}".to_owned()));
    } else {
        settings.push(("aws_s3_use_aws_sdk_default_behavior", "true".to_owned()));
    }
    conf(&settings, &cluster.frontend_config)
}

/// `fe.conf` with these dynamic settings at its end, instead of those that are in it.
fn with_dynamic(conf: &str, settings: &BTreeMap<String, String>) -> String {
    let is_dynamic = |name: &str| DYNAMIC.iter().any(|setting| setting.name == name);
    let fixed = conf
        .lines()
        .filter(|line| !line.split_once(" = ").is_some_and(|(name, _)| is_dynamic(name)));
    let mut text: String = fixed.flat_map(|line| [line, "\n"]).collect();
    for (name, value) in settings.iter().filter(|(name, _)| is_dynamic(name)) {
        text.push_str(&format!("{name} = {value}\n"));
    }
    text
}

fn cn_conf(compute: &ComputeShape) -> String {
    // A node waits in steps of ten seconds for what runs on it.
    let wait_steps = compute.drain_timeout.as_secs().div_ceil(10);
    let settings = [
        ("be_port", CN_THRIFT.to_string()),
        ("be_http_port", CN_HTTP.to_string()),
        ("heartbeat_service_port", CN_HEARTBEAT.to_string()),
        ("brpc_port", CN_BRPC.to_string()),
        ("starlet_port", CN_STARLET.to_string()),
        ("storage_root_path", format!("{HOME}/cn/storage")),
        ("datacache_enable", "true".to_owned()),
        ("mem_limit", "90%".to_owned()),
        ("loop_count_wait_fragments_finish", wait_steps.to_string()),
        ("graceful_exit_wait_for_frontend_heartbeat", "true".to_owned()),
    ];
    conf(&settings, &compute.cluster.compute_config)
}

fn conf(settings: &[(&str, String)], extra: &BTreeMap<String, String>) -> String {
    let mut text = String::from("# Written by the operator.\n");
    let own = settings.iter().map(|(name, value)| (*name, value.as_str()));
    let extra = extra.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in own.chain(extra) {
        text.push_str(&format!("{name} = {value}\n"));
    }
    text
}

/// What the images' scripts read.
fn identity(component: &str, service: &str) -> Vec<EnvVar> {
    vec![
        env_from_field("POD_NAME", "metadata.name"),
        env_from_field("POD_NAMESPACE", "metadata.namespace"),
        env_from_field("POD_IP", "status.podIP"),
        env("HOST_TYPE", "FQDN"),
        env("COMPONENT_NAME", component),
        env("FE_SERVICE_NAME", service),
        env("CONFIGMAP_MOUNT_PATH", format!("{HOME}/{component}/conf")),
    ]
}

fn env_from_secret(name: &str, secret: &str, key: &str) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value_from: Some(EnvVarSource {
            secret_key_ref: Some(SecretKeySelector {
                name: secret.to_owned(),
                key: key.to_owned(),
                optional: None,
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    }
}

fn mount(name: &str, directory: &str) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: directory.to_owned(),
        ..VolumeMount::default()
    }
}

/// The scripts in a directory of their own, and the configuration as the one file that the image looks for.
fn config_mounts(component: &str, file: &str) -> [VolumeMount; 2] {
    [
        VolumeMount {
            read_only: Some(true),
            ..mount("config", CONFIG_MOUNT)
        },
        VolumeMount {
            read_only: Some(true),
            sub_path: Some(file.to_owned()),
            ..mount("config", &format!("{HOME}/{component}/conf/{file}"))
        },
    ]
}

fn stop_hook(component: &str, script: &str, option: &str) -> Lifecycle {
    Lifecycle {
        pre_stop: Some(LifecycleHandler {
            exec: Some(ExecAction {
                command: Some(vec![format!("{HOME}/{component}/bin/{script}"), option.to_owned()]),
            }),
            ..LifecycleHandler::default()
        }),
        ..Lifecycle::default()
    }
}

fn pod(engine: Container, config_map: &str, more_volumes: Vec<Volume>) -> PodShape {
    let mut volumes = vec![
        Volume {
            name: "config".to_owned(),
            config_map: Some(ConfigMapVolumeSource {
                name: config_map.to_owned(),
                ..ConfigMapVolumeSource::default()
            }),
            ..Volume::default()
        },
        Volume {
            name: "log".to_owned(),
            empty_dir: Some(EmptyDirVolumeSource {
                size_limit: Some(Quantity("2Gi".to_owned())),
                ..EmptyDirVolumeSource::default()
            }),
            ..Volume::default()
        },
    ];
    volumes.extend(more_volumes);
    PodShape {
        engine,
        sidecars: Vec::new(),
        volumes,
        user: USER,
        read_only_root: false,
    }
}
