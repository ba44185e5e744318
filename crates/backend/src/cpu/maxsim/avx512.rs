//! `maxsim` with AVX-512: a tile of tokens is unpacked, then eight tokens are multiplied with sixteen or thirty-two
//! query tokens at a time. Each lane of the sums is aligned with its entry of the token's table row.
//!
//! Levels are stored relative to the lowest, `w = lo + u`: `dot(q, w) = dot(q, u) + lo * sum(q)`, where the second term
//! is the initial value of the sums. The products that follow are bounded by the contract:
//! `|centroid_weight * T| < 2^30`, `|residual_weight * dot| <= 2^30`.

use super::{
    Job,
    tile::{TILE_TOKENS, Tile},
};
use crate::cpu::{
    bit_unpacker::{self, BitUnpacker},
    dots::avx512::{LANES, ROWS, as_unsigned, tile},
    levels::{
        LevelTable,
        avx512::{SLACK, Unpacker},
    },
};
use std::{arch::x86_64::*, ops::Range};

/// Scores of the selected passages from `first` on.
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
pub(super) fn run(job: &Job<'_>, first: usize, scores: &mut [i32]) {
    let codec = job.passages.codec();
    let lowest = codec.levels.iter().copied().min().unwrap_or(0);
    let unpacker = Unpacker::new(&LevelTable::above(codec, lowest), codec.dim);
    let (rows, row_bytes) = (&job.passages.bytes().residuals, codec.row_bytes());
    let width = job.panels.width();
    let reader = WeightReader::new(job);
    Tile::new(width, SLACK, job.panels.len() * LANES).run(
        job,
        first,
        scores,
        |tile, tokens| match &reader {
            Some(reader) => reader.read(job, tile, tokens),
            None => tile.read_weights(job, tokens),
        },
        |tokens, levels| unpacker.unpack(&rows[tokens.start * row_bytes..tokens.end * row_bytes], width, levels),
        |tile, num_tokens| {
            for panel in (0..job.panels.len()).step_by(2) {
                match job.panels.len() - panel {
                    1 => maximize::<1>(job, i32::from(lowest), tile, num_tokens, panel),
                    _ => maximize::<2>(job, i32::from(lowest), tile, num_tokens, panel),
                }
            }
        },
    );
}

/// Rows of the last step of a tile, if at most this many remain.
const HALF: usize = ROWS / 2;

/// Reads codes and weights of sixteen tokens at a time.
struct WeightReader {
    codes: BitUnpacker,
    weights: BitUnpacker,
    /// `K - 1`, to which larger codes are clamped.
    last: __m512i,
    /// Centroid weight and, 16 bits higher, residual weight of each weight index; zeros after the last.
    pairs: [i32; 256],
    /// Whether weight indices have at most 5 bits, so that the pairs fit two registers.
    few: bool,
}

impl WeightReader {
    /// Reads the tables of a codec; `None` if its codes are too wide for [`BitUnpacker`].
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
    fn new(job: &Job<'_>) -> Option<Self> {
        let codec = job.passages.codec();
        let mut pairs = [0; 256];
        for (pair, (&centroid_weight, &residual_weight)) in
            pairs.iter_mut().zip(codec.centroid_weights.iter().zip(&codec.residual_weights))
        {
            *pair = i32::from(centroid_weight) | i32::from(residual_weight) << 16;
        }
        Some(Self {
            codes: BitUnpacker::new(codec.code_bits())?,
            weights: BitUnpacker::new(codec.weight_bits.into())?,
            last: _mm512_set1_epi32(codec.num_centroids() as i32 - 1),
            pairs,
            few: codec.weight_bits <= 5,
        })
    }

    /// Centroid and residual weight of each weight index. Up to 32 pairs fit two registers; a gather takes thirty
    /// cycles.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
    fn pairs_of(&self, weights: __m512i) -> __m512i {
        let register = |i: usize| load(self.pairs[16 * i..][..16].try_into().expect("sixteen of 256"));
        match self.few {
            true => _mm512_permutex2var_epi32(register(0), weights, register(1)),
            // SAFETY: weight indices have at most 8 bits, and there are 256 pairs.
            false => unsafe { _mm512_i32gather_epi32::<4>(weights, self.pairs.as_ptr()) },
        }
    }

    /// Fills codes and weights of a tile, and its padding with valid ones.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
    fn read(&self, job: &Job<'_>, tile: &mut Tile<'_>, tokens: Range<usize>) {
        const { assert!(TILE_TOKENS.is_multiple_of(bit_unpacker::NUM)) };
        let bytes = job.passages.bytes();
        for slot in (0..tokens.len()).step_by(bit_unpacker::NUM) {
            let codes = _mm512_min_epu32(self.codes.read(&bytes.codes, tokens.start + slot), self.last);
            let weights = self.weights.read(&bytes.weights, tokens.start + slot);
            let pairs = self.pairs_of(weights);
            store(&mut tile.codes[slot..][..bit_unpacker::NUM], codes);
            store(
                &mut tile.centroid_weights[slot..][..bit_unpacker::NUM],
                _mm512_and_si512(pairs, _mm512_set1_epi32(0xffff)),
            );
            store(&mut tile.residual_weights[slot..][..bit_unpacker::NUM], _mm512_srli_epi32::<16>(pairs));
        }
    }
}

