//! A hub repository and its local cache.
//!
//! **The cache has priority.** If the cache has a commit for the revision, the files of that commit are used without
//! asking the hub, as are the cache's notes of files that the commit lacks. A model that was loaded once therefore no
//! longer needs the hub, and does not change when the hub's branch moves on; another revision or an emptied cache gets
//! the new commit. The hub is asked once, at the first file that is neither cached nor noted as missing. If it does not
//! answer within `HF_HUB_ETAG_TIMEOUT` seconds, the cached files are used with a warning; without any, loading fails.
//!
//! **Unknown is not missing.** A cache that another program filled has no notes, so a file that it lacks may exist on
//! the hub. [`HubModel::check_missing`] makes that an error for the files that decide how texts are encoded.
//!
//! All files are of one commit. The layout is that of Python's `huggingface_hub`, which shares the cache:
//! `snapshots/COMMIT/FILE`, `refs/REVISION`, and the notes `.no_exist/COMMIT/FILE`.

use std::collections::HashSet;
use std::fs::File;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use hf_hub::api::sync::{Api, ApiBuilder, ApiError};
use hf_hub::api::{Progress, RepoInfo};
use hf_hub::{Cache, Repo, RepoType};

use crate::error::{Error, Result};
use crate::paths::{is_commit, is_inside};

/// Default timeout in seconds for an answer of the hub and for the next bytes of a file: that of `huggingface_hub`.
const DEFAULT_TIMEOUT: u64 = 10;

/// Longest time that `hf_hub` waits for its own lock before it fetches anything.
const LOCK_WAIT: Duration = Duration::from_secs(6);

/// One revision of a model.
pub(crate) struct HubModel {
    model: String,
    revision: String,
    cache: Cache,
    /// Commit that the cache has for the revision.
    cached_commit: Option<String>,
    /// Answer or failure of the hub; empty until it is asked.
    hub: OnceLock<std::result::Result<Hub, String>>,
}

/// A commit as the hub describes it.
struct Hub {
    api: Api,
    commit: String,
    files: HashSet<String>,
}

impl HubModel {
    /// Opens the cache of a model, without asking the hub.
    ///
    /// # Errors
    /// [`Error::Offline`] if the model is not in the cache and `HF_HUB_OFFLINE` is set.
    pub(crate) fn open(model: &str, revision: Option<&str>) -> Result<Self> {
        let revision = revision.unwrap_or("main").to_owned();
        let cache = match std::env::var_os("HF_HUB_CACHE") {
            Some(path) => Cache::new(path.into()),
            None => Cache::from_env(),
        };
        let mut opened = Self { model: model.to_owned(), revision, cache, cached_commit: None, hub: OnceLock::new() };
        opened.cached_commit = opened.find_cached_commit();
        if is_offline() && opened.cached("config.json").is_none() {
            return Err(Error::Offline { model: model.to_owned() });
        }
        Ok(opened)
    }

    /// Returns the local path of a file, fetched if it is not cached; `None` if the model has no such file or if that
    /// is unknown because the hub cannot be asked.
    ///
    /// # Errors
    /// [`Error::Hub`] if the hub does not answer and nothing is cached, or if the download fails.
    pub(crate) fn find(&self, name: &str) -> Result<Option<PathBuf>> {
        if !is_inside(name) {
            return Ok(None);
        }
        if let Some(path) = self.cached(name) {
            return Ok(Some(path));
        }
        if self.is_known_missing(name) || is_offline() {
            return Ok(None);
        }
        match self.hub.get_or_init(|| self.ask()) {
            Ok(hub) if hub.files.contains(name) => self.fetch(hub, name).map(Some),
            Ok(hub) => {
                self.note_missing(&hub.commit, name);
                Ok(None)
            }
            // A cache that another program filled has no notes of missing files, so the model may lack this file.
            Err(_) if self.cached("config.json").is_some() => Ok(None),
            Err(reason) => Err(self.error(reason)),
        }
    }

