//! A cluster without compute nodes: loads are written here, through the same formats.

use std::{
    collections::BTreeMap,
    path::Path as FilePath,
    sync::{
        Arc, Once,
        atomic::{AtomicU64, Ordering},
    },
};

use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory, path::Path, prefix::PrefixStore};
use springtide_catalog::{NewPartition, NewRange, NewTable};
use springtide_contract::config::{EngineConfig, FORMAT_VERSION, FrontendConfig, Refusal, StorageConfig};
use springtide_fe::core::{
    BeginTransaction, Begun, Clock, Core, CoreError, CoreParts, Dirs, JournalOpener, SystemClock, local_journal,
};
use springtide_format::{encode_trailer, names};
use springtide_model::{
    ClusterId, Column, DataObject, DataType, Distribution, Literal, LoadTarget, PartitionBound, Segment, TableSchema,
    TabletWrite, TxnId,
};
use springtide_rpc::{ClusterToken, RpcClient};
use uuid::Uuid;

pub(crate) const CLUSTER: &str = "11111111-1111-4111-8111-111111111111";
pub(crate) const OTHER_CLUSTER: &str = "22222222-2222-4222-8222-222222222222";
pub(crate) const TOKEN: &str = "token of the tests";

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub(crate) struct ManualClock(pub(crate) AtomicU64);

impl Clock for ManualClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A directory, a store and a configuration: what outlives a frontend.
pub(crate) struct Cluster {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) config: EngineConfig,
    pub(crate) clock: Arc<dyn Clock>,
}

pub(crate) fn install_crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Another test of this binary may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

impl Cluster {
    pub(crate) fn new() -> Self {
        install_crypto();
        let directory = tempfile::tempdir().unwrap();
        for (account, password) in [("admin", "admin's password"), ("operator", "operator's password")] {
            let folder = directory.path().join(account);
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join("username"), account).unwrap();
            std::fs::write(folder.join("password"), format!("{password}\n")).unwrap();
        }
        Self {
            directory,
            store: Arc::new(InMemory::new()),
            config: config(CLUSTER),
            clock: Arc::new(SystemClock),
        }
    }

    /// The same store, another directory: what a second cluster would see.
    pub(crate) fn beside(&self, cluster_id: &str) -> Self {
        Self {
            store: Arc::clone(&self.store),
            config: config(cluster_id),
            ..Self::new()
        }
    }

    pub(crate) fn meta(&self) -> std::path::PathBuf {
        self.directory.path().join("meta")
    }

    pub(crate) fn parts(&self) -> CoreParts {
        CoreParts {
            config: self.config.clone(),
            dirs: Dirs {
                meta: self.meta(),
                admin_account: self.directory.path().join("admin"),
                operator_account: self.directory.path().join("operator"),
            },
            store: Arc::clone(&self.store),
            rpc: RpcClient::new(ClusterToken::new(TOKEN).unwrap()).unwrap(),
            rpc_url: "http://127.0.0.1:1".to_owned(),
            clock: Arc::clone(&self.clock),
            journal: local_journal(),
        }
    }

    pub(crate) async fn open(&self) -> Core {
        self.try_open().await.unwrap()
    }

    pub(crate) async fn try_open(&self) -> Result<Core, Refusal> {
        Core::open(self.parts()).await
    }

    pub(crate) async fn open_with(&self, store: Arc<dyn ObjectStore>, journal: JournalOpener) -> Result<Core, Refusal> {
        Core::open(CoreParts {
            store,
            journal,
            ..self.parts()
        })
        .await
    }

    /// The store as compute nodes see it.
    pub(crate) fn data_store(&self) -> PrefixStore<Arc<dyn ObjectStore>> {
        let id = ClusterId(Uuid::parse_str(&self.config.cluster_id).unwrap());
        PrefixStore::new(Arc::clone(&self.store), names::data_prefix(id))
    }

    /// Writes one data object with `rows` rows for every partition of the target.
    pub(crate) async fn write(&self, target: &LoadTarget, rows: u64) -> DataObject {
        let name = names::data_object(target.table, None, target.epoch, target.txn, Uuid::new_v4());
        let mut bytes = Vec::new();
        let mut writes = Vec::new();
        for partition in &target.partitions {
            let segment = Segment {
                object: name.clone(),
                offset: bytes.len() as u64,
                length: 10,
                rows,
                uncompressed_bytes: 100,
                key_range: None,
                schema_id: target.schema.schema_id,
                epoch: target.epoch,
            };
            bytes.extend_from_slice(b"0123456789");
            writes.push(TabletWrite {
                partition: partition.id,
                tablet: partition.tablets[(target.txn.0 % 2) as usize],
                segment,
            });
        }
        bytes.extend_from_slice(&encode_trailer(&writes).unwrap());
        let size = bytes.len() as u64;
        let path = Path::from(name.as_str());
        self.data_store().put(&path, bytes.into()).await.unwrap();
        DataObject { name, size, writes }
    }

    /// A whole load; answers its transaction.
    pub(crate) async fn load(&self, core: &Core, table: &str, label: &str, rows: u64) -> Result<TxnId, CoreError> {
        let target = begin(core, table, label).await?;
        let object = self.write(&target, rows).await;
        core.commit(target.txn, vec![object]).await?;
        Ok(target.txn)
    }
}

