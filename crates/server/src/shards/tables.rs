//! Tables of a router as their files say, read again while it runs.
//!
//! A file that is replaced by a bad one changes nothing: the table before it stays, and the log names the fault.

use super::table::Table;
use crate::error::{ApiError, Result};
use selvedge::shards::Collection;
use std::path::PathBuf;

/// Origin of a table.
#[derive(Clone, Debug)]
pub enum Source {
    /// A table that stays as it is.
    Fixed(Table),
    /// A file of JSON, which may change.
    File {
        /// The file.
        path: PathBuf,
        /// Path or URL of the collection whose shards the file must have.
        collection: Option<PathBuf>,
    },
}

/// A table and where it is from.
#[derive(Debug)]
struct Known {
    source: Source,
    table: Table,
    /// Text of the table's file.
    text: Vec<u8>,
    /// Fault of the file since then, which was logged.
    fault: Option<String>,
}

/// Tables of all collections of a router.
#[derive(Debug)]
pub(super) struct Tables(Vec<Known>);

impl Tables {
    /// Reads all tables.
    ///
    /// # Errors
    /// If one cannot be read or used, or two have the same name.
    pub(super) fn read(sources: Vec<Source>) -> Result<Self> {
        let mut tables = Self(Vec::new());
        for source in sources {
            let (table, text) = match &source {
                Source::Fixed(table) => {
                    table.check()?;
                    (table.clone(), Vec::new())
                }
                Source::File { .. } => {
                    let text = source.text()?;
                    (source.parse(&text)?, text)
                }
            };
            tables.check_name(tables.0.len(), &table)?;
            tables.0.push(Known { source, table, text, fault: None });
        }
        Ok(tables)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Table> {
        self.0.iter().map(|known| &known.table)
    }

    /// Reads the files again; returns whether a table has changed.
    pub(super) fn refresh(&mut self) -> bool {
        let mut is_changed = false;
        for at in 0..self.0.len() {
            match self.changed(at) {
                Ok(None) => self.0[at].fault = None,
                Ok(Some((table, text))) => {
                    count("read");
                    tracing::info!(collection = table.name, "a table has changed");
                    let known = &mut self.0[at];
                    (known.table, known.text, known.fault) = (table, text, None);
                    is_changed = true;
                }
                Err(ApiError { message, .. }) if self.0[at].fault.as_ref() == Some(&message) => {}
                Err(ApiError { message, .. }) => {
                    count("refused");
                    let name = &self.0[at].table.name;
                    tracing::error!(collection = name, "the table stays as it was: {message}");
                    self.0[at].fault = Some(message);
                }
            }
        }
        is_changed
    }

    /// The table of a file, if that has changed.
    fn changed(&self, at: usize) -> Result<Option<(Table, Vec<u8>)>> {
        let Known { source, text: before, .. } = &self.0[at];
        if matches!(source, Source::Fixed(_)) {
            return Ok(None);
        }
        let text = source.text()?;
        if text == *before {
            return Ok(None);
        }
        let table = source.parse(&text)?;
        self.check_name(at, &table)?;
        Ok(Some((table, text)))
    }

    /// Checks that no other table has the name of the table at this place.
    fn check_name(&self, at: usize, table: &Table) -> Result<()> {
        let is_other = |(place, known): (usize, &Known)| place != at && known.table.name == table.name;
        match self.0.iter().enumerate().any(is_other) {
            true => Err(ApiError::bad_request(format!("two collections are named {:?}", table.name))),
            false => Ok(()),
        }
    }
}

impl Source {
    fn text(&self) -> Result<Vec<u8>> {
        match self {
            Self::Fixed(_) => Ok(Vec::new()),
            Self::File { path, .. } => {
                let bad = |error| ApiError::bad_request(format!("{}: {error}", path.display()));
                std::fs::read(path).map_err(bad)
            }
        }
    }

    fn parse(&self, text: &[u8]) -> Result<Table> {
        match self {
            Self::Fixed(table) => Ok(table.clone()),
            Self::File { path, collection } => {
                let mut table = Table::parse(path, text)?;
                if let Some(url) = collection {
                    let bad = |error: ApiError| {
                        let (file, url) = (path.display(), url.display());
                        ApiError::bad_request(format!("{file} does not match {url}: {}", error.message))
                    };
                    table.match_collection(&Collection::open(url)?).map_err(bad)?;
                }
                Ok(table)
            }
        }
    }
}

fn count(result: &'static str) {
    metrics::counter!("selvedge_router_tables_total", "result" => result).increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_shards_of_its_collection() {
        let folder = tempfile::tempdir().unwrap();
        let (path, url) = (folder.path().join("shards.json"), folder.path().join("papers"));
        std::fs::create_dir(&url).unwrap();
        let entry = r#"{"folder": "shards/0000", "generation": 4, "passages": 1, "tokens": 1}"#;
        std::fs::write(url.join("collection"), format!(r#"{{"version": 1, "shards": [{entry}]}}"#)).unwrap();
        let shards = |indexes: &[&str]| {
            let entry = |index: &&str| format!(r#"{{"index": "{index}", "replicas": ["http://h:1"]}}"#);
            let entries: Vec<String> = indexes.iter().map(entry).collect();
            std::fs::write(&path, format!(r#"{{"name": "papers", "shards": [{}]}}"#, entries.join(", "))).unwrap();
        };
        let source = || Source::File { path: path.clone(), collection: Some(url.clone()) };
        shards(&["0000", "0001"]);
        let error = Tables::read(vec![source()]).unwrap_err().message;
        assert!(error.contains("does not match") && error.contains("2 shards, but the collection has 1"), "{error}");
        shards(&["0000"]);
        let mut tables = Tables::read(vec![source()]).unwrap();
        let generation = |tables: &Tables| tables.iter().next().unwrap().shards[0].generation;
        assert_eq!(generation(&tables), 4);
        assert!(!tables.refresh(), "nothing has changed");
        shards(&["0007"]);
        assert!(!tables.refresh() && tables.0[0].fault.as_ref().unwrap().contains("\"0000\" in the collection"));
        assert_eq!(generation(&tables), 4);
        shards(&["0000"]);
        assert!(!tables.refresh() && tables.0[0].fault.is_none(), "it is as it was");
        let two = Tables::read(vec![source(), source()]).unwrap_err().message;
        assert!(two.contains("two collections are named"), "{two}");
    }
}
