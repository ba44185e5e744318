//! `maxsim` with AVX2: a tile of tokens is unpacked, then four tokens meet sixteen query tokens at a
//! time, each lane of the sums already lying under its entry of the token's table row.
//!
//! Levels that span little, as those of 1 and 2 bits do, are taken from their lowest, `w = lo + u`:
//! `dot(q, w) = dot(q, u) + lo * sum(q)`, and the unsigned kernel multiplies `u` with half the
//! instructions. Wider levels go through the signed one. Neither rounds nor saturates; the proofs
//! stand in [`crate::cpu::dots::avx2`]. The products that follow are bounded by the contract:
//! `|norm * T| < 2^30`, `|gain * dot| <= 2^30`.

use super::{Job, sum};
use crate::{
    Codec,
    cpu::{
        dots::avx2::{ROWS, Tile, signed, steps, unsigned},
        levels::{LevelTable, SLACK, avx2::unpack},
        passages::LANES,
    },
};
use std::{arch::x86_64::*, ops::Range};

/// Bytes of unpacked levels: half of a 32 KiB L1.
const TILE_BYTES: usize = 1 << 14;
/// Tokens that are unpacked at a time, at most; a multiple of [`ROWS`].
const TILE_TOKENS: usize = 32;

/// Table entries in a cache line.
const LINE: usize = 16;

/// How levels are unpacked and multiplied.
enum Form {
    /// As they are, signed.
    Signed,
    /// Above the lowest one, `lowest`, so many `steps` before widening.
    Above { lowest: i32, steps: usize },
}

/// A few unpacked tokens.
struct Scratch {
    form: Form,
    table: LevelTable,
    /// Components that the kernel multiplies: `D`, or 0 at 0 bits.
    width: usize,
    /// `(tile_tokens, D) u8` and what unpacking spoils behind them.
    levels: Vec<u8>,
    /// Tokens in a tile.
    tile_tokens: usize,
    codes: [usize; TILE_TOKENS],
    norms: [i32; TILE_TOKENS],
    gains: [i32; TILE_TOKENS],
    /// Best similarity of each query token so far, `(stride) i32`.
    best: Vec<i32>,
}

impl Scratch {
    fn new(codec: &Codec, stride: usize) -> Self {
        let lowest = codec.levels.iter().copied().min().unwrap_or(0);
        let highest = codec.levels.iter().copied().max().unwrap_or(0);
        let steps = steps(highest.abs_diff(lowest));
        let (form, table) = match steps {
            0 => (Form::Signed, LevelTable::levels(codec)),
            _ => (Form::Above { lowest: i32::from(lowest), steps }, LevelTable::above(codec, lowest)),
        };
        let tile_tokens = (TILE_BYTES / codec.dim / ROWS * ROWS).clamp(ROWS, TILE_TOKENS);
        Self {
            form,
            table,
            width: if codec.nbits == 0 { 0 } else { codec.dim },
            levels: vec![0; tile_tokens * codec.dim + SLACK],
            tile_tokens,
            codes: [0; TILE_TOKENS],
            norms: [0; TILE_TOKENS],
            gains: [0; TILE_TOKENS],
            best: vec![0; stride],
        }
    }
}

/// Scores of the selected passages from `first` on.
#[target_feature(enable = "avx2,fma")]
pub(super) fn run(job: &Job<'_>, first: usize, scores: &mut [i32]) {
    let mut scratch = Scratch::new(job.passages.codec(), job.table.stride());
    for (i, score) in scores.iter_mut().enumerate() {
        let tokens = job.passages.bytes().tokens(job.select.pid(first + i) as usize);
        if tokens.is_empty() {
            continue;
        }
        scratch.best.fill(i32::MIN);
        for start in tokens.clone().step_by(scratch.tile_tokens) {
            let tile = start..tokens.end.min(start + scratch.tile_tokens);
            load(job, tile.clone(), &mut scratch);
            for panel in (0..job.panels.len()).step_by(2) {
                match job.panels.len() - panel {
                    1 => maximize::<1>(job, tile.len(), panel, &mut scratch),
                    _ => maximize::<2>(job, tile.len(), panel, &mut scratch),
                }
            }
        }
        *score = sum(&scratch.best[..job.query.len()]);
    }
}

