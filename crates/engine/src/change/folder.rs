//! Bringing an index up to date with the folder that it was made from.
//!
//! ```text
//! record of the index --\
//! walk over the folder ---> compare --> files to read --> passages: kept, added, replaced --> one commit
//!                                   \-> files that are gone ----> passages: deleted -------/
//! ```
//!
//! A file is not opened if its record has the same size and time; otherwise its hash decides whether it is read. If the
//! index has a passage of it already, with the same document, that passage is kept and not encoded again.

use super::add::{Committed, add_texts, encoder, merged};
use super::{AddOptions, ChangeReport, index_of, manifest_of};
use crate::build::push_document;
use crate::collection::folder::{self, FoundFile};
use crate::collection::sources::{FileRecord, Reading, Recorder, Sources, folder_name, hash_of};
use crate::collection::split::{Split, Splitter};
use crate::collection::{ReadReport, Skipped, by_tokens, is_folder};
use crate::progress::{Progress, Stage};
use crate::words;
use crate::{Error, Result};
use selvedge_index::{Document, DocumentsReader, Manifest, Writer};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

/// Pause between two looks at the lock of an index that another process changes.
const PAUSE: Duration = Duration::from_millis(50);

/// Counts of [`update_folder`].
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct FolderReport {
    /// Counts of files.
    pub files: FileCounts,
    /// Counts of passages. [`ChangeReport::read`] counts and names what was read or skipped this time.
    #[serde(flatten)]
    pub change: ChangeReport,
}

/// Files of a folder by what became of them. Each file is counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct FileCounts {
    /// Files that the index did not have.
    pub added: usize,
    /// Files with other contents than before, or whose passages have other ids or boundaries.
    pub changed: usize,
    /// Files that are gone, or left out by the options.
    pub deleted: usize,
    /// Files with another time and the same contents: only their record changed.
    pub touched: usize,
    /// Files that are as they were.
    pub unchanged: usize,
    /// Files that are not text or cannot be read; the index has no passage of them.
    pub skipped: usize,
}

