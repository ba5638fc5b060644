//! Frontend and compute node in one process, on a local folder: the embedded default.

use std::{
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use rand::distr::{Alphanumeric, SampleString as _};
use springtide_cn::ComputeNodeOptions;
use springtide_contract::{
    config::{ComputeConfig, EngineConfig, FORMAT_VERSION, FrontendConfig, StorageConfig},
    paths,
};
use springtide_fe::{FrontendOptions, core::Dirs};
use tokio::{net::TcpListener, runtime::Handle};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    place::Place,
    process::{self, ProcessError, VERSION, cluster_id, data_store},
    store,
    token::follow_token,
};

/// Characters of a generated password or token: about 190 bits.
const SECRET_LENGTH: usize = 32;
/// Time that statements have to end by themselves after Ctrl-C; whoever pressed it waits for it.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// The administrator of a new folder.
const ADMINISTRATOR: &str = "admin";
/// The account by which the process adds its own compute node.
const OPERATOR: &str = "springtide-standalone";

/// Where a standalone engine listens; port 0 takes any that is free.
#[derive(Clone, Copy, Debug)]
pub struct StandalonePorts {
    /// MySQL protocol.
    pub mysql: u16,
    /// HTTP of the frontend.
    pub http: u16,
    /// HTTP of the compute node, where Stream Loads are redirected to.
    pub compute_http: u16,
}

/// A folder that holds a standalone engine's data, metadata and secrets, and the ports it listens on.
#[derive(Debug)]
pub struct Standalone {
    place: Place,
    folder: PathBuf,
    config: EngineConfig,
    mysql: TcpListener,
    http: TcpListener,
    rpc: TcpListener,
    compute_http: TcpListener,
    heartbeat: TcpListener,
    worker: TcpListener,
}

impl Standalone {
    /// Makes or opens `folder` and takes the ports on the loopback address.
    ///
    /// # Errors
    /// See [`ProcessError`].
    pub async fn open(folder: &Path, ports: StandalonePorts) -> Result<Self, ProcessError> {
        let place = Place::below(folder);
        let config = prepare(folder, &place).map_err(|source| ProcessError::Folder {
            what: format!("cannot use the folder {}", folder.display()),
            source,
        })?;
        let config = match config {
            Some(config) => config,
            None => place.config()?,
        };
        let host = "127.0.0.1";
        Ok(Self {
            place,
            folder: folder.to_owned(),
            config,
            mysql: process::listen(host, ports.mysql).await?,
            http: process::listen(host, ports.http).await?,
            rpc: process::listen(host, 0).await?,
            compute_http: process::listen(host, ports.compute_http).await?,
            heartbeat: process::listen(host, 0).await?,
            worker: process::listen(host, 0).await?,
        })
    }

