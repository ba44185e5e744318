//! Passages with the statistics of a real collection, generated on demand. A passage depends only on the seed and its
//! pid: a collection of any size takes no memory, and is the same in any order of reading.
//!
//! ```text
//! passage  its topic is a real passage; its length is a real one, scaled to the requested mean
//! token    x = a token of the topic (70 %), or of one of the 9 passages nearest to it, itself included (30 %)
//!          m = mean of x's cluster, y = another token of the same cluster
//!          m + sqrt(1 - a^2) (x - m) + a (y - m), at unit length, a = 0.6
//! ```
//!
//! Every token is new, while clusters, residuals and the co-occurrence of tokens in a passage match real text.

use crate::error::Result;
use crate::recipe::{NEAR, Recipe};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use selvedge::npy::NpyFloats;
use selvedge::source::Source;
use selvedge_encoder::Embeddings;
use std::time::{Duration, Instant};

/// Share `a` of the other token's residual. The squares of both shares sum to 1, which keeps the length of residuals.
const MIXED: f32 = 0.6;
/// Share of tokens drawn from near passages.
const FROM_NEAR: f64 = 0.3;
/// Bounds of a passage's length in tokens.
const SHORTEST: f64 = 8.0;
const LONGEST: f64 = 180.0;
/// Number of passages generated with one open file.
const RUN: usize = 64;

/// Collection that is generated while it is read.
pub struct Synth {
    recipe: Recipe,
    num_passages: usize,
    mean_len: usize,
    seed: u64,
    spent: Duration,
}

/// Passage that is being generated.
struct Passage<'a> {
    topic: usize,
    rng: ChaCha8Rng,
    out: &'a mut [f32],
}

impl Synth {
    /// Creates a collection of `num_passages` with about `mean_len` tokens each.
    pub fn new(recipe: Recipe, num_passages: usize, mean_len: usize, seed: u64) -> Self {
        Self { recipe, num_passages, mean_len, seed, spent: Duration::ZERO }
    }

    /// Returns the time spent on generating passages, which callers subtract from their own.
    pub fn spent(&self) -> Duration {
        self.spent
    }

    /// Returns topic and length of passage `pid`, and the random number generator of its tokens.
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

    /// Returns a random token of passage `real`, or of the collection if the passage is empty.
    fn token_of(&self, real: usize, rng: &mut ChaCha8Rng) -> usize {
        let tokens = self.recipe.offsets[real]..self.recipe.offsets[real + 1];
        let tokens = if tokens.is_empty() { 0..self.recipe.codes.len() } else { tokens };
        rng.random_range(tokens)
    }

    /// Generates the tokens of a passage.
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

/// Mixes two rows of a cluster into `out`, at unit length.
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

/// Reads `count` queries, `(Q, D) f32` each, evenly spaced in the file of `folder`.
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
