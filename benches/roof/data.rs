//! A made-up collection of any size: compressed passages, and queries about some of them.
//!
//! Each passage has a topic, and most of its tokens have centroids of that topic, so that the best scores stand out as
//! they do in real text; a query has the centroids of one passage's topic, with noise. Residuals are random bits. Each
//! block of passages is drawn from a seed of its own, on all cores.

use super::Result;
use super::support::data::{DIM, codec, wide};
use bytes::Bytes;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use selvedge_backend::cuda::LoadedIndex;
use selvedge_backend::{
    Backend, CheckedCodec, CodecParams, CompressedPassages, Cuda, DeviceIndex, IndexPart, pack_codes, pack_weights,
};
use std::sync::Arc;

/// Passages of a block.
const BLOCK: usize = 1 << 12;
/// Number of topics.
const TOPICS: usize = 1 << 10;
/// Probability that a token has a centroid of its passage's topic.
const ON_TOPIC: f32 = 0.7;

/// Sizes of a collection.
#[derive(clap::Args, Clone, Debug)]
pub struct Sizes {
    /// Passages
    #[arg(long, default_value_t = 8_800_000)]
    pub passages: usize,
    /// Mean number of tokens of a passage
    #[arg(long, default_value_t = 68)]
    pub tokens: usize,
    /// Centroids
    #[arg(long, default_value_t = 1 << 18)]
    pub centroids: usize,
    /// Bits of a component's residual
    #[arg(long, default_value_t = 2)]
    pub nbits: u8,
    /// Tokens of a query
    #[arg(long, default_value_t = 32)]
    pub query_tokens: usize,
}

/// A collection in the memory of the host.
pub struct Collection {
    pub codec: CheckedCodec,
    pub passages: CompressedPassages,
    query_tokens: usize,
}

impl Collection {
    pub fn new(sizes: &Sizes) -> Self {
        let params = wide(&codec(sizes.nbits, 1024).params, sizes.centroids);
        // Without a rotation, so that queries can be made of centroids.
        let codec = CheckedCodec::new(CodecParams { rotation: None, ..CodecParams::clone(&params) }).expect("valid");
        let passages = passages(&codec, sizes);
        Self { codec, passages, query_tokens: sizes.query_tokens }
    }

    /// Bytes that an exhaustive search reads once.
    pub fn bytes(&self) -> usize {
        let CompressedPassages { offsets, codes, residuals, weights } = &self.passages;
        offsets.len() + codes.len() + residuals.len() + weights.len()
    }

    /// Embeddings of a query, `(Q, D)`.
    pub fn query(&self, number: usize) -> Vec<f32> {
        let rng = &mut ChaCha8Rng::seed_from_u64(1 << 32 | number as u64);
        let topic = rng.random_range(0..TOPICS);
        let row = |rng: &mut ChaCha8Rng| {
            let code = code_of(rng, topic, self.codec.num_centroids()) as usize;
            let centroid = &self.codec.centroids[code * DIM..][..DIM];
            let row: Vec<f32> = centroid.iter().map(|&c| f32::from(c) + 40.0 * (rng.random::<f32>() - 0.5)).collect();
            let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
            row.into_iter().map(move |x| x / norm).collect::<Vec<_>>()
        };
        (0..self.query_tokens).flat_map(|_| row(rng)).collect()
    }

    /// Copies the collection into a device's memory.
    pub fn load(&self, cuda: &Cuda) -> Result<Loaded> {
        let codec = cuda.load_codec(self.codec.clone())?;
        let passages = Arc::new(cuda.load_passages(&codec, self.passages.clone())?);
        let part = IndexPart { passages: Arc::clone(&passages), first_pid: 0 };
        let index = cuda.load_index(&codec, vec![part])?.expect("a GPU searches by itself");
        Ok(Loaded { codec, passages, index })
    }
}

/// A collection in the memory of a device.
pub struct Loaded {
    pub codec: <Cuda as Backend>::Codec,
    pub passages: Arc<<Cuda as Backend>::Passages>,
    pub index: Box<dyn DeviceIndex>,
}

impl Loaded {
    /// Number of queries that a certified bound has answered so far; see `LoadedIndex::batched_queries`.
    pub fn filtered(&self) -> u64 {
        self.index.as_any().downcast_ref::<LoadedIndex>().expect("an index of a GPU").batched_queries().0
    }
}

/// Draws the code of a token of a topic, whose centroids are neighbours.
fn code_of(rng: &mut ChaCha8Rng, topic: usize, num_centroids: usize) -> u32 {
    let width = num_centroids.div_ceil(TOPICS);
    let code = match rng.random::<f32>() < ON_TOPIC {
        true => topic * width % num_centroids + rng.random_range(0..width),
        false => rng.random_range(0..num_centroids),
    };
    code.min(num_centroids - 1) as u32
}

/// Codes, weight indices and residuals of a block of passages, and the number of tokens of each.
struct Block {
    lengths: Vec<u32>,
    codes: Vec<u32>,
    weights: Vec<u8>,
    residuals: Vec<u8>,
}

fn block(codec: &CodecParams, sizes: &Sizes, number: usize, passages: usize) -> Block {
    let rng = &mut ChaCha8Rng::seed_from_u64(number as u64);
    let lengths: Vec<u32> = (0..passages).map(|_| rng.random_range(1..2 * sizes.tokens.max(1) as u32)).collect();
    let mut codes = Vec::new();
    for &length in &lengths {
        let topic = rng.random_range(0..TOPICS);
        codes.extend((0..length).map(|_| code_of(rng, topic, codec.num_centroids())));
    }
    let weights = codes.iter().map(|_| rng.random_range(0..codec.centroid_weights.len()) as u8).collect();
    let mut residuals = vec![0; codes.len() * codec.row_bytes()];
    rng.fill_bytes(&mut residuals);
    Block { lengths, codes, weights, residuals }
}

fn passages(codec: &CodecParams, sizes: &Sizes) -> CompressedPassages {
    let starts: Vec<usize> = (0..sizes.passages).step_by(BLOCK).collect();
    let made = |(number, &start): (usize, &usize)| block(codec, sizes, number, BLOCK.min(sizes.passages - start));
    let blocks: Vec<Block> = starts.par_iter().enumerate().map(made).collect();
    let (mut offsets, mut end) = (vec![0; 4], 0_u32);
    for length in blocks.iter().flat_map(|block| &block.lengths) {
        end += length;
        offsets.extend(end.to_le_bytes());
    }
    let (mut codes, mut weights) = (Vec::with_capacity(end as usize), Vec::with_capacity(end as usize));
    let mut residuals = Vec::with_capacity(end as usize * codec.row_bytes());
    for block in blocks {
        codes.extend(block.codes);
        weights.extend(block.weights);
        residuals.extend(block.residuals);
    }
    CompressedPassages {
        offsets: offsets.into(),
        codes: pack_codes(&codes, codec.code_bits()).into(),
        residuals: Bytes::from(residuals),
        weights: pack_weights(&weights, codec.weight_bits).into(),
    }
}
