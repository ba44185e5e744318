//! Metadata in a build without SQLite: there is none, and a source that has some is refused.

use crate::{Error, Result};
use serde_json::{Map, Value};
use std::path::Path;

/// Metadata of a source, of which there is none.
pub(crate) enum Metadata {}

impl Metadata {
    /// Refuses a database.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let (path, found) = (path.to_owned(), "metadata in SQLite".into());
        Err(Error::Unsupported { path, found, reason: "this program was built without `sqlite`" })
    }

    /// Metadata of a passage.
    pub(crate) fn of(&mut self, _pid: i64) -> Result<Option<Map<String, Value>>> {
        match *self {}
    }
}
