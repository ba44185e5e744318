//! Collections of text: a folder, JSONL, TSV or standard input, passage by passage, never whole in memory.
//!
//! ```text
//! folder       --walk--> files --decoded--> text --split--> passages     (folder, file, split)
//! BEIR folder  --> its corpus.jsonl                                      (beir)
//! JSONL, TSV   --> one passage a line                                    (json)
//! ```
//!
//! A file of a folder that cannot be read as text is skipped, counted and named in the report; a line of JSONL or TSV
//! that cannot be read is an error, since whoever made the file meant every line.

mod beir;
mod file;
mod folder;
pub(crate) mod json;
mod split;
#[cfg(test)]
mod tests;

pub use beir::Beir;

use crate::lines::{Lines, is_tsv_header, split_tsv};
use crate::{Error, Result};
use selvedge_encoder::Encoder;
use selvedge_index::Document;
use split::Split;
use std::path::{Path, PathBuf};

/// Part of a passage's length that it shares with the next passage of its file: an eighth of 512 tokens is two or three
/// sentences, so one that a border cuts is whole in one of the two; the index grows by a seventh.
const OVERLAP: usize = 8;

/// How a folder is read; other collections have nothing to choose.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// Words after which a file is split into passages, 0 for never. If not given, a passage has as many tokens as the
    /// encoder reads, and shares an eighth of them with the next.
    pub split_words: Option<usize>,
    /// Globs of the files to read, as `.gitignore` has them; all where there is none.
    pub include: Vec<String>,
    /// Globs of the files and folders to leave out.
    pub exclude: Vec<String>,
    /// Whether hidden files and folders, whose names begin with a dot, are read.
    pub hidden: bool,
    /// Whether `.gitignore` and `.ignore` files are not heeded.
    pub no_ignore: bool,
    /// Whether a file that cannot be read as text is an error, and not skipped.
    pub strict: bool,
}

/// What came of reading a collection.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ReadReport {
    /// Passages.
    pub passages: usize,
    /// Files of a folder that cannot be read as text.
    pub skipped: Skipped,
    /// Whether the first line of a TSV file was a header, `id<TAB>text`, and left out.
    pub had_header: bool,
}

/// Files that were left out, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Skipped {
    /// Number of files, and of folders that cannot be listed.
    pub total: usize,
    /// The first of them, at most [`Skipped::MOST_NAMED`].
    pub named: Vec<SkippedFile>,
    #[serde(skip)]
    is_error: bool,
}

/// A file that was left out.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SkippedFile {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

impl Skipped {
    /// Files that are named, at most.
    pub const MOST_NAMED: usize = 20;

    /// Counts and names a file, unless that is an error.
    fn push(&mut self, path: &Path, reason: impl ToString) -> Result<()> {
        let (path, reason) = (path.to_owned(), reason.to_string());
        if self.is_error {
            return Err(Error::BadFile { path, reason });
        }
        self.total += 1;
        if self.named.len() < Self::MOST_NAMED {
            self.named.push(SkippedFile { path, reason });
        }
        Ok(())
    }
}

/// Calls `each` with every passage of the collection at `path`, in order.
///
/// The files of a folder are split for `encoder`; without one, and without [`ReadOptions::split_words`], each is one
/// passage.
///
/// # Errors
/// If the collection cannot be read, holds a malformed line or no passage, or if `each` fails; with
/// [`ReadOptions::strict`], also at the first file that would be skipped.
pub fn read(
    path: &Path,
    encoder: Option<&Encoder>,
    options: &ReadOptions,
    each: impl FnMut(Document) -> Result<()>,
) -> Result<ReadReport> {
    match (options.split_words, encoder) {
        (Some(0), _) | (None, None) => read_split(path, Split::Never, options, each),
        (Some(words), _) => read_split(path, Split::Words(words), options, each),
        (None, Some(encoder)) => {
            let overlap = encoder.recipe().passage.max_len / OVERLAP;
            let by_tokens = |text: &str| Ok(encoder.split_passage(text, overlap)?);
            read_split(path, Split::By(&by_tokens), options, each)
        }
    }
}

fn read_split(
    path: &Path,
    split: Split<'_>,
    options: &ReadOptions,
    mut each: impl FnMut(Document) -> Result<()>,
) -> Result<ReadReport> {
    let mut report = ReadReport::default();
    report.skipped.is_error = options.strict;
    let mut passages = 0;
    let mut counted = |document| {
        passages += 1;
        each(document)
    };
    if !path.is_dir() {
        report.had_header = read_lines(path, &mut counted)?;
    } else if let Some(beir) = Beir::find(path) {
        read_lines(&beir.corpus, &mut counted)?;
    } else {
        for found in folder::files(path, options, &mut report.skipped)? {
            if let Err(not_text) = file::read(&found, split, &mut counted)? {
                report.skipped.push(&found.path, not_text)?;
            }
        }
    }
    report.passages = passages;
    if passages == 0 {
        return Err(Error::EmptyCollection { path: path.into() });
    }
    Ok(report)
}

/// Reads JSONL or TSV; returns whether it began with a header.
fn read_lines(path: &Path, each: &mut dyn FnMut(Document) -> Result<()>) -> Result<bool> {
    let mut lines = Lines::open(path)?;
    let is_json = match format_of(path).as_str() {
        "jsonl" | "ndjson" | "json" => true,
        "tsv" | "txt" | "tab" => false,
        _ => lines.peek()? == Some(b'{'),
    };
    let mut had_header = false;
    while let Some(line) = lines.next()? {
        let parsed = if is_json { json::parse(line) } else { from_tsv(line) };
        match parsed {
            Ok(row) if !is_json && lines.number() == 1 && is_tsv_header(&row.id, &row.text) => had_header = true,
            Ok(document) => each(document)?,
            Err(reason) => return Err(lines.error(reason)),
        }
    }
    Ok(had_header)
}

/// The last extension of a name that says no compression, in lower case.
pub(crate) fn format_of(path: &Path) -> String {
    let extension = |path: &Path| path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    match extension(path).as_str() {
        "gz" | "zst" => extension(&path.with_extension("")),
        other => other.to_owned(),
    }
}

fn from_tsv(line: &str) -> Result<Document, String> {
    let (id, text) = split_tsv(line)?;
    Ok(Document { id: id.into(), text: text.into(), metadata: None })
}
