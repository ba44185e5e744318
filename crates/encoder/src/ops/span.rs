//! The place of one text in a ragged batch.

use std::ops::Range;

/// Place of a text in its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Index in the batch of the text's first token.
    pub start: usize,
    /// Number of tokens of the text.
    pub len: usize,
    /// Number of attended tokens, which come first in the text; no token attends to the others.
    pub attended: usize,
}

impl Span {
    /// Range of the text's tokens in the batch.
    pub fn tokens(&self) -> Range<usize> {
        self.start..self.start + self.len
    }
}
