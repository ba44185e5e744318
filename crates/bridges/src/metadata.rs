//! Metadata of fast-plaid and next-plaid: an SQLite database with one row per passage.
//!
//! Table `METADATA` (`fast_plaid/filtering/filtering.py`, `next-plaid/src/filtering.rs`): column `_subset_` is the
//! number of the passage, the others are its metadata. The file is opened for reading only, and nothing that its schema
//! defines, such as a view, may call a function with side effects.

use crate::{Error, Result};
use rusqlite::config::DbConfig;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row};
use serde_json::{Map, Value};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// Passages whose metadata is in memory at a time.
const BATCH: usize = 1 << 14;

/// Metadata of a source, read in the order of its passages.
pub(crate) struct Metadata {
    path: PathBuf,
    database: Connection,
    /// Rows that are read, ascending.
    batch: VecDeque<(i64, Map<String, Value>)>,
    /// Least number of the rows that are not read yet; `None` if there are none.
    next: Option<i64>,
}

impl Metadata {
    /// Opens a database, and reads the first rows.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let bad = |error| bad(path, error);
        // Immutable: no journal is looked for, and no lock file is written beside the database.
        let uri = format!("file:{}?immutable=1", escaped(path));
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let database = Connection::open_with_flags(uri, flags).map_err(bad)?;
        database.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true).map_err(bad)?;
        database.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false).map_err(bad)?;
        let mut metadata = Self { path: path.into(), database, batch: VecDeque::new(), next: Some(i64::MIN) };
        metadata.read()?;
        Ok(metadata)
    }

    /// Returns the metadata of a passage, if it has some. Numbers ascend from call to call.
    pub(crate) fn of(&mut self, pid: i64) -> Result<Option<Map<String, Value>>> {
        loop {
            match self.batch.front() {
                Some((number, _)) if *number > pid => return Ok(None),
                Some(_) => match self.batch.pop_front() {
                    Some((number, found)) if number == pid => return Ok(Some(found)),
                    _ => {}
                },
                None if self.next.is_some() => self.read()?,
                None => return Ok(None),
            }
        }
    }

    /// Reads further rows.
    fn read(&mut self) -> Result<()> {
        let Self { path, database, batch, next } = self;
        let bad = |error| bad(path, error);
        let query = "SELECT * FROM METADATA WHERE _subset_ >= ?1 ORDER BY _subset_ LIMIT ?2";
        let mut statement = database.prepare(query).map_err(bad)?;
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let number = names.iter().position(|name| name == "_subset_");
        let number =
            number.ok_or_else(|| Error::malformed(path, "has a table METADATA without the column _subset_"))?;
        let mut rows = statement.query((next.unwrap_or(i64::MAX), BATCH as i64)).map_err(bad)?;
        while let Some(row) = rows.next().map_err(bad)? {
            batch.push_back((row.get(number).map_err(bad)?, of_row(row, &names, number).map_err(bad)?));
        }
        let last = batch.back().filter(|_| batch.len() == BATCH);
        *next = last.and_then(|(last, _)| last.checked_add(1));
        Ok(())
    }
}

fn bad(path: &Path, error: rusqlite::Error) -> Error {
    Error::malformed(path, format!("is not a database of metadata: {error}"))
}

/// Columns of a row that are not null, but for its number. Bytes become text if they are UTF-8.
fn of_row(row: &Row<'_>, names: &[String], number: usize) -> rusqlite::Result<Map<String, Value>> {
    let mut metadata = Map::new();
    for (at, name) in names.iter().enumerate().filter(|&(at, _)| at != number) {
        let value = match row.get_ref(at)? {
            ValueRef::Null => continue,
            ValueRef::Integer(value) => value.into(),
            ValueRef::Real(value) => value.into(),
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes).into(),
        };
        if value != Value::Null {
            metadata.insert(name.clone(), value);
        }
    }
    Ok(metadata)
}

/// Escapes the characters of a path that a URI gives a meaning.
fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_across_batches() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metadata.db");
        let count = 2 * BATCH as i64 + 3;
        let database = Connection::open(&path).unwrap();
        let made = format!(
            "CREATE TABLE METADATA (_subset_ INTEGER PRIMARY KEY, n INTEGER);
             WITH RECURSIVE c(x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM c WHERE x + 1 < {count})
             INSERT INTO METADATA SELECT 2 * x, x FROM c"
        );
        database.execute_batch(&made).unwrap();
        drop(database);
        let mut metadata = Metadata::open(&path).unwrap();
        // The first are left out, as if they were deleted.
        for x in 5..count {
            assert_eq!(metadata.of(2 * x).unwrap().unwrap()["n"], x);
            assert_eq!(metadata.of(2 * x + 1).unwrap(), None);
            assert!(metadata.batch.len() <= BATCH, "{} rows are held", metadata.batch.len());
        }
        assert_eq!(metadata.of(2 * count).unwrap(), None);
    }
}
