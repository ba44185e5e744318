//! Verification: every byte of an index is read and every corrupt file is named.
//!
//! For each file, verification checks header, length and checksum, and that the manifest names this very file. Then it
//! checks the meaning of the bytes: the codec's bounds; that offsets ascend and codes are in range; that each inverted
//! list holds exactly the passages that have its code; that every document unpacks; that the table of ids is that of
//! the documents. Without a readable manifest, it checks each index file in the directory by itself.

use crate::deleted::Deleted;
use crate::documents::{Documents, DocumentsFile, DocumentsPart, IdTable, hash_of};
use crate::error::{Error, Result};
use crate::files::{FileKind, IndexFile};
use crate::framed_file::FramedFile;
use crate::manifest::{Manifest, SegmentEntry};
use crate::reader::open_codec;
use crate::segment::{Inverted, Segment, check_contents};
use crate::snapshot::{Snapshot, generations, names};
use crate::staging::FIRST_GENERATION;
use crate::storage::{Directory, Storage};
use rayon::prelude::*;
use selvedge_backend::CodecParams;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files of a segment that are checked against each other.
const SEARCHED: [FileKind; 5] =
    [FileKind::Offsets, FileKind::Codes, FileKind::Residuals, FileKind::Weights, FileKind::InvertedLists];

/// Result of verifying one file.
#[derive(Debug)]
pub struct FileReport {
    /// The file.
    pub file: IndexFile,
    /// Path of the file, whether or not it exists.
    pub path: PathBuf,
    /// Bytes on disk; 0 for a missing file.
    pub bytes: u64,
    /// First defect found, if any.
    pub status: Result<()>,
}

/// Result of verifying an index.
#[derive(Debug)]
pub struct Report {
    /// Every file that the manifest names, the manifest first; without a readable manifest, every index file of the
    /// directory.
    pub files: Vec<FileReport>,
}

impl Report {
    /// Whether every file is sound.
    pub fn is_sound(&self) -> bool {
        self.broken().next().is_none()
    }

    /// Files with a defect.
    pub fn broken(&self) -> impl Iterator<Item = &FileReport> {
        self.files.iter().filter(|file| file.status.is_err())
    }
}

/// Verifies the newest generation of the index at `path`: reads every byte of every file. Defects are part of the
/// report.
///
/// # Errors
/// [`Error::NoIndex`] where `path` is no directory or holds no index, [`Error::OldFormat`], [`Error::Io`] where it
/// cannot be read.
pub fn verify(path: &Path) -> Result<Report> {
    verify_in(&Directory::new(path))
}

/// Verifies the newest generation of the index in `storage`.
///
/// # Errors
/// As [`verify`].
pub fn verify_in(storage: &dyn Storage) -> Result<Report> {
    let snapshot = match Snapshot::newest(storage) {
        Ok(snapshot) => snapshot,
        Err(error @ (Error::NoIndex { .. } | Error::OldFormat { .. })) => return Err(error),
        Err(error) => return verify_without_manifest(storage, error),
    };
    let manifest = &snapshot.manifest;
    let files = manifest.files();
    let statuses = files
        .par_iter()
        .map(|&(file, named)| FramedFile::open_named(storage, file, named).and_then(|file| file.check()));
    let statuses: Vec<_> = statuses.collect();
    let mut found: BTreeMap<IndexFile, Result<()>> = files.iter().map(|&(file, _)| file).zip(statuses).collect();
    found.insert(manifest.file(), Ok(()));
    for (file, error) in check_structure(storage, manifest, &found) {
        found.insert(file, Err(error));
    }
    let all = std::iter::once(manifest.file()).chain(files.iter().map(|&(file, _)| file));
    Ok(report(storage, all.map(|file| (file, found.remove(&file).unwrap_or(Ok(()))))))
}

/// Checks every index file of the directory on its own, after the error of its newest manifest.
fn verify_without_manifest(storage: &dyn Storage, error: Error) -> Result<Report> {
    let names = names(storage)?;
    let newest = IndexFile::manifest(generations(&names).max().unwrap_or(FIRST_GENERATION));
    let mut files: Vec<IndexFile> = names.iter().filter_map(|name| IndexFile::from_name(name)).collect();
    files.sort_unstable();
    files.retain(|&file| file != newest);
    let check = |&file: &IndexFile| (file, FramedFile::open(storage, file).and_then(|file| file.check()));
    let statuses: Vec<_> = files.par_iter().map(check).collect();
    Ok(report(storage, std::iter::once((newest, Err(error))).chain(statuses)))
}

