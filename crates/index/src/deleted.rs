//! Deleted passages of a segment.
//!
//! A segment's files never change: a deletion writes the set of all its deleted passages anew, to a file with a number
//! of its own, which the next manifest names. The payload is the portable serialization of a roaring bitmap of pids
//! within the segment (<https://github.com/RoaringBitmap/RoaringFormatSpec>).

use crate::error::{Error, Result};
use crate::files::{FileKind, IndexFile};
use crate::framed_file::{FileEntry, FramedFile, FramedFileWriter};
use crate::manifest::SegmentEntry;
use crate::storage::Storage;
use roaring::RoaringBitmap;
use std::sync::Arc;

/// Passages per container of a roaring bitmap.
const CONTAINER_PASSAGES: u32 = 1 << 16;

/// Deleted passages of a segment, by their pids within it. Clones share the set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Deleted(Arc<RoaringBitmap>);

impl Deleted {
    /// Number of deleted passages.
    pub fn len(&self) -> usize {
        self.0.len() as usize
    }

    /// Whether no passage is deleted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a passage of the segment is deleted.
    #[inline]
    pub fn contains(&self, pid: u32) -> bool {
        self.0.contains(pid)
    }

    /// Pids of the deleted passages, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter()
    }

    /// Pids of a segment of `num_passages` that are not deleted, ascending.
    pub fn alive(&self, num_passages: u32) -> impl Iterator<Item = u32> + use<> {
        let mut deleted = RoaringBitmap::clone(&self.0).into_iter().peekable();
        (0..num_passages).filter(move |pid| deleted.next_if_eq(pid).is_none())
    }

    /// The set as a bitmap.
    pub fn as_bitmap(&self) -> &RoaringBitmap {
        &self.0
    }

    /// The set together with `more`.
    pub(crate) fn union(&self, more: &RoaringBitmap) -> Self {
        Self(Arc::new(&*self.0 | more))
    }

    /// Reads the set that the manifest names for a segment.
    pub(crate) fn open(storage: &dyn Storage, segment: &SegmentEntry) -> Result<(Self, Option<FramedFile>)> {
        let Some(entry) = segment.deleted else { return Ok((Self::default(), None)) };
        let file = FramedFile::open_named(storage, IndexFile::new(FileKind::Deleted, entry.number), entry.file)?;
        // All of it is used, so all of it is checked: it is small.
        file.check()?;
        let bad = |what| Error::Deleted { path: file.path.clone(), what };
        let set = bitmap_of(&file.payload, segment.count).map_err(bad)?;
        if set.len() != u64::from(entry.count) {
            return Err(bad("holds another number of passages than the manifest says"));
        }
        Ok((Self(Arc::new(set)), Some(file)))
    }

    /// Writes the set as file `number`.
    pub(crate) fn write(&self, storage: &dyn Storage, number: u32) -> Result<FileEntry> {
        let mut out = FramedFileWriter::create(storage, IndexFile::new(FileKind::Deleted, number))?;
        let mut bytes = Vec::with_capacity(self.0.serialized_size());
        self.0.serialize_into(&mut bytes).expect("memory takes every byte");
        out.write(&bytes)?;
        out.finish()
    }
}

/// Reads a serialized bitmap of passages of a segment of `num_passages`; an error says what is wrong.
pub(crate) fn bitmap_of(bytes: &[u8], num_passages: u32) -> Result<RoaringBitmap, &'static str> {
    // A container takes at most 8 KiB of memory, and may take 8 bytes of the file.
    if num_containers(bytes).is_none_or(|found| found > num_passages.div_ceil(CONTAINER_PASSAGES)) {
        return Err("not a bitmap of this segment's passages");
    }
    let set = RoaringBitmap::deserialize_from(bytes).map_err(|_| "not a roaring bitmap")?;
    match set.max().is_some_and(|last| last >= num_passages) {
        true => Err("holds a passage after the segment's last"),
        false => Ok(set),
    }
}

/// Number of containers that a serialized bitmap claims; `None` if it is too short or begins differently.
fn num_containers(bytes: &[u8]) -> Option<u32> {
    /// First word of a bitmap without run containers, and low half of that of one with some.
    const WITHOUT_RUNS: u32 = 12_346;
    const WITH_RUNS: u32 = 12_347;
    let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    match word(0)? {
        WITHOUT_RUNS => word(4),
        cookie if cookie & 0xffff == WITH_RUNS => Some((cookie >> 16) + 1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alive_passages_are_those_that_are_not_deleted() {
        let deleted = Deleted::default().union(&[0, 2, 3, 9].into());
        assert_eq!(deleted.alive(8).collect::<Vec<_>>(), [1, 4, 5, 6, 7]);
        assert_eq!(
            (deleted.len(), deleted.is_empty(), deleted.contains(3), deleted.contains(4)),
            (4, false, true, false)
        );
        assert!(Deleted::default().alive(3).eq(0..3));
    }

    #[test]
    fn containers_are_counted_before_they_are_read() {
        for set in [RoaringBitmap::from([1, 70_000, 1 << 20]), (0..200_000).collect()] {
            let mut runs = set.clone();
            runs.optimize();
            for set in [&set, &runs] {
                let mut bytes = Vec::new();
                set.serialize_into(&mut bytes).unwrap();
                assert_eq!(num_containers(&bytes), Some(set.statistics().n_containers));
            }
        }
        assert_eq!(num_containers(&[]), None);
        assert_eq!(num_containers(&[1; 8]), None);
    }
}
