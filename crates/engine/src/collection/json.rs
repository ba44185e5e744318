//! Parser of one line of JSONL: id, text and metadata of a passage.

use crate::lines::check_id;
use selvedge_index::Document;
use serde_json::Value;
use std::collections::HashSet;

/// Parses one line. The error is a reason without file and line.
///
/// An id that is a number is kept as it is written. An object with `_id` instead of `id` has BEIR's layout: its `title`
/// is put before the text, as BEIR's own programs do, and is also kept in the metadata.
pub(crate) fn parse(line: &str) -> Result<Document, String> {
    let Value::Object(mut fields) = serde_json::from_str(line).map_err(|e| malformed(&e))? else {
        return Err("expected a JSON object".into());
    };
    let written = written_fields(line);
    check_fields(&written)?;
    let is_beir = !fields.contains_key("id");
    let key = if is_beir { "_id" } else { "id" };
    let id = match fields.remove(key) {
        Some(Value::String(id)) => id,
        Some(Value::Number(_)) => written.iter().find(|(name, _)| name == key).expect("parsed just now").1.to_owned(),
        Some(_) => return Err("the id is neither a string nor a number".into()),
        None => return Err("\"id\" is missing".into()),
    };
    check_id(&id)?;
    let mut text = match fields.remove("text") {
        Some(Value::String(text)) => text,
        Some(_) => return Err("\"text\" is not a string".into()),
        None => return Err("\"text\" is missing".into()),
    };
    if let Some(Value::String(title)) = fields.get("title").filter(|_| is_beir) {
        text = format!("{title} {text}").trim().to_owned();
    }
    Ok(Document { id, text, metadata: (!fields.is_empty()).then_some(Value::Object(fields)) })
}

/// Refuses a field that is given twice and an integer that 64 bits cannot hold. The parsed object would show neither:
/// it keeps the last field and rounds the integer.
fn check_fields(fields: &[(String, &str)]) -> Result<(), String> {
    let mut names = HashSet::new();
    for (name, value) in fields {
        if !names.insert(name) {
            return Err(format!("{name:?} is given twice"));
        }
        let is_id = name == "id" || name == "_id";
        if let Some(integer) = large_integer(value).filter(|_| !is_id) {
            return Err(format!(
                "{name:?} holds the integer {integer}, which 64 bits cannot hold: write it as a string"
            ));
        }
    }
    Ok(())
}

/// Returns the fields of a well-formed JSON object, in order, each value as it is written.
fn written_fields(object: &str) -> Vec<(String, &str)> {
    let mut fields = Vec::new();
    let mut rest = object.trim_start().strip_prefix('{').unwrap_or_default();
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\r', '\n', ',']);
        if !rest.starts_with('"') {
            return fields;
        }
        let (name, tail) = rest.split_at(string_bytes(rest));
        let tail = tail.trim_start().trim_start_matches(':').trim_start();
        let (value, tail) = tail.split_at(value_bytes(tail));
        fields.extend(serde_json::from_str(name).map(|name| (name, value)));
        rest = tail;
    }
}

/// Returns the length in bytes of the value at the start of well-formed JSON.
fn value_bytes(json: &str) -> usize {
    let bytes = json.as_bytes();
    let (mut at, mut depth) = (0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at += string_bytes(&json[at..]) - 1,
            b'{' | b'[' => depth += 1,
            // End of the object that holds a number.
            b'}' | b']' if depth == 0 => return at,
            b'}' | b']' => depth -= 1,
            b',' | b' ' | b'\t' | b'\r' | b'\n' if depth == 0 => return at,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 1;
        if depth == 0 {
            return at;
        }
    }
    at
}

/// Returns the first integer in well-formed JSON that is neither an i64 nor a u64.
fn large_integer(json: &str) -> Option<&str> {
    let mut rest = json;
    while let Some(start) = rest.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit()) {
        rest = &rest[start..];
        if rest.starts_with('"') {
            rest = &rest[string_bytes(rest)..];
            continue;
        }
        let end = rest.find(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E')).unwrap_or(rest.len());
        let (number, tail) = rest.split_at(end);
        let is_integer = !number.contains(['.', 'e', 'E']);
        if is_integer && number.parse::<i64>().is_err() && number.parse::<u64>().is_err() {
            return Some(number);
        }
        rest = tail;
    }
    None
}