/// Brings the index at `path` up to date with the `folder` that it was made from: it then has the passages that a build
/// from the folder with the same options would give it. Passages from elsewhere stay, and passages that were deleted by
/// their ids stay deleted until their file changes. All changes are one commit, and segments are then merged by
/// [`AddOptions::policy`]; without any change the generation stays. [`AddOptions::replace`] has no effect.
///
/// While another process changes the index, the update waits. The encoder is loaded only if a passage has to be
/// encoded, or a file to be split by tokens.
///
/// # Errors
/// The index is then as it was.
/// - [`Error::Io`] if the folder cannot be listed, [`Error::FolderOption`] if it is no folder of files,
///   [`Error::EmptyFolder`] if it holds no passage, so that a folder that is not mounted does not empty the index.
/// - [`Error::NotRead`] if a folder or a file that has passages in the index cannot be read.
/// - [`Error::Index`] if there is no index, or the disk is full. [`Error::Cancelled`] if `progress` asks to stop.
/// - [`Error::NoSources`] if the index was not made from a folder, [`Error::OtherFolder`] if from another one,
///   [`Error::Sources`] if the record of its files cannot be read.
/// - [`Error::Glob`] and [`Error::BadFile`] as [`collection::read`](crate::collection::read()).
/// - The errors of [`Engine::encoder`](crate::Engine::encoder), and of encoding and compressing as
///   [`build::from_documents`](crate::build::from_documents).
pub fn update_folder(
    folder: &Path,
    path: &Path,
    options: &AddOptions,
    progress: &dyn Progress,
) -> Result<FolderReport> {
    check_folder(folder)?;
    let mut writer = open(path, progress)?;
    writer.replace_existing();
    let before = manifest_of(&writer);
    let stored = stored_sources(&writer, folder)?;
    let reading = reading(&before, &stored, options);
    let recorder = Recorder::new();
    let mut skipped = Skipped::new(options.read.strict);
    let found = folder::files(folder, &options.read, &mut skipped)?;
    let compared = compare(&found, &stored, &reading, &recorder, &skipped, progress)?;

    let is_read = compared.iter().any(|file| matches!(file.state, State::ToRead(_)));
    let load = |writer: &Writer| encoder(writer, options);
    let mut encoder = if is_read && options.read.split_words.is_none() { Some(load(&writer)?) } else { None };
    let by_tokens = encoder.as_ref().map(by_tokens);
    let split = Split::new(options.read.split_words, by_tokens.as_ref().map(|f| f as Splitter<'_>));
    let mut passages = Passages::new(&writer, reading.passage_maxlen == stored.reading.passage_maxlen);
    let mut stage = Stage::new(progress, "read", "passages", None);
    let files = read(&compared, &recorder, split, &mut skipped, &mut |document| {
        stage.add(1)?;
        passages.push(&mut writer, &document, options.memory_budget)
    })?;
    stage.finish();
    drop(by_tokens);
    if files.iter().all(|file| file.passages == 0) {
        return Err(Error::EmptyFolder { folder: folder.into(), index: path.into() });
    }

    let present: HashSet<&str> = found.iter().map(|file| file.id.as_str()).collect();
    let gone = || stored.files.iter().filter(|file| !present.contains(file.id.as_str()));
    let replaced = compared.iter().filter(|file| !matches!(file.state, State::Kept(_))).filter_map(|file| file.before);
    for id in gone().chain(replaced).flat_map(FileRecord::ids) {
        passages.delete(&mut writer, &id)?;
    }
    check_gone(folder, gone(), &skipped)?;
    let counts = counts(&compared, &files, gone().count());
    let sources = Sources::new(stored.folder.clone(), reading, files);
    if sources != stored {
        writer.set_sources(&sources.to_bytes())?;
    }
    let mut committed = if passages.num_pushed > 0 {
        let encoder = encoder.take().map_or_else(|| load(&writer), Ok)?;
        add_texts(writer, None, &encoder, options, progress)?
    } else {
        let manifest = writer.commit()?;
        Committed { report: ChangeReport::new(&before, &manifest, 0), manifest }
    };
    committed.report.read = ReadReport { passages: passages.num_read, skipped, had_header: false };
    let is_changed = committed.manifest.generation != before.generation;
    let change = if is_changed { merged(path, committed, options, progress) } else { committed.report };
    Ok(FolderReport { files: counts, change })
}

/// Opens the index for a change. While another process changes it, waits, so that of two updates at a time the second
/// one sees what the first one left.
fn open(path: &Path, progress: &dyn Progress) -> Result<Writer> {
    let mut has_warned = false;
    loop {
        match Writer::open(path) {
            Err(locked @ selvedge_index::Error::Locked { .. }) => {
                if !has_warned {
                    tracing::warn!("waiting: {locked}");
                    has_warned = true;
                }
                if progress.is_cancelled() {
                    return Err(Error::Cancelled);
                }
                std::thread::sleep(PAUSE);
            }
            opened => {
                let mut writer = opened?;
                words::keep(&mut writer)?;
                return Ok(writer);
            }
        }
    }
}

/// Checks that there is a folder of files.
fn check_folder(folder: &Path) -> Result<()> {
    let is_input = folder.as_os_str() == "-";
    if !is_input {
        std::fs::metadata(folder).map_err(Error::io(folder))?;
    }
    if is_input || !is_folder(folder) {
        return Err(Error::FolderOption { path: folder.into(), option: "update" });
    }
    Ok(())
}

/// Returns the record of the files that the index was made from, which must be of this folder.
fn stored_sources(writer: &Writer, folder: &Path) -> Result<Sources> {
    let index = index_of(writer);
    let Some(stored) = Sources::of(index)? else { return Err(Error::NoSources { path: index.path().into() }) };
    let found = folder_name(folder)?;
    if stored.folder != found {
        return Err(Error::OtherFolder { path: index.path().into(), expected: stored.folder, found });
    }
    Ok(stored)
}

/// Returns the options of this reading, and warns if the folder was read with others before.
fn reading(before: &Manifest, stored: &Sources, options: &AddOptions) -> Reading {
    let made_with = before.encoder.as_ref().map_or(0, |encoder| encoder.passage_maxlen);
    let reading = Reading::new(&options.read, options.encoder.passage_maxlen.unwrap_or(made_with));
    if reading != stored.reading {
        let options = |reading| serde_json::to_string(reading).unwrap_or_default();
        let (before, now) = (options(&stored.reading), options(&reading));
        tracing::warn!("the folder was read with other options before: {before}, now {now}");
    }
    reading
}

/// A file of the folder beside its record.
struct Compared<'a> {
    found: &'a FoundFile,
    before: Option<&'a FileRecord>,
    state: State,
}

/// Work that a file needs.
enum State {
    /// Nothing: the index has its passages. Its record may have another time.
    Kept(FileRecord),
    /// It has to be read. Its hash is known.
    ToRead(String),
    /// It cannot be read, for this reason.
    Unreadable(String),
}

/// Compares the files that were found with their records; opens those whose size and time differ.
fn compare<'a>(
    found: &'a [FoundFile],
    stored: &'a Sources,
    reading: &Reading,
    recorder: &Recorder,
    skipped: &Skipped,
    progress: &dyn Progress,
) -> Result<Vec<Compared<'a>>> {
    let records: HashMap<&str, &FileRecord> = stored.files.iter().map(|file| (file.id.as_str(), file)).collect();
    let splits_alike = reading.splits_like(&stored.reading);
    let mut stage = Stage::new(progress, "compare", "files", Some(found.len() as u64));
    let one = |found: &'a FoundFile| {
        stage.add(1)?;
        let before = records.get(found.id.as_str()).copied();
        let same_ids = before.filter(|before| splits_alike && before.has_ids_with(found.mark));
        let state = match same_ids {
            Some(before) if before.is_current(found.stamp) => State::Kept(recorder.kept(found, before)),
            same_ids => match (hash_of(&found.path), same_ids) {
                (Ok(hash), Some(before)) if before.had(&hash) => State::Kept(recorder.kept(found, before)),
                (Ok(hash), _) => State::ToRead(hash),
                (Err(error), _) => State::Unreadable(error.to_string()),
            },
        };
        if let (State::Unreadable(reason), Some(FileRecord { passages: 1.., .. })) = (&state, before) {
            return Err(Error::NotRead { path: found.path.clone(), reason: reason.clone() });
        }
        if let State::Kept(FileRecord { skipped: Some(reason), .. }) = &state {
            skipped.check(&found.path, reason)?;
        }
        Ok(Compared { found, before, state })
    };
    found.iter().map(one).collect()
}

