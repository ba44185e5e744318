//! A writer's session with random edits, which the model repeats.

use crate::Life;
use crate::model::{Draft, Fate, Passage};
use crate::pool::{Dice, POOLS, TOKENS};
use selvedge_index::{Document, Error, Limits, Policy, SegmentEntry, Writer};
use std::ops::Range;
use std::sync::Arc;

/// Number of passages that an index has about.
const PASSAGES: usize = 50;
/// Number of segments above which all that can be are merged.
const SEGMENTS: usize = 10;
/// Number of tokens of the longest passage.
const DOCLEN: usize = 6;

const POLICY: Policy = Policy { fanout: 3, floor_tokens: 12, max_tokens: 120, max_deleted: 0.3 };

/// An id of a few, which a passage may have, or a number that one may get that is added without an id.
pub fn any_id(dice: &mut Dice, num_added: u64) -> String {
    match dice.below(16) {
        0 => (num_added + dice.below(20) as u64).to_string(),
        _ => format!("doc/{}", dice.below(3 * PASSAGES)),
    }
}

fn any_tokens(dice: &mut Dice) -> Range<usize> {
    let len = dice.below(DOCLEN + 1);
    let start = dice.below(TOKENS - len);
    start..start + len
}

/// Numbers in the metadata are below this.
pub const NUMBERS: usize = 1000;

fn any_document(dice: &mut Dice, id: String) -> Document {
    let words = ["tea ", "ein Grüner ", "cup, ", "τσάι ", "\n"];
    let text = (0..dice.below(12)).map(|_| words[dice.below(words.len())]).collect();
    let word = (!dice.one_in(3)).then(|| words[dice.below(words.len())]);
    let n = dice.below(NUMBERS);
    let metadata = dice.one_in(2).then(|| serde_json::json!({ "n": n, "x": [0.1, null], "in": { "word": word } }));
    Document { id, text, metadata }
}

