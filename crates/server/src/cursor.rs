//! Cursors: what a client has seen of a search, so that the next page goes on from there.
//!
//! A cursor is a text that the client sends with the same request again. It holds the generation that answered and the
//! passages that were returned, so that the server keeps nothing of searches. Generations are
//! kept for a while ([`Generations`]), in which pids stay.

use crate::error::{ApiError, Result};
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use selvedge::Snapshot;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Most generations of an index that are kept at a time.
const MOST_GENERATIONS: usize = 8;

/// Place of a client in a search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Incarnation of the index: another index may have its name by now.
    pub(crate) incarnation: u32,
    /// Generation that answered.
    pub(crate) generation: u32,
    /// Passages that were returned.
    pub(crate) returned: Vec<u32>,
}

impl Cursor {
    /// Writes the cursor as a text.
    pub(crate) fn to_text(&self) -> String {
        let numbers = [self.incarnation, self.generation];
        let numbers = numbers.iter().chain(&self.returned);
        URL_SAFE_NO_PAD.encode(numbers.flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>())
    }

    /// Reads the text of a cursor.
    pub(crate) fn from_text(text: &str) -> Result<Self> {
        let bad = || ApiError::bad_request("this is no cursor of this server");
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| bad())?;
        let (numbers, rest) = bytes.as_chunks::<4>();
        let mut numbers = numbers.iter().map(|bytes| u32::from_le_bytes(*bytes));
        match (numbers.next(), numbers.next(), rest) {
            (Some(incarnation), Some(generation), []) => {
                Ok(Self { incarnation, generation, returned: numbers.collect() })
            }
            _ => Err(bad()),
        }
    }
}

/// The last generations of an index, kept for clients that page through results.
pub(crate) struct Generations {
    incarnation: u32,
    ttl: Duration,
    kept: Mutex<VecDeque<(Instant, Arc<Snapshot>)>>,
}

impl Generations {
    /// Keeps each generation for `ttl` after the next one was committed.
    pub(crate) fn new(ttl: Duration) -> Self {
        Self { incarnation: random_u32(), ttl, kept: Mutex::default() }
    }

    /// Notes the generation that answers from now on, and frees those that are too old.
    pub(crate) fn push(&self, snapshot: Arc<Snapshot>) {
        // Freed outside of the lock: the last reference frees a generation, which takes a while.
        let mut freed = Vec::new();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match kept.back_mut() {
            Some((since, last)) if Arc::ptr_eq(last, &snapshot) => *since = now,
            _ => {
                // It answered until now.
                if let Some((since, _)) = kept.back_mut() {
                    *since = now;
                }
                kept.push_back((now, snapshot));
            }
        }
        while kept.len() > MOST_GENERATIONS || kept.len() > 1 && kept[0].0.elapsed() > self.ttl {
            freed.extend(kept.pop_front());
        }
        drop(kept);
    }

    /// A number that another index of the same name does not have.
    pub(crate) fn incarnation(&self) -> u32 {
        self.incarnation
    }

    /// The cursor of a page of a generation.
    pub(crate) fn cursor(&self, generation: u32, returned: Vec<u32>) -> Cursor {
        Cursor { incarnation: self.incarnation, generation, returned }
    }

    /// The generation of a cursor.
    ///
    /// # Errors
    /// 410 if it is not kept any more.
    pub(crate) fn get(&self, cursor: &Cursor) -> Result<Arc<Snapshot>> {
        let Cursor { incarnation, generation, .. } = *cursor;
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |snapshot: &Snapshot| incarnation == self.incarnation && snapshot.generation() == generation;
        let found = kept.iter().find(|(_, snapshot)| is_it(snapshot));
        found.map(|(_, snapshot)| Arc::clone(snapshot)).ok_or_else(|| {
            let message = format!("the cursor has expired: generation {generation} is not kept any more; search again");
            ApiError::new(StatusCode::GONE, "CURSOR_EXPIRED", message)
        })
    }

    /// The generation whose contents have this name ([`Snapshot::version`]).
    ///
    /// # Errors
    /// 410 if it is not kept any more, or was never here.
    pub(crate) fn version(&self, version: &str) -> Result<Arc<Snapshot>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().rev().find(|(_, snapshot)| snapshot.version() == version);
        found.map(|(_, snapshot)| Arc::clone(snapshot)).ok_or_else(|| {
            let message = format!("version {version} of the index is not kept here; begin again");
            ApiError::new(StatusCode::GONE, "VERSION_GONE", message)
        })
    }

    /// Frees all generations.
    pub(crate) fn clear(&self) {
        let freed = std::mem::take(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner));
        drop(freed);
    }
}

/// A random number. Without one of the system, cursors of an earlier index of the same name may be taken.
fn random_u32() -> u32 {
    getrandom::u32().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_text() {
        for cursor in [Cursor::default(), Cursor { incarnation: 9, generation: 7, returned: vec![0, u32::MAX, 3] }] {
            assert_eq!(Cursor::from_text(&cursor.to_text()).unwrap(), cursor);
        }
        for bad in ["", "AAA", "AAAAAAA", "AAAAAA", "not a cursor", "é"] {
            assert_eq!(Cursor::from_text(bad).unwrap_err().status, StatusCode::BAD_REQUEST, "{bad}");
        }
    }
}
