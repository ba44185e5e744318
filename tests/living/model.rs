//! Contents that an index must have, as a list in memory, and a change of them.

use crate::pool::{POOLS, Pool};
use selvedge_index::{Check, Document, Index, Manifest, ManifestInfo, Memory, Writer};
use std::ops::Range;
use std::sync::Arc;

/// A passage: its document, and its tokens as a run of the pool's.
#[derive(Clone, Debug, PartialEq)]
pub struct Passage {
    pub document: Document,
    pub tokens: Range<usize>,
}

impl Passage {
    pub fn id(&self) -> &str {
        &self.document.id
    }
}

/// Contents of an index.
#[derive(Clone)]
pub struct Model {
    /// Codec, and tokens compressed by it.
    pub pool: &'static Pool,
    pub generation: u32,
    pub num_added: u64,
    pub search: Option<serde_json::Value>,
    pub sources: Option<Vec<u8>>,
    /// Passages that are not deleted, in pid order.
    pub passages: Vec<Passage>,
}

/// Fate of a document that is pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Taken,
    /// The index has its id.
    Exists,
    /// The change has its id already.
    Twice,
}

/// A change that is not committed.
pub struct Draft {
    /// Passages of the index that are not deleted.
    kept: Vec<Passage>,
    pub added: Vec<Passage>,
    pub num_added: u64,
    pub search: Option<serde_json::Value>,
    pub sources: Option<Vec<u8>>,
    /// Whether a passage that is added replaces the one with its id.
    pub replaces: bool,
    pub is_changed: bool,
}

impl Model {
    /// Contents of a new index without passages.
    pub fn new() -> Self {
        Self { pool: &POOLS[0], generation: 1, num_added: 0, search: None, sources: None, passages: Vec::new() }
    }

    pub fn draft(&self) -> Draft {
        Draft {
            kept: self.passages.clone(),
            added: Vec::new(),
            num_added: self.num_added,
            search: self.search.clone(),
            sources: self.sources.clone(),
            replaces: false,
            is_changed: false,
        }
    }

    /// Takes over a change that was committed.
    pub fn commit(&mut self, draft: Draft) {
        self.generation += u32::from(draft.is_changed || !draft.added.is_empty());
        self.num_added += draft.added.len() as u64;
        (self.search, self.sources) = (draft.search, draft.sources);
        self.passages = draft.kept;
        self.passages.extend(draft.added);
    }

    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.passages.iter().map(Passage::id)
    }

    /// Tokens of each passage.
    pub fn tokens(&self) -> Vec<Range<usize>> {
        self.passages.iter().map(|passage| passage.tokens.clone()).collect()
    }

    pub fn has(&self, id: &str) -> bool {
        self.ids().any(|found| found == id)
    }

    /// Writes an index of one segment with these passages, in memory. Its ids are their numbers.
    pub fn whole(&self) -> Index {
        let storage = Arc::new(Memory::new());
        let mut writer = Writer::create_in(storage.clone()).unwrap();
        writer.set_codec(&self.pool.codec).unwrap();
        self.pool.push(&mut writer, &self.tokens()).unwrap();
        writer.finish(ManifestInfo::default()).unwrap();
        Index::open_in(storage, Check::Structure).unwrap()
    }

    /// Checks the numbers of a manifest.
    pub fn check_manifest(&self, manifest: &Manifest) {
        assert_eq!(manifest.generation, self.generation, "one generation per change");
        assert_eq!(manifest.num_added, self.num_added, "number of passages ever added");
        assert_eq!(manifest.num_passages() as usize, self.passages.len(), "number of passages");
        let num_tokens: usize = self.passages.iter().map(|passage| passage.tokens.len()).sum();
        assert_eq!(manifest.num_tokens(), num_tokens as u64, "number of tokens");
        assert_eq!(manifest.search, self.search, "search parameters");
        assert_eq!(manifest.sources.is_some(), self.sources.is_some(), "sources");
        assert!(manifest.segments.iter().all(|segment| segment.num_alive() > 0), "a segment without passages");
    }
}

impl Draft {
    /// Deletes a passage of the index; returns whether there is one.
    pub fn delete(&mut self, id: &str) -> bool {
        let at = self.kept.iter().position(|passage| passage.id() == id);
        at.map(|at| self.kept.remove(at)).is_some_and(|_| {
            self.is_changed = true;
            true
        })
    }

    /// Adds a passage, or refuses it.
    pub fn push(&mut self, passage: Passage) -> Fate {
        if self.added.iter().any(|added| added.id() == passage.id()) {
            return Fate::Twice;
        }
        if !self.replaces && self.has(passage.id()) {
            return Fate::Exists;
        }
        self.delete(passage.id());
        self.added.push(passage);
        Fate::Taken
    }

    /// Adds passages that have numbers as ids, or refuses all of them.
    pub fn push_numbered(&mut self, passages: &[Range<usize>]) -> Fate {
        let numbered = |(tokens, number): (&Range<usize>, u64)| Passage {
            document: Document { id: number.to_string(), ..Document::default() },
            tokens: tokens.clone(),
        };
        let passages: Vec<Passage> = passages.iter().zip(self.num_added..).map(numbered).collect();
        if !self.replaces && passages.iter().any(|passage| self.has(passage.id())) {
            return Fate::Exists;
        }
        passages.into_iter().for_each(|passage| assert_eq!(self.push(passage), Fate::Taken));
        Fate::Taken
    }

    /// Whether a passage of the index that is not deleted has this id.
    pub fn has(&self, id: &str) -> bool {
        self.kept.iter().any(|passage| passage.id() == id)
    }
}
