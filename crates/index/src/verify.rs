//! Verification: every byte of an index is read and every corrupt file is named.
//!
//! For each file, verification checks header, length and checksum, and that the manifest names this very file. Then it
//! checks the meaning of the bytes: the codec's bounds; that offsets ascend and codes are in range; that each inverted
//! list holds exactly the passages that have its code; that every document unpacks; that the table of ids and the
//! columns are made of the documents; that as many tokens are deleted as the manifest says, and that no id is twice
//! among the passages that are not. Without a readable manifest, it checks each index file in the directory by itself.

use crate::columns::{Columns, ColumnsBuilder};
use crate::deleted::Deleted;
use crate::documents::{Documents, DocumentsFile, DocumentsPart, IdTable, hash_of};
use crate::error::{Error, Result};
use crate::files::{FileKind, IndexFile};
use crate::framed_file::FramedFile;
use crate::manifest::{Manifest, SegmentEntry};
use crate::segment::{Inverted, Segment, check_contents};
use crate::snapshot::{Snapshot, generations, names};
use crate::staging::FIRST_GENERATION;
use crate::storage::{Storage, storage_at};
use crate::stored_codec::StoredCodec;
use rayon::prelude::*;
use selvedge_backend::CodecSizes;
use std::collections::{BTreeMap, HashSet};
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
/// [`Error::NoIndex`] where `path` is no directory or holds no index, [`Error::OldFormat`] and [`Error::FormatVersion`]
/// where it is of an earlier or a later format, [`Error::Io`] where it cannot be read.
pub fn verify(path: &Path) -> Result<Report> {
    verify_in(&*storage_at(path)?)
}

