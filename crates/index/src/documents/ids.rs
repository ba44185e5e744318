//! Hash tables from ids to passages: one for a writer, one for an open index.

use super::file::DocumentsFiles;
use super::reader::DocumentsReader;
use crate::error::Result;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// Number of maps that the ids of a writer are spread over. A map is in memory twice while it grows, but only
/// one of the 64 grows at a time.
const SHARDS: usize = 64;

/// Least number of ids per thread. They fill many blocks, so that few blocks are unpacked twice: only the first and the
/// last block of a run may be shared with another thread.
const LEAST_RUN: usize = 1 << 15;

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

/// Sorted table of the hashes of all ids: 12 bytes per passage.
#[derive(Debug)]
pub(super) struct IdTable {
    hasher: RandomState,
    /// High and low half of the hash, pid.
    entries: Vec<[u32; 3]>,
}

impl IdTable {
    /// Builds the table of all ids, in parallel.
    ///
    /// It starts its own threads, because callers hold a lock. A rayon thread that waits for a part of its work
    /// may run another task meanwhile, and a task that looks up an id would wait for a lock that its own thread
    /// holds.
    pub(super) fn of(files: &DocumentsFiles) -> Result<Self> {
        let hasher = RandomState::new();
        let mut entries = vec![[0; 3]; files.len as usize];
        let run = entries.len().div_ceil(rayon::current_num_threads()).max(LEAST_RUN);
        let fill = |first: usize, entries: &mut [[u32; 3]]| -> Result<()> {
            let mut reader = DocumentsReader::new(files.clone());
            for (entry, pid) in entries.iter_mut().zip(first as u32..) {
                let [high, low] = halves(&hasher, &reader.id(pid)?);
                *entry = [high, low, pid];
            }
            entries.sort_unstable();
            Ok(())
        };
        let fill = &fill;
        std::thread::scope(|scope| {
            let runs = (0..).step_by(run).zip(entries.chunks_mut(run));
            let threads: Vec<_> = runs.map(|(first, entries)| scope.spawn(move || fill(first, entries))).collect();
            threads.into_iter().try_for_each(|thread| thread.join().expect("reading ids does not panic"))
        })?;
        // The stable sort detects the sorted runs and merges them.
        entries.sort();
        Ok(Self { hasher, entries })
    }

    /// Passage that has this id, if any. The ids of all passages with its hash are compared.
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

/// High and low half of the hash of an id.
fn halves(hasher: &RandomState, id: &str) -> [u32; 2] {
    let hash = hasher.hash_one(id);
    [(hash >> 32) as u32, hash as u32]
}
