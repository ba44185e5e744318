//! A hub repository with its cache: files that are fetched once.
//!
//! **The cache comes first.** A file that the cache has, of the commit that it keeps for the revision, is used without asking
//! the hub, and so is the note that the commit has no such file: a model that was loaded once needs no hub again, and stays
//! as it was when the hub's branch moves on. (Another revision, or an emptied cache, gets the new one.) The hub is asked
//! when the first file is missing; if it gives no answer within `HF_HUB_ETAG_TIMEOUT` seconds, what is cached is used, with a
//! warning, or loading fails.
//!
//! All files are of one commit. Layout and notes are those of Python's `huggingface_hub`, which shares the cache:
//! `snapshots/COMMIT/FILE`, `refs/REVISION`, `.no_exist/COMMIT/FILE`.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use hf_hub::api::sync::{Api, ApiBuilder, ApiError};
use hf_hub::api::{Progress, RepoInfo};
use hf_hub::{Cache, Repo, RepoType};

use crate::error::{Error, Result};

/// Seconds that the hub has for an answer, and for the next bytes of a file, where the environment does not say: those of
/// `huggingface_hub`.
const DEFAULT_TIMEOUT: u64 = 10;

/// Time that `hf_hub` may wait for a lock of its own before it fetches anything.
const LOCK_WAIT: Duration = Duration::from_secs(6);

/// One revision of a model.
pub(crate) struct HubModel {
    model: String,
    revision: String,
    cache: Cache,
    /// The commit that the cache has for the revision.
    cached_commit: Option<String>,
    hub: OnceLock<std::result::Result<Hub, String>>,
}

/// What the hub says of a commit.
struct Hub {
    api: Api,
    commit: String,
    files: HashSet<String>,
}

impl HubModel {
    /// Looks into the cache only.
    ///
    /// # Errors
    /// If the cache has nothing of the model and `HF_HUB_OFFLINE` forbids to ask the hub.
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

    /// The local path of a file, fetched if need be; `None` where the model has no such file.
    pub(crate) fn find(&self, name: &str) -> Result<Option<PathBuf>> {
        // A name out of a checkpoint's own files must not lead out of the cache.
        if !Path::new(name).components().all(|part| matches!(part, Component::Normal(_))) {
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
            // What was cached by another program has no notes: its files may be all there are.
            Err(_) if self.cached("config.json").is_some() => Ok(None),
            Err(reason) => Err(self.error(reason)),
        }
    }

    /// Why the hub could not be asked, if it was tried.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.hub.get()?.as_ref().err().map(|reason| self.error(reason))
    }

    fn error(&self, reason: impl ToString) -> Error {
        Error::Hub { model: self.model.clone(), reason: reason.to_string() }
    }

    fn repo(&self, revision: &str) -> Repo {
        Repo::with_revision(self.model.clone(), RepoType::Model, revision.to_owned())
    }

    /// A folder or file of the model's part of the cache.
    fn cache_path(&self, parts: &[&str]) -> PathBuf {
        let folder = self.cache.path().join(self.repo(&self.revision).folder_name());
        parts.iter().fold(folder, |path, part| path.join(part))
    }

    fn find_cached_commit(&self) -> Option<String> {
        let noted = std::fs::read_to_string(self.cache_path(&["refs", &self.revision]));
        let commit = noted.map_or_else(|_| self.revision.clone(), |commit| commit.trim().to_owned());
        (!commit.is_empty() && self.cache_path(&["snapshots", &commit]).is_dir()).then_some(commit)
    }

    /// The commit whose files are read.
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

    /// Notes that a commit has no such file. A cache that cannot be written to is asked about again.
    fn note_missing(&self, commit: &str, name: &str) {
        let path = self.cache_path(&[".no_exist", commit, name]);
        let written =
            path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| File::create(&path).map(drop));
        if let Err(error) = written {
            tracing::debug!(path = %path.display(), %error, "a missing file is not noted");
        }
    }

    /// Asks the hub which files there are: of the cached commit, or else of the revision.
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
        let mut response =
            request.config().timeout_global(Some(timeout)).build().call().map_err(|error| error.to_string())?;
        let info: RepoInfo = response.body_mut().read_json().map_err(|error| error.to_string())?;
        let files = info.siblings.into_iter().map(|sibling| sibling.rfilename).collect();
        Ok(Hub { api, commit: info.sha, files })
    }

    /// Fetches a file of the commit into the cache, or waits until another process has.
    fn fetch(&self, hub: &Hub, name: &str) -> Result<PathBuf> {
        let _lock = self.lock();
        if let Some(path) = self.cached(name) {
            return Ok(path);
        }
        let path = download(&hub.api, &self.repo(&hub.commit), name).map_err(|reason| self.error(reason))?;
        if let Err(error) = self.cache.repo(self.repo(&self.revision)).create_ref(&hub.commit) {
            tracing::debug!(model = self.model, %error, "the commit of the revision is not noted");
        }
        Ok(path)
    }

    /// Held while a file is fetched. A file system without locks is used without.
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