/// Returns the length in bytes of the JSON string at the start of `json`, quotes included.
fn string_bytes(json: &str) -> usize {
    let mut is_escaped = false;
    for (at, byte) in json.bytes().enumerate().skip(1) {
        match byte {
            b'"' if !is_escaped => return at + 1,
            _ => is_escaped = byte == b'\\' && !is_escaped,
        }
    }
    json.len()
}

/// Returns serde_json's message without its line number, which is always 1.
fn malformed(error: &serde_json::Error) -> String {
    let said = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    format!("malformed JSON at column {}: {}", error.column(), said.strip_suffix(&place).unwrap_or(&said))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_become_id_text_metadata() {
        let d = parse(r#"{"id": 7, "text": "a", "year": 1999}"#).unwrap();
        assert_eq!((d.id.as_str(), d.text.as_str()), ("7", "a"));
        assert_eq!(d.metadata, Some(json!({"year": 1999})));
        assert_eq!(parse(r#"{"text": "", "id": "x"}"#).unwrap().metadata, None);
    }

    #[test]
    fn a_number_as_id_is_kept_as_it_is_written() {
        for id in ["123456789012345678901", "0.1000", "1e2", "-7", "18446744073709551616"] {
            assert_eq!(parse(&format!("{{\"text\": \"a\", \"id\": {id} }}")).unwrap().id, id);
        }
    }

    #[test]
    fn an_integer_that_would_be_rounded_is_refused() {
        let with =
            |n: &str| parse(&format!(r#"{{"id": "a", "text": "123456789012345678901", "n": {{"deep": [0, {n}]}}}}"#));
        for n in ["123456789012345678901", "-9223372036854775809", "18446744073709551616"] {
            let reason = with(n).unwrap_err();
            assert!(reason.contains("\"n\"") && reason.contains(n), "{reason}");
        }
        for n in ["18446744073709551615", "-9223372036854775808", "1.5e300", r#""\"123456789012345678901""#, r#""\\""#]
        {
            let metadata = with(n).unwrap().metadata.unwrap();
            assert_eq!(metadata["n"]["deep"][1], serde_json::from_str::<Value>(n).unwrap());
        }
    }

    /// BEIR's own programs encode title and text with a space between. In other files a title is only metadata.
    #[test]
    fn the_title_of_a_beir_corpus_goes_before_its_text() {
        let d = parse(r#"{"_id": "1", "title": "Foxes", "text": "are red.", "metadata": {}}"#).unwrap();
        assert_eq!((d.id.as_str(), d.text.as_str()), ("1", "Foxes are red."));
        assert_eq!(d.metadata, Some(json!({"title": "Foxes", "metadata": {}})));
        assert_eq!(parse(r#"{"_id": "1", "title": "", "text": "are red."}"#).unwrap().text, "are red.");
        assert_eq!(parse(r#"{"id": "1", "title": "Foxes", "text": "are red."}"#).unwrap().text, "are red.");
        assert_eq!(parse(r#"{"id": "1", "_id": "2", "title": "Foxes", "text": "are red."}"#).unwrap().text, "are red.");
    }

    #[test]
    fn a_bad_line_says_why() {
        for (line, reason) in [
            (r#"{"id": "x"}"#, "\"text\" is missing"),
            (r#"{"text": "x"}"#, "\"id\" is missing"),
            (r#"{"id": "", "text": "x"}"#, "the id \"\" is blank"),
            (r#"{"id": " ", "text": "x"}"#, "the id \" \" is blank"),
            (r#"{"id": "a\nb", "text": "x"}"#, "the id \"a\\nb\" holds a line break"),
            (r#"{"id": null, "text": "x"}"#, "the id is neither a string nor a number"),
            (r#"{"id": "a", "text": 1}"#, "\"text\" is not a string"),
            (r#"{"id": "a", "text": "x", "id": "b"}"#, "\"id\" is given twice"),
            (r#"{"id": "a", "text": "x", "n": 1, "n": 2}"#, "\"n\" is given twice"),
            (r#"{"id": "a", "text": "#, "malformed JSON at column 20: EOF while parsing a value"),
            ("[]", "expected a JSON object"),
            ("7", "expected a JSON object"),
        ] {
            assert_eq!(parse(line).unwrap_err(), reason, "{line}");
        }
    }
}
