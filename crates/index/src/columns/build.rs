//! Builder of the columns of one segment, in memory.

use super::key::{Key, key_of, width};
use super::{Entry, Value, ValueKind};
use crate::error::Result;
use crate::files::{FileKind, IndexFile};
use crate::framed_file::{FileEntry, FramedFileWriter};
use crate::storage::Storage;
use roaring::RoaringBitmap;
use std::collections::{BTreeMap, HashMap};

/// Bytes of memory of a passage's value.
const ENTRY_BYTES: usize = size_of::<(u32, u32)>();
/// Bytes of memory of a different value beside its own bytes: a slot of the table, of which some stay empty, and the
/// overhead of an allocation.
const VALUE_BYTES: usize = 48;

/// Bytes of memory of a column beside its key: two empty tables, and its places in the tables of the builder.
const COLUMN_BYTES: usize = 320;

/// Columns of the passages so far.
#[derive(Default)]
pub(crate) struct ColumnsBuilder {
    count: u32,
    /// Memory of the entries and values, in bytes, approximately.
    held_bytes: usize,
    columns: BTreeMap<String, BTreeMap<ValueKind, Column>>,
}

/// Values of one column so far.
#[derive(Default)]
struct Column {
    /// Number of each different value.
    numbers: HashMap<Key, u32>,
    /// Number of a value and pid of a passage that has it, in order of pids.
    entries: Vec<(u32, u32)>,
}

impl ColumnsBuilder {
    /// Memory of the columns so far, in bytes, approximately.
    pub(crate) fn bytes_held(&self) -> usize {
        self.held_bytes
    }

    /// Appends the metadata of the next passage: a JSON object, or nothing.
    pub(crate) fn push(&mut self, metadata: &[u8]) {
        let pid = self.count;
        self.count += 1;
        // The writer's input was checked. A merge copies the documents of a damaged index as they are, and verifying
        // finds them.
        if let Ok(json) = serde_json::from_slice::<serde_json::Value>(metadata) {
            self.add(None, &json, pid);
        }
    }

    /// Adds the values of a JSON value with this key; `None` for the whole, which is an object.
    fn add(&mut self, key: Option<&str>, json: &serde_json::Value, pid: u32) {
        match json {
            serde_json::Value::Object(fields) => {
                for (name, value) in fields {
                    match key {
                        Some(key) => self.add(Some(&format!("{key}.{name}")), value, pid),
                        None => self.add(Some(name), value, pid),
                    }
                }
            }
            serde_json::Value::Array(elements) => elements.iter().for_each(|element| self.add(key, element, pid)),
            scalar => {
                if let (Some(key), Some(value)) = (key, Value::of_json(scalar)) {
                    self.add_value(key, &value, pid);
                }
            }
        }
    }

    fn add_value(&mut self, key: &str, value: &Value, pid: u32) {
        if !self.columns.contains_key(key) {
            self.columns.insert(key.to_owned(), BTreeMap::new());
        }
        let kinds = self.columns.get_mut(key).expect("inserted above");
        let column = kinds.entry(value.kind()).or_default();
        self.held_bytes += if column.entries.is_empty() { COLUMN_BYTES + key.len() } else { 0 };
        let bytes = if value.kind() == ValueKind::Long { Key::default() } else { key_of(value) };
        let next = column.numbers.len() as u32;
        let len = bytes.len();
        let number = *column.numbers.entry(bytes).or_insert(next);
        self.held_bytes += ENTRY_BYTES + if number == next { VALUE_BYTES + len } else { 0 };
        column.entries.push((number, pid));
    }

    /// Writes the columns as file `number`.
    pub(crate) fn write(self, storage: &dyn Storage, number: u32) -> Result<FileEntry> {
        let mut out = FramedFileWriter::create(storage, IndexFile::new(FileKind::Columns, number))?;
        self.encode(|bytes| out.write(bytes))?;
        out.finish()
    }

