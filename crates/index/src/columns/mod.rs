//! Columns of a segment: the metadata of its passages, arranged so that a comparison becomes a set of passages.
//!
//! In: the metadata of each passage, a JSON object. Out: for a key and a range of values, the set of the passages that
//! have one, as a bitmap of pids within the segment.
//!
//! **Keys.** A value within objects has the keys on its way, joined by dots: `{"author": {"name": "Ada"}}` has the key
//! `author.name`. A passage has all values of an array, of nested ones too. `null`, `[]` and `{}` are no value.
//!
//! **Types.** Each value has a type of its own ([`ValueType`]): nothing is declared, and a key may have values of
//! several types, even in one passage. A comparison sees the values of its literal's type alone, so that the type of a
//! key in other passages, or in other segments, never changes an answer. Each kind of value ([`ValueKind`]) of a key is
//! a column.
//!
//! **Payload of a columns file.** Numbers are little-endian:
//!
//! | bytes | contents |
//! |---|---|
//! | from 0 | arrays of each column: values, starts, passages, present |
//! | | directory: JSON, an array of [`Entry`], ascending by key and kind |
//! | last 8 | u64: bytes of the directory |
//!
//! | array | contents |
//! |---|---|
//! | values | the `V` different values, ascending: 1 byte for a bool, 8 for a number or a date (see [`Key`]); texts: `(V + 1) u64` ends, from 0, then the bytes |
//! | starts | `(V + 1) u64`: where the passages of each value begin, and the end of the last |
//! | passages | with at most [`MAX_BITMAPS`] values a roaring bitmap for each, and starts count bytes; else `u32` pids, ascending for each value, and starts count these |
//! | present | roaring bitmap: the passages that have a value in this column |
//!
//! Texts above 1,024 bytes cannot be compared: their column has no values, only the passages that have one.

mod build;
mod column;
mod key;
mod read;
#[cfg(test)]
mod tests;
mod value;

pub(crate) use build::ColumnsBuilder;
pub use read::{ColumnInfo, Columns};
pub use value::{Value, ValueKind, ValueType};

use serde::{Deserialize, Serialize};

/// Number of different values up to which a column has a bitmap for each of them. Where the union of bitmaps becomes
/// slower than pids that are scattered into one bitmap was not measured.
const MAX_BITMAPS: usize = 256;

/// Entry of the directory: a column and the lengths of its arrays, which follow each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    key: String,
    kind: ValueKind,
    /// Number of different values, `V`.
    values: u64,
    /// Number of passages that have a value in this column.
    passages: u32,
    /// Lengths of the arrays in bytes: values, starts, passages, present.
    bytes: [u64; 4],
}

impl Entry {
    /// Whether each value has a bitmap.
    fn has_bitmaps(&self) -> bool {
        self.values <= MAX_BITMAPS as u64
    }
}