    /// Confirms that the model lacks a file that [`HubModel::find`] did not find: the cache or the hub says so.
    ///
    /// # Errors
    /// [`Error::NotCached`] if the file is not in the cache and the hub was not reached: it may exist.
    pub(crate) fn check_missing(&self, name: &str) -> Result<()> {
        let hub_lacks_it = || matches!(self.hub.get(), Some(Ok(hub)) if !hub.files.contains(name));
        if self.is_known_missing(name) || hub_lacks_it() {
            return Ok(());
        }
        let folder = self.cache_path(&["snapshots", self.commit().unwrap_or_default()]);
        Err(Error::NotCached { model: self.model.clone(), file: name.to_owned(), folder })
    }

    /// Returns the error of the hub, if it was asked and did not answer.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.hub.get()?.as_ref().err().map(|reason| self.error(reason))
    }

    fn error(&self, reason: impl ToString) -> Error {
        Error::Hub { model: self.model.clone(), reason: reason.to_string() }
    }

    fn repo(&self, revision: &str) -> Repo {
        Repo::with_revision(self.model.clone(), RepoType::Model, revision.to_owned())
    }

    /// Path of a folder or file in the model's part of the cache.
    fn cache_path(&self, parts: &[&str]) -> PathBuf {
        let folder = self.cache.path().join(self.repo(&self.revision).folder_name());
        parts.iter().fold(folder, |path, part| path.join(part))
    }

    fn find_cached_commit(&self) -> Option<String> {
        let noted = std::fs::read_to_string(self.cache_path(&["refs", &self.revision]));
        let commit = noted.map_or_else(|_| self.revision.clone(), |commit| commit.trim().to_owned());
        (is_commit(&commit) && self.cache_path(&["snapshots", &commit]).is_dir()).then_some(commit)
    }

    /// Commit whose files are read.
    fn commit(&self) -> Option<&str> {
        let asked = || self.hub.get()?.as_ref().ok().map(|hub| hub.commit.as_str());
        self.cached_commit.as_deref().or_else(asked)
    }

    fn cached(&self, name: &str) -> Option<PathBuf> {
        let path = self.cache_path(&["snapshots", self.commit()?, name]);
        path.is_file().then_some(path)
    }

    fn is_known_missing(&self, name: &str) -> bool {
        self.commit().is_some_and(|commit| self.cache_path(&[".no_exist", commit, name]).is_file())
    }

    /// Notes that a commit lacks a file. If the cache is read-only, the hub is asked again next time.
    fn note_missing(&self, commit: &str, name: &str) {
        let path = self.cache_path(&[".no_exist", commit, name]);
        let written =
            path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| File::create(&path).map(drop));
        if let Err(error) = written {
            tracing::debug!(path = %path.display(), %error, "could not note a missing file in the cache");
        }
    }

    /// Asks the hub for the list of files: of the cached commit, or else of the revision.
    fn ask(&self) -> std::result::Result<Hub, String> {
        let answer = self.request();
        if let (Err(reason), Some(_)) = (&answer, self.cached("config.json")) {
            tracing::warn!(model = self.model, reason, "the hub does not answer; using the cached copy");
        }
        answer
    }

    fn request(&self) -> std::result::Result<Hub, String> {
        let token = std::env::var("HF_TOKEN").ok().map(|token| token.trim().to_owned());
        let token = token.filter(|token| !token.is_empty()).or_else(|| self.cache.token());
        let mut builder = ApiBuilder::from_cache(self.cache.clone()).with_progress(false).with_token(token);
        if let Ok(endpoint) = std::env::var("HF_ENDPOINT") {
            builder = builder.with_endpoint(endpoint);
        }
        let api = builder.build().map_err(|error| error.to_string())?;
        let revision = self.cached_commit.as_deref().unwrap_or(&self.revision);
        let request = api.repo(self.repo(revision)).info_request();
        let timeout = timeout("HF_HUB_ETAG_TIMEOUT");
        let sent = Instant::now();
        let mut response = request.config().timeout_global(Some(timeout)).build().call().map_err(|error| {
            if sent.elapsed() < timeout {
                return error.to_string();
            }
            format!("the hub did not answer within {} seconds (HF_HUB_ETAG_TIMEOUT changes that)", timeout.as_secs())
        })?;
        let info: RepoInfo = response.body_mut().read_json().map_err(|error| error.to_string())?;
        if !is_commit(&info.sha) {
            return Err(format!("the hub names a commit {:?}, which is not a hexadecimal number", info.sha));
        }
        let files = info.siblings.into_iter().map(|sibling| sibling.rfilename).collect();
        Ok(Hub { api, commit: info.sha, files })
    }

    /// Fetches a file of the commit into the cache, or waits for another process that does.
    fn fetch(&self, hub: &Hub, name: &str) -> Result<PathBuf> {
        let _lock = self.lock();
        if let Some(path) = self.cached(name) {
            return Ok(path);
        }
        let path = download(&hub.api, &self.repo(&hub.commit), name).map_err(|reason| self.error(reason))?;
        if let Err(error) = self.cache.repo(self.repo(&self.revision)).create_ref(&hub.commit) {
            tracing::debug!(model = self.model, %error, "could not note the revision's commit in the cache");
        }
        Ok(path)
    }

    /// Locks the model's part of the cache while a file is fetched; `None` where the file system has no locks.
    fn lock(&self) -> Option<File> {
        let path = self.cache.path().join(".locks").join(self.repo(&self.revision).folder_name()).join("selvedge.lock");
        std::fs::create_dir_all(path.parent()?).ok()?;
        let file = File::create(&path).ok()?;
        if let Err(std::fs::TryLockError::WouldBlock) = file.try_lock() {
            tracing::info!(model = self.model, "another process fetches this model; waiting for it");
        }
        file.lock().ok()?;
        Some(file)
    }
}

