//! The file of a router: a collection, its shards in order, and the replicas of each.

use crate::error::{ApiError, Result};
use crate::state::check_name;
use serde::Deserialize;
use std::path::Path;

/// A collection in shards, as a file of JSON describes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Name of the collection in the API of the router.
    pub name: String,
    /// Shards in the order of the collection.
    pub shards: Vec<ShardEntry>,
    /// Environment variable that has the API key of the servers of the shards, of the role read.
    #[serde(default)]
    pub key_env: Option<String>,
    /// The key itself.
    #[serde(skip)]
    pub key: Option<String>,
}

/// A shard: copies of one index, each on a server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardEntry {
    /// Name of the index on these servers.
    pub index: String,
    /// Base URLs of the servers, such as `http://10.0.0.1:8080`.
    pub replicas: Vec<String>,
}

impl Table {
    /// Reads a file, and the key from the environment.
    ///
    /// # Errors
    /// If the file cannot be read, or describes no collection; the message names the file and the fault.
    pub fn read(path: &Path) -> Result<Self> {
        let bad = |reason: String| ApiError::bad_request(format!("{}: {reason}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
        let mut table: Self = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
        if let Some(name) = &table.key_env {
            let key = std::env::var(name);
            table.key = Some(key.map_err(|_| bad(format!("key_env: the environment has no variable {name}")))?);
        }
        table.check().map_err(|error| bad(error.message))?;
        Ok(table)
    }

    /// Checks names and URLs.
    pub(crate) fn check(&self) -> Result<()> {
        check_name(&self.name)?;
        if self.shards.is_empty() {
            return Err(ApiError::bad_request("shards: a collection has at least one"));
        }
        for (number, shard) in self.shards.iter().enumerate() {
            check_name(&shard.index)?;
            if shard.replicas.is_empty() {
                return Err(ApiError::bad_request(format!("shard {number} has no replica")));
            }
            for url in &shard.replicas {
                let host = url.strip_prefix("http://").unwrap_or_default();
                let is_base = !host.is_empty() && !host.contains(['/', '?', '#', ' ']);
                if !is_base || url.parse::<axum::http::Uri>().is_err() {
                    let message = format!("shard {number}: {url:?} is no base URL, such as http://10.0.0.1:8080");
                    return Err(ApiError::bad_request(message));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shards.json");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Table::read(&path).map_err(|error| error.message)
        };
        let good = r#"{"name": "papers", "shards": [{"index": "a", "replicas": ["http://h:1", "http://[::1]:2"]}]}"#;
        assert_eq!(read(good).unwrap().shards[0].replicas.len(), 2);
        for (text, fault) in [
            ("", "line 1"),
            (r#"{"name": "papers", "shards": []}"#, "at least one"),
            (r#"{"name": "papers", "shards": [{"index": "a", "replicas": []}]}"#, "shard 0 has no replica"),
            (r#"{"name": "../x", "shards": [{"index": "a", "replicas": ["http://h"]}]}"#, "cannot name an index"),
            (r#"{"name": "x", "shards": [{"index": "a", "replicas": ["h:1"]}]}"#, "is no base URL"),
            (r#"{"name": "x", "shards": [{"index": "a", "replicas": ["http://h/v1"]}]}"#, "is no base URL"),
            (r#"{"name": "x", "shards": [{"index": "a", "replicas": ["https://h"]}]}"#, "is no base URL"),
            (r#"{"name": "x", "shard": []}"#, "unknown field"),
            (
                r#"{"name": "x", "key_env": "SELVEDGE_NO_SUCH_KEY", "shards": [{"index": "a", "replicas": ["http://h"]}]}"#,
                "no variable SELVEDGE_NO_SUCH_KEY",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(fault) && error.contains("shards.json"), "{text}: {error}");
        }
    }
}
