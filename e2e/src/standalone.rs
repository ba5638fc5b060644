//! A standalone engine for measurements and tests: the engine alone in a process of its own, on a local folder, listening on
//! loopback addresses.

use std::{
    net::TcpListener,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use springtide_contract::paths;
use tokio::process::{Child, Command};

use crate::{
    Error, Result,
    cluster::{Look, wait_until},
    places::Places,
    sql::{Door, Session},
    timeline::Progress,
};

/// The engine answers its first statement.
const START_LIMIT: Duration = Duration::from_secs(60);
/// A statement on metadata.
const QUICK: Duration = Duration::from_secs(30);

/// A standalone engine on an empty folder, ended when it is dropped.
#[derive(Debug)]
pub struct Standalone {
    /// A session of its administrator.
    pub session: Session,
    /// The way to its MySQL port.
    pub door: Door,
    /// Its administrator.
    pub user: String,
    /// The administrator's password.
    pub password: String,
    _process: Child,
}

impl Standalone {
    /// Empties `folder`, starts the engine on it and waits until its compute node serves.
    ///
    /// # Errors
    /// The program is not built, or does not serve in time; its log is `log` in the folder.
    pub async fn start(places: &Places, folder: &Path, progress: &Progress) -> Result<Self> {
        remove(folder)?;
        std::fs::create_dir_all(folder).map_err(Error::io(format!("make {}", folder.display())))?;
        let log = folder.join("log");
        let log = std::fs::File::create(&log).map_err(Error::io(format!("make {}", log.display())))?;
        let [mysql, http, compute_http] = [free_port()?, free_port()?, free_port()?];
        let program = places.programs().join("springtide-engine");
        let process = Command::new(&program)
            .args(["--log", "warn", "standalone", "--data"])
            .arg(folder)
            .args(["--mysql-port", &mysql.to_string(), "--http-port", &http.to_string()])
            .args(["--compute-http-port", &compute_http.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(Error::io(format!("start {}", program.display())))?;
        let door = Door::on_this_machine(mysql);
        let account = folder.join(paths::ADMIN_ACCOUNT.trim_start_matches('/'));
        let began = Instant::now();
        let (session, user, password) = wait_until("the engine has compute", START_LIMIT, progress, async || {
            let text = |file: &str| std::fs::read_to_string(account.join(file)).unwrap_or_default();
            let (user, password) = (text(paths::USERNAME_FILE), text(paths::PASSWORD_FILE));
            let (user, password) = (user.trim().to_owned(), password.trim().to_owned());
            let mut session = match Session::open(&door, &user, &password).await {
                Ok(session) => session,
                Err(error) => return Ok(Look::NotYet(error.to_string())),
            };
            let nodes = session.rows("SHOW COMPUTE NODES", QUICK).await?;
            let alive = nodes.iter().any(|node| node.iter().any(|value| value == "true"));
            Ok(if alive {
                Look::Done((session, user, password))
            } else {
                Look::NotYet("no compute node is alive".into())
            })
        })
        .await?;
        progress.say(format!(
            "{:.1} s to its first compute node",
            began.elapsed().as_secs_f64()
        ));
        Ok(Self {
            session,
            door,
            user,
            password,
            _process: process,
        })
    }
}

fn free_port() -> Result<u16> {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(Error::io("find a free port"))
}

/// Removes the folder of an engine that has ended, where it is there.
///
/// # Errors
/// The system refuses.
pub fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(format!("remove {}", folder.display()))(error))
        }
        _ => Ok(()),
    }
}