    /// Payload of the columns' file.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        let mut payload = Vec::new();
        self.encode(|bytes| {
            payload.extend_from_slice(bytes);
            Ok(())
        })
        .expect("memory takes every byte");
        payload
    }

    /// Hands the payload out, piece by piece.
    fn encode(self, mut write: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut directory = Vec::new();
        for (key, kinds) in self.columns {
            for (kind, column) in kinds {
                let (entry, arrays) = column.encode(key.clone(), kind);
                arrays.iter().try_for_each(|array| write(array))?;
                directory.push(entry);
            }
        }
        let directory = serde_json::to_vec(&directory).expect("names and numbers become JSON");
        write(&directory)?;
        write(&(directory.len() as u64).to_le_bytes())
    }
}

impl Column {
    /// Entry of the directory, and the four arrays.
    fn encode(mut self, key: String, kind: ValueKind) -> (Entry, [Vec<u8>; 4]) {
        let present = bitmap(dedup(self.entries.iter().map(|&(_, pid)| pid)));
        let values = self.sort(kind);
        let (starts, passages) = match values.len() <= super::MAX_BITMAPS {
            true => self.bitmaps(values.len()),
            false => self.pids(values.len()),
        };
        let arrays = [encode_values(kind, &values), words(&starts), passages, serialized(&present)];
        let bytes = std::array::from_fn(|array| arrays[array].len() as u64);
        (Entry { key, kind, values: values.len() as u64, passages: present.len() as u32, bytes }, arrays)
    }

    /// Sorts the values, numbers them in this order, and sorts the entries by value and pid. Returns the values.
    fn sort(&mut self, kind: ValueKind) -> Vec<Key> {
        if kind == ValueKind::Long {
            self.entries.clear();
            return Vec::new();
        }
        let mut values: Vec<(Key, u32)> = std::mem::take(&mut self.numbers).into_iter().collect();
        values.sort_unstable();
        let mut ranks = vec![0; values.len()];
        for (rank, &(_, number)) in (0..).zip(&values) {
            ranks[number as usize] = rank;
        }
        self.entries.iter_mut().for_each(|(number, _)| *number = ranks[*number as usize]);
        self.entries.sort_unstable();
        self.entries.dedup();
        values.into_iter().map(|(key, _)| key).collect()
    }

    /// Starts and bitmaps of the passages of each value.
    fn bitmaps(&self, num_values: usize) -> (Vec<u64>, Vec<u8>) {
        let (mut starts, mut passages) = (Vec::with_capacity(num_values + 1), Vec::new());
        for pids in self.entries.chunk_by(|a, b| a.0 == b.0) {
            starts.push(passages.len() as u64);
            passages.extend(serialized(&bitmap(pids.iter().map(|&(_, pid)| pid))));
        }
        starts.push(passages.len() as u64);
        (starts, passages)
    }

    /// Starts and pids of the passages of each value.
    fn pids(&self, num_values: usize) -> (Vec<u64>, Vec<u8>) {
        let mut starts = vec![0; num_values + 1];
        self.entries.iter().for_each(|&(rank, _)| starts[rank as usize + 1] += 1);
        (0..num_values).for_each(|rank| starts[rank + 1] += starts[rank]);
        (starts, self.entries.iter().flat_map(|&(_, pid)| pid.to_le_bytes()).collect())
    }
}

/// Bitmap of ascending pids.
fn bitmap(pids: impl Iterator<Item = u32>) -> RoaringBitmap {
    let mut bitmap = RoaringBitmap::from_sorted_iter(pids).expect("pids ascend");
    bitmap.optimize();
    bitmap
}

/// Leaves out repetitions.
fn dedup(pids: impl Iterator<Item = u32>) -> impl Iterator<Item = u32> {
    let mut last = None;
    pids.filter(move |&pid| last.replace(pid) != Some(pid))
}

fn encode_values(kind: ValueKind, values: &[Key]) -> Vec<u8> {
    let mut bytes = Vec::new();
    if width(kind).is_none() {
        let ends = values.iter().scan(0, |end, value| {
            *end += value.len() as u64;
            Some(*end)
        });
        bytes = words(&std::iter::once(0).chain(ends).collect::<Vec<_>>());
    }
    values.iter().for_each(|value| bytes.extend_from_slice(value));
    bytes
}

fn words(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn serialized(bitmap: &RoaringBitmap) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(bitmap.serialized_size());
    bitmap.serialize_into(&mut bytes).expect("memory takes every byte");
    bytes
}
