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
use std::path::Path;

/// Calls `each` with the number and the metadata of each passage, ascending.
pub(crate) fn read(path: &Path, mut each: impl FnMut(i64, Value)) -> Result<()> {
    let bad = |error: rusqlite::Error| Error::malformed(path, format!("is not a database of metadata: {error}"));
    // Immutable: no journal is looked for, and no lock file is written beside the database.
    let uri = format!("file:{}?immutable=1", escaped(path));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(uri, flags).map_err(bad)?;
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true).map_err(bad)?;
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false).map_err(bad)?;
    let mut statement = database.prepare("SELECT * FROM METADATA ORDER BY _subset_").map_err(bad)?;
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let number = names.iter().position(|name| name == "_subset_");
    let number = number.ok_or_else(|| Error::malformed(path, "has a table METADATA without the column _subset_"))?;
    let mut rows = statement.query([]).map_err(bad)?;
    while let Some(row) = rows.next().map_err(bad)? {
        let pid = row.get(number).map_err(bad)?;
        let metadata = of_row(row, &names, number).map_err(bad)?;
        each(pid, Value::Object(metadata));
    }
    Ok(())
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
