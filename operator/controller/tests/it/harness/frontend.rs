//! A frontend that holds nothing but the list of compute nodes, and speaks the real protocol: administrative statements with
//! StarRocks' grammar and column names.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use rustls::ServerConfig;
use springtide_contract::{
    config::FrontendConfig,
    settings::{FRONTEND_SETTINGS, FrontendSetting},
};
use springtide_mysql::{
    Column, ConnectionInfo, Handler, LoginAttempt, MysqlError, OkResult, Parameter, PreparedStatement, ResultWriter,
    ServerOptions, Value, native_stage2, serve, verify_native,
};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

use super::{
    certificates,
    faults::{Faults, StatementFault},
    relay::Relay,
    starrocks::StarRocks,
};

/// What a frontend says that cannot do it now, and may a moment later: MySQL's ER_LOCK_WAIT_TIMEOUT.
const TRY_AGAIN: u16 = 1205;

/// What the frontend of one cluster knows and was asked.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    /// Name of the frontend's pod; empty while none runs.
    pub(crate) leader: String,
    /// The frontend answers; a statement to one that does not waits for ever.
    pub(crate) hangs: bool,
    /// By `host:port`: the id.
    pub(crate) nodes: BTreeMap<String, u64>,
    /// By `host:port`: the warehouse that the node serves.
    warehouses: BTreeMap<String, String>,
    /// Warehouses that were made, beside the one that there is from the start.
    made_warehouses: BTreeSet<String>,
    next_id: u64,
    /// Pods that run, by name: a node whose pod runs is alive.
    pub(crate) running: BTreeSet<String>,
    /// Nodes that say they drain, by pod name.
    pub(crate) draining: BTreeSet<String>,
    /// Ids of nodes whose drain is ordered, and whether it is forced.
    ordered: BTreeMap<u64, bool>,
    /// Seconds that an order lasts when it is given.
    pub(crate) orders_last: Option<u32>,
    /// Nodes that have work which does not end, by pod name.
    pub(crate) busy: BTreeSet<String>,
    /// Statements that wait, by warehouse, and nodes that they would need.
    pub(crate) queued: BTreeMap<String, (u32, u32)>,
    /// How many of the changes are in the newest image.
    image: usize,
    /// Settings that were changed, by their names in SQL. They are those of all processes here, and are read from no file.
    pub(crate) settings: BTreeMap<String, String>,
    /// It says that it has changed a setting, and has not.
    pub(crate) keeps_settings: bool,
    /// How often it was asked for its settings.
    pub(crate) asked_for_settings: usize,
    /// Every statement that changed something, in order.
    pub(crate) changes: Vec<String>,
    /// Who hears of what took effect, and says what goes wrong.
    pub(crate) faults: Option<Faults>,
    /// The operator's password, as mounted from its Secret.
    pub(crate) password: String,
    /// What StarRocks has beside all this; `None` for the bundled engine.
    pub(crate) starrocks: Option<StarRocks>,
    /// Logins that were not encrypted.
    pub(crate) plain_logins: u32,
}

/// A frontend on a loopback address of its own.
#[derive(Clone, Debug)]
pub(crate) struct Frontend {
    pub(crate) address: IpAddr,
    pub(crate) catalog: Arc<Mutex<Catalog>>,
    /// What it shows to who asks for TLS.
    certificate: watch::Sender<Arc<ServerConfig>>,
    stop: CancellationToken,
}

impl Frontend {
    /// Starts one on the port of a real frontend, at an address that no other test uses.
    pub(crate) async fn start() -> Self {
        let catalog = Arc::new(Mutex::new(Catalog {
            next_id: 10_001,
            ..Catalog::default()
        }));
        let stop = CancellationToken::new();
        let (address, listener) = loop {
            let address = IpAddr::from([127, rand::random(), rand::random(), rand::random_range(2..250)]);
            if let Ok(listener) =
                TcpListener::bind(SocketAddr::new(address, springtide_contract::ports::FE_MYSQL)).await
            {
                break (address, listener);
            }
        };
        let relay = Relay::default();
        let (shared, carrier) = (Arc::clone(&catalog), relay.clone());
        let factory = move |info: ConnectionInfo| Session {
            catalog: Arc::clone(&shared),
            relay: carrier.clone(),
            peer: info.peer,
            user: String::new(),
        };
        // Nobody knows it by that one.
        let nobodys = certificates::self_signed(&["nobody.example.com"]);
        let nobodys = certificates::server_config(nobodys.certificate.as_bytes(), nobodys.key.as_bytes());
        let (certificate, shown) = watch::channel(nobodys.unwrap());
        let options = ServerOptions {
            tls: Some(shown.into()),
            ..ServerOptions::default()
        };
        let behind = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = behind.local_addr().unwrap();
        tokio::spawn(serve(behind, options, factory, stop.clone()));
        tokio::spawn(relay.carry(listener, server, stop.clone()));
        Self {
            address,
            catalog,
            certificate,
            stop,
        }
    }