fn report(storage: &dyn Storage, files: impl Iterator<Item = (IndexFile, Result<()>)>) -> Report {
    let one = |(file, status): (IndexFile, _)| {
        let path = storage.path(&file.name());
        let bytes = storage.map(&file.name()).map_or(0, |mapped| mapped.len() as u64);
        FileReport { file, path, bytes, status }
    };
    Report { files: files.map(one).collect() }
}

/// Checks the meaning of files whose bytes are sound, unless they depend on a corrupt file.
fn check_structure(
    storage: &dyn Storage,
    manifest: &Manifest,
    found: &BTreeMap<IndexFile, Result<()>>,
) -> Vec<(IndexFile, Error)> {
    let is_sound = |file: &IndexFile| found.get(file).is_some_and(Result::is_ok);
    let mut errors = Vec::new();
    let mut note = |file: IndexFile, result: Result<()>| errors.extend(result.err().map(|error| (file, error)));
    for entry in &manifest.segments {
        let [documents, ids] = [FileKind::Documents, FileKind::Ids].map(|kind| IndexFile::new(kind, entry.number));
        if is_sound(&documents) {
            match check_documents(storage, entry) {
                Ok(hashes) if is_sound(&ids) => note(ids, check_ids(storage, entry, &hashes)),
                checked => note(documents, checked.map(drop)),
            }
        }
        if let Some(deleted) = entry.deleted {
            let file = IndexFile::new(FileKind::Deleted, deleted.number);
            if is_sound(&file) {
                note(file, Deleted::open(storage, entry).map(drop));
            }
        }
    }
    let codec_file = IndexFile::new(FileKind::Codec, manifest.codec.number);
    if !is_sound(&codec_file) {
        return errors;
    }
    let codec = match open_codec(storage, manifest) {
        Ok(codec) => codec,
        Err(error) => {
            let file = if matches!(error, Error::Manifest { .. }) { manifest.file() } else { codec_file };
            note(file, Err(error));
            return errors;
        }
    };
    for entry in &manifest.segments {
        let files = SEARCHED.map(|kind| IndexFile::new(kind, entry.number));
        if files.iter().all(is_sound) {
            let result = check_segment(storage, entry, &codec.params);
            let blamed = result
                .as_ref()
                .err()
                .and_then(|error| files.into_iter().find(|file| error.path() == Some(&storage.path(&file.name()))));
            note(blamed.unwrap_or(files[0]), result);
        }
    }
    errors
}

/// Reads every document of a segment; returns the hashes of their ids.
fn check_documents(storage: &dyn Storage, entry: &SegmentEntry) -> Result<Vec<u32>> {
    let framed = FramedFile::open_named(storage, IndexFile::new(FileKind::Documents, entry.number), entry.documents)?;
    let file = Arc::new(DocumentsFile::open(&framed, entry.count)?);
    let (ids, deleted) = (IdTable::default(), Deleted::default());
    let documents = Documents::new(vec![DocumentsPart { first_pid: 0, count: entry.count, file, ids, deleted }]);
    documents.iter(0..entry.count).map(|document| Ok(hash_of(document?.id.as_bytes()))).collect()
}

/// Checks the table of a segment's ids, whose hashes are these.
fn check_ids(storage: &dyn Storage, entry: &SegmentEntry, hashes: &[u32]) -> Result<()> {
    let (table, file) = IdTable::open(storage, entry)?;
    match table.is_of(hashes) {
        true => Ok(()),
        false => Err(Error::IdTable { path: file.path, what: "does not hold the hashes of the segment's ids" }),
    }
}

/// Checks offsets and codes, then rebuilds the inverted lists and compares them.
fn check_segment(storage: &dyn Storage, entry: &SegmentEntry, codec: &CodecParams) -> Result<()> {
    let (segment, files) = Segment::open(storage, entry, 0, Deleted::default(), codec)?;
    check_contents(&segment.passages, &files, codec)?;
    let inverted = Inverted::new(&segment.passages, codec);
    let mut list = Vec::new();
    for code in 0..codec.num_centroids() as u32 {
        segment.lists.decode(code, &mut list);
        if list != inverted.list(code as usize) {
            return Err(Error::ListMismatch { path: files[4].path.clone(), code });
        }
    }
    Ok(())
}
