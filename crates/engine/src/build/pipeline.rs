//! Embeddings to an index, in two passes over the collection and within a memory budget.
//!
//! ```text
//! pass 1  sampled passages --fetch--> embeddings --> rows for k-means (reservoir), and a spool
//!         train: centroids, levels, weights
//! pass 2  every passage, in order --spool or fetch--> codes + packed residuals --> segment files
//! ```
//!
//! A block is encoded while the one before is compressed and written. Every passage is encoded once: embeddings of pass
//! 1 are kept in the spool, a file beside the index's files. It holds at most ColBERTv2's sample
//! (`plan::sampled_passages`).

use super::BuildOptions;
use super::budget::Budget;
use super::compress::{Compress, OnBackend};
use super::reservoir::Reservoir;
use crate::progress::Stage;
use crate::save::Saver;
use crate::source::Source;
use crate::{Error, Progress, Result};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use selvedge_backend::Backend;
use selvedge_codec::{TrainOptions, plan, train};
use selvedge_encoder::Embeddings;
use selvedge_index::{SpoolReader, Writer};
use std::ops::Range;

/// Embeddings per block whose residuals are measured at most: enough for a mean, and a small part of the work.
const MEASURED_ROWS: usize = 4096;

/// Counts of a build.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Number of passages sampled for training.
    pub sampled_passages: usize,
    /// Number of embeddings that the codec was trained on.
    pub sampled_tokens: usize,
    /// Number of embeddings of the collection.
    pub num_tokens: u64,
    /// Number of k-means iterations.
    pub kmeans_rounds: usize,
}

/// Trains the codec and writes it and all passages to `writer`, which then lacks only the manifest.
///
/// `options`: codec, bits, centroids, memory budget and seed are used; the source is already pooled. `saver` receives
/// the uncompressed embeddings of all passages.
///
/// # Errors
/// - [`Error::Budget`] if the memory budget is too small, [`Error::NoTokens`] if no passage has a token.
/// - [`Error::Sample`], [`Error::Codec`] and [`Error::Backend`] if an embedding cannot be compressed or the device
///   fails.
/// - [`Error::Index`] and [`Error::Io`] if the index or `saver` cannot be written, such as a full disk.
/// - [`Error::Cancelled`] if `progress` stops the build.
/// - The errors of the source.
pub fn run<B: Backend>(
    backend: &B,
    writer: &mut Writer,
    source: &mut dyn Source,
    options: &BuildOptions,
    saver: Option<&mut Saver>,
    progress: &dyn Progress,
) -> Result<Counts> {
    let budget = Budget::new(options.memory_budget, source.dim());
    let (num_passages, max_doclen) = (source.num_passages(), source.max_doclen().max(1));
    budget.check(options.num_centroids, max_doclen)?;
    let block = budget.block_passages(max_doclen);
    writer.set_limits(budget.limits());

    let mut sampled = sample_pids(num_passages, options.seed);
    let most_centroids = options.num_centroids.unwrap_or_else(|| plan::num_centroids(source.max_tokens()));
    let capacity = budget.sample_rows().min(plan::sampled_embeddings(most_centroids));
    let mut sample = collect_sample(writer, source, &sampled, block, capacity, options.seed, progress)?;
    if sample.seen == 0 && sampled.len() < num_passages {
        // No sampled passage has a token: nearly every passage is empty.
        sampled = (0..num_passages as u32).collect();
        sample = collect_sample(writer, source, &sampled, block, capacity, options.seed, progress)?;
    }
    let mut counts = Counts {
        sampled_passages: sampled.len(),
        sampled_tokens: sample.rows.len() / source.dim(),
        ..Counts::default()
    };
    if sample.seen == 0 {
        return Err(Error::NoTokens);
    }
    let estimate = (sample.seen as f64 * num_passages as f64 / sampled.len() as f64) as usize;
    let num_centroids = options.num_centroids.unwrap_or_else(|| plan::num_centroids(estimate));
    budget.check(Some(num_centroids.min(counts.sampled_tokens)), max_doclen)?;
    let mut train_options = TrainOptions::new(options.nbits, num_centroids);
    (train_options.kind, train_options.seed) = (options.codec, options.seed);
    train_options.assignment = options.assignment;
    let trained = train(backend, source.dim(), sample.rows, &train_options, progress);
    let codec = trained.map_err(of_sample)?;
    counts.kmeans_rounds = train_options.iterations;
    writer.set_codec(&codec)?;

    let spooled = Spooled { pids: &sampled, lens: sample.lens, next: 0, reader: sample.spool };
    let codec = OnBackend::new(backend, &codec, options.assignment)?;
    counts.num_tokens = compress(&codec, writer, source, spooled, block, saver, progress)?;
    Ok(counts)
}