    /// What the next connections see.
    pub(crate) fn show(&self, certificate: Arc<ServerConfig>) {
        self.certificate.send_replace(certificate);
    }

    /// Ends it: connections break and nobody listens any more.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// What it was told to change so far.
    pub(crate) fn changes(&self) -> Vec<String> {
        self.catalog.lock().unwrap().changes.clone()
    }
}

struct Session {
    catalog: Arc<Mutex<Catalog>>,
    relay: Relay,
    /// How the relay calls the client.
    peer: SocketAddr,
    /// Who has logged in.
    user: String,
}

#[async_trait]
impl Handler for Session {
    async fn authenticate(&mut self, attempt: &LoginAttempt<'_>) -> Result<(), MysqlError> {
        attempt.user.clone_into(&mut self.user);
        let is_right = {
            let mut catalog = self.catalog.lock().unwrap();
            catalog.plain_logins += u32::from(!attempt.tls);
            let password = catalog.password.clone();
            match &mut catalog.starrocks {
                Some(starrocks) => starrocks.admits(attempt),
                None => !attempt.proof.is_empty() && verify_native(&native_stage2(password.as_bytes()), &attempt.proof),
            }
        };
        if is_right { Ok(()) } else { Err(attempt.denied()) }
    }

    async fn init_db(&mut self, _database: &str) -> Result<(), MysqlError> {
        Ok(())
    }

