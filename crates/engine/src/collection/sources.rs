//! Record of the files of a folder that an index was made from, by which an update finds those that changed.
//!
//! In: each file as it is read. Out: JSON, which the index stores without knowing its meaning. Per file it has size,
//! time and hash, and what names its passages: id, mark and number. A file of the recorded size and time is not opened.
//!
//! A write shortly after a file was read may leave its time as it was, as clocks of file systems are coarse. A file
//! that was changed less than [`SETTLED`] before its folder was read, or meanwhile, is therefore recorded without a
//! time, and the next update looks at its content again.

use super::file;
use super::folder::{FoundFile, Stamp};
use super::split::Split;
use super::{ReadOptions, Skipped};
use crate::{Error, Result};
use selvedge_index::{Document, Index};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Version of the record's format.
const VERSION: u32 = 1;

/// Age from which the time of a file tells every later change: the coarsest clock of a file system, that of FAT.
const SETTLED: Duration = Duration::from_secs(2);

/// Bytes of a file's SHA-256 that are kept: enough that no two files have the same by chance.
const HASH_BYTES: usize = 16;

/// Bytes of a file that are hashed at a time.
const BLOCK_BYTES: usize = 64 << 10;

/// Files of a folder, as an index holds them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sources {
    version: u32,
    /// Path of the folder, as [`folder_name`] gives it.
    pub(crate) folder: String,
    /// Options with which the folder was read.
    pub(crate) reading: Reading,
    /// Files in the order of the walk, without those that have no valid id.
    pub(crate) files: Vec<FileRecord>,
}

/// Options of reading a folder that decide which passages come of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reading {
    split_words: Option<usize>,
    /// Maximum number of tokens per passage of the encoder.
    pub(crate) passage_maxlen: usize,
    include: Vec<String>,
    exclude: Vec<String>,
    hidden: bool,
    no_ignore: bool,
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileRecord {
    /// Id of the file.
    pub(crate) id: String,
    /// Separator between the id and the number of a part.
    pub(crate) mark: String,
    /// Number of its passages; 0 if it was skipped.
    pub(crate) passages: usize,
    /// Size in bytes.
    pub(crate) size: u64,
    /// Time of the last change in nanoseconds from 1970 on; 0 if it does not tell later changes.
    modified: i64,
    /// First half of the SHA-256 of its bytes; empty if it could not be read, or changed meanwhile.
    hash: String,
    /// Reason why it was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) skipped: Option<String>,
}

impl Sources {
    /// Record of the `files` of a folder.
    pub(crate) fn new(folder: String, reading: Reading, files: Vec<FileRecord>) -> Self {
        Self { version: VERSION, folder, reading, files }
    }

    /// The record that an index stores; `None` if it was not made from a folder.
    pub(crate) fn of(index: &Index) -> Result<Option<Self>> {
        let bad = |reason| Error::Sources { path: index.path().into(), reason };
        let Some(bytes) = index.sources()? else { return Ok(None) };
        let sources: Self = serde_json::from_slice(&bytes).map_err(|error| {
            let version =
                serde_json::from_slice::<serde_json::Value>(&bytes).ok().and_then(|it| it["version"].as_u64());
            match version.filter(|&version| version != u64::from(VERSION)) {
                Some(version) => bad(of_version(version)),
                None => bad(error.to_string()),
            }
        })?;
        if sources.version != VERSION {
            return Err(bad(of_version(sources.version.into())));
        }
        let num_passages = sources.files.iter().try_fold(0, |sum: u64, file| sum.checked_add(file.passages as u64));
        if num_passages.is_none_or(|count| count > index.manifest().num_added) {
            return Err(bad("its files have more passages than were ever added".into()));
        }
        Ok(Some(sources))
    }

    /// The record as the index stores it.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers")
    }
}

fn of_version(version: u64) -> String {
    format!("it is of version {version}, and this program reads version {VERSION}")
}

/// The path of a folder from the root, without links; bytes that are not UTF-8 are replaced.
pub(crate) fn folder_name(folder: &Path) -> Result<String> {
    Ok(folder.canonicalize().map_err(Error::io(folder))?.to_string_lossy().into_owned())
}

impl Reading {
    /// The `options` with an encoder of this maximum length.
    pub(crate) fn new(options: &ReadOptions, passage_maxlen: usize) -> Self {
        Self {
            split_words: options.split_words,
            passage_maxlen,
            include: options.include.clone(),
            exclude: options.exclude.clone(),
            hidden: options.hidden,
            no_ignore: options.no_ignore,
        }
    }

    /// Whether a file has the same passages with these options as with `other`. The globs and flags that choose the
    /// files do not matter to the passages of each.
    pub(crate) fn splits_like(&self, other: &Self) -> bool {
        (self.split_words, self.passage_maxlen) == (other.split_words, other.passage_maxlen)
    }
}

