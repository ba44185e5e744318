//! One column of a mapped file: where its values and their passages are.

use super::Entry;
use super::key::width;
use bytes::Bytes;
use std::ops::Range;

/// One column: the values of one kind that passages have for a key.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) entry: Entry,
    pub(super) values: Bytes,
    pub(super) starts: Bytes,
    pub(super) passages: Bytes,
    pub(super) present: Bytes,
}

impl Column {
    pub(super) fn num_values(&self) -> usize {
        self.entry.values as usize
    }

    /// Number of bytes that starts count.
    pub(super) fn unit(&self) -> usize {
        if self.entry.has_bitmaps() { 1 } else { size_of::<u32>() }
    }

    /// Number of bytes or pids of all values.
    pub(super) fn weight(&self) -> u64 {
        (self.passages.len() / self.unit()) as u64
    }

    /// Whether each passage of the column has one value. With bitmaps this is unknown, and the answer is false.
    pub(super) fn has_one_value_each(&self) -> bool {
        !self.entry.has_bitmaps() && self.weight() == u64::from(self.entry.passages)
    }

    /// Bytes of the value at a place.
    pub(super) fn value(&self, at: usize) -> Option<&[u8]> {
        if let Some(width) = width(self.entry.kind) {
            return self.values.get(at * width..(at + 1) * width);
        }
        let texts = (self.num_values() + 1) * size_of::<u64>();
        let (start, end) = (word(&self.values, at)?, word(&self.values, at + 1)?);
        self.values.get(texts..)?.get(start..end)
    }

    /// Place of the value that the pid at a place belongs to, by bisection; `None` if the starts do not cover it.
    pub(super) fn value_at(&self, pid_at: usize) -> Option<usize> {
        let (mut start, mut end) = (0, self.num_values());
        while start < end {
            let middle = start + (end - start) / 2;
            match word(&self.starts, middle + 1)? <= pid_at {
                true => start = middle + 1,
                false => end = middle,
            }
        }
        (start < self.num_values()).then_some(start)
    }

    /// Range of bytes or pids of the values at some places.
    pub(super) fn range(&self, places: Range<usize>) -> Option<Range<usize>> {
        let range = word(&self.starts, places.start)?..word(&self.starts, places.end)?;
        (range.start <= range.end && range.end <= self.passages.len() / self.unit()).then_some(range)
    }
}

/// Number at a place of an array.
fn word(array: &Bytes, at: usize) -> Option<usize> {
    let bytes = array.as_chunks().0.get(at)?;
    usize::try_from(u64::from_le_bytes(*bytes)).ok()
}

/// Locates the columns of a payload; an error says what is wrong.
pub(super) fn parse(payload: &Bytes) -> Result<Vec<Column>, &'static str> {
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
