//! Changes of an existing index: passages are added, replaced and deleted, and segments are merged.
//!
//! Each change is one commit: a reader sees all of it or nothing, and after an error the index is as it was. An open
//! [`Engine`](crate::Engine) follows with [`Engine::refresh`](crate::Engine::refresh). One change runs at a time;
//! another one that is tried meanwhile fails with [`selvedge_index::Error::Locked`], which names the process.

mod add;
mod compact;
mod folder;
mod retrain;

pub(crate) use add::add_to;
pub use add::{Additions, add};
pub use compact::{CompactOptions, CompactReport, Retrain, compact};
pub use folder::{FileCounts, FolderReport, update_folder};

use crate::collection::{ReadOptions, ReadReport};
use crate::{Device, Error, Model, Result};
use selvedge_encoder::LoadOptions;
use selvedge_index::{Index, Manifest, Policy, SegmentEntry, Writer};
use std::collections::BTreeSet;
use std::path::Path;

/// Options of adding and replacing passages.
#[derive(Clone, Debug)]
pub struct AddOptions {
    /// Encoder of the passages.
    pub model: Model,
    /// Whether an encoder whose fingerprint is not the index's is accepted, with a warning.
    pub any_model: bool,
    /// Options of loading the encoder. For a maximum length that is `None`, the one stored in the index is used.
    pub encoder: LoadOptions,
    /// The device that compresses. The encoder runs where [`LoadOptions::executor`] says.
    pub device: Device,
    /// Bytes of memory that the change may use, without the model's weights and activations.
    pub memory_budget: u64,
    /// Options of reading a collection that is a folder.
    pub read: ReadOptions,
    /// Whether a passage replaces the one that has its id; otherwise such a passage is refused.
    pub replace: bool,
    /// The policy by which segments are merged after the commit; `None`: not at all.
    pub policy: Option<Policy>,
}

/// The index's encoder, the CPU, 4 GiB of memory, no replacement, [`default_policy`].
impl Default for AddOptions {
    fn default() -> Self {
        Self {
            model: Model::OfIndex,
            any_model: false,
            encoder: LoadOptions::default(),
            device: Device::Cpu,
            memory_budget: 4 << 30,
            read: ReadOptions::default(),
            replace: false,
            policy: Some(default_policy()),
        }
    }
}

/// The policy of merging: eight neighbours of a tier, the lowest up to 16,384 tokens, and segments of which more than a
/// quarter is deleted; up to 2^27 tokens per segment.
///
/// Of five policies none differed in the times of additions and of searches by more than two runs of one do
/// (`benches/record/xeon-clx-2c/2026-11-29-million.md`), so this one keeps the number of segments low. With a quarter
/// deleted, an index has at most a third more bytes than it needs, and each deletion stands for three passages that are
/// copied.
pub fn default_policy() -> Policy {
    Policy { fanout: 8, floor_tokens: 1 << 14, max_tokens: 1 << 27, max_deleted: 0.25 }
}

/// Drift above which added passages are said not to fit the codec: between more text of the same kind (1.07) and other
/// text. In an index of 5,000 descriptions of Debian packages, abstracts of computer science have 1.31, of aerodynamics
/// 1.48 (`benches/record/xeon-clx-2c/2026-11-29-living.md`).
pub const DRIFT: f32 = 1.2;

/// Tokens below which only a drift above [`FAR_DRIFT`] is named. Of single passages of the same kind it was 0.78 to
/// 1.29, of passages with a thousand tokens together 1.04 to 1.16 (the record named at [`DRIFT`]).
const MEASURED_TOKENS: u64 = 1000;
/// Drift that few tokens have only if the codec was trained on few itself: in an index of one note, other notes had
/// 150, and their scores meant nothing.
const FAR_DRIFT: f32 = 2.0;
/// Part of all tokens below which they are too few for another codec to be worth its training.
const RETRAINED_PART: f64 = 0.05;

