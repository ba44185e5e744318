//! Every op as naive loops: the oracle that the fast bodies are compared with, and the textbook.
//!
//! Sums of floats are f64, and sums of integers are i64 wherever i32 could overflow. Results are rounded only where the
//! contract says so. The loops are slow and serve tests only. [`Reference`] is a [`Backend`](crate::Backend) made of
//! them, so that one suite of tests runs on all backends.

mod backend;
mod build;
mod quantize_query;
mod trellis;

pub use backend::{LoadedCentroids, LoadedPassages, LoadedQuery, Reference, ReferenceTable};
pub use build::{
    assign, assign_grouped, centroid_sums, components, compress, decompress, midpoints, refit_components, weight_errors,
};
pub use quantize_query::quantize_query;
pub use trellis::{nearest_trellis_row, trellis_costs, trellis_row};

use crate::missing_score::{self, MissingScore};
use crate::{
    CodeReader, CodecParams, CompressedPassages, NO_MATCH, Pid, Probed, QuantizedQuery, RawHit, RowCoding, Select,
    TABLE_LIMIT, packed_row_bytes, read_weight, score_shift,
};

/// The decoded bytes of one token.
pub(crate) struct Token {
    /// Centroid of the token, at most `K - 1`.
    pub(crate) code: usize,
    /// Weight index of the token.
    pub(crate) weight: usize,
    /// Levels of its residual, `(D) i8`; zeros at 0 bits.
    pub(crate) levels: Vec<i8>,
}

/// Reads token `t`, bit by bit.
pub(crate) fn token(codec: &CodecParams, passages: &CompressedPassages, t: usize) -> Token {
    let code = CodeReader::new(&passages.codes, codec.code_bits()).get(t) as usize;
    let width = codec.row_bytes();
    let row = &passages.residuals[t * width..(t + 1) * width];
    Token {
        code: code.min(codec.num_centroids() - 1),
        weight: read_weight(&passages.weights, codec.weight_bits, t),
        levels: (0..codec.dim).map(|d| level(codec, row, d)).collect(),
    }
}

/// Level of component `d` of a packed residual row.
fn level(codec: &CodecParams, row: &[u8], d: usize) -> i8 {
    let nbits = codec.nbits as usize;
    if nbits == 0 {
        return 0;
    }
    let width = packed_row_bytes(codec.dim, codec.nbits);
    let first = d % width * 8 + d / width * nbits;
    let bit = |i: usize| (row[(first + i) / 8 % width] >> ((first + i) % 8) & 1) as usize;
    let name: usize = match codec.coding {
        RowCoding::Buckets => (0..nbits).map(|i| bit(i) << i).sum(),
        // Bit i of the label: the sum of the window's bits i, i + 1 and, where the window has it, 8 - nbits + i.
        RowCoding::Trellis { .. } => {
            let far = |i: usize| if i < nbits { bit(8 - nbits + i) } else { 0 };
            (0..4).map(|i| (bit(i) ^ bit(i + 1) ^ far(i)) << i).sum()
        }
    };
    codec.levels[name]
}

/// Exact dot product of two rows of small integers.
fn dot(a: &[i8], b: &[i8]) -> i64 {
    a.iter().zip(b).map(|(&a, &b)| i64::from(a) * i64::from(b)).sum()
}

/// Centroid part of every similarity, `(K, Q) i32`:
/// `clamp(round_ties_even(f32(dot(c8, q8)) * table_factor), -2^22, 2^22)`.
pub fn centroid_table(codec: &CodecParams, query: &QuantizedQuery) -> Vec<i32> {
    let mut table = Vec::new();
    for centroid in codec.centroids.chunks_exact(codec.dim) {
        for i in 0..query.len() {
            let product = dot(centroid, query.row(i)) as f32 * codec.table_factor();
            table.push((product.round_ties_even() as i64).clamp(-TABLE_LIMIT as i64, TABLE_LIMIT as i64) as i32);
        }
    }
    table
}

