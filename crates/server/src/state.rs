//! State that all requests share: the indexes, the models, the pools, the tasks.

use crate::Config;
use crate::encoding::{EncodeQueue, Limits};
use crate::error::{ApiError, Result};
use crate::folders;
use crate::listen::Serving;
use crate::models::Models;
use crate::served::Served;
use crate::settings::{IndexSettings, SETTINGS};
use crate::tasks::Tasks;
use crate::work::Pool;
use axum::http::StatusCode;
use selvedge::Device;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{Semaphore, broadcast, watch};

/// Beginning of the names of folders that are being deleted.
const DELETED: &str = ".deleted-";
/// File in the data folder that tells that a server is at work there.
const LOCK: &str = ".lock";
/// Longest name of an index.
const LONGEST_NAME: usize = 128;

/// Everything that requests share.
pub struct App {
    pub(crate) config: Config,
    pub(crate) device: Device,
    /// Pool of searches and encodings.
    pub(crate) reads: Pool,
    /// Pool of changes.
    pub(crate) writes: Pool,
    pub(crate) models: Models,
    pub(crate) tasks: Tasks,
    /// Names of indexes that have changed.
    pub(crate) changes: broadcast::Sender<String>,
    indexes: RwLock<BTreeMap<String, Arc<Served>>>,
    /// Files that are locked while their folders are served.
    locks: Mutex<Vec<std::fs::File>>,
    /// Held while an index is created.
    creation: Mutex<()>,
    /// Places of the streams of events.
    pub(crate) streams: Arc<Semaphore>,
    /// The server's own model, once a request without an index has needed it.
    model: OnceLock<Arc<EncodeQueue>>,
    /// Whether requests are accepted.
    pub(crate) is_ready: AtomicBool,
    /// Whether the server ends; streams of events end then.
    ends: watch::Sender<bool>,
}

impl App {
    /// Opens all indexes.
    ///
    /// # Errors
    /// If the data folder cannot be made or read, or an index cannot be opened.
    pub fn new(config: Config) -> Result<Arc<Self>> {
        config.check()?;
        let config = config.limited();
        let device = device(&config.device)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let write_threads = if config.write_threads == 0 { cores.div_ceil(2) } else { config.write_threads };
        let reads = Pool::new("read", config.threads, config.max_waiting)?;
        let limits = Limits {
            max_batch: config.max_batch.max(1),
            max_waiting: config.max_waiting,
            max_wait: Duration::try_from_secs_f64(config.max_wait_ms / 1000.0).unwrap_or_default(),
        };
        let app = Arc::new(Self {
            device,
            // The queue of each index has a limit of its own.
            writes: Pool::new("write", write_threads, usize::MAX)?,
            models: Models::new(reads.clone(), limits),
            reads,
            tasks: Tasks::default(),
            changes: broadcast::Sender::new(1024),
            indexes: RwLock::default(),
            locks: Mutex::default(),
            creation: Mutex::default(),
            streams: Arc::new(Semaphore::new(config.max_streams)),
            model: OnceLock::new(),
            is_ready: AtomicBool::new(false),
            ends: watch::Sender::new(false),
            config,
        });
        app.open_all()?;
        app.is_ready.store(true, Ordering::Release);
        Ok(app)
    }

    fn open_all(self: &Arc<Self>) -> Result<()> {
        for path in &self.config.indexes {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            check_name(&name)?;
            let served = Served::new(name.clone(), None, path.clone(), IndexSettings::default(), &self.config);
            served.load(self)?;
            if self.write().insert(name.clone(), Arc::new(served)).is_some() {
                return Err(two_of(&name));
            }
        }
        if !self.config.folders.is_empty() {
            let kept = &self.config.folder_data;
            std::fs::create_dir_all(kept).map_err(|error| at(kept, &error))?;
            self.lock(kept, true)?;
        }
        for folder in &self.config.folders {
            let served = folders::served(folder, &self.config)?;
            let name = served.name.clone();
            self.try_load(&served);
            if self.write().insert(name.clone(), Arc::new(served)).is_some() {
                return Err(two_of(&name));
            }
        }
        let Some(data) = &self.config.data else { return Ok(()) };
        std::fs::create_dir_all(data).map_err(|error| at(data, &error))?;
        self.lock(data, false)?;
        for entry in std::fs::read_dir(data).map_err(|error| at(data, &error))? {
            let home = entry.map_err(|error| at(data, &error))?.path();
            let name = home.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            if name.starts_with(DELETED) {
                // Its deletion was acknowledged, and interrupted.
                let _ = std::fs::remove_dir_all(&home);
                continue;
            }
            if check_name(&name).is_err() || !home.join(SETTINGS).is_file() {
                continue;
            }
            let settings = IndexSettings::read(&home);
            if settings.as_ref().is_ok_and(|settings| settings.folder.is_some()) {
                // It is brought up to date by `selvedge mcp`, and clients may not change it.
                continue;
            }
            let reason = settings.as_ref().err().map(|error| error.message.clone());
            let served = Served::in_data(name.clone(), home, settings.unwrap_or_default(), &self.config);
            match reason {
                None => self.try_load(&served),
                Some(reason) => {
                    tracing::error!(index = name, "not opened: {reason}");
                    served.set_broken(&reason);
                }
            }
            if self.write().insert(name.clone(), Arc::new(served)).is_some() {
                return Err(two_of(&name));
            }
        }
        Ok(())
    }