/// Writes a register to sixteen numbers.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
fn store<T: bytemuck::Pod>(out: &mut [T], register: __m512i) {
    assert_eq!(size_of_val(out), 64, "one register");
    // SAFETY: `out` is one register long, and any bytes are a `T`.
    unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), register) };
}

/// Raises the best similarities of `V` panels over a tile of `num_tokens`. Two panels at a time share the loads of a
/// row.
#[inline(never)]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
fn maximize<const V: usize>(job: &Job<'_>, lowest: i32, of: &mut Tile<'_>, num_tokens: usize, panel: usize) {
    let first = |v: usize| (panel + v) * LANES;
    let mask = |v: usize| ((1u32 << (job.table.stride() - first(v)).min(LANES)) - 1) as u16;
    let masks: [u16; V] = std::array::from_fn(mask);
    let sums = |v: usize| load(job.panels.sums(panel + v).try_into().expect("whole panels"));
    let start = |v: usize| _mm512_mullo_epi32(sums(v), _mm512_set1_epi32(lowest));
    let starts: [__m512i; V] = std::array::from_fn(start);
    let bytes = job.panels.panels(panel, V);
    let best = |v: usize| load(of.best[first(v)..][..LANES].try_into().expect("whole panels"));
    let mut highest: [__m512i; V] = std::array::from_fn(best);
    let whole = num_tokens.next_multiple_of(HALF) / ROWS * ROWS;
    let entries = job.table.entries()[first(0)..].as_ptr();
    let panels = Panels { bytes: bytes.as_ptr(), starts, masks, entries, stride: job.table.stride() };
    for group in (0..whole).step_by(ROWS) {
        if panel == 0 {
            of.prefetch_ahead(job, group, ROWS);
        }
        raise::<ROWS, V>(&panels, of, group, &mut highest);
    }
    if whole < num_tokens {
        raise::<HALF, V>(&panels, of, whole, &mut highest);
    }
    for (v, highest) in highest.into_iter().enumerate() {
        let best = &mut of.best[first(v)..][..LANES];
        // SAFETY: sixteen i32 are one register.
        unsafe { _mm512_storeu_si512(best.as_mut_ptr().cast(), highest) };
    }
}

/// The query tokens of `V` panels.
struct Panels<const V: usize> {
    bytes: *const i8,
    /// Initial values of the sums.
    starts: [__m512i; V],
    /// Lanes for which a row of the table has entries.
    masks: [u16; V],
    /// Entry of the panels' first query token in the first row of the table, `(K, stride) i32`.
    entries: *const i32,
    /// Distance between rows of the table, in entries.
    stride: usize,
}

/// Raises the best similarities of `V` panels over the `R` tokens from `group` on.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
fn raise<const R: usize, const V: usize>(panels: &Panels<V>, of: &Tile<'_>, group: usize, highest: &mut [__m512i; V]) {
    let width = of.width;
    let levels = of.levels.part(group * width, R * width).as_ptr();
    // Not a closure, since a call would spill all registers.
    let mut rows = [levels; R];
    for (r, row) in rows.iter_mut().enumerate() {
        *row = levels.wrapping_add(r * width);
    }
    // SAFETY: each row is `width` bytes of the slice; a panel has `16 * width`.
    let products = unsafe { tile::<R, V>(rows, panels.bytes, width, panels.starts, as_unsigned(), None) };
    let (codes, centroid_weights, residual_weights) =
        (&of.codes[group..][..R], &of.centroid_weights[group..][..R], &of.residual_weights[group..][..R]);
    for (r, products) in products.into_iter().enumerate() {
        let entries = panels.entries.wrapping_add(codes[r] as usize * panels.stride);
        let (centroid_weight, residual_weight) =
            (_mm512_set1_epi32(centroid_weights[r]), _mm512_set1_epi32(residual_weights[r]));
        for v in 0..V {
            // SAFETY: codes of a tile are at most `K - 1`, the table has `K` rows, and the mask has as many lanes as a
            // row has entries from there on, sixteen at most.
            let entries = unsafe { _mm512_maskz_loadu_epi32(panels.masks[v], entries.wrapping_add(v * LANES)) };
            let similarity = _mm512_add_epi32(
                _mm512_mullo_epi32(centroid_weight, entries),
                _mm512_mullo_epi32(residual_weight, products[v]),
            );
            highest[v] = _mm512_max_epi32(highest[v], similarity);
        }
    }
}

/// Sixteen lanes from memory.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
fn load(lanes: &[i32; LANES]) -> __m512i {
    // SAFETY: sixteen i32 are one register.
    unsafe { _mm512_loadu_si512(lanes.as_ptr().cast()) }
}
