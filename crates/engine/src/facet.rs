//! Counts of the values that the best passages of a query have.

use crate::{Result, Snapshot};
use selvedge_index::{RoaringBitmap, Value};
use std::cmp::Reverse;

/// Values of one key among the best passages of a query.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Facet {
    /// Key of the metadata.
    pub key: String,
    /// Values with the numbers of passages that have them, most first. A passage with several values counts for each.
    pub counts: Vec<FacetCount>,
}

/// A value and the number of passages that have it.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct FacetCount {
    /// The value.
    pub value: Value,
    /// Number of passages that have it.
    pub passages: u64,
}

/// Counts the values of each key among passages, which are given by their pids.
pub(crate) fn count(snapshot: &Snapshot, keys: &[String], pids: &[u32]) -> Result<Vec<Facet>> {
    keys.iter().map(|key| Ok(Facet { key: key.clone(), counts: counts(snapshot, key, pids)? })).collect()
}

fn counts(snapshot: &Snapshot, key: &str, pids: &[u32]) -> Result<Vec<FacetCount>> {
    let all: RoaringBitmap = pids.iter().copied().collect();
    let mut counts: Vec<FacetCount> = Vec::new();
    for segment in snapshot.index().segments() {
        let first = segment.first_pid;
        let of_segment = all.range(first..first + segment.passages.num_passages() as u32);
        let local: RoaringBitmap = of_segment.map(|pid| pid - first).collect();
        if local.is_empty() {
            continue;
        }
        let columns = segment.columns.as_ref();
        let columns =
            columns.ok_or_else(|| selvedge_index::Error::NoColumns { path: snapshot.index().path().into() })?;
        counts.extend(columns.counts(key, &local)?.into_iter().map(|(value, passages)| FacetCount { value, passages }));
    }
    sum(&mut counts);
    Ok(counts)
}

/// Sums the counts of values that several segments or shards have, and orders them, most first.
pub(crate) fn sum(counts: &mut Vec<FacetCount>) {
    counts.sort_by(|a, b| order(&a.value, &b.value));
    counts.dedup_by(|next, kept| {
        let is_same = next.value == kept.value;
        kept.passages += if is_same { next.passages } else { 0 };
        is_same
    });
    counts.sort_by(|a, b| Reverse(a.passages).cmp(&Reverse(b.passages)).then_with(|| order(&a.value, &b.value)));
}

/// Order of values of any types.
fn order(a: &Value, b: &Value) -> std::cmp::Ordering {
    a.compare(b).unwrap_or_else(|| a.value_type().cmp(&b.value_type()))
}