    /// Takes a folder of indexes: two servers of one data folder would not know of each other's indexes. Processes that
    /// keep indexes of folders there may share it.
    fn lock(&self, folder: &Path, is_shared: bool) -> Result<()> {
        let path = folder.join(LOCK);
        let file = std::fs::File::create(&path).map_err(|error| at(&path, &error))?;
        let locked = if is_shared { file.try_lock_shared() } else { file.try_lock() };
        locked.map_err(|error| match error {
            std::fs::TryLockError::WouldBlock => {
                ApiError::bad_request(format!("another server has the data folder {}", folder.display()))
            }
            std::fs::TryLockError::Error(error) => at(&path, &error),
        })?;
        // It is held until the process ends, or this is dropped.
        self.locks.lock().unwrap_or_else(PoisonError::into_inner).push(file);
        Ok(())
    }

    /// Opens an index that was made here, if it is there: an interrupted first build leaves files, but no index. One
    /// broken index must not keep the others from being served; its own requests say what is wrong.
    fn try_load(&self, served: &Served) {
        if served.has_index()
            && let Err(error) = served.load(self)
        {
            tracing::error!(index = served.name, "not opened: {error}");
        }
    }

    /// The index of a name.
    ///
    /// # Errors
    /// 404 if there is none.
    pub(crate) fn index(&self, name: &str) -> Result<Arc<Served>> {
        let indexes = self.indexes.read().unwrap_or_else(PoisonError::into_inner);
        indexes.get(name).cloned().ok_or_else(|| ApiError::no_index(name))
    }

