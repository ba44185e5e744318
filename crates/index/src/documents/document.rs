//! A document and the rule for its id.

use crate::error::{Error, Result};

/// Id, text and metadata of a passage.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// Id given by the collection: unique in the index, not blank, without line breaks and NUL, so that it fits on a
    /// line of a text file.
    pub id: String,
    /// Text of the passage; empty where only embeddings were given.
    pub text: String,
    /// Further fields of the collection, as a JSON object.
    pub metadata: Option<serde_json::Value>,
}

impl Document {
    /// Checks that a document can have this id: it is not blank and holds no line break and no NUL.
    ///
    /// # Errors
    /// The broken rule, as the rest of a sentence that begins with the id.
    pub fn check_id(id: &str) -> Result<(), &'static str> {
        if id.trim().is_empty() {
            Err("is blank")
        } else if id.contains(['\n', '\r']) {
            Err("holds a line break")
        } else if id.contains('\0') {
            Err("holds a NUL")
        } else {
            Ok(())
        }
    }
}

/// Checks the id of passage `pid`; [`Error::InvalidId`] where it is blank or holds a line break or NUL.
pub(super) fn check_id(id: &str, pid: u32) -> Result<()> {
    Document::check_id(id).map_err(|reason| Error::InvalidId { id: id.to_owned(), pid, reason })
}
