//! Collections of text: a folder, JSONL, TSV or standard input, passage by passage, never whole in memory.

use crate::lines::Lines;
use crate::{Error, Result};
use selvedge_index::Document;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// Bytes of a file among which a zero says that it is no text, as for git.
const LOOKED_AT: usize = 8000;

/// Calls `each` with every passage of the collection at `path`, in order; returns how many there were.
///
/// A folder's files that are no text are left out, which is said on standard error.
///
/// `split_words`: words after which a file of a folder is cut into several passages; 0 for never.
pub fn read(path: &Path, split_words: usize, mut each: impl FnMut(Document) -> Result<()>) -> Result<usize> {
    let mut count = 0;
    let mut counted = |document| {
        count += 1;
        each(document)
    };
    if path.is_dir() {
        let mut binary = Vec::new();
        for file in files_below(path)? {
            let bytes = std::fs::read(&file).map_err(Error::io(&file))?;
            if bytes[..bytes.len().min(LOOKED_AT)].contains(&0) {
                binary.push(file);
            } else {
                read_file(path, &file, bytes, split_words, &mut counted)?;
            }
        }
        if let Some(first) = binary.first() {
            tracing::warn!("left out: {} files that are no text, {} first", binary.len(), first.display());
        }
    } else {
        read_lines(path, &mut counted)?;
    }
    if count == 0 {
        return Err(Error::EmptyCollection { path: path.into() });
    }
    Ok(count)
}

/// Files of a folder and its folders, in order of their paths; names that begin with a dot are left out.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(Error::io(&folder))? {
            let entry = entry.map_err(Error::io(&folder))?;
            let path = entry.path();
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            let kind = entry.file_type().map_err(Error::io(&path))?;
            if kind.is_dir() {
                folders.push(path);
            } else if path.is_file() {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn read_file(
    folder: &Path,
    file: &Path,
    bytes: Vec<u8>,
    split_words: usize,
    each: &mut impl FnMut(Document) -> Result<()>,
) -> Result<()> {
    let text = String::from_utf8(bytes).map_err(|e| {
        let before = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        Error::Utf8 { path: file.into(), line: 1 + before.iter().filter(|&&b| b == b'\n').count() }
    })?;
    let id = file.strip_prefix(folder).unwrap_or(file).to_string_lossy().into_owned();
    let parts = split(&text, split_words);
    if parts.len() <= 1 {
        return each(Document { id, text, metadata: None });
    }
    for (number, (line, part)) in parts.iter().enumerate() {
        let metadata = Map::from_iter([("file".to_owned(), id.clone().into()), ("line".to_owned(), (*line).into())]);
        let id = format!("{id}#{}", number + 1);
        each(Document { id, text: (*part).to_owned(), metadata: Some(Value::Object(metadata)) })?;
    }
    Ok(())
}

/// Cuts a text into passages of about `words` words, at the last blank line, sentence end or space
/// before it runs over. Returns each with the line it begins on.
fn split(text: &str, words: usize) -> Vec<(usize, &str)> {
    let mut parts = Vec::new();
    let mut rest = text.trim_end();
    let mut line = 1;
    while words > 0 && rest.split_whitespace().nth(words + words / 4).is_some() {
        let cut = cut_before(rest, words);
        let (part, tail) = rest.split_at(cut);
        push_part(&mut parts, line, part);
        line += part.matches('\n').count();
        rest = tail;
    }
    push_part(&mut parts, line, rest);
    parts
}

fn push_part<'a>(parts: &mut Vec<(usize, &'a str)>, line: usize, part: &'a str) {
    let trimmed = part.trim_start();
    if !trimmed.is_empty() {
        let skipped = part[..part.len() - trimmed.len()].matches('\n').count();
        parts.push((line + skipped, trimmed.trim_end()));
    }
}

