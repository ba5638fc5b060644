//! The one writer of the journal: puts edits in order, makes them durable in groups, and publishes the catalog that has them.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use springtide_catalog::{Catalog, CatalogError, Edit, Record};
use springtide_contract::config::FrontendConfig;
use springtide_journal::{Journal, JournalError};
use tokio::sync::{mpsc, oneshot, watch};

use super::{CoreError, Metrics};

/// Edits that wait to be written; beyond, callers wait to be taken.
const QUEUE: usize = 1024;
/// Most edits that share one fsync.
const GROUP: usize = 512;

pub(super) type Intent = Box<dyn FnOnce(&Catalog) -> Result<Vec<Edit>, CatalogError> + Send>;
type Reply = oneshot::Sender<Result<Arc<Catalog>, CoreError>>;
type ImageReply = oneshot::Sender<Result<u64, CoreError>>;

enum Request {
    Edit { intent: Intent, reply: Reply },
    Image { reply: ImageReply },
    ImageWritten(Result<u64, JournalError>),
    Stop,
}

/// Handle of the writer thread.
pub(super) struct EditWriter {
    requests: mpsc::Sender<Request>,
    published: watch::Receiver<Arc<Catalog>>,
    failure: watch::Receiver<Option<String>>,
    durable_id: Arc<AtomicU64>,
    image_id: Arc<AtomicU64>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl EditWriter {
    /// Starts the thread. `image_id` is the last record of the newest image, 0 without one.
    pub(super) fn start(
        journal: Box<dyn Journal>,
        catalog: Catalog,
        image_id: u64,
        settings: watch::Receiver<FrontendConfig>,
        metrics: Metrics,
    ) -> Self {
        let (requests, receiver) = mpsc::channel(QUEUE);
        let (publish, published) = watch::channel(Arc::new(catalog.clone()));
        let (fail, failure) = watch::channel(None);
        let durable_id = Arc::new(AtomicU64::new(journal.last_id()));
        let written_image_id = Arc::new(AtomicU64::new(image_id));
        let writer = Writer {
            journal,
            head: catalog,
            publish,
            fail,
            durable_id: Arc::clone(&durable_id),
            written_image_id: Arc::clone(&written_image_id),
            image_id,
            settings,
            image_running: false,
            image_asked: Vec::new(),
            requests: requests.downgrade(),
            metrics,
        };
        let thread = std::thread::spawn(move || writer.run(receiver));
        Self {
            requests,
            published,
            failure,
            durable_id,
            image_id: written_image_id,
            thread: Mutex::new(Some(thread)),
        }
    }

    pub(super) fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.published.borrow())
    }

    pub(super) fn watch(&self) -> watch::Receiver<Arc<Catalog>> {
        self.published.clone()
    }

    pub(super) fn durable_id(&self) -> u64 {
        self.durable_id.load(Ordering::Acquire)
    }

    /// The last record that is in the newest image, 0 without one.
    pub(super) fn image_id(&self) -> u64 {
        self.image_id.load(Ordering::Acquire)
    }

    /// Writes an image of everything that is durable by now, unless there is one; answers its last record.
    pub(super) async fn write_image(&self) -> Result<u64, CoreError> {
        let (reply, answer) = oneshot::channel();
        let is_sent = self.requests.send(Request::Image { reply }).await.is_ok();
        if is_sent && let Ok(result) = answer.await {
            return result;
        }
        Err(self.refusal())
    }

    fn refusal(&self) -> CoreError {
        match self.failure.borrow().clone() {
            Some(reason) => CoreError::JournalFailed(reason),
            None => CoreError::Stopping,
        }
    }

    pub(super) async fn edit(&self, intent: Intent) -> Result<Arc<Catalog>, CoreError> {
        let (reply, answer) = oneshot::channel();
        // A refused request comes back with its reply in it, which must not be waited for.
        let is_sent = self.requests.send(Request::Edit { intent, reply }).await.is_ok();
        if is_sent && let Ok(result) = answer.await {
            return result;
        }
        Err(self.refusal())
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failure.borrow().is_some()
    }

    /// Resolves when the journal has failed.
    pub(super) async fn failed(&self) -> String {
        let mut failure = self.failure.clone();
        // The value is taken out at once: what `wait_for` lends may not be held across an await.
        let reason = failure
            .wait_for(Option::is_some)
            .await
            .map(|reason| reason.clone().unwrap_or_default());
        match reason {
            Ok(reason) => reason,
            // The writer has ended without a failure: it never fails any more.
            Err(_) => std::future::pending().await,
        }
    }

    /// Writes what was taken, and closes the journal.
    pub(super) async fn stop(&self) {
        // The thread may have ended already, after a failure.
        let _ = self.requests.send(Request::Stop).await;
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!("the journal's writer ended by a panic");
            }
        }
    }
}

struct Writer {
    journal: Box<dyn Journal>,
    /// The catalog with all edits that were appended, durable or not.
    head: Catalog,
    publish: watch::Sender<Arc<Catalog>>,
    fail: watch::Sender<Option<String>>,
    durable_id: Arc<AtomicU64>,
    /// For others to see: what is in the newest image that was written.
    written_image_id: Arc<AtomicU64>,
    /// From where records are counted to the next image.
    image_id: u64,
    /// How many records there may be beyond an image.
    settings: watch::Receiver<FrontendConfig>,
    image_running: bool,
    /// Who asked for an image, and which record it has to have.
    image_asked: Vec<(u64, ImageReply)>,
    requests: mpsc::WeakSender<Request>,
    metrics: Metrics,
}