impl Life<'_> {
    /// Opens a writer, makes some edits, and commits or abandons them.
    pub fn change(&mut self) {
        let mut writer = Writer::open_in(Arc::clone(&self.storage)).unwrap();
        crate::words::give(&mut writer);
        let base = writer.index().expect("a change has an index");
        assert!(base.ids().map(Result::unwrap).eq(self.model.ids()), "ids of the index that is changed");
        if self.dice.one_in(16) {
            let second = Writer::open_in(Arc::clone(&self.storage));
            assert!(matches!(second, Err(Error::Locked { .. })), "two writers at a time");
        }
        if self.dice.one_in(4) {
            let segment_tokens = 4 + self.dice.below(12) as u32;
            writer.set_limits(Limits { segment_tokens, held_bytes: 100 + self.dice.below(1000) });
        }
        if self.dice.one_in(24) {
            return self.rebuild(writer);
        }
        let mut draft = self.model.draft();
        let is_numbered = self.dice.one_in(8);
        for _ in 0..1 + self.dice.below(3) {
            let is_full = self.model.passages.len() > PASSAGES;
            match self.dice.below(8) {
                _ if self.dice.one_in(200) => self.delete_all(&mut writer, &mut draft),
                0..4 if is_full => self.delete(&mut writer, &mut draft),
                0..4 if is_numbered => {}
                0..4 => self.add(&mut writer, &mut draft),
                4..6 => self.delete(&mut writer, &mut draft),
                _ => {
                    writer.replace_existing();
                    draft.replaces = true;
                    if !is_numbered {
                        self.add(&mut writer, &mut draft);
                    }
                }
            }
        }
        if self.dice.one_in(16) {
            draft.search = Some(self.dice.below(100).into());
            draft.is_changed = true;
            writer.set_search(draft.search.clone());
        }
        if self.dice.one_in(16) {
            let sources: Vec<u8> = (0..self.dice.below(5)).map(|_| self.dice.next() as u8).collect();
            writer.set_sources(&sources).unwrap();
            draft.sources = Some(sources);
            draft.is_changed = true;
        }
        assert_eq!(writer.finish_documents().unwrap().len(), draft.added.len());
        if draft.added.is_empty() && is_numbered {
            self.add_numbered(&mut writer, &mut draft);
        } else if self.dice.one_in(16) && !draft.added.is_empty() {
            // Without the passages of its documents nothing is committed.
            assert!(matches!(writer.commit(), Err(Error::PassageCount { .. })));
            return self.check_names();
        } else {
            let tokens: Vec<Range<usize>> = draft.added.iter().map(|passage| passage.tokens.clone()).collect();
            let (first, second) = tokens.split_at(self.dice.below(tokens.len() + 1));
            self.model.pool.push(&mut writer, first).unwrap();
            self.model.pool.push(&mut writer, second).unwrap();
        }
        if self.dice.one_in(4) {
            self.delete(&mut writer, &mut draft);
        }
        self.end(writer, draft);
        self.check_names();
    }

    /// Adds 1 to 5 documents. Their passages come later.
    fn add(&mut self, writer: &mut Writer, draft: &mut Draft) {
        for _ in 0..1 + self.dice.below(5) {
            // Half of the ids that some passage has are drawn again, so that most additions are of new ones.
            let mut id = any_id(&mut self.dice, self.model.num_added);
            if draft.has(&id) && self.dice.one_in(2) {
                id = any_id(&mut self.dice, self.model.num_added);
            }
            let passage = Passage { document: any_document(&mut self.dice, id), tokens: any_tokens(&mut self.dice) };
            let result = writer.push_document(&passage.document);
            let is_as_expected = match draft.push(passage) {
                Fate::Taken => result.is_ok(),
                Fate::Exists => matches!(result, Err(Error::IdExists { .. })),
                Fate::Twice => matches!(result, Err(Error::DuplicateId { .. })),
            };
            assert!(is_as_expected, "{result:?}");
        }
    }

    /// Adds 1 to 3 passages without documents.
    fn add_numbered(&mut self, writer: &mut Writer, draft: &mut Draft) {
        let tokens: Vec<Range<usize>> = (0..1 + self.dice.below(3)).map(|_| any_tokens(&mut self.dice)).collect();
        let result = self.model.pool.push(writer, &tokens);
        match draft.push_numbered(&tokens) {
            Fate::Taken => result.unwrap(),
            _ => assert!(matches!(result, Err(Error::IdExists { .. })), "{result:?}"),
        }
    }

    /// Deletes 1 to 3 passages, and asks for ids that the index may not have.
    fn delete(&mut self, writer: &mut Writer, draft: &mut Draft) {
        for _ in 0..1 + self.dice.below(3) {
            let any = any_id(&mut self.dice, self.model.num_added);
            let passage = self.model.passages.get(self.dice.below(self.model.passages.len()));
            let id = passage.filter(|_| !self.dice.one_in(4)).map_or(any, |passage| passage.id().to_owned());
            assert_eq!(writer.delete(&id).unwrap(), draft.delete(&id), "deletion of {id}");
        }
    }

    fn delete_all(&mut self, writer: &mut Writer, draft: &mut Draft) {
        for id in self.model.ids() {
            assert_eq!(writer.delete(id).unwrap(), draft.delete(id), "deletion of {id}");
        }
    }

    /// Compresses all passages by the other codec.
    fn rebuild(&mut self, mut writer: Writer) {
        let [first, second] = &*POOLS;
        let pool = if std::ptr::eq(self.model.pool, first) { second } else { first };
        writer.rebuild();
        writer.set_codec(&pool.codec).unwrap();
        let tokens = self.model.tokens();
        let end = if self.dice.one_in(8) { self.dice.below(tokens.len()) } else { tokens.len() };
        let (before, after) = tokens[..end].split_at(self.dice.below(end + 1));
        pool.push(&mut writer, before).unwrap();
        pool.push(&mut writer, after).unwrap();
        if end < tokens.len() {
            assert!(matches!(writer.commit(), Err(Error::PassageCount { .. })));
        } else if self.dice.one_in(8) {
            // Abandoned.
            drop(writer);
        } else {
            let manifest = writer.commit().unwrap();
            (self.model.pool, self.model.generation) = (pool, self.model.generation + 1);
            self.model.check_manifest(&manifest);
        }
        self.check_names();
    }

    /// Merges segments at times, and commits most changes.
    fn end(&mut self, mut writer: Writer, mut draft: Draft) {
        let segments = writer.index().expect("a change has an index").manifest().segments.clone();
        for places in self.merges(&segments) {
            writer.merge(places, |_| Ok::<(), Error>(())).unwrap();
            draft.is_changed = true;
        }
        match self.dice.below(20) {
            // Abandoned.
            0 => drop(writer),
            1 if !segments.is_empty() && !draft.is_changed => {
                let refused = writer.merge(0..1, |_| Err(Error::NoCodec));
                assert!(matches!(refused, Err(Error::NoCodec)), "{refused:?}");
                assert!(matches!(writer.commit(), Err(Error::Unfinished)), "a merge that was stopped");
            }
            _ => {
                let manifest = writer.commit().unwrap();
                self.model.commit(draft);
                self.model.check_manifest(&manifest);
            }
        }
    }

    /// Places of segments to merge: none, one or two random runs of neighbours, or the plan of a policy.
    fn merges(&mut self, segments: &[SegmentEntry]) -> Vec<Range<usize>> {
        let num = segments.len();
        match self.dice.below(6) {
            _ if num > SEGMENTS => POLICY.plan_all(segments),
            0 if num > 0 => {
                let middle = self.dice.below(num);
                let (first, second) =
                    (self.dice.below(middle + 1)..middle, middle..num - self.dice.below(num - middle));
                // In either order.
                let mut runs = if self.dice.one_in(2) { vec![first, second] } else { vec![second, first] };
                runs.truncate(1 + self.dice.below(2));
                runs.retain(|run| !run.is_empty());
                runs
            }
            1 | 2 => POLICY.plan(segments),
            _ => Vec::new(),
        }
    }
}
