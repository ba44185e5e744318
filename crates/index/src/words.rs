//! Words of a segment: a file that another crate makes of the texts of its passages, to search for words.
//!
//! In: the texts of a segment, in pid order. Out: bytes whose meaning only their maker knows. This crate writes them
//! with the segment, names them in the manifest and checks them as any other file; a merge makes them anew.

use crate::error::{Error, Result};
use crate::writer::Writer;
use std::sync::Arc;

/// Error of a maker of words.
pub type WordsError = Box<dyn std::error::Error + Send + Sync>;

/// Makes the words of segments.
pub trait MakeWords: Send + Sync {
    /// Name of the language of the words, as the manifest records it.
    fn language(&self) -> String;

    /// Starts the words of a segment.
    ///
    /// # Errors
    /// Of the maker.
    fn start(&self) -> Result<Box<dyn SegmentWords>, WordsError>;
}

/// Words of a segment that is being written.
pub trait SegmentWords: Send {
    /// Appends the text of the next passage; empty where it has none.
    ///
    /// # Errors
    /// Of the maker, such as a segment that is full.
    fn push(&mut self, text: &str) -> Result<(), WordsError>;

    /// Memory of the words so far, in bytes, approximately: [`Limits`](crate::Limits) end a segment by it.
    fn bytes_held(&self) -> usize;

    /// Returns the bytes of the file.
    ///
    /// # Errors
    /// Of the maker.
    fn finish(self: Box<Self>) -> Result<Vec<u8>, WordsError>;
}

/// The maker of an index with words; `None` for one without.
pub(crate) type Maker = Option<Arc<dyn MakeWords>>;

impl Writer {
    /// Gives all later segments words: words of the passages that come, and of segments that are merged. An index whose
    /// manifest names a language needs their maker for both; with another language, [`Writer::commit`] panics unless
    /// all segments are merged.
    pub fn set_words(&mut self, maker: Arc<dyn MakeWords>) {
        if let Some(base) = &mut self.base {
            base.is_changed |= base.index.manifest().language != Some(maker.language());
        }
        self.maker = Some(maker);
    }

    /// The maker of words for a new segment.
    pub(crate) fn maker(&self) -> Result<Maker> {
        let language = self.base.as_ref().and_then(|base| base.index.manifest().language.clone());
        match language.is_some() && self.maker.is_none() {
            true => Err(Error::WordsNeeded { path: self.staging.target().root() }),
            false => Ok(self.maker.clone()),
        }
    }

    /// Language of the words after this change.
    pub(crate) fn language(&self) -> Option<String> {
        let before = self.base.as_ref().and_then(|base| base.index.manifest().language.clone());
        self.maker.as_ref().map(|maker| maker.language()).or(before)
    }
}
