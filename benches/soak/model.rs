//! Expected contents of the index: for each id, the texts that it may have after the writes so far.
//!
//! A text of the collection belongs to one document at a time, so that a search for it has one right answer. An
//! acknowledged write leaves one possibility. A write without an answer leaves two, until the index is asked which of
//! them came true. An id is changed by one write at a time.

use rand::{RngExt, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

/// Number of a text; `None` for a document that does not exist.
pub type Text = Option<usize>;

/// A document that a write changes.
#[derive(Clone, Debug)]
pub struct Write {
    /// Number of the document.
    pub at: usize,
    /// Text that it has after the write.
    pub text: Text,
    before: Text,
}

impl Write {
    /// Number of the text before the write, as the metadata has it.
    pub fn number_before(&self) -> Option<String> {
        self.before.map(|text| text.to_string())
    }
}

/// Kinds of writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Add,
    Replace,
    Delete,
}

/// Knowledge about a document.
struct Entry {
    possible: Vec<Text>,
    is_busy: bool,
    /// Beginning or end of the last write.
    touched: Instant,
}

/// Documents by their numbers, and texts that no document has.
#[derive(Default)]
struct State {
    entries: Vec<Entry>,
    free: Vec<usize>,
}

/// Expected contents of the index.
pub struct Model {
    texts: Vec<String>,
    state: Mutex<State>,
}

/// Id of a document.
pub fn id(at: usize) -> String {
    format!("d{at}")
}

/// Value of the numeric key of a text's metadata.
pub fn year(text: usize) -> usize {
    1900 + text % 100
}

impl Model {
    /// Begins with an empty index.
    pub fn new(texts: Vec<String>) -> Self {
        let free = (0..texts.len()).rev().collect();
        Self { texts, state: Mutex::new(State { entries: Vec::new(), free }) }
    }

    /// Number of texts.
    pub fn num_texts(&self) -> usize {
        self.texts.len()
    }

    /// Words of a text.
    pub fn text(&self, text: usize) -> &str {
        &self.texts[text]
    }

    /// Number of documents that were ever written.
    pub fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// Number of documents that exist, if nothing is uncertain.
    pub fn living(&self) -> usize {
        self.lock().entries.iter().filter(|entry| entry.possible.iter().any(Option::is_some)).count()
    }

    /// The document of a write as a request has it.
    pub fn document(&self, write: &Write) -> Value {
        let text = write.text.expect("a document with a text");
        let kind = ["a", "b", "c"][text % 3];
        json!({"id": id(write.at), "text": self.texts[text],
            "metadata": {"n": text, "year": year(text), "kind": kind}})
    }

    /// Chooses up to `count` documents to write, which no other write may change until [`Self::end`].
    pub fn begin(&self, kind: Kind, count: usize, random: &mut ChaCha8Rng) -> Vec<Write> {
        let mut state = self.lock();
        state.free.shuffle(random);
        let mut writes = Vec::new();
        for _ in 0..count {
            let is_living = |entry: &Entry| matches!(entry.possible[..], [Some(_)]);
            let at = match kind {
                Kind::Add => match state.find(random, |entry| entry.possible == [None]) {
                    // Ids of deleted documents come again, beside new ones.
                    Some(at) if random.random_bool(0.3) => at,
                    _ => state.push(),
                },
                Kind::Replace | Kind::Delete => match state.find(random, is_living) {
                    Some(at) => at,
                    None => break,
                },
            };
            let text = if kind == Kind::Delete { None } else { state.free.pop() };
            if kind != Kind::Delete && text.is_none() {
                break;
            }
            let entry = &mut state.entries[at];
            (entry.is_busy, entry.touched) = (true, Instant::now());
            writes.push(Write { at, text, before: entry.possible[0] });
        }
        writes
    }

    /// Notes the end of a write: it was acknowledged, it was refused, or there was no answer.
    pub fn end(&self, writes: &[Write], is_committed: Option<bool>) {
        let mut state = self.lock();
        for write in writes {
            let entry = &mut state.entries[write.at];
            (entry.is_busy, entry.touched) = (false, Instant::now());
            let unused = match is_committed {
                Some(true) => {
                    entry.possible = vec![write.text];
                    write.before
                }
                Some(false) => write.text,
                None => {
                    entry.possible.push(write.text);
                    None
                }
            };
            state.free.extend(unused);
        }
    }

    /// Chooses a document that exists, and returns its number and its text.
    pub fn pick(&self, random: &mut ChaCha8Rng) -> Option<(usize, usize)> {
        let state = self.lock();
        let at = state.find(random, |entry| matches!(entry.possible[..], [Some(_)]))?;
        Some((at, state.entries[at].possible[0]?))
    }

    /// Whether a document was not written since a moment.
    pub fn is_settled(&self, at: usize, since: Instant) -> bool {
        self.lock().entries[at].is_settled(since)
    }

    /// Checks a document that was found by a request which began at `since`.
    pub fn check(&self, id: &str, text: &str, since: Instant) -> Result<(), String> {
        let at = id.strip_prefix('d').and_then(|number| number.parse::<usize>().ok());
        let state = self.lock();
        let entry = at.and_then(|at| state.entries.get(at));
        let entry = entry.ok_or_else(|| format!("{id}: no such document was ever written"))?;
        let is_right = entry.possible.iter().flatten().any(|&text_of| self.texts[text_of] == text);
        match is_right || !entry.is_settled(since) {
            true => Ok(()),
            false => Err(format!("{id}: found {text:?}, expected one of {:?}", entry.possible)),
        }
    }

    /// Notes what the index holds of a document, which must be one of the possibilities.
    pub fn resolve(&self, at: usize, found: Option<&str>) -> Result<(), String> {
        let mut state = self.lock();
        let entry = &mut state.entries[at];
        let same = |&&text: &&Text| text.map(|text| self.texts[text].as_str()) == found;
        let right = entry.possible.iter().find(same).copied();
        let right =
            right.ok_or_else(|| format!("{}: found {found:?}, expected one of {:?}", id(at), entry.possible))?;
        let unused = std::mem::replace(&mut entry.possible, vec![right]);
        state.free.extend(unused.into_iter().filter(|&text| text != right).flatten());
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }
}

impl Entry {
    fn is_settled(&self, since: Instant) -> bool {
        !self.is_busy && self.touched < since
    }
}

impl State {
    /// A random document that no write changes now.
    fn find(&self, random: &mut ChaCha8Rng, is_right: impl Fn(&Entry) -> bool) -> Option<usize> {
        (0..200).filter(|_| !self.entries.is_empty()).find_map(|_| {
            let at = random.random_range(0..self.entries.len());
            let entry = &self.entries[at];
            (!entry.is_busy && is_right(entry)).then_some(at)
        })
    }

    fn push(&mut self) -> usize {
        self.entries.push(Entry { possible: vec![None], is_busy: false, touched: Instant::now() });
        self.entries.len() - 1
    }
}