pub(crate) fn config(cluster_id: &str) -> EngineConfig {
    EngineConfig {
        format_version: FORMAT_VERSION,
        cluster_name: "tests/tests".to_owned(),
        cluster_id: cluster_id.to_owned(),
        storage: StorageConfig::Directory {
            path: "/nowhere".to_owned(),
        },
        frontend: FrontendConfig {
            heartbeat_interval_ms: 50,
            ..FrontendConfig::default()
        },
        compute: springtide_contract::config::ComputeConfig::default(),
        tls: false,
    }
}

/// Database `d` with table `t` of two range partitions by an integer, two buckets each.
pub(crate) fn table(name: &str) -> NewTable {
    let column = |name: &str| Column {
        name: name.to_owned(),
        data_type: DataType::BigInt,
        nullable: true,
        default: None,
        comment: String::new(),
    };
    let below = |name: &str, upper| NewPartition {
        name: name.to_owned(),
        range: NewRange::LessThan(upper),
    };
    NewTable {
        database: "d".to_owned(),
        name: name.to_owned(),
        schema: TableSchema {
            schema_id: 0,
            columns: vec![column("k"), column("v")],
            key_columns: 1,
            partition_column: Some(0),
            distribution: Distribution {
                columns: vec![0],
                buckets: 2,
            },
        },
        partitions: vec![
            below("low", PartitionBound::Value(Literal::Int(100))),
            below("high", PartitionBound::MaxValue),
        ],
        comment: String::new(),
        properties: BTreeMap::new(),
    }
}

pub(crate) async fn create_table(core: &Core, name: &'static str) -> Result<(), CoreError> {
    let now_ms = core.now_ms();
    core.edit(move |catalog| catalog.create_database("d", true, now_ms))
        .await?;
    core.edit(move |catalog| catalog.create_table(&table(name), false, now_ms))
        .await
        .map(drop)
}

pub(crate) fn request(table: &str, label: &str) -> BeginTransaction {
    BeginTransaction {
        database: "d".to_owned(),
        table: table.to_owned(),
        label: label.to_owned(),
        timeout: std::time::Duration::from_secs(60),
        process: None,
    }
}

pub(crate) async fn begin(core: &Core, table: &str, label: &str) -> Result<LoadTarget, CoreError> {
    match core.begin(request(table, label)).await? {
        Begun::Target(target) => Ok(target),
        Begun::LabelAlreadyExists { txn, status } => panic!("label {label} is {} by {txn}", status.as_str()),
    }
}

/// Rows of each partition of `d.name` as queries would see them; every segment must be there once.
pub(crate) async fn visible_rows(core: &Core, name: &str) -> Vec<u64> {
    let catalog = core.catalog();
    let table = catalog.resolve_table("d", name).unwrap();
    let mut rows = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for partition in &table.partitions {
        let metadata = core.partition_metadata(partition).await.unwrap();
        for segment in metadata.tablets.iter().flat_map(|tablet| &tablet.segments) {
            assert!(
                seen.insert((segment.object.clone(), segment.offset)),
                "a segment is visible twice"
            );
        }
        rows.push(metadata.rows());
    }
    rows
}

/// Flips a byte in the middle of a file.
pub(crate) fn damage(path: &FilePath, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 0x55;
    std::fs::write(path, bytes).unwrap();
}
