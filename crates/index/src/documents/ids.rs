//! Passages by id: a set in memory for the ids that a writer adds, and a table in a file for the ids of a segment.
//!
//! Payload of a segment's table, with one entry per passage, ascending by hash and pid:
//!
//! | bytes | contents |
//! |---|---|
//! | `4 P` | `(P) u32`: hashes of the ids |
//! | `4 P` | `(P) u32`: pids within the segment |
//!
//! The hash is the low half of SipHash-1-3 with a key of zeros (Aumasson and Bernstein, "SipHash: a fast short-input
//! PRF"). An id is looked up by binary search in the mapped file; the ids of all passages with its hash are compared.

use crate::error::{Error, Result};
use crate::files::{FileKind, IndexFile};
use crate::framed_file::{FileEntry, FramedFile, FramedFileWriter};
use crate::manifest::SegmentEntry;
use crate::storage::Storage;
use bytes::Bytes;
use siphasher::sip::SipHasher13;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

/// Number of maps that the ids of a writer are spread over. A map is in memory twice while it grows, but only
/// one of the 64 grows at a time.
const SHARDS: usize = 64;

/// Hash of an id, 96 bits: the probability of any collision among 10^8 ids is about 10^-13.
type IdHash = [u32; 3];

/// Ids of the documents written so far, with their pids. Ids are compared by their hashes only.
#[derive(Default)]
pub(super) struct IdSet {
    /// 17 bytes per slot, independent of the ids' lengths; at most 7 of 8 slots are taken.
    shards: Vec<HashMap<IdHash, u32>>,
    hashers: [RandomState; 2],
}

impl IdSet {
    /// Passage that has this id, if any.
    pub(super) fn get(&self, id: &str) -> Option<u32> {
        let hash = self.hash(id);
        self.shards.get(shard(hash))?.get(&hash).copied()
    }

    /// Adds the id of a passage.
    pub(super) fn insert(&mut self, id: &str, pid: u32) {
        let hash = self.hash(id);
        self.shards.resize_with(SHARDS, HashMap::new);
        self.shards[shard(hash)].insert(hash, pid);
    }

    /// Memory of the maps, in bytes.
    pub(super) fn bytes_held(&self) -> usize {
        // The standard library's table has a power of two of slots and one control byte per slot.
        let slots = |capacity: usize| if capacity == 0 { 0 } else { (capacity * 8 / 7).next_power_of_two() };
        self.shards.iter().map(|map| slots(map.capacity()) * (size_of::<(IdHash, u32)>() + 1)).sum()
    }

    fn hash(&self, id: &str) -> IdHash {
        let [low, high] = [self.hashers[0].hash_one(id), self.hashers[1].hash_one(id)];
        [low as u32, (low >> 32) as u32, high as u32]
    }
}

/// Number of the map that holds this hash.
fn shard(hash: IdHash) -> usize {
    hash[2] as usize % SHARDS
}

/// Hash of an id in a table.
pub(crate) fn hash_of(id: &[u8]) -> u32 {
    let mut hasher = SipHasher13::new();
    hasher.write(id);
    hasher.finish() as u32
}

/// Table of a segment's ids. Clones share the bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct IdTable {
    hashes: Bytes,
    pids: Bytes,
}

impl IdTable {
    /// Maps the table of a segment and checks its length.
    pub(crate) fn open(storage: &dyn Storage, segment: &SegmentEntry) -> Result<(Self, FramedFile)> {
        let file = FramedFile::open_named(storage, IndexFile::new(FileKind::Ids, segment.number), segment.ids)?;
        let half = segment.count as usize * 4;
        if file.payload.len() != 2 * half {
            return Err(Error::IdTable { path: file.path, what: "not one entry for each passage" });
        }
        Ok((Self { hashes: file.payload.slice(..half), pids: file.payload.slice(half..) }, file))
    }

    /// Writes the table of segment `number`, whose passages have ids of these hashes.
    pub(crate) fn write(storage: &dyn Storage, number: u32, hashes: &[u32]) -> Result<FileEntry> {
        let entries = sorted(hashes);
        let mut out = FramedFileWriter::create(storage, IndexFile::new(FileKind::Ids, number))?;
        entries.iter().try_for_each(|(hash, _)| out.write(&hash.to_le_bytes()))?;
        entries.iter().try_for_each(|(_, pid)| out.write(&pid.to_le_bytes()))?;
        out.finish()
    }

    /// Passages of the segment whose ids have this hash, ascending.
    pub(crate) fn find(&self, hash: u32) -> impl Iterator<Item = u32> + '_ {
        let first = words(&self.hashes).partition_point(|&word| u32::from_le_bytes(word) < hash);
        let entries = self.entries(first);
        entries.take_while(move |&(found, _)| found == hash).map(|(_, pid)| pid)
    }

    /// Whether this is the table of passages whose ids have these hashes.
    pub(crate) fn is_of(&self, hashes: &[u32]) -> bool {
        self.entries(0).eq(sorted(hashes))
    }

    /// Hashes and pids from entry `first` on.
    fn entries(&self, first: usize) -> impl Iterator<Item = (u32, u32)> + '_ {
        let numbers = |array| words(array)[first..].iter().map(|&word| u32::from_le_bytes(word));
        numbers(&self.hashes).zip(numbers(&self.pids))
    }
}

/// Entries of a table: hashes of the ids of passages 0, 1, ... with these pids, ascending.
fn sorted(hashes: &[u32]) -> Vec<(u32, u32)> {
    let mut entries: Vec<(u32, u32)> = hashes.iter().copied().zip(0..).collect();
    entries.sort_unstable();
    entries
}

/// Little-endian numbers of an array.
fn words(array: &Bytes) -> &[[u8; 4]] {
    array.as_chunks().0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with an independent implementation of SipHash-1-3 (64 bits, key of zeros).
    #[test]
    fn hashes_are_frozen() {
        let found = [&b"a"[..], b"pie", b"doc/1"].map(hash_of);
        assert_eq!(found, [3_097_171_987, 19_224_261, 3_663_572_660]);
    }
}