/// What a download sends while it runs: bytes have come, or it has ended.
enum Event {
    Bytes,
    End(std::result::Result<PathBuf, ApiError>),
}

/// Tells of every piece that comes.
struct Pulse(Sender<Event>);

impl Progress for Pulse {
    fn init(&mut self, _: usize, _: &str) {
        self.update(0);
    }

    fn update(&mut self, _: usize) {
        // Nobody listens any more once the time is up.
        let _ = self.0.send(Event::Bytes);
    }

    fn finish(&mut self) {}
}

/// Fetches one file. `hf_hub` waits for ever where the hub falls silent, so it does so on a thread of its own, which is left
/// alone once `HF_HUB_DOWNLOAD_TIMEOUT` seconds bring no byte.
fn download(api: &Api, repo: &Repo, name: &str) -> std::result::Result<PathBuf, String> {
    let (sender, events) = channel();
    let (repo, file) = (api.repo(repo.clone()), name.to_owned());
    std::thread::spawn(move || {
        let ended = repo.download_with_progress(&file, Pulse(sender.clone()));
        let _ = sender.send(Event::End(ended));
    });
    let timeout = timeout("HF_HUB_DOWNLOAD_TIMEOUT");
    let mut wait = timeout + LOCK_WAIT;
    loop {
        match events.recv_timeout(wait) {
            Ok(Event::Bytes) => wait = timeout,
            Ok(Event::End(ended)) => return ended.map_err(|error| format!("{name}: {error}")),
            Err(RecvTimeoutError::Timeout) => {
                return Err(format!("{name}: the hub sent nothing for {} seconds", wait.as_secs()));
            }
            Err(RecvTimeoutError::Disconnected) => return Err(format!("{name}: the download broke off")),
        }
    }
}

/// Seconds that a variable of the environment says.
fn timeout(variable: &str) -> Duration {
    let seconds = std::env::var(variable).ok().and_then(|value| value.trim().parse::<u64>().ok());
    Duration::from_secs(seconds.unwrap_or(DEFAULT_TIMEOUT).max(1))
}

fn is_offline() -> bool {
    std::env::var("HF_HUB_OFFLINE")
        .is_ok_and(|value| matches!(value.to_ascii_uppercase().as_str(), "1" | "ON" | "YES" | "TRUE"))
}

/// `owner/name`, of the characters that the hub allows; anything else was meant as a path.
pub(crate) fn is_hub_id(model: &str) -> bool {
    let part = |text: &str| {
        !text.is_empty()
            && !text.starts_with(['.', '-'])
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    model.split('/').count() == 2 && model.split('/').all(part)
}

#[cfg(test)]
mod tests {
    use super::is_hub_id;

    #[test]
    fn a_hub_id_is_not_a_path() {
        for id in ["colbert-ir/colbertv2.0", "google-bert/bert-base-uncased", "a/b_c.d"] {
            assert!(is_hub_id(id), "{id}");
        }
        for path in ["bert-base-uncased", "./model", "/models/a", "../a/b", "a/b/c", "", "a/", "~/model", "a b"] {
            assert!(!is_hub_id(path), "{path}");
        }
    }
}
