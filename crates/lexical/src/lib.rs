//! Search for words: BM25 over the texts of an index.
//!
//! # In and out
//!
//! - [`Builder`]: texts in, the bytes of one segment out. Passages have the numbers (`pid`) `0, 1, ...`.
//! - [`Segment`]: these bytes, opened; they may be a memory map.
//! - [`Words`]: a view over the segments of an index. A query in, at most `k` [`Hit`]s out, best first.
//!
//! This crate knows texts, bytes and numbers only: files, commits and deletions are up to the caller, who passes the
//! passages that may be found with each search.
//!
//! # The score
//!
//! ```text
//! score(passage) = sum over terms t of the query of  count(t) idf(t) (k1 + 1) tf / (tf + norm(passage))
//! idf(t)         = ln(1 + (N - n + 0.5) / (n + 0.5))
//! norm(passage)  = k1 (1 - b + b length / average)
//! ```
//!
//! with `k1 = 1.2`, `b = 0.75`, `N` passages, `n` of them with the term, `tf` its frequency in the passage and `count`
//! in the query, `length` the number of terms of the passage and `average` the mean length. Higher is better. tantivy
//! stores a length in one byte: exact up to 40 terms, rounded down by at most 1/8 above.
//!
//! `N`, `n` and `average` are sums over all segments of the view, deleted passages included, and terms are added in one
//! order for all passages. So scores and ranking are the same, to the last bit, however the passages are split into
//! segments. Ties go to the earlier passage.
//!
//! The same holds for several views, such as the shards of a collection, whose [`Statistics`] are summed and given to
//! [`Words::search_by`].
//!
//! # Terms
//!
//! Words are runs of letters and digits, lower-cased and stemmed by [`Language`]. Names such as
//! `std.collections.HashMap` or `AB-1234/X` are terms as a whole and by their parts; Chinese and Japanese characters
//! are terms one by one and in pairs. `terms.rs` has the rules. There are no stop words: the README has the
//! measurements.
//!
//! # Bytes
//!
//! A segment is a header and the files of one tantivy segment, without positions and texts (`pack.rs`). The same texts
//! give the same bytes. Each block of 64 KiB has a checksum, which is checked when the block is first read: damage is
//! an error, found by the first search that reads it.
//!
//! Checksums do not stop a forger. Forged contents can make tantivy panic; in programs whose panics unwind, this is
//! caught and returned as [`Error::Inconsistent`], after the panic hook has printed it. They can also give wrong hits.
//!
//! # Threads
//!
//! This crate starts no thread. A [`Words`] can be shared by reference between any number of threads.
//!
//! # Example
//!
//! ```
//! use selvedge_lexical::{Builder, Language, Segment, Words};
//! use std::sync::Arc;
//!
//! let mut builder = Builder::new(Language::English)?;
//! for text in ["a woven edge", "edges of cloth", "use std::collections::HashMap;"] {
//!     builder.push(text)?;
//! }
//! let segment = Segment::open(builder.finish()?.into())?;
//! let words = Words::new(vec![Arc::new(segment)])?;
//!
//! let hits = words.search("hashmap", 10, |_| None)?;
//! assert_eq!((hits[0].segment, hits[0].pid), (0, 2));
//! # Ok::<(), selvedge_lexical::Error>(())
//! ```
#![forbid(unsafe_code)]

mod builder;
mod directory;
mod error;
mod language;
mod matches;
mod pack;
mod segment;
mod statistics;
mod terms;
mod topk;
mod union;
mod words;

pub use builder::Builder;
pub use error::{Error, Result};
pub use language::Language;
pub use matches::matches;
pub use segment::Segment;
pub use statistics::Statistics;
pub use topk::Hit;
pub use words::Words;
