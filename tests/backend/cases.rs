//! Test inputs: random ones that resemble an index, extreme ones at the bounds of every value, and corrupt ones.

use selvedge_backend::{
    CheckedCodec, CodecParams, CompressedPassages, Pid, QuantizedQuery, ResidualForm, RowCoding, WeightRule,
    pack_codes, packed_weights_bytes,
};

/// Random number generator (SplitMix64), which gives the same numbers on every machine.
pub struct Rng(u64);

impl Rng {
    /// Creates the generator of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d))
    }

    /// Returns 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Returns a number in `0..end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.bits() % end as u64) as usize
    }

    /// Returns a number in `low..=high`.
    pub fn within(&mut self, low: i32, high: i32) -> i32 {
        low + self.below((high - low + 1) as usize) as i32
    }

    /// Returns a nearly normal number of variance 1: the scaled sum of four uniform ones.
    pub fn normal(&mut self) -> f32 {
        let uniform = |rng: &mut Self| (rng.bits() >> 40) as f32 / (1 << 24) as f32 - 0.5;
        (0..4).map(|_| uniform(self)).sum::<f32>() * 3f32.sqrt()
    }

    /// Returns `num` rows of unit length, `(num, dim) f32`.
    pub fn unit_rows(&mut self, num: usize, dim: usize) -> Vec<f32> {
        let mut rows: Vec<f32> = (0..num * dim).map(|_| self.normal()).collect();
        for row in rows.chunks_exact_mut(dim) {
            let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
            row.iter_mut().for_each(|x| *x /= norm);
        }
        rows
    }
}

/// Sizes of a case.
#[derive(Clone, Debug)]
pub struct Shape {
    pub dim: usize,
    pub nbits: u8,
    /// Whether rows are coded by a trellis, if `nbits` is 1 or 2.
    pub trellis: bool,
    pub weight_bits: u8,
    pub num_centroids: usize,
    pub query_len: usize,
    /// Number of tokens of each passage.
    pub lengths: Vec<usize>,
    /// Lowest and highest level; by default, those that fit `nbits` and the fill.
    pub levels: Option<(i8, i8)>,
    pub seed: u64,
}

impl Shape {
    /// A few short passages, one of them empty, and sizes that leave a tail in every tile.
    pub fn small() -> Self {
        let lengths = vec![3, 0, 1, 9, 4, 5];
        Self {
            dim: 64,
            nbits: 2,
            trellis: false,
            weight_bits: 4,
            num_centroids: 37,
            query_len: 13,
            lengths,
            levels: None,
            seed: 1,
        }
    }

    /// Random shape: up to 320 dims, 300 centroids, 47 query tokens and 11 passages of up to 39 tokens.
    pub fn random(rng: &mut Rng) -> Self {
        Self {
            dim: 8 * (1 + rng.below(40)),
            nbits: [0, 1, 2, 4, 8][rng.below(5)],
            trellis: rng.below(2) == 0,
            weight_bits: rng.below(9) as u8,
            num_centroids: 1 + rng.below(300),
            query_len: rng.below(48),
            lengths: (0..rng.below(12)).map(|_| rng.below(40)).collect(),
            levels: None,
            seed: rng.bits(),
        }
    }
}

/// Values of the arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// Uniform noise within the bounds.
    Random,
    /// Largest levels, weights, centroids and query components, in runs of equal sign, and a factor of the centroid
    /// table that saturates.
    Extreme,
}

/// A codec, the passages of one segment and a query.
#[derive(Clone, Debug)]
pub struct Case {
    pub codec: CheckedCodec,
    pub passages: CompressedPassages,
    pub query: QuantizedQuery,
    /// Selected pids: unsorted, some twice, some out of range.
    pub pids: Vec<Pid>,
}

impl Case {
    /// Creates a case of this shape.
    pub fn new(shape: &Shape, fill: Fill) -> Self {
        let rng = &mut Rng::new(shape.seed);
        let codec = CheckedCodec::new(codec(shape, fill, rng)).expect("a case's codec is valid");
        let num_tokens: usize = shape.lengths.iter().sum();
        let codes: Vec<u32> = (0..num_tokens).map(|_| rng.below(shape.num_centroids) as u32).collect();
        let residuals = (0..num_tokens * codec.row_bytes()).map(|_| byte(fill, rng)).collect::<Vec<u8>>();
        let weights: Vec<u8> =
            (0..packed_weights_bytes(num_tokens, shape.weight_bits)).map(|_| rng.bits() as u8).collect();
        let passages = CompressedPassages {
            offsets: offsets(&shape.lengths).into(),
            codes: pack_codes(&codes, codec.code_bits()).into(),
            residuals: residuals.into(),
            weights: weights.into(),
        };
        passages.validate(codec.sizes()).expect("a case's passages are valid");
        let data = (0..shape.query_len * shape.dim).map(|at| component(fill, rng, at)).collect();
        let query = QuantizedQuery { dim: shape.dim, data, scale: 0.01 };
        let mut pids: Vec<Pid> =
            (0..shape.lengths.len() * 3 / 2).map(|_| rng.below(shape.lengths.len() + 1) as Pid).collect();
        pids.extend([Pid::MAX, 1 << 24].into_iter().take(pids.len() / 4));
        Self { codec, passages, query, pids }
    }