/// The `nprobe` best centroids of each query token, and its missing score, from `table (K, Q) i32`: sorts each column
/// `T[..][i]` by entry descending, then code ascending, and the maxima of its groups of eight centroids descending.
///
/// # Panics
/// If the table has no row.
pub fn probe(table: &[i32], query_len: usize, nprobe: usize) -> Probed {
    let (mut cells, mut missing) = (Vec::new(), Vec::new());
    for i in 0..query_len {
        let entries: Vec<i32> = table.chunks_exact(query_len).map(|row| row[i]).collect();
        let mut column: Vec<_> = (0u32..).zip(entries.iter().copied()).collect();
        column.sort_by_key(|&(code, entry)| (std::cmp::Reverse(entry), code));
        let take = nprobe.min(column.len());
        cells.extend_from_slice(&column[..take]);
        let left_out = column[take.min(column.len() - 1)].1;
        let deep = MissingScore::new(nprobe, entries.len());
        let groups = entries.chunks(missing_score::GROUP).step_by(deep.step);
        let mut maxima: Vec<i32> = groups.filter_map(|group| group.iter().copied().max()).collect();
        maxima.sort_by_key(|&max| std::cmp::Reverse(max));
        missing.push(left_out.min(maxima[deep.rank - 1]));
    }
    Probed { cells, missing }
}

/// One score per selected passage; `sims(t)` returns the similarities of all query tokens with token `t`.
fn scores(
    passages: &CompressedPassages,
    query_len: usize,
    select: Select<'_>,
    mut sims: impl FnMut(usize) -> Vec<i64>,
) -> Vec<i32> {
    let score = |pid: Pid, sims: &mut dyn FnMut(usize) -> Vec<i64>| {
        let rows: Vec<Vec<i64>> = passages.tokens(pid as usize).map(sims).collect();
        if rows.is_empty() {
            return NO_MATCH;
        }
        let best = (0..query_len).map(|i| rows.iter().map(|row| row[i]).max().expect("a token"));
        let sum: i64 = best.map(|best| best >> score_shift(query_len)).sum();
        i32::try_from(sum).expect("the contract's bound")
    };
    (0..select.len(passages.num_passages())).map(|i| score(select.pid(i), &mut sims)).collect()
}

/// Scores from `table (K, Q) i32` alone, one per selected passage:
/// `sum over i of (max over t of T[code_t][i]) >> ceil(log2(Q))`.
pub fn approx_scores(
    codec: &CodecParams,
    passages: &CompressedPassages,
    table: &[i32],
    query_len: usize,
    select: Select<'_>,
) -> Vec<i32> {
    scores(passages, query_len, select, |t| {
        let code = token(codec, passages, t).code;
        table[code * query_len..(code + 1) * query_len].iter().map(|&entry| i64::from(entry)).collect()
    })
}

/// The [contract](crate)'s score of each selected passage, with `table (K, Q) i32`:
/// `sim(i, t) = centroid_weights[j] * T[c][i] + residual_weights[j] * dot(q8[i], w8)`,
/// maximum over the tokens of the passage, shifted, summed over the tokens of the query.
pub fn maxsim(
    codec: &CodecParams,
    passages: &CompressedPassages,
    query: &QuantizedQuery,
    table: &[i32],
    select: Select<'_>,
) -> Vec<i32> {
    let query_len = query.len();
    scores(passages, query_len, select, |t| {
        let token = token(codec, passages, t);
        let (centroid_weight, residual_weight) =
            (i64::from(codec.centroid_weights[token.weight]), i64::from(codec.residual_weights[token.weight]));
        let sim = |i| {
            centroid_weight * i64::from(table[token.code * query_len + i])
                + residual_weight * dot(query.row(i), &token.levels)
        };
        (0..query_len).map(sim).collect()
    })
}

