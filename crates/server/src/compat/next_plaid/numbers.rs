//! Numbers of documents: next-plaid's clients know documents by numbers from 0.
//!
//! | document | its number |
//! |---|---|
//! | id in decimal digits, such as `17` | 17 |
//! | any other id | `-1 - pid`; it holds until segments are merged |
//!
//! The next document gets the largest number + 1: the index itself says which, so that nothing else has to be stored,
//! and documents that the native API adds or deletes count too. The passages ever added would not do, as a merge
//! forgets the deleted ones. Numbers are never moved, and the number of the newest document
//! is given again once that is deleted: next-plaid renumbers after a deletion, which its clients do not
//! rely on, as they cannot know when it happens; they find documents by their metadata.

use crate::error::Result;
use crate::served::Served;
use selvedge::Index;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// Largest number: JavaScript and others have none above it without gaps.
const LARGEST: i64 = (1 << 53) - 1;

/// The number of a document.
pub(super) fn number(id: &str, pid: u32) -> i64 {
    own_number(id).unwrap_or(-1 - i64::from(pid))
}

/// The number that an id is, as it is written.
fn own_number(id: &str) -> Option<i64> {
    let is_plain = id == "0" || !id.starts_with(['0', '+', '-']);
    id.parse().ok().filter(|&number| is_plain && number <= LARGEST)
}

/// The passage of a number, if there is one.
pub(super) fn pid(index: &Index, number: i64) -> Result<Option<u32>> {
    if number >= 0 {
        return Ok(index.pid(&number.to_string())?);
    }
    let Ok(pid) = u32::try_from(-1 - number) else { return Ok(None) };
    if pid >= index.num_pids() {
        return Ok(None);
    }
    let id = index.id(pid)?;
    // Deleted passages keep their ids until segments are merged.
    Ok(index.pid(&id)?.filter(|&alive| alive == pid && own_number(&id).is_none()))
}

/// The ids of the documents that have these numbers. Numbers of no document are left out.
pub(super) fn ids(index: &Index, numbers: &[i64]) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    for &number in numbers {
        if let Some(pid) = pid(index, number)? {
            ids.push(index.id(pid)?);
        }
    }
    Ok(ids)
}

/// The next number of each index, so that not every update reads all ids.
#[derive(Default)]
pub(super) struct Numbers(Mutex<HashMap<PathBuf, Known>>);

/// Next number of an index, and the state of the index that it holds for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    incarnation: u32,
    generation: u32,
    passages: u32,
    next: u64,
}

impl Numbers {
    /// The number of the next document. Only the write that runs may ask: it is the only one of its index.
    pub(super) fn next(&self, served: &Served) -> Result<u64> {
        let Ok(open) = served.open() else { return Ok(0) };
        let snapshot = open.engine.snapshot();
        let index = snapshot.index();
        let known = self.lock().get(&served.path).copied();
        let now = (served.generations().incarnation(), index.generation(), index.num_passages());
        if let Some(Known { incarnation, generation, passages, next }) = known
            && (incarnation, generation, passages) == now
            && index.pid(&next.to_string())?.is_none()
        {
            return Ok(next);
        }
        let mut next = 0;
        for id in index.ids() {
            next = next.max(own_number(&id?).map_or(0, |number| number as u64 + 1));
        }
        Ok(next)
    }

    /// Notes the next number after a write.
    pub(super) fn note(&self, served: &Served, next: u64) {
        let Ok(open) = served.open() else { return };
        let snapshot = open.engine.snapshot();
        let incarnation = served.generations().incarnation();
        let known =
            Known { incarnation, generation: snapshot.generation(), passages: snapshot.index().num_passages(), next };
        self.lock().insert(served.path.clone(), known);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_digits_are_numbers() {
        for (id, expected) in [("0", 0), ("17", 17), ("9007199254740991", (1 << 53) - 1)] {
            assert_eq!(number(id, 3), expected);
        }
        for id in ["", "-1", "+1", "007", "00", "1.0", " 1", "٣", "9007199254740992", "9223372036854775808", "notes.md"]
        {
            assert_eq!(number(id, 3), -4, "{id}");
        }
    }
}
