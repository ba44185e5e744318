//! Columns of a segment, mapped: ranges of values become sets of passages.

use super::column::{Column, parse};
use super::key::value_of;
use super::{Value, ValueKind, ValueType};
use crate::deleted::bitmap_of;
use crate::error::{Error, Result};
use crate::files::{FileKind, IndexFile};
use crate::framed_file::{FileEntry, FramedFile};
use crate::storage::Storage;
use bytes::Bytes;
use roaring::{MultiOps, RoaringBitmap};
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};
use std::ops::{Bound, Range};
use std::path::PathBuf;
use std::sync::Arc;

/// Number of pids from which they are scattered into a bit per passage, rather than sorted.
const LEAST_SCATTERED: usize = 1 << 12;

/// Reason why a pid that is too large is refused.
const OUTSIDE: &str = "a passage after the segment's last";

/// Columns of the metadata of a segment. Clones share the bytes.
#[derive(Clone, Debug)]
pub struct Columns(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    num_passages: u32,
    /// Ascending by key and kind.
    columns: Vec<Column>,
}

/// Sizes of a column.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ColumnInfo {
    /// Key, with the keys of nested objects joined by dots.
    pub key: String,
    /// Kind of its values.
    pub kind: ValueKind,
    /// Number of different values; 0 for long texts.
    pub values: u64,
    /// Number of passages that have a value.
    pub passages: u64,
    /// Bytes on disk.
    pub bytes: u64,
}

impl Columns {
    /// Maps the columns of a segment of `num_passages`. The directory is checked, and the arrays where they are used.
    pub(crate) fn open(
        storage: &dyn Storage,
        number: u32,
        named: FileEntry,
        num_passages: u32,
    ) -> Result<(Self, FramedFile)> {
        let file = FramedFile::open_named(storage, IndexFile::new(FileKind::Columns, number), named)?;
        Ok((Self::of_payload(file.path.clone(), &file.payload, num_passages)?, file))
    }

    /// Reads the directory of the file at `path`, which has this payload.
    pub(super) fn of_payload(path: PathBuf, payload: &Bytes, num_passages: u32) -> Result<Self> {
        match parse(payload) {
            Ok(columns) => Ok(Self(Arc::new(Inner { path, num_passages, columns }))),
            Err(what) => Err(Error::Columns { path, what }),
        }
    }

