//! Collections of text, read passage by passage: a folder, JSONL, TSV or standard input.
//!
//! ```text
//! folder       --walk--> files --decode--> text --split--> passages      (folder, file, split)
//! BEIR folder  --> its corpus.jsonl                                      (beir)
//! JSONL, TSV   --> one passage per line                                  (records, json)
//! ```
//!
//! An index that is made from a folder also stores a record of the files (sources).
//!
//! A file of a folder that is not text is skipped, counted and named in the report. A line of JSONL or TSV that cannot
//! be read is an error, because every line of such a file is meant to be a passage.

pub(crate) mod beir;
mod file;
pub(crate) mod folder;
pub(crate) mod json;
pub(crate) mod sources;
pub(crate) mod split;
#[cfg(test)]
mod tests;

pub use beir::Beir;

use crate::lines::Lines;
use crate::{Error, Result, records};
use selvedge_encoder::Encoder;
use selvedge_index::Document;
use sources::{FileRecord, Reading, Recorder, Sources};
use split::Split;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Divisor of a passage's length that gives its overlap with the next passage of the file. An eighth of 512 tokens is
/// two or three sentences, so a sentence that a boundary cuts is whole in one of the two passages. The index grows by a
/// seventh.
const OVERLAP: usize = 8;

/// Options of reading a folder of text files.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// Number of words after which a file is split into passages; 0 makes each file one passage. `None` splits by the
    /// encoder's maximum length in tokens, with an overlap of an eighth.
    pub split_words: Option<usize>,
    /// Globs of the files to read, in the syntax of `.gitignore`; all files if there is none.
    pub include: Vec<String>,
    /// Globs of the files and folders to skip.
    pub exclude: Vec<String>,
    /// Whether files and folders whose names begin with a dot are read.
    pub hidden: bool,
    /// Whether files that `.gitignore` and `.ignore` name are read.
    pub no_ignore: bool,
    /// Whether a file that is not text is an error rather than skipped.
    pub strict: bool,
}

impl ReadOptions {
    /// Checks that no option is given that applies only to a folder of files; `path` is the collection. `hidden`,
    /// `no_ignore` and `strict` are not checked: they are ignored.
    pub(crate) fn check_unused(&self, path: &Path) -> Result<()> {
        let options = [
            ("split", self.split_words.is_some_and(|words| words > 0)),
            ("include", !self.include.is_empty()),
            ("exclude", !self.exclude.is_empty()),
        ];
        match options.into_iter().find(|&(_, is_given)| is_given) {
            Some((option, _)) => Err(Error::FolderOption { path: path.into(), option }),
            None => Ok(()),
        }
    }
}

/// Counts of a collection that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ReadReport {
    /// Number of passages.
    pub passages: usize,
    /// Files of a folder that are not text.
    pub skipped: Skipped,
    /// Whether the first line of a TSV file was a header, `id<TAB>text`, and skipped.
    pub had_header: bool,
}

/// Files that were skipped, and the reasons.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Skipped {
    /// Number of files, and of folders that cannot be listed.
    pub total: usize,
    /// The first of them, at most [`Skipped::MAX_NAMED`].
    pub named: Vec<SkippedFile>,
    /// Folders and files that cannot be listed, or whose size cannot be known, with the reasons: they may exist.
    #[serde(skip)]
    pub(crate) not_listed: Vec<SkippedFile>,
    #[serde(skip)]
    is_error: bool,
}

/// A file that was skipped.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SkippedFile {
    /// The file.
    pub path: PathBuf,
    /// The reason.
    pub reason: String,
}

impl Skipped {
    /// Maximum number of files that are named.
    pub const MAX_NAMED: usize = 20;

    /// Counts from zero; skipped files are errors if `is_error`.
    pub(crate) fn new(is_error: bool) -> Self {
        Self { is_error, ..Self::default() }
    }

    /// Fails if skipped files are errors.
    pub(crate) fn check(&self, path: &Path, reason: &str) -> Result<()> {
        match self.is_error {
            true => Err(Error::BadFile { path: path.into(), reason: reason.into() }),
            false => Ok(()),
        }
    }

    /// Does as [`Skipped::push`] with a folder or a file that cannot be listed.
    fn push_not_listed(&mut self, path: &Path, reason: impl ToString) -> Result<()> {
        let reason = reason.to_string();
        self.push(path, &reason)?;
        self.not_listed.push(SkippedFile { path: path.into(), reason });
        Ok(())
    }