/// Compresses all passages with the codec of an index, which has `num_centroids`, and appends them to `writer`; returns
/// the number of embeddings. `source` is already pooled.
///
/// # Errors
/// As [`run`].
pub(crate) fn append(
    codec: &dyn Compress,
    num_centroids: usize,
    writer: &mut Writer,
    source: &mut dyn Source,
    memory_budget: u64,
    saver: Option<&mut Saver>,
    progress: &dyn Progress,
) -> Result<u64> {
    let budget = Budget::new(memory_budget, source.dim());
    let max_doclen = source.max_doclen().max(1);
    budget.check(Some(num_centroids), max_doclen)?;
    writer.set_limits(budget.limits());
    let none = Spooled { pids: &[], lens: Vec::new(), next: 0, reader: None };
    compress(codec, writer, source, none, budget.block_passages(max_doclen), saver, progress)
}

/// Fetches and compresses all passages of `source`, `block` at a time, and appends them to `writer`. Embeddings that
/// are spooled are not fetched again.
fn compress(
    codec: &dyn Compress,
    writer: &mut Writer,
    source: &mut dyn Source,
    mut spooled: Spooled<'_>,
    block: usize,
    mut saver: Option<&mut Saver>,
    progress: &dyn Progress,
) -> Result<u64> {
    let num_passages = source.num_passages();
    let mut num_tokens = 0;
    let mut stage = Stage::new(progress, "index", "passages", Some(num_passages as u64));
    let blocks = (0..num_passages).step_by(block).map(|start| start as u32..num_passages.min(start + block) as u32);
    let fetch = |pids: Range<u32>| spooled.fetch(source, &pids.collect::<Vec<_>>());
    overlapped(blocks, fetch, |mut embeddings| {
        let first = num_tokens as usize;
        num_tokens += embeddings.lens.iter().map(|&l| u64::from(l)).sum::<u64>();
        if let Some(saver) = saver.as_deref_mut() {
            saver.push(&embeddings)?;
        }
        let compressed = codec.compress(&mut embeddings.data);
        let (codes, packed) = compressed.map_err(|error| error.numbered_from(first))?;
        let step = codes.len().div_ceil(MEASURED_ROWS).max(1);
        writer.note_residuals(codec.residual_shares(&embeddings.data, &codes, step));
        writer.push_passages(&embeddings.lens, &codes, &packed)?;
        stage.add(embeddings.lens.len() as u64)?;
        Ok(())
    })?;
    Ok(num_tokens)
}

/// Converts an error of training. It numbers an embedding within the sample, so the message has to say so.
fn of_sample(source: selvedge_codec::Error) -> Error {
    use selvedge_codec::Error::{Length, NotOfUnitLength};
    match source {
        Length { .. } | NotOfUnitLength { .. } => Error::Sample { source },
        other => other.into(),
    }
}

/// Fetches and consumes each block, in order. A block is fetched while the one before is consumed.
fn overlapped<P: Send, E: Send>(
    blocks: impl Iterator<Item = P>,
    mut fetch: impl FnMut(P) -> Result<E> + Send,
    mut consume: impl FnMut(E) -> Result<()> + Send,
) -> Result<()> {
    let mut fetched = None;
    for block in blocks.map(Some).chain([None]) {
        let (consumed, next) =
            rayon::join(|| fetched.take().map_or(Ok(()), &mut consume), || block.map(&mut fetch).transpose());
        consumed?;
        fetched = next?;
    }
    Ok(())
}

