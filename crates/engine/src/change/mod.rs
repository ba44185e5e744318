//! Changes of an existing index: passages are added, replaced and deleted, and segments are merged.
//!
//! Each change is one commit: a reader sees all of it or nothing, and after an error the index is as it was. An open
//! [`Engine`](crate::Engine) follows with [`Engine::refresh`](crate::Engine::refresh). One change runs at a time;
//! another one that is tried meanwhile fails with [`selvedge_index::Error::Locked`], which names the process.

mod add;
mod compact;
mod folder;
mod retrain;

pub use add::{Additions, add};
pub use compact::{CompactOptions, CompactReport, Retrain, compact};
pub use folder::{FileCounts, FolderReport, update_folder};

use crate::collection::{ReadOptions, ReadReport};
use crate::{Device, Error, Model, Result};
use selvedge_encoder::LoadOptions;
use selvedge_index::{Manifest, Policy, Writer};
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
    /// The device that compresses. The encoder runs on the CPU.
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
pub fn default_policy() -> Policy {
    Policy { fanout: 8, floor_tokens: 1 << 14, max_tokens: 1 << 27, max_deleted: 0.25 }
}

/// Drift above which added passages are said not to fit the codec: between more text of the same kind (1.07) and other
/// text. In an index of 5,000 descriptions of Debian packages, abstracts of computer science have 1.31, of aerodynamics
/// 1.48 (`benches/record/xeon-clx-2c/2026-11-29-living.md`).
pub const DRIFT: f32 = 1.2;

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
        Self {
            generation: after.generation,
            added,
            deleted: before.num_passages() + added - after.num_passages(),
            passages: after.num_passages(),
            tokens: after.num_tokens(),
            segments: after.segments.len(),
            drift: after.segments.last().filter(|_| added > 0).and_then(|last| after.drift(last)),
            ..Self::default()
        }
    }
}

/// Deletes the passages with these ids; an id that is given twice counts once. Ids without a passage are an error, in
/// which case no passage is deleted, unless `ignore_missing`.
///
/// # Errors
/// [`Error::UnknownIds`], or [`Error::Index`] if the index cannot be opened or written. The index is then as it was.
pub fn delete(path: &Path, ids: &[impl AsRef<str>], ignore_missing: bool) -> Result<ChangeReport> {
    let mut writer = Writer::open(path)?;
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

/// Manifest of the index that a writer changes.
fn manifest_of(writer: &Writer) -> Manifest {
    writer.index().expect("the writer changes an index").manifest().clone()
}