    async fn query(&mut self, sql: &str, out: &mut ResultWriter) -> Result<(), MysqlError> {
        while self.catalog.lock().unwrap().hangs {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let (fault, answer, faults) = {
            let mut catalog = self.catalog.lock().unwrap();
            let faults = catalog.faults.clone();
            let fault = faults.as_ref().and_then(Faults::statement_fault);
            if fault == Some(StatementFault::Refused) {
                return Err(MysqlError::new(TRY_AGAIN, b"HY000", "a test refuses this; try again"));
            }
            (fault, catalog.answer(&self.user, sql), faults)
        };
        let is_mute = {
            let catalog = self.catalog.lock().unwrap();
            catalog.starrocks.as_ref().is_some_and(|starrocks| starrocks.is_mute)
        };
        if is_mute {
            return std::future::pending().await;
        }
        let has_changed = matches!(answer, Ok(None));
        if has_changed && faults.is_some_and(|faults| !faults.executed(sql)) {
            return std::future::pending().await;
        }
        if fault == Some(StatementFault::AnswerLost) {
            self.relay.break_off(self.peer);
            out.cancelled().cancelled().await;
            return Err(MysqlError::interrupted());
        }
        let written = match answer? {
            None => out.ok(OkResult::default()).await,
            Some((columns, rows)) => write(out, &columns, &rows).await,
        };
        written.map_err(|error| MysqlError::new(1815, b"HY000", format!("{error:?}")))
    }

    async fn prepare(&mut self, _id: u32, _sql: &str) -> Result<PreparedStatement, MysqlError> {
        Err(MysqlError::new(1295, b"HY000", "the operator prepares nothing"))
    }

    async fn execute(
        &mut self,
        _id: u32,
        _parameters: &[Parameter],
        _out: &mut ResultWriter,
    ) -> Result<(), MysqlError> {
        Err(MysqlError::new(1295, b"HY000", "the operator prepares nothing"))
    }

    async fn close_statement(&mut self, _id: u32) {}

    async fn reset(&mut self) -> Result<(), MysqlError> {
        Ok(())
    }
}

async fn write(
    out: &mut ResultWriter,
    columns: &[&str],
    rows: &[Vec<String>],
) -> Result<(), springtide_mysql::WriteError> {
    let columns: Vec<Column> = columns.iter().map(|name| Column::text(*name)).collect();
    out.result_set(&columns).await?;
    for row in rows {
        let values: Vec<Value<'_>> = row.iter().map(|text| Value::Bytes(text.as_bytes().into())).collect();
        out.row(&values).await?;
    }
    out.finish().await
}

const FRONTEND_COLUMNS: [&str; 18] = [
    "Id",
    "Name",
    "IP",
    "EditLogPort",
    "HttpPort",
    "QueryPort",
    "RpcPort",
    "Role",
    "ClusterId",
    "Join",
    "Alive",
    "ReplayedJournalId",
    "LastHeartbeat",
    "IsHelper",
    "ErrMsg",
    "StartTime",
    "Version",
    "ImageJournalId",
];
const NODE_COLUMNS: [&str; 30] = [
    "ComputeNodeId",
    "IP",
    "HeartbeatPort",
    "BePort",
    "HttpPort",
    "BrpcPort",
    "LastStartTime",
    "LastHeartbeat",
    "Alive",
    "SystemDecommissioned",
    "ClusterDecommissioned",
    "ErrMsg",
    "Version",
    "CpuCores",
    "MemLimit",
    "NumRunningQueries",
    "MemUsedPct",
    "CpuUsedPct",
    "DataCacheMetrics",
    "HasStoragePath",
    "StarletPort",
    "WorkerId",
    "WarehouseName",
    "TabletNum",
    "StatusCode",
    "DrainState",
    "DrainWaitingFor",
    "DrainOrder",
    "DrainOrderLastsSeconds",
    "DrainSeconds",
];

const SETTING_COLUMNS: [&str; 6] = ["Key", "AliasNames", "Value", "Type", "IsMutable", "Comment"];
const WAREHOUSE_COLUMNS: [&str; 5] = ["Id", "Name", "RunningSql", "QueuedSql", "RequiredNodes"];

type Table = (Vec<&'static str>, Vec<Vec<String>>);

impl Catalog {
    fn answer(&mut self, user: &str, sql: &str) -> Result<Option<Table>, MysqlError> {
        let statement = sql.trim().trim_end_matches(';');
        let upper = statement.to_uppercase();
        if let Some(starrocks) = &mut self.starrocks {
            if self.leader.is_empty() {
                let text = "java.net.ConnectException: Connection refused";
                return Err(MysqlError::new(1064, b"HY000", text));
            }
            if let Some(changed) = starrocks.change(user, statement, &self.leader) {
                changed?;
                self.changes.push(statement.to_owned());
                return Ok(None);
            }
            if !starrocks.may_administer(user) {
                return Err(StarRocks::denied());
            }
        }
        if upper == "SHOW FRONTENDS" {
            return Ok(Some(match &self.starrocks {
                None => (
                    FRONTEND_COLUMNS.to_vec(),
                    vec![self.frontend(&self.leader, &self.leader)],
                ),
                Some(starrocks) => {
                    let rows = starrocks.rows().map(|(pod, host)| self.frontend(pod, host));
                    // It does not tell what its images have.
                    let rows = rows.map(|mut row| {
                        row.pop();
                        row
                    });
                    (FRONTEND_COLUMNS[..17].to_vec(), rows.collect())
                }
            }));
        }
        if upper == "SHOW COMPUTE NODES" {
            return Ok(Some((NODE_COLUMNS.to_vec(), self.compute_nodes())));
        }
        if upper == "SHOW WAREHOUSES" {
            return Ok(Some((WAREHOUSE_COLUMNS.to_vec(), self.warehouses())));
        }
        if upper == "ADMIN SHOW FRONTEND CONFIG" {
            self.asked_for_settings += 1;
            return Ok(Some((SETTING_COLUMNS.to_vec(), self.settings())));
        }
        let nodes: Vec<String> = statement
            .split(['\'', '"'])
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect();
        let warehouse = statement.rsplit(' ').next().unwrap().trim_matches('`').to_owned();
        if upper.starts_with("CREATE WAREHOUSE IF NOT EXISTS ") {
            self.made_warehouses.insert(warehouse);
        } else if upper.starts_with("ALTER SYSTEM ADD COMPUTE NODE") {
            self.knows(&warehouse)?;
            for node in nodes.iter().filter(|node| node.contains(':')) {
                if self.nodes.contains_key(node) {
                    return Err(MysqlError::new(
                        1064,
                        b"HY000",
                        format!("Compute node already exists with same host:{node}"),
                    ));
                }
                self.nodes.insert(node.clone(), self.next_id);
                self.warehouses.insert(node.clone(), warehouse.clone());
                self.next_id += 1;
            }
        } else if let Some(id) = upper.strip_prefix("ALTER SYSTEM DRAIN COMPUTE NODE ") {
            let (id, forced) = id.strip_suffix(" FORCE").map_or((id, false), |id| (id, true));
            self.ordered.insert(id.parse().unwrap(), forced);
        } else if let Some(id) = upper.strip_prefix("ALTER SYSTEM CANCEL DRAIN COMPUTE NODE ") {
            self.ordered.remove(&id.parse().unwrap());
        } else if upper.starts_with("ADMIN SET FRONTEND CONFIG") {
            self.set(&nodes)?;
        } else if upper == "ALTER SYSTEM CREATE IMAGE" {
            // It has itself, too.
            self.image = self.changes.len() + 1;
        } else if let Some(rest) = upper.strip_prefix("ALTER SYSTEM DROP COMPUTE NODE ") {
            let by_id = rest.split(' ').next().and_then(|id| id.parse().ok());
            let named = self.nodes.iter().find(|(_, id)| Some(**id) == by_id);
            let nodes = match (by_id, named) {
                (Some(_), Some((node, _))) => vec![node.clone()],
                (Some(id), None) => vec![format!("{id}:{id}")],
                (None, _) => nodes,
            };
            for node in nodes.iter().filter(|node| node.contains(':')) {
                if self.warehouses.get(node).is_some_and(|serves| *serves != warehouse) {
                    return Err(MysqlError::new(
                        1064,
                        b"HY000",
                        format!("compute node [{node}] is not in warehouse {warehouse}"),
                    ));
                }
                self.warehouses.remove(node);
                if self.nodes.remove(node).is_none() {
                    return Err(MysqlError::new(
                        1064,
                        b"HY000",
                        format!("compute node does not exists[{node}]"),
                    ));
                }
            }
        } else {
            return Err(MysqlError::new(
                1064,
                b"42000",
                format!("a test's frontend does not know: {statement}"),
            ));
        }
        self.changes.push(statement.to_owned());
        Ok(None)
    }

    /// Changes the setting of this name to this value, by the engine's own rules.
    fn set(&mut self, quoted: &[String]) -> Result<(), MysqlError> {
        let mut checked = FrontendConfig::default();
        let [name, value] = quoted else {
            return Err(MysqlError::new(1064, b"42000", format!("{quoted:?} is no setting")));
        };
        let changed = checked.change(name, value);
        changed.map_err(|error| MysqlError::new(1064, b"HY000", error.to_string()))?;
        if !self.keeps_settings {
            self.settings.insert(name.clone(), value.clone());
        }
        Ok(())
    }

    fn settings(&self) -> Vec<Vec<String>> {
        let row = |setting: &FrontendSetting| {
            let changed = self.settings.get(setting.sql_name).cloned();
            vec![
                setting.sql_name.to_owned(),
                format!("[{}]", setting.name),
                changed.unwrap_or_else(|| setting.default_value().to_string()),
                "long".to_owned(),
                setting.is_dynamic.to_string(),
                String::new(),
            ]
        };
        FRONTEND_SETTINGS.iter().map(row).collect()
    }

    /// What it knows of its nodes, by `host:port`, without the numbers that it gave them.
    pub(crate) fn known(&self) -> serde_json::Value {
        let node = |(node, id): (&String, &u64)| {
            let order = (self.ordered.get(id)).map(|forced| if *forced { "FORCE" } else { "DRAIN" });
            let warehouse = self.warehouses.get(node);
            (
                node.clone(),
                serde_json::json!({"warehouse": warehouse, "order": order}),
            )
        };
        self.nodes.iter().map(node).collect()
    }

    fn knows(&self, warehouse: &str) -> Result<(), MysqlError> {
        if warehouse == springtide_plan::flavour::DEFAULT_WAREHOUSE || self.made_warehouses.contains(warehouse) {
            return Ok(());
        }
        Err(MysqlError::new(
            1064,
            b"HY000",
            format!("Warehouse {warehouse} not exist."),
        ))
    }

    fn warehouses(&self) -> Vec<Vec<String>> {
        let mut names: BTreeSet<&str> = self.warehouses.values().map(String::as_str).collect();
        names.insert(springtide_plan::flavour::DEFAULT_WAREHOUSE);
        let row = |(id, name): (usize, &str)| {
            let (queued, required) = self.queued.get(name).copied().unwrap_or_default();
            let numbers = [0, queued, required].map(|number| number.to_string());
            let mut row = vec![id.to_string(), name.to_owned()];
            row.extend(numbers);
            row
        };
        names.into_iter().enumerate().map(row).collect()
    }

    fn frontend(&self, pod: &str, host: &str) -> Vec<String> {
        let leads = pod == self.leader;
        let alive = leads || self.running.contains(pod);
        let row = |column: &&str| match *column {
            "Id" => "1".to_owned(),
            "Name" => format!("{host}_9010_1795369070271"),
            "IP" => host.to_owned(),
            "EditLogPort" => "9010".to_owned(),
            "HttpPort" => "8030".to_owned(),
            "QueryPort" => "9030".to_owned(),
            "RpcPort" => "9020".to_owned(),
            "Role" => if leads { "LEADER" } else { "FOLLOWER" }.to_owned(),
            "Alive" => alive.to_string(),
            "Join" | "IsHelper" => "true".to_owned(),
            "LastHeartbeat" | "StartTime" => "2026-11-22 17:40:08".to_owned(),
            "ClusterId" => "1293".to_owned(),
            "ReplayedJournalId" => self.changes.len().to_string(),
            "ImageJournalId" => self.image.to_string(),
            "Version" => "test".to_owned(),
            _ => String::new(),
        };
        FRONTEND_COLUMNS.iter().map(row).collect()
    }

    fn compute_nodes(&mut self) -> Vec<Vec<String>> {
        let mut rows = Vec::new();
        for (node, id) in &self.nodes {
            let (host, port) = node.rsplit_once(':').unwrap();
            let pod = host.split('.').next().unwrap();
            let runs = self.running.contains(pod);
            if !runs {
                // Another process begins without orders.
                self.ordered.remove(id);
            }
            let order = self.ordered.get(id);
            let drain = match (order.is_some(), self.busy.contains(pod)) {
                (true, true) => "DRAINING",
                (true, false) => "DRAINED",
                (false, _) if runs && self.draining.contains(pod) => "LEAVING",
                (false, _) => "",
            };
            let alive = runs && drain.is_empty();
            let row = |column: &&str| match *column {
                "ComputeNodeId" | "WorkerId" => id.to_string(),
                "IP" => host.to_owned(),
                "HeartbeatPort" => port.to_owned(),
                "Alive" => alive.to_string(),
                "SystemDecommissioned" | "ClusterDecommissioned" => "false".to_owned(),
                "WarehouseName" => self.warehouses.get(node).cloned().unwrap_or_default(),
                "StatusCode" if !drain.is_empty() => "SHUTDOWN".to_owned(),
                "DrainState" => drain.to_owned(),
                "DrainWaitingFor" if drain == "DRAINING" => "statement of connection 17".to_owned(),
                "DrainOrder" => order
                    .map_or("", |forced| if *forced { "FORCE" } else { "DRAIN" })
                    .to_owned(),
                "DrainOrderLastsSeconds" if order.is_some() => self.orders_last.unwrap_or(60).to_string(),
                "StatusCode" if alive => "OK".to_owned(),
                "StatusCode" => "DISCONNECTED".to_owned(),
                "LastStartTime" | "LastHeartbeat" if alive => "2026-11-22 17:40:08".to_owned(),
                "LastStartTime" | "LastHeartbeat" => "NULL".to_owned(),
                "BePort" => "9060".to_owned(),
                "HttpPort" => "8040".to_owned(),
                "NumRunningQueries" | "CpuCores" | "TabletNum" => "0".to_owned(),
                "MemUsedPct" | "CpuUsedPct" => "0.00 %".to_owned(),
                _ => String::new(),
            };
            rows.push(NODE_COLUMNS.iter().map(row).collect());
        }
        rows
    }
}