    /// Port of the MySQL protocol.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn mysql_port(&self) -> std::io::Result<u16> {
        Ok(self.mysql.local_addr()?.port())
    }

    /// Port of the frontend's HTTP.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn http_port(&self) -> std::io::Result<u16> {
        Ok(self.http.local_addr()?.port())
    }

    /// User and password of the administrator.
    ///
    /// # Errors
    /// When their files are gone.
    pub fn administrator(&self) -> Result<(String, String), ProcessError> {
        Ok((
            self.place.secret(paths::ADMIN_ACCOUNT, paths::USERNAME_FILE)?,
            self.place.secret(paths::ADMIN_ACCOUNT, paths::PASSWORD_FILE)?,
        ))
    }

    /// File with the administrator's password.
    #[must_use]
    pub fn password_file(&self) -> PathBuf {
        self.place.path(paths::ADMIN_ACCOUNT).join(paths::PASSWORD_FILE)
    }

    /// Runs both parts until `shutdown`.
    ///
    /// # Errors
    /// See [`ProcessError`].
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), ProcessError> {
        let Self {
            place,
            folder,
            config,
            mysql,
            http,
            rpc,
            compute_http,
            heartbeat,
            worker,
        } = self;
        let cluster_id = cluster_id(&config)?;
        let store = store::open(&config.storage, &place, Handle::current())?;
        let token = follow_token(&place, shutdown.clone())?;
        let address = heartbeat.local_addr().map_err(|source| ProcessError::Listen {
            address: "heartbeat".to_owned(),
            source,
        })?;
        let compute = ComputeNodeOptions {
            cluster_id,
            config: config.compute.clone(),
            store: data_store(store.clone(), cluster_id),
            token: token.clone(),
            local_directory: folder.join("local"),
            http: compute_http,
            heartbeat,
            worker,
            version: VERSION.to_owned(),
            local_files: true,
            shutdown: shutdown.clone(),
        };
        let frontend = FrontendOptions {
            dirs: Dirs {
                meta: place.path(paths::FE_META),
                admin_account: place.path(paths::ADMIN_ACCOUNT),
                operator_account: place.path(paths::OPERATOR_ACCOUNT),
            },
            store,
            token,
            advertised_host: "127.0.0.1".to_owned(),
            mysql,
            http,
            rpc,
            tls: None,
            local_files: true,
            audit: true,
            sole_compute_node: Some(address),
            stop_grace: STOP_GRACE,
            lame_duck: Duration::ZERO,
            shutdown: shutdown.clone(),
            config,
        };
        // Whichever ends takes the other with it, and both are waited for: the journal is closed when this returns.
        let frontend = async {
            let ended = springtide_fe::run(frontend).await;
            shutdown.cancel();
            ended.map_err(ProcessError::from)
        };
        let compute = async {
            let ended = springtide_cn::run(compute).await;
            shutdown.cancel();
            ended.map_err(ProcessError::from)
        };
        let (frontend, compute) = tokio::join!(frontend, compute);
        frontend.and(compute)
    }
}

/// Makes what a new folder lacks. The configuration is `None` when the folder has one.
fn prepare(folder: &Path, place: &Place) -> std::io::Result<Option<EngineConfig>> {
    std::fs::create_dir_all(folder)?;
    let folder = std::fs::canonicalize(folder)?;
    secret(place, paths::INTERNAL, paths::TOKEN_FILE, &random_text())?;
    for (directory, name) in [
        (paths::ADMIN_ACCOUNT, ADMINISTRATOR),
        (paths::OPERATOR_ACCOUNT, OPERATOR),
    ] {
        secret(place, directory, paths::USERNAME_FILE, name)?;
        secret(place, directory, paths::PASSWORD_FILE, &random_text())?;
    }
    std::fs::create_dir_all(place.path(paths::FE_META))?;
    let file = place.path(paths::ENGINE_CONFIG);
    if file.exists() {
        return Ok(None);
    }
    let config = EngineConfig {
        format_version: FORMAT_VERSION,
        cluster_name: "standalone".to_owned(),
        cluster_id: Uuid::new_v4().to_string(),
        storage: StorageConfig::Directory {
            path: folder.join("data").to_string_lossy().into_owned(),
        },
        frontend: FrontendConfig::default(),
        compute: ComputeConfig::default(),
        tls: false,
    };
    let text = serde_json::to_string_pretty(&config).map_err(std::io::Error::other)?;
    write_new(&file, &(text + "\n"), 0o644)?;
    Ok(Some(config))
}

fn random_text() -> String {
    Alphanumeric.sample_string(&mut rand::rng(), SECRET_LENGTH)
}

/// Writes a secret that is not there yet; only the owner can read it.
fn secret(place: &Place, directory: &str, file: &str, text: &str) -> std::io::Result<()> {
    let path = place.path(directory).join(file);
    if path.exists() {
        Ok(())
    } else {
        write_new(&path, text, 0o600)
    }
}

fn write_new(path: &Path, text: &str, mode: u32) -> std::io::Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    // A crash in the middle leaves a file of another name, and the next start writes it again.
    let unfinished = path.with_extension("unfinished");
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(mode)
        .open(&unfinished)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)
}