/// Unpacks a tile of tokens, and asks for their table rows, which lie anywhere in a table larger than
/// L2: unpacking the rest of the tile hides the way from L3.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn load(job: &Job<'_>, tile: Range<usize>, scratch: &mut Scratch) {
    let (codec, codes) = (job.passages.codec(), job.passages.codes());
    for (slot, t) in tile.enumerate() {
        let scale = job.passages.scale(t);
        scratch.codes[slot] = codes.get(t);
        for line in job.table.padded_row(scratch.codes[slot]).chunks(LINE) {
            _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast());
        }
        scratch.norms[slot] = i32::from(codec.norms[scale]);
        scratch.gains[slot] = i32::from(codec.gains[scale]);
        if scratch.width > 0 {
            let levels = &mut scratch.levels[slot * codec.dim..];
            unpack(&scratch.table, &job.passages.bytes().residuals, codec.row_bytes(), t, codec.dim, levels);
        }
    }
}

/// Raises the best similarities of `V` panels over a tile of `num_tokens`.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn maximize<const V: usize>(job: &Job<'_>, num_tokens: usize, panel: usize, scratch: &mut Scratch) {
    let dim = job.query.dim;
    let panels = job.panels.panels(panel, V).as_ptr();
    let lowest = if let Form::Above { lowest, .. } = scratch.form { lowest } else { 0 };
    let (mut best, mut below) = ([_mm256_setzero_si256(); V], [_mm256_setzero_si256(); V]);
    for v in 0..V {
        best[v] = load_lanes(scratch.best[(panel + v) * LANES..][..LANES].try_into().expect("whole panels"));
        below[v] = _mm256_mullo_epi32(load_lanes(job.panels.sums(panel + v)), _mm256_set1_epi32(lowest));
    }
    for group in (0..num_tokens).step_by(ROWS) {
        // Where tokens run out, the last one stands in for them: it cannot change a maximum.
        let slots: [usize; ROWS] = std::array::from_fn(|r| (group + r).min(num_tokens - 1));
        let rows = slots.map(|slot| scratch.levels[slot * dim..][..dim].as_ptr());
        // SAFETY: each row is a slice of `D` levels as `form` wants them, and `width <= D`; there are
        // `V` panels of `8 * D` bytes; no level and no query component is -128.
        let products: Tile<V> = unsafe {
            match scratch.form {
                Form::Signed => signed(rows, panels, LANES * dim, scratch.width),
                Form::Above { steps, .. } => unsigned(rows, panels, LANES * dim, scratch.width, steps),
            }
        };
        for (slot, products) in slots.into_iter().zip(products) {
            let norm = _mm256_set1_epi32(scratch.norms[slot]);
            let gain = _mm256_set1_epi32(scratch.gains[slot]);
            let entries = &job.table.padded_row(scratch.codes[slot])[panel * LANES..];
            for (v, entries) in entries.chunks_exact(LANES).take(V).enumerate() {
                let entries = load_lanes(entries.try_into().expect("whole panels"));
                let dot = _mm256_add_epi32(products[v], below[v]);
                let sim = _mm256_add_epi32(_mm256_mullo_epi32(norm, entries), _mm256_mullo_epi32(gain, dot));
                best[v] = _mm256_max_epi32(best[v], sim);
            }
        }
    }
    for (out, best) in scratch.best[panel * LANES..].chunks_exact_mut(LANES).zip(best) {
        // SAFETY: `out` is one register long.
        unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), best) };
    }
}

/// Eight lanes from memory.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn load_lanes(lanes: &[i32; LANES]) -> __m256i {
    // SAFETY: eight i32 are one register.
    unsafe { _mm256_loadu_si256(lanes.as_ptr().cast()) }
}
