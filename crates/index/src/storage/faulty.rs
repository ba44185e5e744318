//! A simulated disk that loses power, or fails, at an operation that a test chooses.
//!
//! All operations are logged. A test runs a change once to count its operations, then once per operation and kind of
//! fault; [`Faulty::after_crash`] returns what a disk could hold after a loss of power, by the table of
//! [`super`]. The log is replayed: synced bytes and names are there, everything else is up to [`Survival`].

use super::{Lock, Memory, Storage, StoredFile, Temporary};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Pseudo-random numbers: splitmix64.
pub(crate) fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// Fault of a simulated disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// No fault.
    Sound,
    /// This operation, counted from 0, and all after it fail: the process is dead.
    Crash(usize),
    /// This operation fails, those after it work: a full disk, a bad sector.
    Fail(usize, io::ErrorKind),
}

/// Fate of bytes and names that were not synced before a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survival {
    /// All are on the disk, as if synced.
    Kept,
    /// No unsynced byte or name is on the disk.
    Dropped,
    /// Some are, by pseudo-random numbers of this seed: the bytes of a file up to some place, or zeros in their stead;
    /// names in any combination.
    Torn(u64),
}

#[derive(Clone, Debug)]
enum Op {
    Create(String, usize),
    Write(usize, Vec<u8>),
    WriteAt(usize, u64, Vec<u8>),
    Sync(usize),
    Rename(String, String),
    Remove(String),
    SyncNames,
}

#[derive(Debug, Default)]
struct Log {
    /// Operations so far, failed ones included.
    count: usize,
    ops: Vec<Op>,
    num_files: usize,
    /// File of each name in the live view, for handles that are opened to append.
    files: BTreeMap<String, usize>,
}

/// The simulated disk. Clones share it.
#[derive(Clone, Debug)]
pub struct Faulty {
    live: Memory,
    plan: Plan,
    log: Arc<Mutex<Log>>,
}

impl Faulty {
    /// A disk with the files of `before`, all of them synced.
    ///
    /// # Panics
    /// Never.
    pub fn new(before: &Memory, plan: Plan) -> Self {
        let live = Memory::new();
        let mut log = Log::default();
        for name in before.list().expect("a sound storage") {
            let bytes = before.map(&name).expect("a sound storage").to_vec();
            let file = log.num_files;
            log.num_files += 1;
            log.files.insert(name.clone(), file);
            log.ops.extend([Op::Create(name.clone(), file), Op::Write(file, bytes.clone()), Op::Sync(file)]);
            live.insert(&name, bytes);
        }
        log.ops.push(Op::SyncNames);
        Self { live, plan, log: Arc::new(Mutex::new(log)) }
    }

    /// Number of operations so far.
    pub fn num_ops(&self) -> usize {
        self.log().count
    }

    /// Returns a state of the disk that a loss of power now may leave. The disk goes on as if nothing had happened.
    pub fn after_crash(&self, survival: Survival) -> Memory {
        let log = self.log();
        let mut dice = Dice(survival);
        let disk = Memory::new();
        for (name, file) in names(&log.ops, &mut dice) {
            disk.insert(&name, contents(&log.ops, file, &mut dice));
        }
        disk
    }

    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an operation; an error if it is the one that fails.
    fn step(&self) -> io::Result<()> {
        let mut log = self.log();
        let number = log.count;
        log.count += 1;
        match self.plan {
            Plan::Crash(at) if number >= at => Err(io::Error::other("the simulated process is dead")),
            Plan::Fail(at, kind) if number == at => Err(kind.into()),
            _ => Ok(()),
        }
    }

    fn open(&self, name: &str, inner: Box<dyn StoredFile>, is_new: bool) -> Box<dyn StoredFile> {
        let mut log = self.log();
        let file = match log.files.get(name) {
            Some(&file) if !is_new => file,
            _ => {
                let file = log.num_files;
                log.num_files += 1;
                log.files.insert(name.to_owned(), file);
                log.ops.push(Op::Create(name.to_owned(), file));
                file
            }
        };
        Box::new(FaultyFile { disk: self.clone(), inner, file })
    }
}

/// Decisions about what survives.
struct Dice(Survival);

impl Dice {
    /// Number below `end`, the largest for `Kept` and 0 for `Dropped`.
    fn below(&mut self, end: usize) -> usize {
        match &mut self.0 {
            Survival::Kept => end.saturating_sub(1),
            Survival::Dropped => 0,
            Survival::Torn(seed) => {
                *seed = mix(*seed);
                (*seed % end.max(1) as u64) as usize
            }
        }
    }
}

