//! A change of an existing index: passages are added, replaced and deleted.
//!
//! In: the index at its newest generation, held under the lock. Out: the next generation, which keeps the segments of
//! the one before, with more of their passages deleted, and has new segments after them.

use crate::deleted::Deleted;
use crate::documents::DocumentsReader;
use crate::error::{Error, Result};
use crate::manifest::{BuildInfo, CodecEntry, DeletedEntry, Manifest, SegmentEntry};
use crate::reader::{Check, Index};
use crate::staging::Staging;
use crate::storage::{Storage, storage_at};
use crate::writer::{Incoming, Writer};
use roaring::RoaringBitmap;
use std::path::Path;
use std::sync::Arc;

/// The index that a writer changes.
pub(crate) struct Base {
    pub(crate) index: Index,
    /// Segments of the next generation, before those that are added.
    pub(crate) slots: Vec<Slot>,
    reader: DocumentsReader,
    /// Whether a passage that is added replaces the one with its id.
    replaces: bool,
    /// Passages deleted by this change, for each segment of the index.
    deleted: Vec<RoaringBitmap>,
    pub(crate) is_changed: bool,
}

/// A segment of the next generation.
pub(crate) enum Slot {
    /// Segment of the index, by its place.
    Kept(usize),
    /// A segment that replaces some of them.
    Merged(Box<SegmentEntry>),
}

impl Base {
    fn new(index: Index) -> Self {
        let num_segments = index.segments().len();
        let reader = index.documents().reader();
        Self {
            slots: (0..num_segments).map(Slot::Kept).collect(),
            deleted: vec![RoaringBitmap::new(); num_segments],
            index,
            reader,
            replaces: false,
            is_changed: false,
        }
    }

    /// Number of pids of the index.
    pub(crate) fn num_pids(&self) -> u32 {
        self.index.num_pids()
    }

    /// Makes place for a passage with this id: deletes the one that has it, or refuses the new one.
    pub(crate) fn admit(&mut self, id: &str) -> Result<()> {
        match self.find(id)? {
            None => Ok(()),
            Some(_) if !self.replaces => Err(Error::IdExists { id: id.to_owned() }),
            Some((segment, pid)) => {
                self.mark(segment, pid);
                Ok(())
            }
        }
    }

    /// Deletes the passage with this id; returns whether there was one.
    fn delete(&mut self, id: &str) -> Result<bool> {
        let found = self.find(id)?;
        if let Some((segment, pid)) = found {
            self.mark(segment, pid);
        }
        Ok(found.is_some())
    }

    /// Marks a passage as deleted, given the place of its segment and its pid within it.
    fn mark(&mut self, segment: usize, pid: u32) {
        let is_kept = |slot: &Slot| matches!(slot, Slot::Kept(_));
        let is_untouched = !self.slots.is_empty() && self.slots.iter().all(is_kept);
        assert!(is_untouched, "deletions come before merges and rebuilds");
        self.deleted[segment].insert(pid);
        self.is_changed = true;
    }

    /// Place of the segment and pid within it of the passage with this id.
    fn find(&mut self, id: &str) -> Result<Option<(usize, u32)>> {
        let Some(pid) = self.reader.find(id)? else { return Ok(None) };
        let segments = self.index.segments();
        let at = segments.partition_point(|segment| segment.first_pid <= pid) - 1;
        let local = pid - segments[at].first_pid;
        Ok(Some((at, local)).filter(|_| !self.deleted[at].contains(local)))
    }

    /// Deleted passages of the segment at a place, with the deletions of this change.
    pub(crate) fn deleted(&self, at: usize) -> Deleted {
        let before = &self.index.segments()[at].deleted;
        if self.deleted[at].is_empty() { before.clone() } else { before.union(&self.deleted[at]) }
    }

    /// Writes the deleted passages of the kept segments; returns the segments that have passages left.
    fn entries(&self, storage: &dyn Storage, next_number: &mut u32) -> Result<Vec<SegmentEntry>> {
        let mut entries = Vec::with_capacity(self.slots.len());
        for slot in &self.slots {
            match slot {
                Slot::Merged(entry) => entries.push(**entry),
                &Slot::Kept(at) => entries.extend(self.kept(at, storage, next_number)?),
            }
        }
        Ok(entries)
    }

    /// The segment at a place, with its deleted passages written if they are more than before; `None` if no passage is
    /// left.
    fn kept(&self, at: usize, storage: &dyn Storage, next_number: &mut u32) -> Result<Option<SegmentEntry>> {
        let entry = self.index.manifest().segments[at];
        if self.deleted[at].is_empty() {
            return Ok(Some(entry));
        }
        let (deleted, passages) = (self.deleted(at), &self.index.segments()[at].passages);
        let count = deleted.len() as u32;
        if count == entry.count {
            return Ok(None);
        }
        let num_tokens = deleted.iter().map(|pid| passages.tokens(pid as usize).len() as u32).sum();
        let number = *next_number;
        *next_number += 1;
        let file = deleted.write(storage, number)?;
        Ok(Some(SegmentEntry { deleted: Some(DeletedEntry { number, count, num_tokens, file }), ..entry }))
    }
}

