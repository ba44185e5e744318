//! Access to a checkpoint's files: in this crate, in a local folder, or in a hub repository with its cache.
//!
//! In: a name, a folder or a hub id. Out: open files and parsed JSON. Environment: `HF_HOME` and `HF_HUB_CACHE`
//! (cache), `HF_TOKEN` or the cache's token file (token), `HF_ENDPOINT` (mirror), `HF_HUB_OFFLINE` (cache only),
//! `HF_HUB_ETAG_TIMEOUT` and `HF_HUB_DOWNLOAD_TIMEOUT` (timeouts in seconds).

use std::fs::File;
use std::io::{Cursor, Read, Seek};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::{Error, Result};
use crate::hub::HubModel;
use crate::paths::is_hub_id;
use crate::shipped;

/// First bytes of a Git LFS pointer.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Files of a checkpoint.
pub(crate) struct Checkpoint {
    model: String,
    source: Source,
}

/// A file that can be read at any position.
pub(crate) trait ReadSeek: Read + Seek {}

impl<T: Read + Seek> ReadSeek for T {}

enum Source {
    Folder(PathBuf),
    /// The model within this crate.
    Shipped,
    Hub(Box<HubModel>),
}

impl Checkpoint {
    /// Finds `model`: the shipped model by its name, then an existing folder, then a hub id.
    pub(crate) fn open(model: &str, revision: Option<&str>) -> Result<Self> {
        let source = if model == shipped::NAME {
            Source::Shipped
        } else if Path::new(model).is_dir() {
            Source::Folder(PathBuf::from(model))
        } else if is_hub_id(model) {
            Source::Hub(Box::new(HubModel::open(model, revision)?))
        } else {
            return Err(Error::UnknownModel { model: model.to_owned() });
        };
        Ok(Self { model: model.to_owned(), source })
    }

    /// The checkpoint in an existing folder.
    pub(crate) fn folder(path: &Path) -> Self {
        Self { model: path.display().to_string(), source: Source::Folder(path.to_owned()) }
    }

    /// Folder, hub id or name of the shipped model, as requested.
    pub(crate) fn model(&self) -> &str {
        &self.model
    }

    /// Path of a file for error messages: in the folder, or under the hub id.
    pub(crate) fn describe(&self, name: &str) -> PathBuf {
        Path::new(&self.model).join(name)
    }

    /// Whether the checkpoint has a file.
    pub(crate) fn has(&self, name: &str) -> Result<bool> {
        match self.source {
            Source::Shipped => Ok(shipped::file(name).is_some()),
            _ => Ok(self.find(name)?.is_some()),
        }
    }

    /// Returns the local path of a file, fetched if necessary; `None` if there is no such file.
    fn find(&self, name: &str) -> Result<Option<PathBuf>> {
        match &self.source {
            Source::Shipped => Ok(None),
            Source::Folder(root) => {
                let path = root.join(name);
                Ok(path.is_file().then_some(path))
            }
            Source::Hub(hub) => hub.find(name),
        }
    }

    /// Opens a required file.
    pub(crate) fn open_file(&self, name: &str) -> Result<Box<dyn ReadSeek>> {
        if let (Source::Shipped, Some(bytes)) = (&self.source, shipped::file(name)) {
            return Ok(Box::new(Cursor::new(bytes)));
        }
        let path = self.find(name)?.ok_or_else(|| self.missing(name))?;
        let opened = File::open(&path).and_then(|mut file| {
            let mut start = Vec::new();
            file.by_ref().take(LFS_POINTER.len() as u64).read_to_end(&mut start)?;
            file.rewind()?;
            Ok((file, start == LFS_POINTER))
        });
        match opened {
            Ok((_, true)) => Err(Error::LfsPointer { path }),
            Ok((file, false)) => Ok(Box::new(file)),
            Err(source) => Err(Error::Io { path, source }),
        }
    }

    /// Error for a missing file: the failure of the hub if the hub was asked and did not answer, else
    /// [`Error::MissingFile`].
    pub(crate) fn missing(&self, name: &str) -> Error {
        let failure = match &self.source {
            Source::Hub(hub) => hub.failure(),
            Source::Folder(_) | Source::Shipped => None,
        };
        failure.unwrap_or_else(|| Error::MissingFile { path: self.describe(name) })
    }

    /// Reads a required file.
    pub(crate) fn read(&self, name: &str) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        match self.open_file(name)?.read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(source) => Err(Error::Io { path: self.describe(name), source }),
        }
    }

    /// Parses an optional JSON file.
    pub(crate) fn json(&self, name: &str) -> Result<Option<Json>> {
        if !self.has(name)? {
            return Ok(None);
        }
        let path = self.describe(name);
        match serde_json::from_slice(&self.read(name)?) {
            Ok(value) => Ok(Some(Json { path, value })),
            Err(error) => Err(Error::MalformedJson { path, reason: error.to_string() }),
        }
    }

    /// Parses an optional JSON file whose absence changes the embeddings: without its `modules.json` a PyLate model
    /// would be read as a plain transformer.
    ///
    /// # Errors
    /// [`Error::NotCached`] if it is unknown whether a hub model has the file.
    pub(crate) fn decisive_json(&self, name: &str) -> Result<Option<Json>> {
        let json = self.json(name)?;
        if let (None, Source::Hub(hub)) = (&json, &self.source) {
            hub.check_missing(name)?;
        }
        Ok(json)
    }

    /// Parses a required JSON file.
    pub(crate) fn require_json(&self, name: &str) -> Result<Json> {
        self.json(name)?.ok_or_else(|| self.missing(name))
    }
}

/// A parsed JSON file with its path, so that errors name the file and the field.
#[derive(Debug)]
pub(crate) struct Json {
    pub(crate) path: PathBuf,
    pub(crate) value: Value,
}

impl Json {
    /// Returns a field that is neither missing nor null.
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.value.get(key).filter(|value| !value.is_null())
    }

    pub(crate) fn bool(&self, key: &str) -> Result<Option<bool>> {
        self.field(key, "true or false", Value::as_bool)
    }

    pub(crate) fn usize(&self, key: &str) -> Result<Option<usize>> {
        self.field(key, "a count", |value| value.as_u64().and_then(|count| usize::try_from(count).ok()))
    }

    pub(crate) fn f64(&self, key: &str) -> Result<Option<f64>> {
        self.field(key, "a number", Value::as_f64)
    }

    pub(crate) fn string(&self, key: &str) -> Result<Option<String>> {
        self.field(key, "a string", |value| value.as_str().map(str::to_owned))
    }

    pub(crate) fn strings(&self, key: &str) -> Result<Option<Vec<String>>> {
        self.field(key, "a list of strings", |value| {
            value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
        })
    }

    /// Returns the value of a required field, or an error that names the field.
    pub(crate) fn required<T>(&self, key: &str, value: Option<T>) -> Result<T> {
        value.ok_or_else(|| self.malformed(format!("field {key:?} is missing")))
    }

    pub(crate) fn malformed(&self, reason: impl Into<String>) -> Error {
        Error::MalformedJson { path: self.path.clone(), reason: reason.into() }
    }

    fn field<T>(&self, key: &str, kind: &str, read: impl Fn(&Value) -> Option<T>) -> Result<Option<T>> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => match read(value) {
                Some(read) => Ok(Some(read)),
                None => Err(self.malformed(format!("field {key:?} is not {kind}"))),
            },
        }
    }
}
