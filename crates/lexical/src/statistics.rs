//! Statistics of the words of a query: the part of BM25 that depends on other passages than the one that is scored.

use crate::{Error, Result};
use std::collections::BTreeMap;

/// Numbers that BM25 needs of all passages: of one view, or summed over several.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Statistics {
    /// Number of passages, deleted ones included.
    pub passages: u64,
    /// Number of terms of all passages, each as often as it occurs.
    pub tokens: u64,
    /// Number of passages that have each term of the query. Terms that no passage has may be left out.
    pub having: BTreeMap<String, u64>,
}

impl Statistics {
    /// Returns the sums of these statistics and the ones of other passages. They saturate on forged segments only.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        self.passages = self.passages.saturating_add(other.passages);
        self.tokens = self.tokens.saturating_add(other.tokens);
        for (term, having) in &other.having {
            let sum = self.having.entry(term.clone()).or_default();
            *sum = sum.saturating_add(*having);
        }
        self
    }

    /// Checks that no term is in more passages than there are.
    ///
    /// # Errors
    /// [`Error::BadStatistics`] with the first term that is.
    pub fn check(&self) -> Result<()> {
        match self.having.iter().find(|&(_, &having)| having > self.passages) {
            Some((term, &having)) => Err(Error::BadStatistics { term: term.clone(), having, passages: self.passages }),
            None => Ok(()),
        }
    }
}