    /// All indexes, by name.
    pub(crate) fn indexes(&self) -> Vec<Arc<Served>> {
        self.indexes.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Creates an index without documents. Its settings are on disk when this returns.
    pub(crate) fn create(&self, name: &str, settings: IndexSettings) -> Result<Arc<Served>> {
        check_name(name)?;
        settings.check()?;
        let Some(data) = &self.config.data else {
            let message = "this server creates no indexes: it was started without --data";
            return Err(ApiError::new(StatusCode::FORBIDDEN, "NO_DATA_FOLDER", message));
        };
        // Not the lock of the indexes, for which every request would wait: writing to a disk takes a while.
        let _creation = self.creation.lock().unwrap_or_else(PoisonError::into_inner);
        if self.index(name).is_ok() {
            let message = format!("index {name:?} exists already");
            let error = ApiError::new(StatusCode::CONFLICT, "INDEX_ALREADY_EXISTS", message);
            return Err(error.with(json!({"index": name})));
        }
        let home = data.join(name);
        settings.write(&home).map_err(|error| at(&home, &error))?;
        let served = Arc::new(Served::in_data(name.to_owned(), home, settings, &self.config));
        self.write().insert(name.to_owned(), Arc::clone(&served));
        self.notify(name);
        Ok(served)
    }

    /// Deletes an index and its files, after the write that runs, which is asked to stop. Writes that wait find the
    /// index gone. The deletion goes on if its client goes away.
    pub(crate) async fn delete(self: &Arc<Self>, name: &str) -> Result<()> {
        let (app, served) = (Arc::clone(self), self.index(name)?);
        // Before its writes are cancelled.
        served.home_to_delete()?;
        let deletion = tokio::spawn(async move {
            app.tasks.cancel_all(&served.name);
            let _turn = served.turn().await;
            let (all, of_index) = (Arc::clone(&app), Arc::clone(&served));
            tokio::task::spawn_blocking(move || all.remove(&of_index)).await
        });
        let failed = |error: tokio::task::JoinError| ApiError::internal(format!("the deletion failed: {error}"));
        deletion.await.map_err(failed)?.map_err(failed)?
    }

    /// Removes an index whose turn to be written is held.
    fn remove(&self, served: &Arc<Served>) -> Result<()> {
        let name = &served.name;
        let mut indexes = self.write();
        // Another one may have its name by now.
        if !indexes.get(name).is_some_and(|found| Arc::ptr_eq(found, served)) {
            return Err(ApiError::no_index(name));
        }
        let home = served.home_to_delete()?;
        // One step: after it the index is gone, also if the server ends before the files are.
        let gone = home.with_file_name(format!("{DELETED}{name}-{}", crate::tasks::now_ms()));
        std::fs::rename(home, &gone).map_err(|error| at(home, &error))?;
        served.close();
        indexes.remove(name);
        drop(indexes);
        if let Err(error) = std::fs::remove_dir_all(&gone) {
            tracing::warn!("{}: {error}; it is deleted when the server starts again", gone.display());
        }
        self.notify(name);
        Ok(())
    }

    /// The model of requests that name no index.
    pub(crate) fn model(&self, name: Option<&str>) -> Result<Arc<EncodeQueue>> {
        match name {
            Some(name) if name != self.config.model => {
                // Clients must not make the server read folders or download models.
                let is_served = |served: &Arc<Served>| {
                    let open = served.open().ok()?;
                    let is_it = open.model.as_ref().is_some_and(|model| model.encoder().model() == name);
                    open.model.clone().filter(|_| is_it)
                };
                let message = format!("this server has no model {name:?}; it has {:?}", self.config.model);
                let missing = || ApiError::new(StatusCode::BAD_REQUEST, "MODEL_NOT_LOADED", message);
                self.indexes().iter().find_map(is_served).ok_or_else(missing)
            }
            _ => {
                if let Some(model) = self.model.get() {
                    return Ok(Arc::clone(model));
                }
                let model = self.models.named(&self.config.model)?;
                Ok(Arc::clone(self.model.get_or_init(|| model)))
            }
        }
    }

    /// Ends the streams of events, the merges and the updates of folders that run, and says that the server is not
    /// ready.
    pub(crate) fn end(&self) {
        self.is_ready.store(false, Ordering::Release);
        // First, so that a write that is queued now sees it.
        self.ends.send_replace(true);
        self.tasks.put_off();
    }

    /// Whether the server ends.
    pub(crate) fn is_ending(&self) -> bool {
        *self.ends.borrow()
    }

    /// Resolves when the server ends.
    pub(crate) async fn ended(&self) {
        // The sender lives as long as `self`.
        let _ = self.ends.subscribe().wait_for(|ends| *ends).await;
    }

    /// The settings and the end, as connections need them.
    pub(crate) fn serving(&self) -> Arc<Serving> {
        Arc::new(Serving { config: Arc::new(self.config.clone()), ends: self.ends.subscribe() })
    }

    /// Tells those that watch that an index has changed.
    pub(crate) fn notify(&self, name: &str) {
        // None may watch.
        let _ = self.changes.send(name.to_owned());
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<String, Arc<Served>>> {
        self.indexes.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn two_of(name: &str) -> ApiError {
    ApiError::bad_request(format!("two indexes are named {name:?}"))
}

/// Checks that a name is a plain name of a folder: it begins with a letter or a digit.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let begins_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    match begins_well && name.len() <= LONGEST_NAME && name.chars().all(is_plain) {
        true => Ok(()),
        false => Err(ApiError::bad_request(format!(
            "{name:?} cannot name an index: use letters, digits, '.', '_' and '-', at most {LONGEST_NAME}, first a \
             letter or a digit"
        ))),
    }
}

/// An error of a file or a folder.
pub(crate) fn at(path: &Path, error: &std::io::Error) -> ApiError {
    ApiError::internal(format!("{}: {error}", path.display()))
}

/// The device of a setting.
fn device(name: &str) -> Result<Device> {
    name.parse().map_err(|error| ApiError::bad_request(format!("device: {error}")))
}
