//! The table of a router: a collection, its shards in order, and the replicas of each.

use crate::error::{ApiError, Result};
use crate::state::check_name;
use selvedge::shards::{Collection, CollectionShard};
use serde::Deserialize;
use std::path::Path;

/// Part of an address that stands for the number of a shard.
const NUMBER: &str = "{shard}";

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
    /// Least generation of the index: a server with an earlier one is passed over.
    #[serde(default)]
    pub generation: u32,
}

impl Table {
    /// Parses a file, and reads the key from the environment.
    ///
    /// # Errors
    /// If the text describes no collection; the message names the file and the fault.
    pub fn parse(path: &Path, text: &[u8]) -> Result<Self> {
        let bad = |reason: String| ApiError::bad_request(format!("{}: {reason}", path.display()));
        let mut table: Self = serde_json::from_slice(text).map_err(|error| bad(error.to_string()))?;
        table.read_key().and_then(|()| table.check()).map_err(|error| bad(error.message))?;
        Ok(table)
    }

    /// Makes the table of a collection from patterns of addresses, one for each replica: `{shard}` in them stands for
    /// the number of a shard.
    ///
    /// # Errors
    /// If a pattern or the collection's name cannot be used, or the environment has no variable `key_env`.
    pub fn of_collection(collection: &Collection, addresses: &[String], key_env: Option<&str>) -> Result<Self> {
        if let Some(fixed) = addresses.iter().find(|address| collection.shards.len() > 1 && !address.contains(NUMBER)) {
            let message =
                format!("{fixed:?} is the same address for {} shards: it lacks {NUMBER}", collection.shards.len());
            return Err(ApiError::bad_request(message));
        }
        let entry = |(number, shard): (usize, &CollectionShard)| ShardEntry {
            index: shard.index().to_owned(),
            replicas: addresses.iter().map(|address| address.replace(NUMBER, &number.to_string())).collect(),
            generation: shard.generation,
        };
        let shards = collection.shards.iter().enumerate().map(entry).collect();
        let mut table = Self { name: collection.name.clone(), shards, key_env: key_env.map(str::to_owned), key: None };
        table.read_key()?;
        table.check()?;
        Ok(table)
    }

    /// Checks that the shards are those of a collection, and takes over their generations.
    pub(crate) fn match_collection(&mut self, collection: &Collection) -> Result<()> {
        let (found, expected) = (self.shards.len(), collection.shards.len());
        if found != expected {
            return Err(ApiError::bad_request(format!("{found} shards, but the collection has {expected}")));
        }
        for (number, (entry, shard)) in self.shards.iter_mut().zip(&collection.shards).enumerate() {
            if entry.index != shard.index() {
                let (found, expected) = (&entry.index, shard.index());
                let message = format!("shard {number} is index {found:?}, but {expected:?} in the collection");
                return Err(ApiError::bad_request(message));
            }
            entry.generation = entry.generation.max(shard.generation);
        }
        Ok(())
    }

    fn read_key(&mut self) -> Result<()> {
        if let Some(name) = &self.key_env {
            let missing = |_| ApiError::bad_request(format!("key_env: the environment has no variable {name}"));
            self.key = Some(std::env::var(name).map_err(missing)?);
        }
        Ok(())
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
        let read = |text: &str| Table::parse(Path::new("shards.json"), text.as_bytes()).map_err(|error| error.message);
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

    #[test]
    fn a_collection_has_addresses_by_numbers() {
        let shard = |generation| CollectionShard {
            folder: format!("shards/{generation:04}"),
            generation,
            passages: 1,
            tokens: 1,
        };
        let collection = Collection { name: "papers".into(), shards: vec![shard(7), shard(8)] };
        let of =
            |address: &str| Table::of_collection(&collection, &[address.into(), "http://b-{shard}:1".into()], None);
        let table = of("http://a-{shard}.svc:1").unwrap();
        assert_eq!((&*table.name, &*table.shards[1].index, table.shards[1].generation), ("papers", "0008", 8));
        assert_eq!(table.shards[1].replicas, ["http://a-1.svc:1", "http://b-1:1"]);
        assert!(of("http://a:1").unwrap_err().message.contains("lacks {shard}"));
        assert!(of("a-{shard}").unwrap_err().message.contains("is no base URL"));

        let matched = |change: fn(&mut Table)| {
            let mut table = table.clone();
            table.shards.iter_mut().for_each(|shard| shard.generation = 0);
            change(&mut table);
            table.match_collection(&collection).map(|()| table.shards[0].generation).map_err(|error| error.message)
        };
        assert_eq!(matched(|_| {}), Ok(7));
        assert!(matched(|table| drop(table.shards.pop())).unwrap_err().contains("the collection has 2"));
        assert!(matched(|table| table.shards.reverse()).unwrap_err().contains("shard 0 is index \"0008\""));
    }
}
