//! Files with one passage or query per line: JSONL and TSV.
//!
//! **In:** an open file. **Out:** id, text and metadata of each line that is not blank.
//!
//! The file name determines the format: `.jsonl`, `.ndjson` and `.json` are JSONL, `.tsv`, `.txt` and `.tab` are TSV; a
//! final `.gz` or `.zst` is ignored. Under any other name, a file whose first line starts with `{` is JSONL, and any
//! other file is TSV. The first line of a TSV file may name the columns, `id<TAB>text`.

use crate::Result;
use crate::collection::json;
use crate::lines::{Lines, check_id};
use selvedge_index::Document;
use std::path::Path;

/// Calls `each` with every record and the file, which is at the record's line. Returns whether the first line was a
/// header.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io), [`Error::Utf8`](crate::Error::Utf8) and [`Error::Line`](crate::Error::Line) of the
/// first line that cannot be read or parsed, and the first error of `each`.
pub(crate) fn read(mut lines: Lines, mut each: impl FnMut(Document, &Lines) -> Result<()>) -> Result<bool> {
    let is_json = match format_of(lines.path()).as_str() {
        "jsonl" | "ndjson" | "json" => true,
        "tsv" | "txt" | "tab" => false,
        _ => lines.peek()? == Some(b'{'),
    };
    let mut had_header = false;
    while let Some(line) = lines.next()? {
        let parsed = if is_json { json::parse(line) } else { from_tsv(line) };
        let record = parsed.map_err(|reason| lines.error(reason))?;
        if !is_json && lines.number() == 1 && is_header(&record) {
            had_header = true;
        } else {
            each(record, &lines)?;
        }
    }
    Ok(had_header)
}

/// Returns the extension of a file name in lower case; a final `.gz` or `.zst` is ignored.
fn format_of(path: &Path) -> String {
    let extension = |path: &Path| path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    match extension(path).as_str() {
        "gz" | "zst" => extension(&path.with_extension("")),
        other => other.to_owned(),
    }
}

/// Parses a line `id<TAB>text`.
fn from_tsv(line: &str) -> Result<Document, String> {
    let (id, text) = line.split_once('\t').ok_or("expected id<TAB>text, found no tab")?;
    check_id(id)?;
    Ok(Document { id: id.into(), text: text.into(), metadata: None })
}

/// Whether the fields of a TSV file's first line are names of columns.
fn is_header(record: &Document) -> bool {
    record.id.eq_ignore_ascii_case("id") && record.text.trim_end().eq_ignore_ascii_case("text")
}
