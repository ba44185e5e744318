//! Codecs, compressed tokens to make passages of, and the random numbers of the tests of living indexes.

use selvedge_backend::{CodecParams, Cpu, Packed};
use selvedge_codec::{Codec, TrainOptions, train};
use selvedge_index::{Result, Writer};
use std::ops::Range;
use std::sync::LazyLock;

/// Components of an embedding.
const DIM: usize = 8;
/// Number of centroids of the codec.
const CENTROIDS: usize = 16;
/// Number of tokens: few, so that passages are alike and the order of equal scores is tested.
pub const TOKENS: usize = 96;

/// Pseudo-random numbers: splitmix64.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The numbers of a seed and a stream.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self(Self(seed).next() ^ stream.wrapping_mul(0xd6e8_feb8_6659_fd93))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Number below `end`, or 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    pub fn one_in(&mut self, num: usize) -> bool {
        self.below(num) == 0
    }
}

/// A codec and compressed tokens. A passage has a run of the tokens.
pub struct Pool {
    pub codec: Codec,
    codes: Vec<u32>,
    packed: Packed,
    /// Embeddings of the tokens, `(TOKENS, DIM) f32`.
    rows: Vec<f32>,
}

/// Pools of the same tokens by two codecs.
pub static POOLS: LazyLock<[Pool; 2]> = LazyLock::new(|| [42, 43].map(Pool::new));

/// Pseudo-random unit rows, `(num, DIM) f32`.
fn unit_rows(num: usize) -> Vec<f32> {
    let mut dice = Dice::new(1, 0);
    let mut rows: Vec<f32> = (0..num * DIM).map(|_| dice.below(2001) as f32 / 1000.0 - 1.0).collect();
    for row in rows.chunks_exact_mut(DIM) {
        let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        row.iter_mut().for_each(|x| *x /= norm);
    }
    rows
}

impl Pool {
    fn new(seed: u64) -> Self {
        let cpu = Cpu::new().unwrap();
        let options = TrainOptions { iterations: 2, seed, ..TrainOptions::new(2, CENTROIDS) };
        let codec = train(&cpu, DIM, unit_rows(1000), &options, &()).unwrap();
        let rows = unit_rows(TOKENS);
        let (codes, packed) = codec.compressor(&cpu).unwrap().compress(&cpu, &mut rows.clone()).unwrap();
        Self { codec, codes, packed, rows }
    }

    pub fn params(&self) -> &CodecParams {
        &self.codec.params
    }

    /// Code, residual row and weight index of a token.
    pub fn token(&self, at: usize) -> (u32, &[u8], u8) {
        let row_bytes = self.params().row_bytes();
        (self.codes[at], &self.packed.residuals[at * row_bytes..][..row_bytes], self.packed.weights[at])
    }

    /// Pushes passages that have these runs of tokens.
    pub fn push(&self, writer: &mut Writer, passages: &[Range<usize>]) -> Result<()> {
        let tokens = || passages.iter().flat_map(|tokens| tokens.clone().map(|at| self.token(at)));
        let doclens: Vec<u32> = passages.iter().map(|tokens| tokens.len() as u32).collect();
        let codes: Vec<u32> = tokens().map(|(code, ..)| code).collect();
        let residuals = tokens().flat_map(|(_, row, _)| row).copied().collect();
        let weights = tokens().map(|(.., weight)| weight).collect();
        writer.push_passages(&doclens, &codes, &Packed { residuals, weights })
    }

    /// A query of 1 to 4 embeddings, which are some of the tokens.
    pub fn query(&self, dice: &mut Dice) -> Vec<f32> {
        let token = |dice: &mut Dice| &self.rows[dice.below(TOKENS) * DIM..][..DIM];
        (0..1 + dice.below(4)).flat_map(|_| token(dice).to_vec()).collect()
    }
}
