//! One served index: its files, the engine that searches it, and the queue of its writes.

use crate::Config;
use crate::changes;
use crate::cursor::Generations;
use crate::encoding::EncodeQueue;
use crate::error::{ApiError, Result};
use crate::settings::IndexSettings;
use crate::state::App;
use crate::tasks::{Task, TaskKind};
use axum::http::StatusCode;
use selvedge::Progress;
use selvedge::{Check, Engine, Index, OpenOptions, Queue, QueueOptions, Snapshot};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Folder of the index, beside its settings.
const INDEX: &str = "index";

/// An index with documents, open.
pub(crate) struct Open {
    /// Engine that searches and changes it.
    pub(crate) engine: Engine,
    /// Queue of its searches.
    pub(crate) queue: Queue,
    /// Queue of its model; `None` in an index of embeddings.
    pub(crate) model: Option<Arc<EncodeQueue>>,
}

/// One served index.
pub(crate) struct Served {
    /// Name in the API.
    pub(crate) name: String,
    /// Folder that is deleted with the index; `None` for an index that was made elsewhere.
    pub(crate) home: Option<PathBuf>,
    /// Folder of the index.
    pub(crate) path: PathBuf,
    /// Settings of an index that was created over HTTP.
    pub(crate) settings: IndexSettings,
    /// Folder of documents that the index is kept up to date with, if it has one.
    pub(crate) folder: Option<PathBuf>,
    open: RwLock<State>,
    generations: Generations,
    /// Generation that answers, 0 before the first. It is sent again whenever the state changes.
    generation: watch::Sender<u32>,
    /// Whether another codec is due after the last change.
    wants_codec: AtomicBool,
    /// Embeddings when the codec was last trained here, 0 if it was not.
    trained_tokens: AtomicU64,
    /// Held by the write that runs; others wait in the order of their arrival.
    write: tokio::sync::Mutex<()>,
    /// Places of the writes that wait or run.
    places: Arc<Semaphore>,
    num_places: usize,
}

/// The index as its searches find it.
enum State {
    /// No document yet.
    Empty,
    /// An open index.
    Ready(Arc<Open>),
    /// Files that could not be opened, and why.
    Broken(ApiError),
    /// The index was deleted.
    Deleted,
}

impl Served {
    /// Describes an index that is not open yet.
    pub(crate) fn new(
        name: String,
        home: Option<PathBuf>,
        path: PathBuf,
        settings: IndexSettings,
        config: &Config,
    ) -> Self {
        let num_places = config.max_waiting_writes;
        Self {
            name,
            home,
            path,
            settings,
            folder: None,
            open: RwLock::new(State::Empty),
            generations: Generations::new(Duration::from_secs(config.cursor_ttl_s)),
            generation: watch::Sender::new(0),
            wants_codec: AtomicBool::new(false),
            trained_tokens: AtomicU64::new(0),
            write: tokio::sync::Mutex::default(),
            places: Arc::new(Semaphore::new(num_places)),
            num_places,
        }
    }

    /// The index of a folder of the data folder.
    pub(crate) fn in_data(name: String, home: PathBuf, settings: IndexSettings, config: &Config) -> Self {
        let path = home.join(INDEX);
        Self::new(name, Some(home), path, settings, config)
    }

    /// The index of a folder of documents, in `home`. Clients cannot delete it.
    pub(crate) fn of_folder(
        name: String,
        home: &Path,
        folder: PathBuf,
        settings: IndexSettings,
        config: &Config,
    ) -> Self {
        Self { folder: Some(folder), ..Self::new(name, None, home.join(INDEX), settings, config) }
    }

    /// The open index.
    ///
    /// # Errors
    /// 409 if it has no document yet, 404 if it was deleted, 500 if it could not be opened.
    pub(crate) fn open(&self) -> Result<Arc<Open>> {
        match &*self.open.read().unwrap_or_else(PoisonError::into_inner) {
            State::Ready(open) => Ok(Arc::clone(open)),
            State::Empty if self.folder.is_some() => Err(ApiError::unread_folder(&self.name)),
            State::Empty => Err(ApiError::empty_index(&self.name)),
            State::Broken(error) => Err(error.clone()),
            State::Deleted => Err(ApiError::no_index(&self.name)),
        }
    }