/// Verifies the newest generation of the index in `storage`.
///
/// # Errors
/// As [`verify`].
pub fn verify_in(storage: &dyn Storage) -> Result<Report> {
    let snapshot = match Snapshot::newest(storage) {
        Ok(snapshot) => snapshot,
        Err(error @ (Error::NoIndex { .. } | Error::OldFormat { .. })) => return Err(error),
        Err(error @ Error::FormatVersion { found, supported, .. }) if found > supported => return Err(error),
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
        let first = found.entry(file).or_insert(Ok(()));
        *first = std::mem::replace(first, Ok(())).and(Err(error));
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
    let mut ids_alive = Some(IdsAlive::default());
    for entry in &manifest.segments {
        let [documents, ids] = [FileKind::Documents, FileKind::Ids].map(|kind| IndexFile::new(kind, entry.number));
        let checked = is_sound(&documents).then(|| check_documents(storage, entry));
        ids_alive = match (ids_alive, &checked, Deleted::open(storage, entry)) {
            (Some(before), Some(Ok((hashes, _))), Ok((deleted, _))) => Some(before.and(hashes, &deleted)),
            _ => None,
        };
        match checked {
            Some(Ok((hashes, columns))) => {
                if is_sound(&ids) {
                    note(ids, check_ids(storage, entry, &hashes));
                }
                let file = IndexFile::new(FileKind::Columns, entry.number);
                if is_sound(&file) {
                    note(file, check_columns(storage, entry, columns));
                }
            }
            Some(Err(error)) => note(documents, Err(error)),
            None => {}
        }
        if let Some(deleted) = entry.deleted {
            let file = IndexFile::new(FileKind::Deleted, deleted.number);
            if is_sound(&file) {
                note(file, Deleted::open(storage, entry).map(drop));
            }
        }
    }
    if let Some(ids) = ids_alive {
        note(manifest.file(), ids.check(storage, manifest));
    }
    let codec_file = IndexFile::new(FileKind::Codec, manifest.codec.number);
    if !is_sound(&codec_file) {
        return errors;
    }
    if let Err(error) = StoredCodec::open(storage, manifest).and_then(|codec| codec.get().map(drop)) {
        let file = if matches!(error, Error::Manifest { .. }) { manifest.file() } else { codec_file };
        note(file, Err(error));
        return errors;
    }
    for entry in &manifest.segments {
        let files = SEARCHED.map(|kind| IndexFile::new(kind, entry.number));
        if files.iter().all(is_sound) {
            let result = check_segment(storage, entry, manifest.codec.sizes());
            let blamed = result
                .as_ref()
                .err()
                .and_then(|error| files.into_iter().find(|file| error.path() == Some(&storage.path(&file.name()))));
            let deleted = if result.is_ok() { check_deleted(storage, manifest, entry) } else { Ok(()) };
            note(blamed.unwrap_or(files[0]), result);
            note(manifest.file(), deleted);
        }
    }
    errors
}

/// Hashes of the ids of the passages that are not deleted.
#[derive(Default)]
struct IdsAlive {
    /// Hash and pid of each, the hash in the high half.
    hashes: Vec<u64>,
    num_pids: u32,
}

impl IdsAlive {
    /// These and the ids of the next segment, which have these hashes.
    fn and(mut self, hashes: &[u32], deleted: &Deleted) -> Self {
        let (count, first_pid) = (hashes.len() as u32, self.num_pids);
        let key = |pid: u32| u64::from(hashes[pid as usize]) << 32 | u64::from(first_pid + pid);
        self.hashes.extend(deleted.alive(count).map(key));
        self.num_pids += count;
        self
    }

    /// Checks that no two of them are the same id.
    fn check(mut self, storage: &dyn Storage, manifest: &Manifest) -> Result<()> {
        self.hashes.par_sort_unstable();
        let documents = open_documents(storage, manifest)?;
        let mut reader = documents.reader();
        for alike in self.hashes.chunk_by(|a, b| a >> 32 == b >> 32).filter(|alike| alike.len() > 1) {
            let mut ids = HashSet::new();
            for &key in alike {
                let id = reader.id(key as u32)?;
                if ids.contains(&id) {
                    let reason = format!("two passages that are not deleted have the id {id:?}");
                    return Err(misnamed(storage, manifest, reason));
                }
                ids.insert(id);
            }
        }
        Ok(())
    }
}

/// Checks the number of tokens of the deleted passages of a segment, whose files are sound.
fn check_deleted(storage: &dyn Storage, manifest: &Manifest, entry: &SegmentEntry) -> Result<()> {
    let (Some(named), Ok((deleted, _))) = (entry.deleted, Deleted::open(storage, entry)) else { return Ok(()) };
    let (segment, _) = Segment::open(storage, entry, 0, (None, None), Deleted::default(), manifest.codec.sizes())?;
    let found: usize = deleted.iter().map(|pid| segment.passages.tokens(pid as usize).len()).sum();
    if found == named.num_tokens as usize {
        return Ok(());
    }
    let (number, expected) = (entry.number, named.num_tokens);
    Err(misnamed(storage, manifest, format!("{found} tokens of segment {number} are deleted, not {expected}")))
}

/// The error of a manifest that says something else than its files.
fn misnamed(storage: &dyn Storage, manifest: &Manifest, reason: String) -> Error {
    Error::Manifest { path: storage.path(&manifest.file().name()), reason }
}

/// The documents of all segments, whose files are sound.
fn open_documents(storage: &dyn Storage, manifest: &Manifest) -> Result<Documents> {
    let mut first_pid = 0;
    let mut open = |entry: &SegmentEntry| {
        let part = open_part(storage, entry, first_pid);
        first_pid += entry.count;
        part
    };
    Ok(Documents::new(manifest.segments.iter().map(&mut open).collect::<Result<_>>()?))
}

/// The documents of a segment, without a table of ids.
fn open_part(storage: &dyn Storage, entry: &SegmentEntry, first_pid: u32) -> Result<DocumentsPart> {
    let framed = FramedFile::open_named(storage, IndexFile::new(FileKind::Documents, entry.number), entry.documents)?;
    let file = Arc::new(DocumentsFile::open(&framed, entry.count)?);
    Ok(DocumentsPart { first_pid, count: entry.count, file, ids: IdTable::default(), deleted: Deleted::default() })
}

/// Reads every document of a segment; returns the hashes of their ids, and the columns of their metadata.
fn check_documents(storage: &dyn Storage, entry: &SegmentEntry) -> Result<(Vec<u32>, ColumnsBuilder)> {
    let documents = Documents::new(vec![open_part(storage, entry, 0)?]);
    let (mut reader, mut columns) = (documents.reader(), ColumnsBuilder::default());
    let mut check = |pid| {
        reader.document(pid)?;
        let document = reader.raw(pid)?;
        columns.push(document.metadata);
        Ok(hash_of(document.id))
    };
    let hashes = (0..entry.count).map(&mut check).collect::<Result<_>>()?;
    Ok((hashes, columns))
}

/// Checks that a segment's columns are made of its documents.
fn check_columns(storage: &dyn Storage, entry: &SegmentEntry, expected: ColumnsBuilder) -> Result<()> {
    let Some(named) = entry.columns else { return Ok(()) };
    let (_, file) = Columns::open(storage, entry.number, named, entry.count)?;
    match file.payload == expected.into_bytes() {
        true => Ok(()),
        false => Err(Error::Columns { path: file.path, what: "are not made of the segment's metadata" }),
    }
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
fn check_segment(storage: &dyn Storage, entry: &SegmentEntry, codec: CodecSizes) -> Result<()> {
    let (segment, files) = Segment::open(storage, entry, 0, (None, None), Deleted::default(), codec)?;
    check_contents(&segment.passages, &files, codec)?;
    let inverted = Inverted::new(&segment.passages, codec);
    let mut list = Vec::new();
    for code in 0..codec.num_centroids as u32 {
        segment.lists.decode(code, &mut list);
        if list != inverted.list(code as usize) {
            return Err(Error::ListMismatch { path: files[4].path.clone(), code });
        }
    }
    Ok(())
}