/// Reads the files that have to be read; returns the records of all files.
fn read(
    compared: &[Compared<'_>],
    recorder: &Recorder,
    split: Split<'_>,
    skipped: &mut Skipped,
    each: &mut dyn FnMut(Document) -> Result<()>,
) -> Result<Vec<FileRecord>> {
    let one = |file: &Compared<'_>| match &file.state {
        State::Kept(record) => Ok(record.clone()),
        State::ToRead(hash) => recorder.read_hashed(file.found, hash.clone(), split, skipped, each),
        State::Unreadable(reason) => recorder.skip(file.found, reason, skipped),
    };
    compared.iter().map(one).collect()
}

/// Checks that files which are gone are not in a folder that cannot be listed, such as one that is not mounted.
fn check_gone<'a>(folder: &Path, gone: impl Iterator<Item = &'a FileRecord>, skipped: &Skipped) -> Result<()> {
    if skipped.not_listed.is_empty() {
        return Ok(());
    }
    for file in gone.filter(|file| file.passages > 0) {
        let path = folder.join(&file.id);
        if let Some(above) = skipped.not_listed.iter().find(|above| path.starts_with(&above.path)) {
            return Err(Error::NotRead { path: above.path.clone(), reason: above.reason.clone() });
        }
    }
    Ok(())
}

/// Counts the files that were found by their new records, and `deleted` ones.
fn counts(compared: &[Compared<'_>], files: &[FileRecord], deleted: usize) -> FileCounts {
    let mut counts = FileCounts { deleted, ..FileCounts::default() };
    for (Compared { before, state, .. }, now) in compared.iter().zip(files) {
        let count = match (before, state) {
            _ if now.skipped.is_some() => &mut counts.skipped,
            (None, _) => &mut counts.added,
            (Some(before), State::Kept(_)) if *before == now || before.is_unsettled() => &mut counts.unchanged,
            (Some(_), State::Kept(_)) => &mut counts.touched,
            (Some(_), _) => &mut counts.changed,
        };
        *count += 1;
    }
    counts
}

/// Passages of the files that are read.
struct Passages {
    reader: DocumentsReader,
    /// Whether a passage of the index is kept if its document is the same.
    keeps: bool,
    /// Pids of the passages that are kept.
    kept: HashSet<u32>,
    num_read: usize,
    num_pushed: usize,
}

impl Passages {
    fn new(writer: &Writer, keeps: bool) -> Self {
        let reader = index_of(writer).documents().reader();
        Self { reader, keeps, kept: HashSet::new(), num_read: 0, num_pushed: 0 }
    }

    /// Adds a passage, unless the index has it; one of the index that has its id is replaced.
    fn push(&mut self, writer: &mut Writer, document: &Document, memory_budget: u64) -> Result<()> {
        self.num_read += 1;
        if self.keeps
            && let Some(pid) = self.reader.find(&document.id)?
            && self.reader.document(pid)? == *document
        {
            self.kept.insert(pid);
            return Ok(());
        }
        self.num_pushed += 1;
        push_document(writer, document, memory_budget)
    }

    /// Deletes the passage of the index that has this id, unless it is kept or gone already.
    fn delete(&mut self, writer: &mut Writer, id: &str) -> Result<()> {
        match self.reader.find(id)? {
            Some(pid) if !self.kept.contains(&pid) => Ok(writer.delete(id).map(drop)?),
            _ => Ok(()),
        }
    }
}
