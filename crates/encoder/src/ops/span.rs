//! The place of one text in a ragged batch.

use std::ops::Range;

/// The place of a text in its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its first token.
    pub start: usize,
    /// Number of its tokens.
    pub len: usize,
    /// Number of tokens that attention may look at, counted from the first.
    pub attended: usize,
}

impl Span {
    /// Its tokens' places in the batch.
    pub fn tokens(&self) -> Range<usize> {
        self.start..self.start + self.len
    }
}