impl Writer {
    /// Prepares a change of the index at `path`.
    ///
    /// # Errors
    /// The errors of [`Index::open`]; [`Error::Locked`] where another writer holds its lock, [`Error::Io`] where
    /// nothing can be written.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_in(storage_at(path)?)
    }

    /// Prepares a change of the index in `storage`.
    ///
    /// # Errors
    /// As [`Writer::open`].
    pub fn open_in(storage: Arc<dyn Storage>) -> Result<Self> {
        Self::open_staged(Staging::open(storage, false)?)
    }

    /// Prepares a change of an index of which a generation is open. The newest generation is changed, and shares what
    /// it has in common with the open one.
    ///
    /// # Errors
    /// As [`Writer::open`].
    pub fn open_from(index: &Index) -> Result<Self> {
        let staging = Staging::open(Arc::clone(index.storage()), false)?;
        let newest = index.refreshed(Check::Structure)?.unwrap_or_else(|| index.clone());
        Self::change(staging, newest)
    }

    /// Prepares a change of the index in `storage`, after waiting for the end of another one.
    pub(crate) fn open_waiting(storage: Arc<dyn Storage>) -> Result<Self> {
        Self::open_staged(Staging::open(storage, true)?)
    }

    fn open_staged(staging: Staging) -> Result<Self> {
        let index = Index::open_in(Arc::clone(staging.target()), Check::Structure)?;
        Self::change(staging, index)
    }

    fn change(staging: Staging, index: Index) -> Result<Self> {
        let next_number = staging.next_number(index.manifest().next_number)?;
        let mut writer = Self::new(staging, Some(Base::new(index)));
        writer.next_number = next_number;
        Ok(writer)
    }

    /// The index that is changed, without the change; `None` for a new one.
    pub fn index(&self) -> Option<&Index> {
        self.base.as_ref().map(|base| &base.index)
    }

    /// Lets passages replace those that have their ids, rather than being refused.
    ///
    /// # Panics
    /// If the index is new.
    pub fn replace_existing(&mut self) {
        self.base_mut().replaces = true;
    }

    /// Deletes the passage that has this id; returns whether there is one. Passages that this writer adds are not
    /// among them.
    ///
    /// # Errors
    /// [`Error::Documents`] where a block of ids is corrupt.
    ///
    /// # Panics
    /// If the index is new, or passages were merged before, or are compressed anew.
    pub fn delete(&mut self, id: &str) -> Result<bool> {
        self.base_mut().delete(id)
    }

    /// Begins to compress all passages anew: another codec must be set, and all passages that are not deleted be pushed
    /// again, in pid order. They keep their documents. Other changes cannot be part of the same commit.
    ///
    /// # Panics
    /// If the index is new, or this writer has changed something before.
    pub fn rebuild(&mut self) {
        let num_documents = self.documents.count();
        let base = self.base_mut();
        assert!(!base.is_changed && num_documents == 0, "passages are compressed anew before anything else changes");
        base.slots.clear();
        base.is_changed = true;
        let incoming = Incoming::new(base.index.documents().reader(), base.index.pids().collect());
        (self.incoming, self.is_rebuilt) = (Some(incoming), true);
    }

    /// Sets the search parameters, in the format of [`Manifest::search`].
    ///
    /// # Panics
    /// If the index is new.
    pub fn set_search(&mut self, search: Option<serde_json::Value>) {
        let base = self.base_mut();
        base.is_changed = true;
        base.index.manifest_mut().search = search;
    }

    /// Sets the record of how the index was built.
    ///
    /// # Panics
    /// If the index is new.
    pub fn set_build(&mut self, build: BuildInfo) {
        let base = self.base_mut();
        base.is_changed = true;
        base.index.manifest_mut().build = build;
    }

    /// Closes all files, writes the manifest of the next generation and moves all into place. Without a change, there
    /// is no new generation.
    ///
    /// # Errors
    /// [`Error::Unfinished`] after a failed write, [`Error::PassageCount`], [`Error::NoCodec`] after
    /// [`Writer::rebuild`], [`Error::Io`], [`Error::LockLost`], [`Error::Manifest`] where the index was damaged before.
    /// The index is then as it was; only if the very last sync fails, readers see the change, and a loss of power may
    /// undo it.
    ///
    /// # Panics
    /// If the index is new: [`Writer::finish`] is its last call. If the words got another language, and a segment was
    /// not merged.
    pub fn commit(mut self) -> Result<Manifest> {
        let (added, language) = (self.close()?, self.language());
        let base = self.base.take().expect("a new index is finished");
        let manifest = base.index.manifest();
        if added.is_empty() && !base.is_changed {
            return Ok(manifest.clone());
        }
        let is_copied = self.is_rebuilt || !base.slots.iter().any(|slot| matches!(slot, Slot::Kept(_)));
        assert!(is_copied || language == manifest.language, "another language of words needs all segments merged");
        let codec = match self.is_rebuilt {
            true => {
                let (_, entry) = self.codec.take().ok_or(Error::NoCodec)?;
                CodecEntry { residual: self.mean_residual(), ..entry }
            }
            false => manifest.codec,
        };
        let mut segments = base.entries(&**self.staging.hidden(), &mut self.next_number)?;
        segments.extend(added);
        let manifest = Manifest {
            generation: manifest.generation + 1,
            next_number: self.next_number,
            num_added: self.num_added,
            codec,
            language,
            sources: self.sources,
            segments,
            ..manifest.clone()
        };
        // The hold of the generation before would keep its files.
        drop(base);
        self.staging.finish(&manifest)?;
        Ok(manifest)
    }

    pub(crate) fn base_mut(&mut self) -> &mut Base {
        self.base.as_mut().expect("an index that exists is changed")
    }
}
