//! Columns of a segment, mapped: ranges of values become sets of passages.

use super::key::{value_of, width};
use super::{Entry, Value, ValueKind, ValueType};
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

/// One column: the values of one kind that passages have for a key.
#[derive(Debug)]
struct Column {
    entry: Entry,
    values: Bytes,
    starts: Bytes,
    passages: Bytes,
    present: Bytes,
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
            for at in 0..column.num_values() {
                let count = self.count(column, at, among)?;
                if count > 0 {
                    counts.push((self.value(column, at)?, count));
                }
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
        set.ok_or_else(|| self.bad("a passage after the segment's last"))
    }

    /// Number of passages among some that have the value at a place.
    fn count(&self, column: &Column, at: usize, among: &RoaringBitmap) -> Result<u64> {
        let bytes = self.slice(column, at..at + 1)?;
        if column.entry.has_bitmaps() {
            return Ok(self.bitmap(&bytes)?.intersection_len(among));
        }
        let pids = bytes.as_chunks().0.iter().map(|&word| u32::from_le_bytes(word));
        Ok(pids.filter(|&pid| among.contains(pid)).count() as u64)
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

impl Column {
    fn num_values(&self) -> usize {
        self.entry.values as usize
    }

    /// Number of bytes that starts count.
    fn unit(&self) -> usize {
        if self.entry.has_bitmaps() { 1 } else { size_of::<u32>() }
    }

    /// Number of bytes or pids of all values.
    fn weight(&self) -> u64 {
        (self.passages.len() / self.unit()) as u64
    }

    /// Whether no passage has two values: known only where the passages are pids.
    fn has_one_value_each(&self) -> bool {
        !self.entry.has_bitmaps() && self.weight() == u64::from(self.entry.passages)
    }

    /// Bytes of the value at a place.
    fn value(&self, at: usize) -> Option<&[u8]> {
        if let Some(width) = width(self.entry.kind) {
            return self.values.get(at * width..(at + 1) * width);
        }
        let texts = (self.num_values() + 1) * size_of::<u64>();
        let (start, end) = (word(&self.values, at)?, word(&self.values, at + 1)?);
        self.values.get(texts..)?.get(start..end)
    }

    /// Range of bytes or pids of the values at some places.
    fn range(&self, places: Range<usize>) -> Option<Range<usize>> {
        let range = word(&self.starts, places.start)?..word(&self.starts, places.end)?;
        (range.start <= range.end && range.end <= self.passages.len() / self.unit()).then_some(range)
    }
}

/// Number at a place of an array.
fn word(array: &Bytes, at: usize) -> Option<usize> {
    let bytes = array.as_chunks().0.get(at)?;
    usize::try_from(u64::from_le_bytes(*bytes)).ok()
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

/// Locates the columns of a payload; an error says what is wrong.
fn parse(payload: &Bytes) -> Result<Vec<Column>, &'static str> {
    const SHORT: &str = "too short for its directory";
    let trailer = payload.len().checked_sub(size_of::<u64>()).ok_or(SHORT)?;
    let bytes = u64::from_le_bytes(payload[trailer..].try_into().expect("eight bytes"));
    let arrays = usize::try_from(bytes).ok().and_then(|bytes| trailer.checked_sub(bytes)).ok_or(SHORT)?;
    let directory: Vec<Entry> =
        serde_json::from_slice(&payload[arrays..trailer]).map_err(|_| "a directory that cannot be read")?;
    if !directory.is_sorted_by(|a, b| (&a.key, a.kind) < (&b.key, b.kind)) {
        return Err("a directory that is not in order");
    }
    let mut at = 0usize;
    let mut columns = Vec::with_capacity(directory.len());
    for entry in directory {
        let mut take = |bytes: u64| {
            let end = usize::try_from(bytes).ok().and_then(|bytes| at.checked_add(bytes)).filter(|&end| end <= arrays);
            let range = at..end.ok_or("an array outside the file")?;
            at = range.end;
            Ok::<_, &'static str>(payload.slice(range))
        };
        let [values, starts, passages, present] = entry.bytes;
        let (values, starts) = (take(values)?, take(starts)?);
        let (passages, present) = (take(passages)?, take(present)?);
        if entry.values.checked_add(1).and_then(|words| words.checked_mul(8)) != Some(starts.len() as u64) {
            return Err("not one start for each value");
        }
        columns.push(Column { entry, values, starts, passages, present });
    }
    match at == arrays {
        true => Ok(columns),
        false => Err("bytes that belong to no column"),
    }
}
