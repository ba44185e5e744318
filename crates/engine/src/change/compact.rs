//! Merging of segments, by a policy or on demand.

use super::retrain::retrain;
use super::{default_policy, manifest_of};
use crate::build::Budget;
use crate::progress::{Progress, Stage};
use crate::words;
use crate::{Device, Error, Language, Result};
use selvedge_index::{Check, Index, Limits, Manifest, Policy, SegmentEntry, Writer};
use std::ops::Range;
use std::path::Path;

/// Options of [`compact`].
#[derive(Clone, Debug)]
pub struct CompactOptions {
    /// Bytes of memory that may be used, without the model's weights and activations.
    pub memory_budget: u64,
    /// Whether another codec is trained.
    pub retrain: Retrain,
    /// Language of the words of the index, if it is to have words, or words of another language.
    pub language: Option<Language>,
    /// The device that trains and compresses.
    pub device: Device,
}

/// 4 GiB of memory, the same codec and words, the CPU.
impl Default for CompactOptions {
    fn default() -> Self {
        Self { memory_budget: 4 << 30, retrain: Retrain::No, language: None, device: Device::Cpu }
    }
}

/// Embeddings that another codec is trained on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retrain {
    /// The codec stays.
    #[default]
    No,
    /// The embeddings that the index stores, decoded: without the model, but they are quantized a second time.
    /// Recall@10 against exact search fell from 0.948 to 0.929
    /// (`benches/record/xeon-clx-2c/2026-11-29-living.md`).
    FromStored,
    /// The stored text, encoded again by the model that made the index: as slow as a build, and as good.
    FromText,
}

/// Counts of [`compact`].
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct CompactReport {
    /// Generation before.
    pub generation_before: u32,
    /// Generation after the last merge.
    pub generation: u32,
    /// Number of segments before.
    pub segments_before: usize,
    /// Number of segments after.
    pub segments: usize,
    /// Bytes on disk before.
    pub bytes_before: u64,
    /// Bytes on disk after.
    pub bytes: u64,
}

impl CompactReport {
    /// Whether a merge or another codec was committed.
    pub fn is_changed(&self) -> bool {
        self.generation != self.generation_before
    }
}

/// Merges all neighbours that fit one segment, and copies segments with deleted passages: the index becomes as small as
/// it can be. Each merge is a commit of its own, so that little is lost if the process ends. Words of another language
/// are made before, in one commit. Another codec, if [`CompactOptions::retrain`] demands one, is trained before and
/// swapped in one commit.
///
/// # Errors
/// [`Error::Budget`] if the memory budget is too small, [`Error::Index`] if the index cannot be opened or written,
/// [`Error::Cancelled`] if `progress` asks to stop. What was committed before stays. With a language,
/// [`Error::NoTextForWords`] if the index was made from embeddings. With [`Retrain`], also
/// [`Error::NoDocuments`] if there is no passage, the errors of training and of the device, and for
/// [`Retrain::FromText`] [`Error::MadeFromEmbeddings`], [`Error::WithoutText`] and the errors of the encoder.
pub fn compact(path: &Path, options: &CompactOptions, progress: &dyn Progress) -> Result<CompactReport> {
    let before = Index::open(path, Check::Structure)?;
    if options.language.is_some() && before.encoder().is_none() && before.num_passages() > 0 {
        return Err(Error::NoTextForWords { path: path.into() });
    }
    if options.retrain != Retrain::No {
        retrain(path, options, progress)?;
    }
    let (policy, limits) = within(default_policy(), options.memory_budget, before.dim());
    let plan = |segments: &[SegmentEntry]| policy.plan_all(segments);
    let ((segments_before, bytes_before), generation_before) = (sizes(&before), before.generation());
    let other_words = options.language.filter(|language| before.manifest().language != Some(language.to_string()));
    // Its files are not needed any more, and those that are merged go with each commit.
    drop(before);
    if let Some(language) = other_words {
        change_words(path, language, limits, progress)?;
    }
    merge_by(path, plan, limits, progress)?;
    let after = Index::open(path, Check::Structure)?;
    let (segments, bytes) = sizes(&after);
    let generation = after.generation();
    Ok(CompactReport { generation, segments_before, segments, generation_before, bytes_before, bytes })
}

/// Copies all segments, each with words in a language, and commits them together.
fn change_words(path: &Path, language: Language, limits: Limits, progress: &dyn Progress) -> Result<()> {
    let mut writer = Writer::open(path)?;
    words::make(&mut writer, language);
    let manifest = manifest_of(&writer);
    let mut stage = Stage::new(progress, "words", "passages", Some(manifest.num_passages().into()));
    for (at, segment) in manifest.segments.iter().enumerate() {
        // A segment stays one, however many tokens it has, unless its words fill it.
        let segment_tokens = limits.segment_tokens.max(segment.num_tokens);
        writer.set_limits(Limits { segment_tokens, ..limits });
        writer.merge::<Error>(at..at + 1, |copied| stage.add(copied as u64))?;
    }
    writer.commit()?;
    Ok(())
}

/// Number of segments of an index, and bytes of all its files.
fn sizes(index: &Index) -> (usize, u64) {
    (index.segments().len(), index.bytes_on_disk().values().sum())
}

/// The policy for segments that can be written within a memory budget, and the limits of these.
pub(super) fn within(policy: Policy, memory_budget: u64, dim: usize) -> (Policy, Limits) {
    let limits = Budget::new(memory_budget, dim).limits();
    let max_tokens = policy.max_tokens.min(limits.segment_tokens);
    (Policy { max_tokens, ..policy }, Limits { segment_tokens: max_tokens, ..limits })
}

/// Merges segments as `plan` says, one commit each, until it says nothing more; returns the last manifest. The plan
/// merges no more tokens than the limits, so that each merge leaves fewer segments, or fewer with deleted passages.
pub(super) fn merge_by(
    path: &Path,
    plan: impl Fn(&[SegmentEntry]) -> Vec<Range<usize>>,
    limits: Limits,
    progress: &dyn Progress,
) -> Result<Manifest> {
    // Segments up to this place stay as they are: columns or words may fill a segment before its tokens do, and then a
    // merge leaves as many segments, and another would again.
    let mut settled = 0;
    loop {
        let mut writer = Writer::open(path)?;
        words::keep(&mut writer)?;
        let manifest = manifest_of(&writer);
        let planned = plan(&manifest.segments).into_iter().find(|places| places.start >= settled);
        let Some(places) = planned else { return Ok(manifest) };
        writer.set_limits(limits);
        let passages: u32 = manifest.segments[places.clone()].iter().map(SegmentEntry::num_alive).sum();
        let mut stage = Stage::new(progress, "merge", "passages", Some(passages.into()));
        writer.merge::<Error>(places.clone(), |copied| stage.add(copied as u64))?;
        let merged = writer.commit()?;
        let left = merged.segments.len() + places.len() - manifest.segments.len();
        if places.len() > 1 && left >= places.len() {
            settled = places.start + left;
        }
    }
}