    /// Sizes of all columns, ascending by key and kind.
    pub fn infos(&self) -> impl Iterator<Item = ColumnInfo> + '_ {
        self.0.columns.iter().map(|Column { entry, .. }| ColumnInfo {
            key: entry.key.clone(),
            kind: entry.kind,
            values: entry.values,
            passages: entry.passages.into(),
            bytes: entry.bytes.iter().sum(),
        })
    }

    /// Sizes of the columns of several segments together. A value that several have counts once.
    pub(crate) fn merged_infos<'a>(segments: impl Iterator<Item = &'a Self>) -> Vec<ColumnInfo> {
        type Values<'a> = HashSet<&'a [u8]>;
        let mut merged: BTreeMap<(String, ValueKind), (ColumnInfo, Values<'_>)> = BTreeMap::new();
        for columns in segments {
            for (info, column) in columns.infos().zip(&columns.0.columns) {
                let key = (info.key.clone(), info.kind);
                let (sum, values) = merged
                    .entry(key)
                    .or_insert_with(|| (ColumnInfo { passages: 0, bytes: 0, ..info.clone() }, HashSet::new()));
                sum.passages += info.passages;
                sum.bytes += info.bytes;
                values.extend((0..column.num_values()).filter_map(|at| column.value(at)));
            }
        }
        merged.into_values().map(|(sum, values)| ColumnInfo { values: values.len() as u64, ..sum }).collect()
    }

    /// Passages that have a value of a type for a key, or any value with `None`.
    ///
    /// # Errors
    /// [`Error::Columns`] where the file is corrupt.
    pub fn present(&self, key: &str, of: Option<ValueType>) -> Result<RoaringBitmap> {
        let columns = self.columns(key).filter(|column| of.is_none() || column.entry.kind.value_type() == of);
        self.union(columns.map(|column| self.bitmap(&column.present)))
    }

    /// Passages that have a value between two for a key. Values of other types than the ends are not between them.
    ///
    /// # Errors
    /// [`Error::Columns`] where the file is corrupt.
    pub fn within(&self, key: &str, low: Bound<&Value>, high: Bound<&Value>) -> Result<RoaringBitmap> {
        let types = [low, high].map(|end| match end {
            Bound::Included(value) | Bound::Excluded(value) => Some(value.value_type()),
            Bound::Unbounded => None,
        });
        let of = types[0].or(types[1]);
        if types.iter().any(|end| end.is_some() && *end != of) {
            return Ok(RoaringBitmap::new());
        }
        let columns = self.columns(key).filter(|column| of.is_some() && column.entry.kind.value_type() == of);
        self.union(columns.map(|column| {
            let start = match low {
                Bound::Included(value) => self.rank(column, value, false)?,
                Bound::Excluded(value) => self.rank(column, value, true)?,
                Bound::Unbounded => 0,
            };
            let end = match high {
                Bound::Included(value) => self.rank(column, value, true)?,
                Bound::Excluded(value) => self.rank(column, value, false)?,
                Bound::Unbounded => column.num_values(),
            };
            self.passages(column, start..end)
        }))
    }

    /// Passages that have a text for a key which begins with `prefix` and for which `matches` holds.
    ///
    /// # Errors
    /// [`Error::Columns`] where the file is corrupt.
    pub fn texts(&self, key: &str, prefix: &str, matches: impl Fn(&str) -> bool) -> Result<RoaringBitmap> {
        let Some(column) = self.columns(key).find(|column| column.entry.kind == ValueKind::Text) else {
            return Ok(RoaringBitmap::new());
        };
        let start = self.rank(column, &Value::Text(prefix.to_owned()), false)?;
        let mut found = Vec::new();
        for at in start..column.num_values() {
            let Value::Text(text) = self.value(column, at)? else { continue };
            if !text.starts_with(prefix) {
                break;
            }
            if matches(&text) {
                found.push(self.passages(column, at..at + 1)?);
            }
        }
        Ok(found.union())
    }

    /// Number of the passages among some that have each value for a key; values that none of them has are left out.
    ///
    /// # Errors
    /// [`Error::Columns`] where the file is corrupt.
    pub fn counts(&self, key: &str, among: &RoaringBitmap) -> Result<Vec<(Value, u64)>> {
        let mut counts = Vec::new();
        for column in self.columns(key) {
            let of_values = match column.entry.has_bitmaps() {
                true => self.count_bitmaps(column, among)?,
                false => self.count_pids(column, among)?,
            };
            for (at, count) in of_values {
                counts.push((self.value(column, at)?, count));
            }
        }
        Ok(counts)
    }

    /// Places of the values with bitmaps that some passages have, and how many of these have each.
    fn count_bitmaps(&self, column: &Column, among: &RoaringBitmap) -> Result<Vec<(usize, u64)>> {
        let count = |at: usize| Ok((at, self.bitmap(&self.slice(column, at..at + 1)?)?.intersection_len(among)));
        let counts: Vec<(usize, u64)> = (0..column.num_values()).map(count).collect::<Result<_>>()?;
        Ok(counts.into_iter().filter(|&(_, count)| count > 0).collect())
    }

    /// Places and counts of the values with pids. All pids are looked through, as there may be millions of values.
    fn count_pids(&self, column: &Column, among: &RoaringBitmap) -> Result<Vec<(usize, u64)>> {
        let mut is_among = vec![false; self.0.num_passages as usize];
        among.iter().take_while(|&pid| pid < self.0.num_passages).for_each(|pid| is_among[pid as usize] = true);
        let mut counts: Vec<(usize, u64)> = Vec::new();
        for (place, &word) in column.passages.as_chunks().0.iter().enumerate() {
            let pid = u32::from_le_bytes(word) as usize;
            if !*is_among.get(pid).ok_or_else(|| self.bad(OUTSIDE))? {
                continue;
            }
            let at = column.value_at(place).ok_or_else(|| self.bad("passages of no value"))?;
            match counts.last_mut() {
                Some((last, count)) if *last == at => *count += 1,
                _ => counts.push((at, 1)),
            }
        }
        Ok(counts)
    }

    /// Columns of a key.
    fn columns(&self, key: &str) -> impl Iterator<Item = &Column> {
        let columns = &self.0.columns;
        let start = columns.partition_point(|column| column.entry.key.as_str() < key);
        columns[start..].iter().take_while(move |column| column.entry.key == key)
    }

    /// Number of a column's values below a value, or, with `or_equal`, of those that are not above it.
    fn rank(&self, column: &Column, value: &Value, or_equal: bool) -> Result<usize> {
        let (mut start, mut end) = (0, column.num_values());
        while start < end {
            let middle = start + (end - start) / 2;
            let order =
                self.value(column, middle)?.compare(value).ok_or_else(|| self.bad("a value of another type"))?;
            match order == Ordering::Less || or_equal && order == Ordering::Equal {
                true => start = middle + 1,
                false => end = middle,
            }
        }
        Ok(start)
    }

    /// Value of a column at a place.
    fn value(&self, column: &Column, at: usize) -> Result<Value> {
        let bytes = column.value(at).and_then(|bytes| value_of(column.entry.kind, bytes));
        bytes.ok_or_else(|| self.bad("a value that its column cannot have"))
    }

    /// Passages of the values at some places.
    fn passages(&self, column: &Column, places: Range<usize>) -> Result<RoaringBitmap> {
        if places.is_empty() {
            return Ok(RoaringBitmap::new());
        }
        if places.len() == column.num_values() {
            return self.bitmap(&column.present);
        }
        // Where each passage has one value, the fewer values are read: of a wide range, those outside of it.
        if column.has_one_value_each() && self.weight(column, &places)? > column.weight() / 2 {
            let [below, above] = [0..places.start, places.end..column.num_values()];
            return Ok(self.bitmap(&column.present)? - self.read(column, below)? - self.read(column, above)?);
        }
        self.read(column, places)
    }

    /// Number of bytes or pids of the values at some places.
    fn weight(&self, column: &Column, places: &Range<usize>) -> Result<u64> {
        let range = column.range(places.clone()).ok_or_else(|| self.bad("passages outside their array"))?;
        Ok(range.len() as u64)
    }

    /// Reads the passages of the values at some places.
    fn read(&self, column: &Column, places: Range<usize>) -> Result<RoaringBitmap> {
        if column.entry.has_bitmaps() {
            let bitmaps = places.map(|at| self.bitmap(&self.slice(column, at..at + 1)?));
            return self.union(bitmaps);
        }
        let pids = self.slice(column, places)?;
        let (words, num_passages) = (pids.as_chunks().0, self.0.num_passages);
        let set =
            if words.len() >= LEAST_SCATTERED { scattered(words, num_passages) } else { sorted(words, num_passages) };
        set.ok_or_else(|| self.bad(OUTSIDE))
    }

    /// Part of the array of passages that belongs to the values at some places.
    fn slice(&self, column: &Column, places: Range<usize>) -> Result<Bytes> {
        let range = column.range(places).ok_or_else(|| self.bad("passages outside their array"))?;
        let unit = column.unit();
        Ok(column.passages.slice(range.start * unit..range.end * unit))
    }

    /// Reads a bitmap.
    fn bitmap(&self, bytes: &[u8]) -> Result<RoaringBitmap> {
        bitmap_of(bytes, self.0.num_passages).map_err(|what| self.bad(what))
    }

    fn union(&self, bitmaps: impl Iterator<Item = Result<RoaringBitmap>>) -> Result<RoaringBitmap> {
        bitmaps.collect::<Result<Vec<_>>>().map(MultiOps::union)
    }

    fn bad(&self, what: &'static str) -> Error {
        Error::Columns { path: self.0.path.clone(), what }
    }
}

/// Set of many pids in any order; `None` if one is not below `num_passages`.
fn scattered(words: &[[u8; 4]], num_passages: u32) -> Option<RoaringBitmap> {
    let mut bits = vec![0u8; num_passages.div_ceil(8) as usize];
    for &word in words {
        let pid = u32::from_le_bytes(word);
        *bits.get_mut(pid as usize / 8)? |= 1 << (pid % 8);
    }
    let set = RoaringBitmap::from_lsb0_bytes(0, &bits);
    // The last byte may have bits for pids after the last.
    (set.range_cardinality(num_passages..) == 0).then_some(set)
}

/// Set of a few pids in any order; `None` if one is not below `num_passages`.
fn sorted(words: &[[u8; 4]], num_passages: u32) -> Option<RoaringBitmap> {
    let mut pids: Vec<u32> = words.iter().map(|&word| u32::from_le_bytes(word)).collect();
    pids.sort_unstable();
    pids.dedup();
    let set = RoaringBitmap::from_sorted_iter(pids).expect("sorted above");
    set.max().is_none_or(|last| last < num_passages).then_some(set)
}