    /// Counts and names a file, or fails if skipped files are errors.
    fn push(&mut self, path: &Path, reason: impl ToString) -> Result<()> {
        let reason = reason.to_string();
        self.check(path, &reason)?;
        self.total += 1;
        if self.named.len() < Self::MAX_NAMED {
            self.named.push(SkippedFile { path: path.into(), reason });
        }
        Ok(())
    }
}

/// Calls `each` with every passage of the collection at `path`, in order.
///
/// The files of a folder are split at the maximum length of `encoder`. Without an encoder and without
/// [`ReadOptions::split_words`], each file is one passage.
///
/// # Errors
/// - [`Error::Io`], [`Error::Utf8`], [`Error::Line`] if the collection or a line of it cannot be read.
/// - [`Error::EmptyCollection`] if it holds no passage.
/// - [`Error::FolderOption`] if it is not a folder of files, and words per passage or globs are given.
/// - [`Error::Glob`] if a glob is malformed.
/// - [`Error::BadFile`] at the first file that would be skipped, with [`ReadOptions::strict`], and if a file changes
///   while it is read.
/// - [`Error::Encoder`] if the encoder cannot split a file.
/// - The first error of `each`. If an index refuses the document of a line, it becomes [`Error::RefusedLine`].
pub fn read(
    path: &Path,
    encoder: Option<&Encoder>,
    options: &ReadOptions,
    each: impl FnMut(Document) -> Result<()>,
) -> Result<ReadReport> {
    let by_tokens = encoder.map(by_tokens);
    let split = Split::new(options.split_words, by_tokens.as_ref().map(|f| f as split::Splitter<'_>));
    read_split(path, split, options, None, each)
}

/// Does as [`read`], and also returns the record of the files if the collection is a folder of files.
pub(crate) fn read_recorded(
    path: &Path,
    encoder: &Encoder,
    options: &ReadOptions,
    each: impl FnMut(Document) -> Result<()>,
) -> Result<(ReadReport, Option<Sources>)> {
    let by_tokens = by_tokens(encoder);
    let split = Split::new(options.split_words, Some(&by_tokens));
    if !is_folder(path) {
        return Ok((read_split(path, split, options, None, each)?, None));
    }
    let mut files = Vec::new();
    let report = read_split(path, split, options, Some(&mut files), each)?;
    let reading = Reading::new(options, encoder.text_rules().passage.max_len);
    Ok((report, Some(Sources::new(sources::folder_name(path)?, reading, files))))
}

/// The function that splits texts at the maximum length of an encoder, with an overlap.
pub(crate) fn by_tokens(encoder: &Encoder) -> impl Fn(&str) -> Result<Vec<Range<usize>>> + '_ {
    let overlap = encoder.text_rules().passage.max_len / OVERLAP;
    move |text| Ok(encoder.split_passage(text, overlap)?)
}

/// Whether a collection is a folder of files.
pub(crate) fn is_folder(path: &Path) -> bool {
    path.is_dir() && Beir::find(path).is_none()
}

fn read_split(
    path: &Path,
    split: Split<'_>,
    options: &ReadOptions,
    records: Option<&mut Vec<FileRecord>>,
    mut each: impl FnMut(Document) -> Result<()>,
) -> Result<ReadReport> {
    let mut report = ReadReport { skipped: Skipped::new(options.strict), ..ReadReport::default() };
    let mut passages = 0;
    let mut counted = |document| {
        passages += 1;
        each(document)
    };
    let beir = Beir::find(path);
    if path.is_dir() && beir.is_none() {
        let recorder = records.is_some().then(Recorder::new);
        let found = folder::files(path, options, &mut report.skipped)?;
        if let (Some(records), Some(recorder)) = (records, recorder) {
            for found in &found {
                records.push(recorder.read(found, split, &mut report.skipped, &mut counted)?);
            }
        } else {
            for found in &found {
                if let Err(not_text) = file::read(found, split, &mut counted)? {
                    report.skipped.push(&found.path, not_text)?;
                }
            }
        }
    } else {
        let lines = Lines::open(beir.as_ref().map_or(path, |beir| &beir.corpus))?;
        options.check_unused(path)?;
        report.had_header =
            records::read(lines, |document, lines| counted(document).map_err(|error| lines.refused(error)))?;
    }
    report.passages = passages;
    if passages == 0 {
        return Err(Error::EmptyCollection { path: path.into() });
    }
    Ok(report)
}