/// What is answered once the group is durable.
type Decided = (Reply, Result<(), CoreError>);

impl Writer {
    fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut stop = false;
        while !stop && let Some(first) = requests.blocking_recv() {
            let mut decided: Vec<Decided> = Vec::new();
            let mut next = Some(first);
            while let Some(request) = next {
                match request {
                    Request::Stop => stop = true,
                    Request::ImageWritten(result) => self.image_written(result),
                    Request::Image { reply } => self.image_asked.push((self.journal.last_id(), reply)),
                    Request::Edit { intent, reply } => match self.decide(intent) {
                        Ok(result) => decided.push((reply, result)),
                        Err(failure) => return self.give_up(&failure),
                    },
                }
                next = (!stop && decided.len() < GROUP)
                    .then(|| requests.try_recv().ok())
                    .flatten();
            }
            if let Err(failure) = self.make_durable() {
                return self.give_up(&failure);
            }
            self.answer(decided);
            self.answer_for_images();
            self.begin_image_when_due();
        }
    }

    /// Runs an intent on the newest catalog and appends its edits. The outer error is the journal's, and final.
    fn decide(&mut self, intent: Intent) -> Result<Result<(), CoreError>, JournalError> {
        let edits = match intent(&self.head) {
            Ok(edits) if edits.is_empty() => return Ok(Ok(())),
            Ok(edits) => edits,
            Err(refusal) => return Ok(Err(refusal.into())),
        };
        let record = Record::new(edits);
        let mut next = self.head.clone();
        if let Err(misfit) = next.apply_record(&record) {
            tracing::error!(%misfit, "an intent made edits that do not apply; nothing was changed");
            return Ok(Err(misfit.into()));
        }
        match self.journal.append(&record.to_bytes()) {
            Ok(_) => {
                self.head = next;
                Ok(Ok(()))
            }
            Err(long @ JournalError::TooLong { .. }) => Ok(Err(CatalogError::invalid(format!(
                "the statement is too large: {long}"
            ))
            .into())),
            Err(failure) => Err(failure),
        }
    }

    fn make_durable(&mut self) -> Result<(), JournalError> {
        let last_id = self.journal.last_id();
        if last_id == self.durable_id.load(Ordering::Acquire) {
            return Ok(());
        }
        self.journal.sync()?;
        self.metrics.edit_log_write.inc();
        self.durable_id.store(last_id, Ordering::Release);
        self.publish.send_replace(Arc::new(self.head.clone()));
        Ok(())
    }

    fn answer(&self, decided: Vec<Decided>) {
        let catalog = Arc::clone(&self.publish.borrow());
        for (reply, result) in decided {
            // A caller that went away does not want the answer.
            let _ = reply.send(result.map(|()| Arc::clone(&catalog)));
        }
    }

    /// It is not known what of the group is durable: nobody is answered, and nothing is published.
    fn give_up(&self, failure: &JournalError) {
        tracing::error!(%failure, "the journal failed: the frontend acknowledges nothing more and must restart");
        self.fail.send_replace(Some(failure.to_string()));
    }

    /// Answers those whose record is in an image by now.
    fn answer_for_images(&mut self) {
        let written = self.written_image_id.load(Ordering::Acquire);
        let (has, lacks): (Vec<_>, Vec<_>) = std::mem::take(&mut self.image_asked)
            .into_iter()
            .partition(|(id, _)| *id <= written);
        self.image_asked = lacks;
        for (_, reply) in has {
            // Who went away does not want the answer.
            let _ = reply.send(Ok(written));
        }
    }

    fn begin_image_when_due(&mut self) {
        let last_id = self.journal.last_id();
        let image_every = self.settings.borrow().image_every_records.max(1);
        let is_due = last_id.saturating_sub(self.image_id) >= image_every || !self.image_asked.is_empty();
        if self.image_running || !is_due {
            return;
        }
        let Some(requests) = self.requests.upgrade() else {
            return;
        };
        let writer = self.journal.image_writer();
        let catalog = self.head.clone();
        self.image_running = true;
        // Beside the appends: a large catalog takes a while to say and to sync.
        std::thread::spawn(move || {
            let result = writer.write(last_id, &catalog.to_image()).map(|()| last_id);
            // Nobody listens after a stop; the next start finds the image.
            let _ = requests.blocking_send(Request::ImageWritten(result));
        });
    }

    fn image_written(&mut self, result: Result<u64, JournalError>) {
        self.image_running = false;
        match result {
            Ok(id) => {
                self.image_id = id;
                self.written_image_id.store(id, Ordering::Release);
                self.metrics.image_write.inc();
                match self.journal.trim() {
                    Ok(gone) => tracing::info!(image = id, removed = gone.len(), "wrote an image of the catalog"),
                    Err(error) => tracing::warn!(%error, "cannot remove journal files that an image replaces"),
                }
            }
            Err(error) => {
                // The journal alone is enough; the next image is tried after as many records again.
                self.image_id = self.journal.last_id();
                tracing::warn!(%error, "cannot write an image of the catalog");
                for (_, reply) in self.image_asked.drain(..) {
                    let _ = reply.send(Err(CoreError::ImageFailed(error.to_string())));
                }
            }
        }
    }
}

impl Drop for Writer {
    /// A panic in the thread must not look like a stop.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.fail
                .send_replace(Some("the journal's writer ended by a panic".to_owned()));
        }
    }
}
