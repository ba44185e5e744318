//! Passages with the statistics of a real collection, made on demand: any passage from the seed and its pid alone,
//! so that a collection of any size takes no memory, and is the same for whoever asks, in whatever order.
//!
//! ```text
//! passage  a real passage is its topic; its length is a real one, scaled to the wanted mean
//! token    70 %: x, a token of the topic;  30 %: of one of the 9 passages nearest to it, itself among them
//!          m = mean of x's cluster, y = another token of the same cluster
//!          m + sqrt(1 - a^2) (x - m) + a (y - m), at unit length, a = .6
//! ```
//!
//! So every token is new, while clusters, residuals and what stands together in a passage are those of real text.

use crate::error::Result;
use crate::recipe::{NEAR, Recipe};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use selvedge::npy::NpyFloats;
use selvedge::source::Source;
use selvedge_encoder::Embeddings;
use std::time::{Duration, Instant};

/// Share of the other token's residual; the squares of both shares sum to one, which keeps the residuals' length.
const MIXED: f32 = 0.6;
/// Share of tokens drawn from near passages.
const FROM_NEAR: f64 = 0.3;
/// Lengths stay within these.
const SHORTEST: f64 = 8.0;
const LONGEST: f64 = 180.0;
/// Passages that share one open file.
const RUN: usize = 64;

/// A collection that is made while it is read.
pub struct Synth {
    recipe: Recipe,
    num_passages: usize,
    mean_len: usize,
    seed: u64,
    spent: Duration,
}

/// A passage that is being made.
struct Passage<'a> {
    topic: usize,
    rng: ChaCha8Rng,
    out: &'a mut [f32],
}

impl Synth {
    /// `num_passages` of about `mean_len` tokens.
    pub fn new(recipe: Recipe, num_passages: usize, mean_len: usize, seed: u64) -> Self {
        Self { recipe, num_passages, mean_len, seed, spent: Duration::ZERO }
    }

    /// Time that making passages has taken so far, to be taken off whoever asked for them.
    pub fn spent(&self) -> Duration {
        self.spent
    }

    /// Topic and length of passage `pid`, and the generator that its tokens come from.
    fn plan(&self, pid: u32) -> (usize, usize, ChaCha8Rng) {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(u64::from(pid));
        let offsets = &self.recipe.offsets;
        let num_real = offsets.len() - 1;
        let (topic, model) = (rng.random_range(0..num_real), rng.random_range(0..num_real));
        let real_len = (offsets[model + 1] - offsets[model]) as f64;
        let len = (real_len * self.mean_len as f64 / self.recipe.mean_len()).round().clamp(SHORTEST, LONGEST);
        (topic, len as usize, rng)
    }

    /// A token of passage `real`, or of any where that has none.
    fn token_of(&self, real: usize, rng: &mut ChaCha8Rng) -> usize {
        let tokens = self.recipe.offsets[real]..self.recipe.offsets[real + 1];
        let tokens = if tokens.is_empty() { 0..self.recipe.codes.len() } else { tokens };
        rng.random_range(tokens)
    }

    /// Makes the tokens of a passage.
    fn fill(&self, npy: &mut NpyFloats, passage: &mut Passage<'_>) -> selvedge::Result<()> {
        let Passage { topic, rng, out } = passage;
        let (recipe, dim) = (&self.recipe, self.recipe.dim);
        let mut rows = Vec::with_capacity(2 * dim);
        for out in out.chunks_exact_mut(dim) {
            let near = rng.random_bool(FROM_NEAR);
            let real = if near { recipe.near[*topic * NEAR + rng.random_range(0..NEAR)] as usize } else { *topic };
            let token = self.token_of(real, rng);
            let code = recipe.codes[token] as usize;
            let other = recipe.members[rng.random_range(recipe.starts[code]..recipe.starts[code + 1])] as usize;
            rows.clear();
            npy.read_rows(token, 1, &mut rows)?;
            npy.read_rows(other, 1, &mut rows)?;
            mix(&rows, &recipe.means[code * dim..][..dim], out);
        }
        Ok(())
    }
}

/// The token between two rows of a cluster, at unit length.
fn mix(rows: &[f32], mean: &[f32], out: &mut [f32]) {
    let (own, other) = rows.split_at(mean.len());
    let kept = (1.0 - MIXED * MIXED).sqrt();
    for (((out, own), other), mean) in out.iter_mut().zip(own).zip(other).zip(mean) {
        *out = mean + kept * (own - mean) + MIXED * (other - mean);
    }
    let norm = out.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    out.iter_mut().for_each(|x| *x /= norm);
}

impl Source for Synth {
    fn dim(&self) -> usize {
        self.recipe.dim
    }

    fn num_passages(&self) -> usize {
        self.num_passages
    }

    fn max_doclen(&self) -> usize {
        LONGEST as usize
    }

    fn is_costly(&self) -> bool {
        false
    }

    fn fetch(&mut self, pids: &[u32]) -> selvedge::Result<Embeddings> {
        let started = Instant::now();
        let plans: Vec<_> = pids.par_iter().map(|&pid| self.plan(pid)).collect();
        let lens: Vec<u32> = plans.iter().map(|plan| plan.1 as u32).collect();
        let mut data = vec![0f32; plans.iter().map(|plan| plan.1).sum::<usize>() * self.dim()];
        let mut rest = &mut data[..];
        let mut passages: Vec<Passage<'_>> = Vec::with_capacity(plans.len());
        for (topic, len, rng) in plans {
            let (out, tail) = std::mem::take(&mut rest).split_at_mut(len * self.recipe.dim);
            rest = tail;
            passages.push(Passage { topic, rng, out });
        }
        passages.par_chunks_mut(RUN).try_for_each(|run| {
            let mut npy = NpyFloats::open(&self.recipe.embeddings)?;
            run.iter_mut().try_for_each(|passage| self.fill(&mut npy, passage))
        })?;
        self.spent += started.elapsed();
        Ok(Embeddings { dim: self.dim(), data, lens, ..Embeddings::default() })
    }
}

/// `count` queries, `(Q, D) f32` each, spread evenly over those in `folder`.
pub fn queries(folder: &std::path::Path, count: usize) -> Result<Vec<Vec<f32>>> {
    let path = folder.join("queries.f16.npy");
    let mut npy = NpyFloats::open(&path)?;
    let lens = selvedge::npy::read_lens(&folder.join("qlens.i32.npy"))?;
    let rows = npy.num_rows() / lens.len().max(1);
    let count = count.min(lens.len());
    if count == 0 {
        return Err(crate::error::Error::NoQueries { path });
    }
    let query = |i: usize| {
        let (number, mut query) = (i * lens.len() / count, Vec::new());
        npy.read_rows(number * rows, (lens[number] as usize).min(rows), &mut query)?;
        Ok(query)
    };
    (0..count).map(query).collect()
}