/// Where to cut: after the best boundary between half of `words` and `words`.
fn cut_before(text: &str, words: usize) -> usize {
    let (mut count, mut best, mut best_rank) = (0, 0, 0);
    let mut in_word = false;
    let mut previous = ' ';
    for (at, c) in text.char_indices() {
        if c.is_whitespace() {
            let rank = match (previous, c) {
                ('\n', '\n') => 3,
                ('.' | '!' | '?' | ':', _) => 2,
                _ => 1,
            };
            if 2 * count >= words && rank >= best_rank {
                (best, best_rank) = (at + c.len_utf8(), rank);
            }
            in_word = false;
        } else if !in_word {
            in_word = true;
            count += 1;
            if count > words && best > 0 {
                return best;
            }
        }
        if c != '\r' {
            previous = c;
        }
    }
    text.len()
}

fn read_lines(path: &Path, each: &mut impl FnMut(Document) -> Result<()>) -> Result<()> {
    let mut lines = Lines::open(path)?;
    let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let is_json = match extension.as_str() {
        "jsonl" | "ndjson" | "json" => true,
        "tsv" | "txt" | "tab" => false,
        _ => lines.peek()? == Some(b'{'),
    };
    loop {
        let Some(line) = lines.next()? else { return Ok(()) };
        let parsed = if is_json { from_json(line) } else { from_tsv(line) };
        match parsed {
            Ok(document) => each(document)?,
            Err(reason) => return Err(lines.error(reason)),
        }
    }
}

fn from_tsv(line: &str) -> Result<Document, String> {
    let (id, text) = line.split_once('\t').ok_or("expected id<TAB>text, found no tab")?;
    if id.is_empty() {
        return Err("the id is empty".into());
    }
    Ok(Document { id: id.into(), text: text.into(), metadata: None })
}

fn from_json(line: &str) -> Result<Document, String> {
    let value: Value = serde_json::from_str(line).map_err(|e| format!("malformed JSON: {e}"))?;
    let Value::Object(mut fields) = value else { return Err("expected a JSON object".into()) };
    let id = match fields.remove("id").or_else(|| fields.remove("_id")) {
        Some(Value::String(id)) if !id.is_empty() => id,
        Some(Value::Number(id)) => id.to_string(),
        Some(_) => return Err("\"id\" is neither a string nor a number".into()),
        None => return Err("\"id\" is missing".into()),
    };
    let text = match fields.remove("text") {
        Some(Value::String(text)) => text,
        Some(_) => return Err("\"text\" is not a string".into()),
        None => return Err("\"text\" is missing".into()),
    };
    let metadata = (!fields.is_empty()).then_some(Value::Object(fields));
    Ok(Document { id, text, metadata })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_at_paragraphs_then_sentences_then_words() {
        let text = "one two three four.\n\nfive six seven. eight nine ten eleven twelve";
        let parts = split(text, 6);
        assert_eq!(parts, [(1, "one two three four."), (3, "five six seven."), (3, "eight nine ten eleven twelve")]);
        assert_eq!(split(text, 0), [(1, text)]);
        assert_eq!(split("", 5), []);
        let long = "word ".repeat(1000);
        let parts = split(&long, 100);
        assert_eq!(parts.iter().map(|p| p.1.split_whitespace().count()).sum::<usize>(), 1000);
        assert!(parts.iter().all(|p| p.1.split_whitespace().count() <= 125));
    }

    #[test]
    fn json_fields_become_id_text_metadata() {
        let d = from_json(r#"{"id": 7, "text": "a", "year": 1999}"#).unwrap();
        assert_eq!((d.id.as_str(), d.text.as_str()), ("7", "a"));
        assert_eq!(d.metadata, Some(serde_json::json!({"year": 1999})));
        assert!(from_json(r#"{"id": "x"}"#).unwrap_err().contains("text"));
        assert!(from_json("{").unwrap_err().contains("malformed"));
        assert!(from_json("[]").is_err());
    }
}
