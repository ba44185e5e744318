//! The place of one text in a ragged batch.

use std::ops::Range;

/// Where a text lies in its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// Its first token.
    pub(crate) start: usize,
    /// Its tokens.
    pub(crate) len: usize,
    /// Those that attention may look at: the first so many.
    pub(crate) attended: usize,
}

impl Span {
    pub(crate) fn tokens(&self) -> Range<usize> {
        self.start..self.start + self.len
    }
}
