//! A document, and the ids that one may have.

use crate::error::{Error, Result};

/// What a passage is to a person.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// The id that the collection gives it: unique in an index, not blank, without line breaks and NUL, so that a line of
    /// a text file can hold it.
    pub id: String,
    /// Its text; empty where only embeddings were given.
    pub text: String,
    /// A JSON object with whatever else the collection knows of it.
    pub metadata: Option<serde_json::Value>,
}

/// Checks that passage `pid` can have this id.
pub(super) fn check_id(id: &str, pid: u32) -> Result<()> {
    let reason = if id.trim().is_empty() {
        "is blank"
    } else if id.contains(['\n', '\r']) {
        "holds a line break"
    } else if id.contains('\0') {
        "holds a NUL"
    } else {
        return Ok(());
    };
    Err(Error::InvalidId { id: id.to_owned(), pid, reason })
}