/// Names on the disk and their files: all changes up to the last `SyncNames`, and some of those after it.
fn names(ops: &[Op], dice: &mut Dice) -> BTreeMap<String, usize> {
    let synced = ops.iter().rposition(|op| matches!(op, Op::SyncNames)).unwrap_or(0);
    let mut names = BTreeMap::new();
    for (at, op) in ops.iter().enumerate() {
        if at > synced && dice.below(2) == 0 {
            continue;
        }
        match op {
            Op::Create(name, file) => drop(names.insert(name.clone(), *file)),
            Op::Rename(from, to) => {
                // If the name `from` was lost, so is the move.
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            Op::Remove(name) => drop(names.remove(name)),
            Op::Write(..) | Op::WriteAt(..) | Op::Sync(_) | Op::SyncNames => {}
        }
    }
    names
}

/// Bytes of a file on the disk: those up to its last `Sync`, and a part of those after it, or zeros in their stead.
fn contents(ops: &[Op], file: usize, dice: &mut Dice) -> Vec<u8> {
    let synced = ops.iter().rposition(|op| matches!(op, Op::Sync(synced) if *synced == file));
    let mut bytes = Vec::new();
    for (at, op) in ops.iter().enumerate() {
        let is_synced = synced.is_some_and(|synced| at < synced);
        match op {
            Op::Write(written, new) if *written == file => {
                let len = if is_synced { new.len() } else { dice.below(new.len() + 1) };
                let is_zero = !is_synced && matches!(dice.0, Survival::Torn(_)) && dice.below(4) == 0;
                bytes.extend(new[..len].iter().map(|&byte| if is_zero { 0 } else { byte }));
                if len < new.len() {
                    return bytes;
                }
            }
            Op::WriteAt(written, at, new) if *written == file => {
                let len = if is_synced { new.len() } else { dice.below(new.len() + 1) };
                let at = *at as usize;
                // The place may be beyond the end of a file that was torn.
                let end = bytes.len().min(at + len);
                if at < end {
                    bytes[at..end].copy_from_slice(&new[..end - at]);
                }
            }
            _ => {}
        }
    }
    bytes
}

impl Storage for Faulty {
    fn root(&self) -> PathBuf {
        PathBuf::from("(faulty)")
    }

    fn create_root(&self) -> io::Result<bool> {
        Ok(false)
    }

    fn remove_root(&self) {}

    fn create(&self, name: &str) -> io::Result<Box<dyn StoredFile>> {
        self.step()?;
        Ok(self.open(name, self.live.create(name)?, true))
    }

    fn append(&self, name: &str) -> io::Result<Box<dyn StoredFile>> {
        self.step()?;
        Ok(self.open(name, self.live.append(name)?, false))
    }

    fn map(&self, name: &str) -> io::Result<Bytes> {
        self.step()?;
        self.live.map(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.step()?;
        self.live.rename(from, to)?;
        let mut log = self.log();
        if let Some(file) = log.files.remove(from) {
            log.files.insert(to.to_owned(), file);
        }
        log.ops.push(Op::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.step()?;
        let is_manifest = name.starts_with("manifest-");
        assert!(!is_manifest || self.live.hold(name)?.is_none(), "{name} is deleted by its claimant only");
        self.live.remove(name)?;
        let mut log = self.log();
        log.files.remove(name);
        log.ops.push(Op::Remove(name.to_owned()));
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.step()?;
        self.live.list()
    }

    fn sync_names(&self) -> io::Result<()> {
        self.step()?;
        self.log().ops.push(Op::SyncNames);
        Ok(())
    }

    /// In one order or in the reverse, by the number of operations before.
    fn sync_all(&self, files: Vec<Box<dyn StoredFile>>) -> io::Result<()> {
        if self.log().ops.len().is_multiple_of(2) {
            self.sync_names()?;
            return files.into_iter().rev().try_for_each(StoredFile::close);
        }
        files.into_iter().try_for_each(StoredFile::close)?;
        self.sync_names()
    }

    fn lock(&self, name: &str, wait: bool) -> io::Result<Result<Box<dyn Lock>, String>> {
        self.step()?;
        self.live.lock(name, wait)
    }

    fn hold(&self, name: &str) -> io::Result<Option<Box<dyn Lock>>> {
        self.step()?;
        self.live.hold(name)
    }

    fn claim(&self, name: &str) -> io::Result<Option<Box<dyn Lock>>> {
        self.step()?;
        self.live.claim(name)
    }

    fn holders(&self, name: &str) -> Vec<u32> {
        self.live.holders(name)
    }

    fn temporary(&self) -> io::Result<Box<dyn Temporary>> {
        self.step()?;
        self.live.temporary()
    }
}

struct FaultyFile {
    disk: Faulty,
    inner: Box<dyn StoredFile>,
    file: usize,
}

impl Write for FaultyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.disk.step()?;
        self.disk.log().ops.push(Op::Write(self.file, bytes.to_owned()));
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl StoredFile for FaultyFile {
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.step()?;
        self.inner.write_at(at, bytes)?;
        self.disk.log().ops.push(Op::WriteAt(self.file, at, bytes.to_owned()));
        Ok(())
    }

    fn close(self: Box<Self>) -> io::Result<()> {
        self.disk.step()?;
        self.disk.log().ops.push(Op::Sync(self.file));
        Ok(())
    }
}