/// MaxSim over plain embeddings: `sum over i of max over t of dot(q_i, x_t)`, `(num_queries, P) f32`.
pub fn maxsim_f32(
    dim: usize,
    queries: &[f32],
    query_offsets: &[usize],
    embeddings: &[f32],
    passage_offsets: &[usize],
) -> Vec<f32> {
    let row =
        |rows: &[f32], i: usize| -> Vec<f64> { rows[i * dim..(i + 1) * dim].iter().map(|&x| f64::from(x)).collect() };
    let mut scores = Vec::new();
    for query in query_offsets.windows(2) {
        for passage in passage_offsets.windows(2) {
            let mut score = if passage[0] < passage[1] { 0.0 } else { f64::NEG_INFINITY };
            for i in query[0]..query[1] {
                let q = row(queries, i);
                let sims = (passage[0]..passage[1]).map(|t| q.iter().zip(row(embeddings, t)).map(|(q, x)| q * x).sum());
                score += sims.fold(f64::NEG_INFINITY, f64::max);
            }
            scores.push(score as f32);
        }
    }
    scores
}

/// The best `k` of the selected passages, by sorting all of them; [`NO_MATCH`] is excluded.
pub fn top_k(scores: &[i32], select: Select<'_>, k: usize) -> Vec<RawHit> {
    let mut hits: Vec<_> = scores.iter().enumerate().map(|(i, &score)| RawHit { pid: select.pid(i), score }).collect();
    hits.retain(|hit| hit.score != NO_MATCH);
    hits.sort_by_key(|hit| (std::cmp::Reverse(hit.score), hit.pid));
    hits.truncate(k);
    hits
}

/// Linear layer in int8 ([`crate::cpu::LinearInt8`]), `y = x W^T`: `x (N, in)`, `weight (out, in)` -> `(N, out)`.
///
/// `x` and `weight` are rounded row by row, so that the largest absolute value of a row becomes 127. With
/// `narrow`, as in the AVX2 body, the largest value of a row of `weight` is also taken over the sums of its neighbours
/// `(w[2i], w[2i + 1])` of one sign.
pub fn linear_int8(inputs: usize, x: &[f32], weight: &[f32], narrow: bool) -> Vec<f32> {
    let round = |row: &[f32], most: f32| {
        let inverse = if most > 0.0 { (127.0 / most).min(f32::MAX) } else { 0.0 };
        let rounded: Vec<i8> = row.iter().map(|x| (x * inverse).round_ties_even() as i8).collect();
        (rounded, if row.iter().all(|x| x.is_finite()) { most / 127.0 } else { f32::NAN })
    };
    let largest = |row: &[f32]| row.iter().fold(0f32, |most, x| most.max(x.abs()));
    let alike = |pair: &[f32]| pair.len() == 2 && pair[0].is_sign_negative() == pair[1].is_sign_negative();
    let of_weights = |row: &[f32]| {
        let pairs = row.chunks(2).filter(|pair| narrow && alike(pair));
        pairs.fold(largest(row), |most, pair| most.max((pair[0] + pair[1]).abs()))
    };
    let weights: Vec<_> = weight.chunks_exact(inputs).map(|row| round(row, of_weights(row))).collect();
    let mut y = Vec::new();
    for row in x.chunks_exact(inputs) {
        let (row, scale) = round(row, largest(row));
        for (weights, of_weights) in &weights {
            let dot: i64 = row.iter().zip(weights).map(|(&x, &w)| i64::from(x) * i64::from(w)).sum();
            y.push(dot as f32 * (scale * of_weights));
        }
    }
    y
}

/// Linear layer ([`crate::cpu::LinearF32`]) in f64, `y = x W^T`: `x (N, in)`, `weight (out, in)` -> `(N, out)`.
pub fn linear_f32(inputs: usize, x: &[f32], weight: &[f32]) -> Vec<f64> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
    let rows = x.chunks_exact(inputs);
    rows.flat_map(|x| weight.chunks_exact(inputs).map(move |weights| dot(x, weights))).collect()
}
