//! The end of a cluster's data: nothing that is another's, the claim last, and on with it after whatever interrupts it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, memory::InMemory, path::Path, prefix::PrefixStore,
};
use springtide_contract::config::{RefusalReason, StorageConfig};
use springtide_fe::core::removal::{Deleted, Extent, RemovalError, delete_data};
use springtide_model::ClusterId;
use tokio_util::sync::CancellationToken;

use super::faults::{Fault, FaultyStore};
use super::fixture::{CLUSTER, Cluster, OTHER_CLUSTER, create_table};

/// A store whose deletions fail from the object on whose turn it is.
#[derive(Debug)]
struct Refusing {
    inner: Arc<dyn ObjectStore>,
    left: Arc<AtomicI64>,
    error: fn() -> Error,
}

impl fmt::Display for Refusing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refusing {}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Refusing {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(path, options).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (left, error) = (Arc::clone(&self.left), self.error);
        let paths = paths.map(move |path| {
            if left.fetch_sub(1, Ordering::SeqCst) > 0 {
                path
            } else {
                Err(error())
            }
        });
        self.inner.delete_stream(paths.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

fn storage() -> StorageConfig {
    StorageConfig::S3 {
        bucket: "lake".to_owned(),
        prefix: "retail".to_owned(),
        endpoint: None,
        region: "us-east-1".to_owned(),
        path_style: true,
    }
}

fn of(id: &str) -> Extent {
    Extent::Claimed(ClusterId(id.parse().unwrap()))
}

/// A bucket with the place `retail` of a cluster that has served, and of others beside, within and around it.
async fn bucket() -> Arc<InMemory> {
    let bucket = Arc::new(InMemory::new());
    let mut cluster = Cluster::new();
    cluster.store = at(&bucket, "retail");
    let core = cluster.open().await;
    create_table(&core, "t").await.unwrap();
    core.shutdown().await;
    for number in 0..20 {
        put(&bucket, &format!("retail/{CLUSTER}/data/1/mixed/{number}.seg")).await;
    }
    put(&bucket, "retail/probe/0123456789abcdef0123456789abcdef").await;
    for neighbour in [
        "retail2/CLUSTER",
        "retail2/data",
        "CLUSTER",
        "inventory/data",
        "retail/inner/CLUSTER",
        "retail/inner/data",
        "retail/probe/CLUSTER",
        "retail/probe/0123456789abcdef0123456789abcdef/data",
    ] {
        put(&bucket, neighbour).await;
    }
    put(&bucket, &format!("retail/{CLUSTER}2/data")).await;
    put(&bucket, &format!("retail/{OTHER_CLUSTER}/data")).await;
    bucket
}

fn at(bucket: &Arc<InMemory>, prefix: &str) -> Arc<dyn ObjectStore> {
    let bucket: Arc<dyn ObjectStore> = bucket.clone();
    Arc::new(PrefixStore::new(bucket, prefix))
}

async fn put(bucket: &InMemory, path: &str) {
    bucket.put(&path.into(), "four".into()).await.unwrap();
}

async fn names(bucket: &InMemory) -> Vec<String> {
    let objects: Vec<ObjectMeta> = bucket.list(None).try_collect().await.unwrap();
    objects.into_iter().map(|object| object.location.to_string()).collect()
}

/// Objects of the cluster: those below its id, and its claim.
async fn own(bucket: &InMemory) -> (usize, bool) {
    let names = names(bucket).await;
    let below = format!("retail/{CLUSTER}/");
    let count = names.iter().filter(|name| name.starts_with(&below)).count();
    (count, names.iter().any(|name| name == "retail/CLUSTER"))
}

async fn delete(store: &Arc<dyn ObjectStore>, extent: Extent) -> std::result::Result<Deleted, RemovalError> {
    delete_data(store, &storage(), extent, &CancellationToken::new()).await
}

fn check_refused(deleted: std::result::Result<Deleted, RemovalError>, reason: RefusalReason, words: &str) {
    match deleted {
        Err(RemovalError::Refused(refusal)) => {
            assert_eq!(refusal.reason, reason, "{}", refusal.message);
            assert!(refusal.message.contains(words), "{}", refusal.message);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_clusters_data_and_claim_go_and_nothing_else() {
    let bucket = bucket().await;
    let mut others = names(&bucket).await;
    let is_own = |name: &str| {
        let own = format!("retail/{CLUSTER}/");
        name.starts_with(&own) || name == "retail/CLUSTER" || name == "retail/probe/0123456789abcdef0123456789abcdef"
    };
    others.retain(|name| !is_own(name));
    let deleted = delete(&at(&bucket, "retail"), of(CLUSTER)).await.unwrap();
    assert!(deleted.objects >= 22 && deleted.bytes >= 80, "{deleted:?}");
    assert_eq!(names(&bucket).await, others);
    // Doing it again deletes nothing more, and is no error.
    let again = delete(&at(&bucket, "retail"), of(CLUSTER)).await.unwrap();
    assert_eq!((again, names(&bucket).await), (Deleted::default(), others));
}

#[tokio::test]
async fn a_place_of_another_cluster_is_not_touched() {
    let bucket = bucket().await;
    let before = names(&bucket).await;
    let deleted = delete(&at(&bucket, "retail"), of(OTHER_CLUSTER)).await;
    check_refused(deleted, RefusalReason::ForeignCluster, CLUSTER);
    put(&bucket, "strange/CLUSTER").await;
    let deleted = delete(&at(&bucket, "strange"), of(CLUSTER)).await;
    check_refused(deleted, RefusalReason::ForeignCluster, "not written by this engine");
    assert_eq!(names(&bucket).await.len(), before.len() + 1);
}

#[tokio::test]
async fn data_whose_claim_is_gone_goes_by_its_own_name() {
    let bucket = bucket().await;
    bucket.delete(&"retail/CLUSTER".into()).await.unwrap();
    delete(&at(&bucket, "retail"), of(CLUSTER)).await.unwrap();
    assert_eq!(own(&bucket).await, (0, false));
}

#[tokio::test]
async fn a_deletion_that_fails_anywhere_leaves_the_claim_and_goes_on_later() {
    let untouched = bucket().await;
    let whole = own(&untouched).await.0;
    for turn in [0, 1, 7, i64::try_from(whole).unwrap()] {
        let bucket = bucket().await;
        let refusing: Arc<dyn ObjectStore> = Arc::new(Refusing {
            inner: at(&bucket, "retail"),
            left: Arc::new(AtomicI64::new(turn)),
            error: || Error::Generic {
                store: "test",
                source: "the network is down".into(),
            },
        });
        let deleted = delete(&refusing, of(CLUSTER)).await;
        check_refused(deleted, RefusalReason::StorageUnreachable, "the network is down");
        let (left, claim) = own(&bucket).await;
        assert!(claim && left <= whole, "{turn}: {left} of {whole}");
        delete(&at(&bucket, "retail"), of(CLUSTER)).await.unwrap();
        assert_eq!(own(&bucket).await, (0, false), "{turn}");
    }
}

#[tokio::test]
async fn one_that_is_told_to_end_ends_and_leaves_the_claim() {
    let bucket = bucket().await;
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    let deleted = delete_data(&at(&bucket, "retail"), &storage(), of(CLUSTER), &shutdown).await;
    assert!(
        matches!(deleted, Err(RemovalError::Stopped(deleted)) if deleted == Deleted::default()),
        "{deleted:?}"
    );
    assert!(own(&bucket).await.1);
}

#[tokio::test]
async fn what_the_store_refuses_is_told() {
    let bucket = bucket().await;
    let read = |fault| Arc::new(FaultyStore::new(at(&bucket, "retail"), fault)) as Arc<dyn ObjectStore>;
    let denied = delete(&read(Fault::PermissionDenied), of(CLUSTER)).await;
    check_refused(denied, RefusalReason::StorageAccessDenied, "bucket 'lake'");
    let deletes = |error: fn() -> Error| {
        Arc::new(Refusing {
            inner: at(&bucket, "retail"),
            left: Arc::new(AtomicI64::new(3)),
            error,
        }) as Arc<dyn ObjectStore>
    };
    let denied = deletes(|| Error::PermissionDenied {
        path: "a,".repeat(2000),
        source: "no DeleteObject".into(),
    });
    check_refused(
        delete(&denied, of(CLUSTER)).await,
        RefusalReason::StorageAccessDenied,
        "no DeleteObject",
    );
    // What an answer for many objects says of one of them.
    let locked = deletes(|| Error::Generic {
        store: "S3",
        source: format!(
            "DeleteObjects request failed for key x: Access Denied (code: AccessDenied) {}",
            "x".repeat(5000)
        )
        .into(),
    });
    let Err(RemovalError::Refused(refusal)) = delete(&locked, of(CLUSTER)).await else {
        panic!("it is refused");
    };
    assert_eq!(refusal.reason, RefusalReason::StorageAccessDenied);
    // The kubelet takes 4096 bytes of it.
    assert!(refusal.message.len() < 1000, "{}", refusal.message.len());
    assert!(own(&bucket).await.1);
}

#[tokio::test]
async fn the_place_of_an_engine_without_claims_goes_as_a_whole_unless_there_is_a_claim() {
    let bucket = Arc::new(InMemory::new());
    for path in ["sr/5b1/db1/t1/a.dat", "sr/5b1/db1/t1/b.dat", "sr2/5b1/a.dat", "sr.dat"] {
        put(&bucket, path).await;
    }
    put(&bucket, "sr/5b1/nested/CLUSTER").await;
    let deleted = delete(&at(&bucket, "sr"), Extent::Whole).await;
    check_refused(deleted, RefusalReason::ForeignCluster, "5b1/nested/CLUSTER");
    assert_eq!(names(&bucket).await.len(), 5);
    bucket.delete(&"sr/5b1/nested/CLUSTER".into()).await.unwrap();
    let deleted = delete(&at(&bucket, "sr"), Extent::Whole).await.unwrap();
    assert_eq!(deleted, Deleted { objects: 2, bytes: 8 });
    assert_eq!(names(&bucket).await, ["sr.dat", "sr2/5b1/a.dat"]);
    assert_eq!(
        delete(&at(&bucket, "sr"), Extent::Whole).await.unwrap(),
        Deleted::default()
    );
}