    /// Whether there is an index on disk, sound or not.
    pub(crate) fn has_index(&self) -> bool {
        let opened = Index::open(&self.path, Check::Structure);
        !matches!(opened, Err(selvedge::IndexError::NoIndex { .. }))
    }

    /// Checks that the index has documents, or may have some once the writes before have ended.
    pub(crate) fn may_be_open(&self) -> Result<()> {
        match self.waiting_writes() {
            0 => self.open().map(|_| ()),
            _ => Ok(()),
        }
    }

    /// Opens the index, which has documents.
    ///
    /// # Errors
    /// If it cannot be opened; so says each request from then on, until it can.
    pub(crate) fn load(&self, app: &App) -> Result<Arc<Open>> {
        let broken = |error: ApiError| match error.status {
            StatusCode::INTERNAL_SERVER_ERROR => ApiError::broken_index(&self.name, &error.message),
            _ => error,
        };
        let open = self.try_load(app).map_err(broken).inspect_err(|error| self.set(State::Broken(error.clone())))?;
        self.set(State::Ready(Arc::clone(&open)));
        self.followed(&open);
        Ok(open)
    }

    fn set(&self, state: State) {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*open, State::Deleted) {
            *open = state;
        }
        drop(open);
        // Whoever waits for a generation looks again.
        self.generation.send_modify(|_| {});
    }

    fn try_load(&self, app: &App) -> Result<Arc<Open>> {
        let options = OpenOptions { device: app.device, ..OpenOptions::default() };
        let engine = Engine::open(&self.path, options)?;
        let model = match engine.snapshot().index().encoder() {
            None => None,
            Some(_) => Some(app.models.of_index(&engine)?),
        };
        let queue = QueueOptions {
            max_batch: app.config.max_batch,
            max_waiting: app.config.max_waiting,
            pool: Some(app.reads.shared()),
            ..QueueOptions::default()
        };
        let queue = Queue::new(engine.snapshot().shared_searcher(), queue)?;
        Ok(Arc::new(Open { engine, queue, model }))
    }

    /// The folder that is deleted with the index.
    ///
    /// # Errors
    /// 403 if the index was made elsewhere.
    pub(crate) fn home_to_delete(&self) -> Result<&Path> {
        let message = || format!("index {:?} was made elsewhere; this server does not delete it", self.name);
        self.home.as_deref().ok_or_else(|| ApiError::new(StatusCode::FORBIDDEN, "NOT_OURS", message()))
    }

    /// Notes that the index is deleted, and closes it. Searches that run end on what they hold.
    pub(crate) fn close(&self) {
        self.set(State::Deleted);
        self.generations.clear();
    }

    /// Notes that the engine has followed to another generation.
    pub(crate) fn followed(&self, open: &Open) {
        let snapshot = open.engine.snapshot();
        open.queue.follow(snapshot.shared_searcher());
        let generation = snapshot.generation();
        self.generations.push(snapshot);
        self.generation.send_replace(generation);
    }

    /// The generations that cursors may name.
    pub(crate) fn generations(&self) -> &Generations {
        &self.generations
    }

    /// Asks for another codec after the change that runs, at most once for each doubling of the embeddings. Otherwise
    /// an index that no codec fits, such as one of equal embeddings, would train one after every write.
    pub(crate) fn ask_for_codec(&self, num_tokens: u64) {
        if num_tokens >= 2 * self.trained_tokens.load(Ordering::Relaxed) {
            self.wants_codec.store(true, Ordering::Release);
        }
    }

    /// Notes that a codec was trained on all embeddings.
    pub(crate) fn note_codec(&self, num_tokens: u64) {
        self.trained_tokens.store(num_tokens, Ordering::Relaxed);
    }

    /// Notes that the index cannot be served, and why.
    pub(crate) fn set_broken(&self, reason: &str) {
        self.set(State::Broken(ApiError::broken_index(&self.name, reason)));
    }

    /// Follows to changes that other processes made.
    pub(crate) fn follow(&self, app: &App) -> Result<bool> {
        let open = match self.open() {
            Ok(open) => open,
            // Another process may have made the index, or the device may have memory again.
            Err(error)
                if (error.code == "INDEX_EMPTY" || error.status == StatusCode::SERVICE_UNAVAILABLE)
                    && self.waiting_writes() == 0
                    && self.has_index() =>
            {
                return self.load(app).map(|_| true);
            }
            Err(_) => return Ok(false),
        };
        let before = open.engine.snapshot().generation();
        let generation = open.engine.refresh()?;
        self.followed(&open);
        Ok(before != generation)
    }

    /// Number of writes that wait or run.
    pub(crate) fn waiting_writes(&self) -> usize {
        self.num_places - self.places.available_permits()
    }

    /// Queues a write. It runs on the pool of writes after those that came before, whether its client waits or not.
    ///
    /// # Errors
    /// 429 if too many writes wait.
    pub(crate) fn queue_write(
        self: &Arc<Self>,
        app: &Arc<App>,
        kind: TaskKind,
        work: impl FnOnce(&App, &Served, &Task) -> Result<Value> + Send + 'static,
    ) -> Result<Arc<Task>> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| self.too_many_writes())?;
        Ok(self.write_at(place, app, kind, work))
    }

    fn too_many_writes(&self) -> ApiError {
        ApiError::too_many(format!("too many writes wait for index {:?}", self.name))
    }

    /// Queues a write as soon as there is a place for it.
    ///
    /// # Errors
    /// 429 if the settings leave no place for writes.
    pub(crate) async fn wait_to_queue_write(
        self: &Arc<Self>,
        app: &Arc<App>,
        kind: TaskKind,
        work: impl FnOnce(&App, &Served, &Task) -> Result<Value> + Send + 'static,
    ) -> Result<Arc<Task>> {
        if self.num_places == 0 {
            return Err(self.too_many_writes());
        }
        let place = Arc::clone(&self.places).acquire_owned().await.expect("it is never closed");
        Ok(self.write_at(place, app, kind, work))
    }

    fn write_at(
        self: &Arc<Self>,
        place: OwnedSemaphorePermit,
        app: &Arc<App>,
        kind: TaskKind,
        work: impl FnOnce(&App, &Served, &Task) -> Result<Value> + Send + 'static,
    ) -> Arc<Task> {
        let task = app.tasks.create(&self.name, kind);
        // One that is queued before is cancelled by the end itself.
        let is_put_off = kind.may_be_put_off();
        if is_put_off && app.is_ending() {
            task.cancel();
        }
        let (app, served, of_write) = (Arc::clone(app), Arc::clone(self), Arc::clone(&task));
        tokio::spawn(async move {
            let turn = served.write.lock().await;
            let result = served.run(&app, &of_write, work).await;
            // Others go on before clients are told, so that a client's next write is not refused.
            if let (true, Err(error)) = (is_put_off && !of_write.is_cancelled(), &result) {
                tracing::warn!(index = served.name, "{kind:?} failed: {error}");
            }
            drop((place, turn));
            of_write.end(result);
            app.notify(&served.name);
            if served.wants_codec.swap(false, Ordering::AcqRel) {
                changes::retrain(&app, &served);
            }
        });
        task
    }

    async fn run(
        self: &Arc<Self>,
        app: &Arc<App>,
        task: &Arc<Task>,
        work: impl FnOnce(&App, &Served, &Task) -> Result<Value> + Send + 'static,
    ) -> Result<Value> {
        task.start()?;
        if self.is_deleted() {
            return Err(ApiError::no_index(&self.name));
        }
        let (of_app, of_served, of_task) = (Arc::clone(app), Arc::clone(self), Arc::clone(task));
        app.writes.run(move || work(&of_app, &of_served, &of_task)).await?
    }

    /// Waits until no write runs, and keeps others waiting.
    pub(crate) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.write.lock().await
    }

    fn is_deleted(&self) -> bool {
        matches!(*self.open.read().unwrap_or_else(PoisonError::into_inner), State::Deleted)
    }

    /// The generation that a search answers from, once it is at least this one.
    ///
    /// # Errors
    /// As [`Self::open`]; but if a generation is awaited, the first documents may be on their way.
    pub(crate) async fn snapshot(&self, least: Option<u32>) -> Result<Arc<Snapshot>> {
        let mut generation = self.generation.subscribe();
        loop {
            generation.mark_unchanged();
            match (self.open(), least) {
                (Err(error), Some(_)) if error.code == "INDEX_EMPTY" => {}
                (Err(error), _) => return Err(error),
                (Ok(open), least) => {
                    let snapshot = open.engine.snapshot();
                    if least.is_none_or(|least| snapshot.generation() >= least) {
                        return Ok(snapshot);
                    }
                }
            }
            // The sender lives as long as `self`.
            let _ = generation.changed().await;
        }
    }
}