/// Message of a running download: bytes have arrived, or it has ended.
enum DownloadEvent {
    Bytes,
    End(std::result::Result<PathBuf, ApiError>),
}

/// Sends a message for every piece of a download.
struct Pulse(Sender<DownloadEvent>);

impl Progress for Pulse {
    fn init(&mut self, _: usize, _: &str) {
        self.update(0);
    }

    fn update(&mut self, _: usize) {
        // After a timeout the receiver is gone.
        let _ = self.0.send(DownloadEvent::Bytes);
    }

    fn finish(&mut self) {}
}

/// Downloads one file. `hf_hub` has no timeout, so it runs on a thread of its own, which is abandoned once no byte
/// arrives for `HF_HUB_DOWNLOAD_TIMEOUT` seconds.
fn download(api: &Api, repo: &Repo, name: &str) -> std::result::Result<PathBuf, String> {
    let (sender, events) = channel();
    let (repo, file) = (api.repo(repo.clone()), name.to_owned());
    std::thread::spawn(move || {
        let ended = repo.download_with_progress(&file, Pulse(sender.clone()));
        let _ = sender.send(DownloadEvent::End(ended));
    });
    let timeout = timeout("HF_HUB_DOWNLOAD_TIMEOUT");
    let mut wait = timeout + LOCK_WAIT;
    loop {
        match events.recv_timeout(wait) {
            Ok(DownloadEvent::Bytes) => wait = timeout,
            Ok(DownloadEvent::End(ended)) => return ended.map_err(|error| format!("{name}: {error}")),
            Err(RecvTimeoutError::Timeout) => {
                return Err(format!(
                    "{name}: the hub sent nothing for {} seconds (HF_HUB_DOWNLOAD_TIMEOUT changes that)",
                    wait.as_secs()
                ));
            }
            Err(RecvTimeoutError::Disconnected) => return Err(format!("{name}: the download broke off")),
        }
    }
}

/// Timeout that an environment variable sets, in seconds; at least one second.
fn timeout(variable: &str) -> Duration {
    let seconds = std::env::var(variable).ok().and_then(|value| value.trim().parse::<u64>().ok());
    Duration::from_secs(seconds.unwrap_or(DEFAULT_TIMEOUT).max(1))
}

fn is_offline() -> bool {
    std::env::var("HF_HUB_OFFLINE")
        .is_ok_and(|value| matches!(value.to_ascii_uppercase().as_str(), "1" | "ON" | "YES" | "TRUE"))
}
