//! Ids to passages, by hashes: which ids a writer has seen, and which passage of an index has one.

use super::file::DocumentsFiles;
use super::reader::DocumentsReader;
use crate::error::Result;
use rayon::prelude::*;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// Maps that share the ids of a writer: one at a time grows, and while it does, it is there twice.
const SHARDS: usize = 64;

/// Ids that one thread reads in one go: many blocks, of which the first and the last are shared.
const RUN: usize = 1 << 15;

/// Bits of an id's hash: at 96, a hundred million ids collide once in 10^13 collections.
type IdHash = [u32; 3];

/// The ids of the documents that were written, and their passages.
#[derive(Default)]
pub(super) struct IdSet {
    /// 17 bytes for each place of a map, whatever the ids' lengths; seven in eight places at most are taken.
    shards: Vec<HashMap<IdHash, u32>>,
    hashers: [RandomState; 2],
}

impl IdSet {
    /// The passage that has this id, if any.
    pub(super) fn get(&self, id: &str) -> Option<u32> {
        let hash = self.hash(id);
        self.shards.get(shard(hash))?.get(&hash).copied()
    }

    /// Takes up the id of a passage.
    pub(super) fn insert(&mut self, id: &str, pid: u32) {
        let hash = self.hash(id);
        self.shards.resize_with(SHARDS, HashMap::new);
        self.shards[shard(hash)].insert(hash, pid);
    }

    /// Bytes of memory that the maps take.
    pub(super) fn bytes_held(&self) -> usize {
        // The standard library's table has a power of two of places and one control byte for each.
        let places = |capacity: usize| if capacity == 0 { 0 } else { (capacity * 8 / 7).next_power_of_two() };
        self.shards.iter().map(|map| places(map.capacity()) * (size_of::<(IdHash, u32)>() + 1)).sum()
    }

    fn hash(&self, id: &str) -> IdHash {
        let [low, high] = [self.hashers[0].hash_one(id), self.hashers[1].hash_one(id)];
        [low as u32, (low >> 32) as u32, high as u32]
    }
}

/// Which map has this hash.
fn shard(hash: IdHash) -> usize {
    hash[2] as usize % SHARDS
}

/// The hash of each passage's id, sorted: 12 bytes for each.
#[derive(Debug)]
pub(super) struct IdTable {
    hasher: RandomState,
    /// High and low half of the hash, then the pid.
    entries: Vec<[u32; 3]>,
}

impl IdTable {
    /// Reads all ids.
    pub(super) fn of(files: &DocumentsFiles) -> Result<Self> {
        let hasher = RandomState::new();
        let mut entries = vec![[0; 3]; files.len as usize];
        entries.par_chunks_mut(RUN).enumerate().try_for_each(|(run, entries)| -> Result<()> {
            let mut reader = DocumentsReader::new(files.clone());
            for (entry, pid) in entries.iter_mut().zip((run * RUN) as u32..) {
                let [high, low] = halves(&hasher, &reader.id(pid)?);
                *entry = [high, low, pid];
            }
            Ok(())
        })?;
        entries.par_sort_unstable();
        Ok(Self { hasher, entries })
    }

    /// The passage that has this id: the ids of those that have its hash are compared.
    pub(super) fn find(&self, id: &str, reader: &mut DocumentsReader) -> Result<Option<u32>> {
        let hash = halves(&self.hasher, id);
        let first = self.entries.partition_point(|entry| entry[..2] < hash[..]);
        for entry in self.entries[first..].iter().take_while(|entry| entry[..2] == hash[..]) {
            if reader.id(entry[2])? == id {
                return Ok(Some(entry[2]));
            }
        }
        Ok(None)
    }
}

fn halves(hasher: &RandomState, id: &str) -> [u32; 2] {
    let hash = hasher.hash_one(id);
    [(hash >> 32) as u32, hash as u32]
}