/// Draws the passages to sample, ascending and without repetition. Their number is ColBERTv2's.
fn sample_pids(num_passages: usize, seed: u64) -> Vec<u32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x7069_6473);
    let mut left = plan::sampled_passages(num_passages);
    // Selection sampling (Knuth, TAOCP vol. 2, 3.4.2, algorithm S): ascending, exact, no memory.
    let chosen = (0..num_passages as u32).filter(|&pid| {
        let take = rng.random_range(0..num_passages - pid as usize) < left;
        left -= usize::from(take);
        take
    });
    chosen.collect()
}

/// Embeddings of the sampled passages.
struct Sample {
    /// Uniform choice of at most `capacity` embeddings `(N, D)`.
    rows: Vec<f32>,
    /// Number of embeddings that the choice was made from.
    seen: usize,
    lens: Vec<u32>,
    /// All embeddings, if the source is costly.
    spool: Option<SpoolReader>,
}

/// Fetches the passages `pids` block by block, and keeps at most `capacity` of their embeddings.
fn collect_sample(
    writer: &mut Writer,
    source: &mut dyn Source,
    pids: &[u32],
    block: usize,
    capacity: usize,
    seed: u64,
    progress: &dyn Progress,
) -> Result<Sample> {
    let dim = source.dim();
    let mut spool = if source.is_costly() { Some(writer.spool()?) } else { None };
    let rng = ChaCha8Rng::seed_from_u64(seed ^ 0x726f_7773);
    let mut reservoir = Reservoir::new(dim, capacity, pids.len() * source.max_doclen(), rng);
    let mut lens = Vec::with_capacity(pids.len());
    let name = if source.is_costly() { "encode" } else { "sample" };
    let mut stage = Stage::new(progress, name, "passages", Some(pids.len() as u64));
    overlapped(
        pids.chunks(block),
        |pids| source.fetch(pids),
        |embeddings: Embeddings| {
            reservoir.push(&embeddings.data);
            if let Some(spool) = &mut spool {
                spool.push(&embeddings.data)?;
            }
            lens.extend_from_slice(&embeddings.lens);
            stage.add(embeddings.lens.len() as u64)?;
            Ok(())
        },
    )?;
    let spool = spool.map(|s| s.into_reader()).transpose()?;
    Ok(Sample { seen: reservoir.seen(), rows: reservoir.into_rows(), lens, spool })
}

/// Embeddings of the sampled passages, read back in order.
struct Spooled<'a> {
    pids: &'a [u32],
    lens: Vec<u32>,
    next: usize,
    reader: Option<SpoolReader>,
}

impl Spooled<'_> {
    /// Returns the embeddings of ascending `pids`: from the spool if it has them, from `source` otherwise.
    fn fetch(&mut self, source: &mut dyn Source, pids: &[u32]) -> Result<Embeddings> {
        let Some(reader) = &mut self.reader else { return source.fetch(pids) };
        let dim = source.dim();
        let run = self.pids[self.next..].iter().take_while(|&&p| p <= pids[pids.len() - 1]).count();
        let ours = self.next..self.next + run;
        self.next += run;
        let others: Vec<u32> =
            pids.iter().copied().filter(|p| self.pids[ours.clone()].binary_search(p).is_err()).collect();
        let fetched =
            if others.is_empty() { Embeddings { dim, ..Embeddings::default() } } else { source.fetch(&others)? };
        let (mut data, mut lens, mut at) = (Vec::new(), Vec::with_capacity(pids.len()), 0);
        let (mut spooled, mut other) = (ours.start, 0);
        for &pid in pids {
            if spooled < ours.end && self.pids[spooled] == pid {
                let count = self.lens[spooled] as usize * dim;
                let start = data.len();
                data.resize(start + count, 0.0);
                reader.read(&mut data[start..])?;
                lens.push(self.lens[spooled]);
                spooled += 1;
            } else {
                let count = fetched.lens[other] as usize * dim;
                data.extend_from_slice(&fetched.data[at..at + count]);
                lens.push(fetched.lens[other]);
                (at, other) = (at + count, other + 1);
            }
        }
        Ok(Embeddings { dim, data, lens, ..Embeddings::default() })
    }
}