    /// Corrupts the passages: sets a bit in each byte of the codes, so that some are out of range, and replaces offsets
    /// by random ones, in no order and partly out of range.
    pub fn corrupted(mut self, seed: u64) -> Self {
        let rng = &mut Rng::new(seed);
        let flip = |byte: &u8| byte | (1u8 << (byte % 8));
        self.passages.codes = self.passages.codes.iter().map(flip).collect::<Vec<u8>>().into();
        let (num_tokens, mut offsets) = (self.passages.num_tokens(), self.passages.offsets.to_vec());
        for pid in 0..self.passages.num_passages() {
            let offset = match rng.below(4) {
                0 => rng.bits() as u32,
                1 => num_tokens as u32 + 1,
                _ => rng.below(num_tokens + 1) as u32,
            };
            offsets[pid * 4..pid * 4 + 4].copy_from_slice(&offset.to_le_bytes());
        }
        self.passages.offsets = offsets.into();
        self
    }
}

/// Creates a codec of this shape.
pub fn codec(shape: &Shape, fill: Fill, rng: &mut Rng) -> CodecParams {
    let (dim, extreme) = (shape.dim, fill == Fill::Extreme);
    let trellis = shape.trellis && matches!(shape.nbits, 1 | 2);
    let coding = if trellis { RowCoding::Trellis { step: 0.14 } } else { RowCoding::Buckets };
    let (num_levels, num_cutoffs) = CodecParams::num_levels(shape.nbits, coding);
    let (lowest, highest) = shape.levels.unwrap_or(if extreme || shape.nbits > 4 { (-127, 127) } else { (-30, 30) });
    let mut levels: Vec<i8> = (0..num_levels).map(|_| rng.within(lowest.into(), highest.into()) as i8).collect();
    if !trellis {
        levels.sort_unstable();
    }
    if let [first, .., last] = &mut levels[..] {
        (*first, *last) = (lowest, highest);
    }
    let limit = CodecParams::residual_weight_limit(dim, &levels);
    let mut cutoffs: Vec<f32> = (0..num_cutoffs).map(|_| rng.normal()).collect();
    cutoffs.sort_unstable_by(f32::total_cmp);
    let entries = 1usize << shape.weight_bits;
    let residual_weight = |rng: &mut Rng| if extreme { limit } else { rng.below(limit as usize + 1) as u8 };
    let centroid_weight = |rng: &mut Rng| if extreme { 255 } else { rng.bits() as u8 };
    // No powers of two, so that products in another order round differently.
    let (centroid_weight_step, residual_weight_step) = (0.93, 0.003);
    // A factor by which the largest product reaches 1.5 times the bound of the centroid table; 8 times for random
    // components, whose products are far from the largest.
    let largest = dim as f32 * 127.0 * 127.0;
    let factor = (1 << 22) as f32 / largest * if extreme { 1.5 } else { 8.0 };
    CodecParams {
        dim,
        nbits: shape.nbits,
        centroids: (0..shape.num_centroids * dim).map(|at| component(fill, rng, at)).collect(),
        centroid_scale: factor * residual_weight_step / centroid_weight_step,
        coding,
        levels,
        cutoffs,
        form: ResidualForm::Orthogonal,
        rule: WeightRule::KeepLength,
        rotation: None,
        weight_bits: shape.weight_bits,
        centroid_weights: (0..entries).map(|_| centroid_weight(rng)).collect(),
        residual_weights: (0..entries).map(|_| residual_weight(rng)).collect(),
        centroid_weight_step,
        residual_weight_step,
    }
}

/// Returns the prefix sums of `lengths`, little-endian.
fn offsets(lengths: &[usize]) -> Vec<u8> {
    let ends = lengths.iter().scan(0u32, |end, &length| {
        *end += length as u32;
        Some(*end)
    });
    std::iter::once(0).chain(ends).flat_map(u32::to_le_bytes).collect()
}

/// Returns a component of a query or a centroid: noise, or the bound, in runs of 4096 of one sign or of random signs.
pub fn component(fill: Fill, rng: &mut Rng, at: usize) -> i8 {
    match fill {
        Fill::Random => rng.within(-127, 127) as i8,
        Fill::Extreme if at / 4096 % 3 == 1 => [-127, 127][rng.below(2)],
        Fill::Extreme => [127, -127][at / 4096 % 3 / 2],
    }
}

/// Returns a byte of packed residuals: noise, or mostly the first and the last bucket.
fn byte(fill: Fill, rng: &mut Rng) -> u8 {
    match (fill, rng.below(16)) {
        (Fill::Random, _) | (_, 0) => rng.bits() as u8,
        (_, pick) => [0x00, 0xff][usize::from(pick > 4)],
    }
}
