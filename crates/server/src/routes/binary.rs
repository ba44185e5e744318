//! Documents with embeddings as bytes: no digits to read, and no base64.
//!
//! ```text
//! u64     bytes of the header, little-endian
//! JSON    the header: {"documents": [{"id", "text"?, "metadata"?, "tokens"}], "dim", "dtype"?: "f32" or "f16",
//!         "replace"?}
//! (T, D)  the embeddings of all documents, one after the other, little-endian
//! ```
//!
//! `tokens` is the number of embeddings of a document. The `Content-Type` is `application/octet-stream`.

use super::input::{check_dim, id};
use crate::changes::Documents;
use crate::error::{ApiError, Result};
use half::f16;
use selvedge::{Document, EmbeddedDocument};
use serde::Deserialize;
use serde_json::Value;

/// Type of such a body.
pub(super) const CONTENT_TYPE: &str = "application/octet-stream";

/// The header, which describes the embeddings that follow it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    documents: Vec<HeaderDocument>,
    dim: usize,
    #[serde(default)]
    dtype: Dtype,
    #[serde(default = "super::documents::yes")]
    replace: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderDocument {
    #[serde(deserialize_with = "id")]
    id: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    metadata: Option<Value>,
    tokens: usize,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Dtype {
    #[default]
    F32,
    F16,
}

/// Reads a body: its documents, and whether they replace others.
pub(super) fn read(body: &[u8]) -> Result<(Documents, bool)> {
    let bad = |reason: String| ApiError::bad_request(format!("the binary body: {reason}"));
    let too_short = || bad(format!("{} bytes are too few for the header that they announce", body.len()));
    let (len, rest) = body.split_first_chunk::<8>().ok_or_else(too_short)?;
    let len = usize::try_from(u64::from_le_bytes(*len)).map_err(|_| too_short())?;
    let (header, mut rows) = rest.split_at_checked(len).ok_or_else(too_short)?;
    let Header { documents, dim, dtype, replace } =
        serde_json::from_slice(header).map_err(|error| bad(format!("header: {error}")))?;
    if dim == 0 {
        return Err(bad("dim is 0".into()));
    }
    check_dim(dim)?;
    let row_bytes = dim.saturating_mul(match dtype {
        Dtype::F32 => 4,
        Dtype::F16 => 2,
    });
    let num_tokens = documents.iter().fold(0_usize, |sum, document| sum.saturating_add(document.tokens));
    if num_tokens.checked_mul(row_bytes) != Some(rows.len()) {
        return Err(bad(format!("{} bytes are not {num_tokens} embeddings of {row_bytes} bytes", rows.len())));
    }
    let mut embedded = Vec::with_capacity(documents.len());
    for HeaderDocument { id, text, metadata, tokens } in documents {
        let own;
        (own, rows) = rows.split_at(tokens * row_bytes);
        let embeddings = match dtype {
            Dtype::F32 => own.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            Dtype::F16 => own.as_chunks().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect(),
        };
        embedded.push(EmbeddedDocument { document: Document { id, text, metadata }, embeddings });
    }
    Ok((Documents::Embedded(dim, embedded), replace))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn body(header: &Value, rows: &[u8]) -> Vec<u8> {
        let header = header.to_string();
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), rows].concat()
    }

    #[test]
    fn rows_belong_to_their_documents() {
        let header = json!({"documents": [{"id": "a", "tokens": 1}, {"id": 7, "tokens": 0, "text": "t"},
            {"id": "c", "tokens": 2, "metadata": {"x": 1}}], "dim": 2, "dtype": "f16", "replace": false});
        let rows: Vec<u8> = (1..=6).flat_map(|x| f16::from_f32(x as f32).to_le_bytes()).collect();
        let (Documents::Embedded(dim, documents), replace) = read(&body(&header, &rows)).unwrap() else {
            panic!("these are embeddings");
        };
        assert_eq!((dim, replace), (2, false));
        let found: Vec<_> = documents.iter().map(|each| (&each.document.id[..], each.embeddings.clone())).collect();
        assert_eq!(found, [("a", vec![1.0, 2.0]), ("7", vec![]), ("c", vec![3.0, 4.0, 5.0, 6.0])]);
        assert_eq!(documents[2].document.metadata, Some(json!({"x": 1})));
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        let one = |tokens: u64, dim: u64| json!({"documents": [{"id": "a", "tokens": tokens}], "dim": dim});
        let good = body(&one(1, 2), &[0; 8]);
        assert!(read(&good).is_ok());
        for len in 0..good.len() {
            assert_eq!(read(&good[..len]).err().unwrap().code, "BAD_REQUEST", "the first {len} bytes");
        }
        let huge = [&u64::MAX.to_le_bytes()[..], b"{}"].concat();
        for bad in [body(&one(1, 0), &[]), body(&one(u64::MAX, 2), &[0; 8]), body(&one(2, 1 << 62), &[0; 8]), huge] {
            assert_eq!(read(&bad).err().unwrap().code, "BAD_REQUEST");
        }
    }
}
