//! Stores and journals that fail, or stop for good in the middle of something.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, path::Path,
};
use springtide_fe::core::JournalOpener;
use springtide_journal::{ImageWriter, Journal, JournalError, LocalJournal, LocalOptions};
use tokio_util::sync::CancellationToken;

/// What a store does wrong.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// As for a bucket that is not there.
    NotFound,
    /// As for wrong keys.
    PermissionDenied,
    /// As without a network.
    Unreachable,
    /// Takes `If-None-Match` and overwrites.
    IgnoresCreate,
    /// The process dies after so many steps.
    Dies(Death),
}

/// A death after a number of steps: what is under way then never returns, and nothing works after it.
#[derive(Clone, Debug)]
pub(super) struct Death {
    steps: Arc<AtomicI64>,
    dead: CancellationToken,
}

impl Death {
    pub(super) fn after(steps: i64) -> Self {
        Self {
            steps: Arc::new(AtomicI64::new(steps)),
            dead: CancellationToken::new(),
        }
    }

    /// Resolves when it has come.
    pub(super) async fn wait(&self) {
        self.dead.cancelled().await;
    }

    pub(super) fn has_come(&self) -> bool {
        self.dead.is_cancelled()
    }

    fn step(&self) -> bool {
        if self.steps.fetch_sub(1, Ordering::SeqCst) <= 0 {
            self.dead.cancel();
        }
        self.has_come()
    }

    async fn step_or_hang(&self) {
        if self.step() {
            std::future::pending::<()>().await;
        }
    }

    fn step_or_fail(&self) -> std::result::Result<(), JournalError> {
        if self.step() {
            return Err(JournalError::Failed {
                first: "the process died".to_owned(),
            });
        }
        Ok(())
    }

    /// The local journal, mortal before and after each write.
    pub(super) fn journal(&self) -> JournalOpener {
        let death = self.clone();
        JournalOpener::new(move |directory, cluster| {
            let (inner, recovered) = LocalJournal::open(directory, LocalOptions::new(cluster))?;
            let journal = MortalJournal { inner, death };
            Ok((Box::new(journal) as Box<dyn Journal>, recovered))
        })
    }
}

#[derive(Debug)]
struct MortalJournal {
    inner: LocalJournal,
    death: Death,
}

impl Journal for MortalJournal {
    fn append(&mut self, payload: &[u8]) -> std::result::Result<u64, JournalError> {
        self.inner.append(payload)
    }

    fn sync(&mut self) -> std::result::Result<(), JournalError> {
        self.death.step_or_fail()?;
        self.inner.sync()?;
        self.death.step_or_fail()
    }

    fn last_id(&self) -> u64 {
        self.inner.last_id()
    }

    fn image_writer(&self) -> Box<dyn ImageWriter> {
        self.inner.image_writer()
    }

    fn trim(&mut self) -> std::result::Result<Vec<String>, JournalError> {
        self.death.step_or_fail()?;
        self.inner.trim()
    }
}

/// A store with a fault.
#[derive(Debug)]
pub(super) struct FaultyStore {
    inner: Arc<dyn ObjectStore>,
    fault: Fault,
}

impl FaultyStore {
    pub(super) fn new(inner: Arc<dyn ObjectStore>, fault: Fault) -> Self {
        Self { inner, fault }
    }

    async fn before(&self, path: &Path) -> Result<()> {
        let path = path.to_string();
        let source = "as the test wants it".into();
        match &self.fault {
            Fault::NotFound => Err(Error::NotFound { path, source }),
            Fault::PermissionDenied => Err(Error::PermissionDenied { path, source }),
            Fault::Unreachable => Err(Error::Generic { store: "test", source }),
            Fault::IgnoresCreate => Ok(()),
            Fault::Dies(death) => {
                death.step_or_hang().await;
                Ok(())
            }
        }
    }

    async fn after(&self) {
        if let Fault::Dies(death) = &self.fault {
            death.step_or_hang().await;
        }
    }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "faulty {}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(&self, path: &Path, payload: PutPayload, mut options: PutOptions) -> Result<PutResult> {
        self.before(path).await?;
        if matches!(self.fault, Fault::IgnoresCreate) {
            options = PutOptions::default();
        }
        let result = self.inner.put_opts(path, payload, options).await;
        self.after().await;
        result
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.before(path).await?;
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.before(path).await?;
        self.inner.get_opts(path, options).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.before(from).await?;
        self.inner.copy_opts(from, to, options).await
    }
}