/// Counts of a change.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct ChangeReport {
    /// Generation that the change committed; the one before if there was nothing to change.
    pub generation: u32,
    /// Number of passages added, those that replace others included.
    pub added: u32,
    /// Number of passages deleted, those that were replaced included.
    pub deleted: u32,
    /// Number of passages of the index.
    pub passages: u32,
    /// Number of embeddings of the index.
    pub tokens: u64,
    /// Number of segments of the index.
    pub segments: usize,
    /// How badly the added passages fit the codec of the index: the ratio of their residuals to the residuals of the
    /// passages that it was trained on, about 1 for text of the same kind; `None` if unknown. See [`DRIFT`].
    pub drift: Option<f32>,
    /// Number of embeddings in segments whose drift is above [`DRIFT`].
    pub drifted_tokens: u64,
    /// Number of added passages that were cut at the encoder's maximum length.
    pub truncated: usize,
    /// The encoder's maximum length of a passage in tokens; 0 for arrays.
    pub passage_maxlen: usize,
    /// Files and lines of the collection that were skipped; empty for documents and arrays.
    pub read: ReadReport,
}

impl ChangeReport {
    /// Counts of a change from `before` to `after`, to which `added` passages were added.
    fn new(before: &Manifest, after: &Manifest, added: u32) -> Self {
        let has_drifted = |segment: &&SegmentEntry| after.drift(segment).is_some_and(|drift| drift > DRIFT);
        let tokens = |segment: &SegmentEntry| u64::from(segment.num_alive_tokens());
        Self {
            generation: after.generation,
            added,
            deleted: before.num_passages() + added - after.num_passages(),
            passages: after.num_passages(),
            tokens: after.num_tokens(),
            segments: after.segments.len(),
            drifted_tokens: after.segments.iter().filter(has_drifted).map(tokens).sum(),
            drift: after.segments.last().filter(|_| added > 0).and_then(|last| after.drift(last)),
            ..Self::default()
        }
    }

    /// Drift of the added passages if it is above [`DRIFT`], or far above it if they are few, and if the index has
    /// enough of their kind for another codec to be worth its training.
    pub fn excess_drift(&self) -> Option<f32> {
        let limit = if self.drifted_tokens < MEASURED_TOKENS { FAR_DRIFT } else { DRIFT };
        let is_enough = self.drifted_tokens as f64 >= RETRAINED_PART * self.tokens as f64;
        self.drift.filter(|&drift| drift > limit && is_enough)
    }
}

/// Deletes the passages with these ids; an id that is given twice counts once. Ids without a passage are an error, in
/// which case no passage is deleted, unless `ignore_missing`.
///
/// # Errors
/// [`Error::UnknownIds`], or [`Error::Index`] if the index cannot be opened or written. The index is then as it was.
pub fn delete(path: &Path, ids: &[impl AsRef<str>], ignore_missing: bool) -> Result<ChangeReport> {
    delete_in(Writer::open(path)?, ids, ignore_missing)
}

/// Deletes passages of the index that a writer changes.
pub(crate) fn delete_in(mut writer: Writer, ids: &[impl AsRef<str>], ignore_missing: bool) -> Result<ChangeReport> {
    let before = manifest_of(&writer);
    let mut missing = Vec::new();
    for id in ids.iter().map(AsRef::as_ref).collect::<BTreeSet<&str>>() {
        if !writer.delete(id)? {
            missing.push(id);
        }
    }
    if !missing.is_empty() && !ignore_missing {
        return Err(Error::unknown_ids(&missing));
    }
    let after = writer.commit()?;
    Ok(ChangeReport::new(&before, &after, 0))
}

/// The index that a writer changes.
pub(crate) fn index_of(writer: &Writer) -> &Index {
    writer.index().expect("the writer changes an index")
}

/// Manifest of the index that a writer changes.
fn manifest_of(writer: &Writer) -> Manifest {
    index_of(writer).manifest().clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drift_is_named_where_enough_tokens_have_it() {
        let report =
            |drift, drifted_tokens, tokens| ChangeReport { drift, drifted_tokens, tokens, ..Default::default() };
        assert_eq!(report(Some(1.3), 1000, 20_000).excess_drift(), Some(1.3));
        assert_eq!(report(Some(DRIFT), 1000, 20_000).excess_drift(), None);
        assert_eq!(report(None, 1000, 20_000).excess_drift(), None);
        assert_eq!(report(Some(1.3), 999, 2000).excess_drift(), None, "too few for a mean");
        assert_eq!(report(Some(2.1), 40, 80).excess_drift(), Some(2.1));
        assert_eq!(report(Some(1.3), 1000, 20_001).excess_drift(), None, "too few of all");
    }
}
