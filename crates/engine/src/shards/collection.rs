//! The file of a collection in shards: a build writes it last, beside the shards.
//!
//! ```text
//! URL/collection     {"version": 1, "shards": [{"folder": "shards/0000", "generation": 1, "passages": 9, ...}]}
//! URL/shards/0000    an index
//! ```

use super::ShardsError;
use crate::Result;
use selvedge_index::{Error as IndexError, storage_at};
use serde::Deserialize;
use std::io;
use std::path::{Path, PathBuf};

/// Name of the file.
const FILE: &str = "collection";
/// Version of the file that this program reads.
const VERSION: u64 = 1;

/// A complete collection, as its file describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collection {
    /// Last part of its path or URL.
    pub name: String,
    /// Shards in the order of the collection.
    pub shards: Vec<CollectionShard>,
}

/// An index of a collection.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct CollectionShard {
    /// Folder of the index, below the collection's.
    pub folder: String,
    /// Generation that the build committed.
    pub generation: u32,
    /// Number of passages of that generation.
    pub passages: u64,
    /// Number of embeddings of that generation.
    pub tokens: u64,
}

/// Contents of the file.
#[derive(Deserialize)]
struct File {
    version: u64,
    shards: Vec<CollectionShard>,
}

impl Collection {
    /// Reads the file of the collection at a path or, with the feature `cloud`, a URL such as `s3://bucket/papers`.
    ///
    /// # Errors
    /// [`ShardsError::NoCollection`] without the file, [`ShardsError::BadCollection`] if it is damaged or of another
    /// version, [`IndexError::Io`] if it cannot be read.
    pub fn open(url: &Path) -> Result<Self> {
        let text = match storage_at(url)?.map(FILE) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ShardsError::NoCollection { url: url.to_owned() }.into());
            }
            Err(source) => return Err(IndexError::Io { path: url.join(FILE), source }.into()),
        };
        let bad = |reason: String| ShardsError::BadCollection { url: url.to_owned(), reason };
        let File { version, shards } = serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
        if version != VERSION {
            return Err(bad(format!("version {version}, expected {VERSION}")).into());
        }
        if shards.is_empty() {
            return Err(bad("no shard".into()).into());
        }
        let name = url.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, shards })
    }

    /// Path or URL of the index of a shard, by its number from 0; `url` is the collection's.
    ///
    /// # Errors
    /// [`ShardsError::NoShard`] if there are fewer.
    pub fn shard_folder(&self, url: &Path, number: usize) -> Result<PathBuf> {
        let none = || ShardsError::NoShard { url: url.to_owned(), number, shards: self.shards.len() };
        Ok(url.join(&self.shards.get(number).ok_or_else(none)?.folder))
    }
}

impl CollectionShard {
    /// Name under which `selvedge serve` serves the index: the last part of its folder.
    pub fn index(&self) -> &str {
        self.folder.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_build_writes_is_read_and_mistakes_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let url = folder.path().join("papers");
        std::fs::create_dir(&url).unwrap();
        assert!(Collection::open(&url).unwrap_err().to_string().contains("no collection"));
        let read = |text: &str| {
            std::fs::write(url.join(FILE), text).unwrap();
            Collection::open(&url).map_err(|error| error.to_string())
        };
        let good =
            r#"{"shards": [{"folder": "shards/0000", "generation": 3, "passages": 5, "tokens": 50}], "version": 1}"#;
        let collection = read(good).unwrap();
        assert_eq!((&*collection.name, collection.shards[0].index()), ("papers", "0000"));
        assert_eq!((collection.shards[0].generation, collection.shards[0].tokens), (3, 50));
        assert_eq!(collection.shard_folder(&url, 0).unwrap(), url.join("shards/0000"));
        let error = collection.shard_folder(&url, 1).unwrap_err().to_string();
        assert!(error.contains("no shard 1"), "{error}");
        for (text, fault) in [
            ("{", "EOF"),
            (r#"{"version": 2, "shards": []}"#, "version 2, expected 1"),
            (r#"{"version": 1, "shards": []}"#, "no shard"),
            (r#"{"version": 1, "shards": [{"folder": "a", "generation": -1, "passages": 1, "tokens": 1}]}"#, "-1"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(fault) && error.contains("papers"), "{text}: {error}");
        }
    }
}