impl FileRecord {
    /// Ids of the passages.
    pub(crate) fn ids(&self) -> impl Iterator<Item = String> + '_ {
        (1..=self.passages).map(|number| match self.passages {
            1 => self.id.clone(),
            _ => file::part_id(&self.id, &self.mark, number),
        })
    }

    /// Whether the passages of the file would have the same ids with another mark.
    pub(crate) fn has_ids_with(&self, mark: &str) -> bool {
        self.passages < 2 || self.mark == mark
    }

    /// Whether size and time tell that the file has not changed.
    pub(crate) fn is_current(&self, stamp: Stamp) -> bool {
        self.modified != 0 && (self.size, self.modified) == (stamp.size, stamp.modified)
    }

    /// Whether the file was too young for its time to be recorded.
    pub(crate) fn is_unsettled(&self) -> bool {
        self.modified == 0
    }

    /// Whether the file had this content.
    pub(crate) fn had(&self, hash: &str) -> bool {
        self.hash == hash
    }
}

/// Maker of records, at one reading of a folder.
pub(crate) struct Recorder {
    /// Files that were changed from this time on may change again without another time.
    unsettled: i64,
}

impl Recorder {
    /// Begins a reading.
    pub(crate) fn new() -> Self {
        Self { unsettled: Stamp::nanoseconds(SystemTime::now() - SETTLED) }
    }

    /// Returns the time of a file for its record.
    fn settled(&self, stamp: Stamp) -> i64 {
        if stamp.modified < self.unsettled { stamp.modified } else { 0 }
    }

    /// Calls `each` with the passages of a file, and returns its record.
    pub(crate) fn read(
        &self,
        found: &FoundFile,
        split: Split<'_>,
        skipped: &mut Skipped,
        each: &mut dyn FnMut(Document) -> Result<()>,
    ) -> Result<FileRecord> {
        match hash_of(&found.path) {
            Ok(hash) => self.read_hashed(found, hash, split, skipped, each),
            Err(error) => self.skip(found, &error.to_string(), skipped),
        }
    }

    /// Does as [`Recorder::read`], for a file whose hash is known.
    pub(crate) fn read_hashed(
        &self,
        found: &FoundFile,
        hash: String,
        split: Split<'_>,
        skipped: &mut Skipped,
        each: &mut dyn FnMut(Document) -> Result<()>,
    ) -> Result<FileRecord> {
        let mut passages = 0;
        let read = file::read(found, split, &mut |document| {
            passages += 1;
            each(document)
        })?;
        let reason = read.err().map(|reason| reason.to_string());
        if let Some(reason) = &reason {
            skipped.push(&found.path, reason)?;
        }
        // The hash may be of other bytes than those that were read.
        let is_same = fs::metadata(&found.path).is_ok_and(|now| Stamp::of(&now) == found.stamp);
        let (modified, hash) = if is_same { (self.settled(found.stamp), hash) } else { (0, String::new()) };
        Ok(FileRecord { passages, modified, hash, skipped: reason, ..record(found) })
    }

    /// Skips a file that cannot be read, and returns its record: the next update tries again.
    pub(crate) fn skip(&self, found: &FoundFile, reason: &str, skipped: &mut Skipped) -> Result<FileRecord> {
        skipped.push(&found.path, reason)?;
        Ok(FileRecord { skipped: Some(reason.to_owned()), ..record(found) })
    }

    /// The record of a file that has the passages of `before`.
    pub(crate) fn kept(&self, found: &FoundFile, before: &FileRecord) -> FileRecord {
        FileRecord { mark: found.mark.to_owned(), modified: self.settled(found.stamp), ..before.clone() }
    }
}

/// A record of a file without passages, time and hash.
fn record(found: &FoundFile) -> FileRecord {
    FileRecord {
        id: found.id.clone(),
        mark: found.mark.to_owned(),
        passages: 0,
        size: found.stamp.size,
        modified: 0,
        hash: String::new(),
        skipped: None,
    }
}

/// First half of the SHA-256 of a file's bytes, in hexadecimal.
pub(crate) fn hash_of(path: &Path) -> std::io::Result<String> {
    let mut hasher = Sha256::new();
    let mut file = BufReader::with_capacity(BLOCK_BYTES, File::open(path)?);
    loop {
        let block = file.fill_buf()?;
        if block.is_empty() {
            break;
        }
        hasher.update(block);
        let len = block.len();
        file.consume(len);
    }
    Ok(hasher.finalize()[..HASH_BYTES].iter().map(|byte| format!("{byte:02x}")).collect())
}
