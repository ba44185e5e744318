//! The bound on naive rows, for random and extreme codecs; and what the device measures and sums, against naive loops.

use super::super::{batch, lane::Ordered};
use super::*;
use crate::cuda::{Cuda, rows};
use crate::{
    Backend, CheckedCodec, CompressedPassages, DeviceIndex, Embeddings, IndexPart, NO_MATCH, Plan, QuantizedQuery,
    Route, Select, reference, score_shift,
};
use std::sync::Arc;

#[path = "../../../../../../tests/backend/cases.rs"]
#[allow(dead_code, unreachable_pub)] // it is part of another test crate, too
mod cases;
use cases::{Case, Fill, Rng, Shape};

/// Weights of a token, and the two parts of each component.
type Decoded = ((u8, u8), Vec<(i8, i8)>);

/// Rows of some passages, by plain loops.
struct Naive {
    bound: BoundArgument,
    farthest: f64,
    /// Rows of the tokens of each passage.
    rows: Vec<Vec<Vec<i8>>>,
}

impl Naive {
    fn new(codec: &CodecParams, passages: &CompressedPassages) -> Self {
        let token = |t: usize| -> Decoded {
            let token = reference::token(codec, passages, t);
            let centroid = codec.centroids[token.code * codec.dim..][..codec.dim].to_vec();
            let weights = (codec.centroid_weights[token.weight], codec.residual_weights[token.weight]);
            (weights, centroid.into_iter().zip(token.levels).collect())
        };
        let factor = f64::from(codec.table_factor());
        let x = |(n, g): (u8, u8), (c, w): (i8, i8)| f64::from(n) * factor * f64::from(c) + f64::from(g) * f64::from(w);
        let tokens: Vec<_> = (0..passages.num_tokens()).map(token).collect();
        let components = tokens.iter().flat_map(|(weights, pairs)| pairs.iter().map(|&pair| x(*weights, pair)));
        let step = step(components.fold(0.0, |most, x| x.abs().max(most)));
        let row = |((n, g), pairs): &Decoded| -> Vec<i8> {
            let both = rows::factors(*n, *g, codec.table_factor(), step);
            let (a, b) = (i32::from(both as i16), i32::from((both >> 16) as i16));
            pairs.iter().map(|&(c, w)| ((a * i32::from(c) + b * i32::from(w) + 128) >> 8) as i8).collect()
        };
        let of_tokens: Vec<Vec<i8>> = tokens.iter().map(row).collect();
        let square = |((weights, pairs), row): (&Decoded, &Vec<i8>)| -> f64 {
            pairs.iter().zip(row).map(|(&pair, &x8)| (x(*weights, pair) - step * f64::from(x8)).powi(2)).sum()
        };
        let farthest = tokens.iter().zip(&of_tokens).map(square).fold(0.0, f64::max);
        let rows = (0..passages.num_passages()).map(|pid| of_tokens[passages.tokens(pid)].to_vec()).collect();
        Self { bound: bound(codec, step, farthest), farthest, rows }
    }

    /// The sum of each passage.
    fn sums(&self, query: &QuantizedQuery) -> Vec<i32> {
        let dot = |q: &[i8], x: &[i8]| q.iter().zip(x).map(|(&q, &x)| i32::from(q) * i32::from(x)).sum::<i32>();
        let best = |q: &[i8], rows: &[Vec<i8>]| rows.iter().map(|x| dot(q, x)).max().expect("a token");
        let sum = |rows: &Vec<Vec<i8>>| match rows.is_empty() {
            true => NO_MATCH,
            false => query.data.chunks_exact(query.dim).map(|q| best(q, rows)).sum(),
        };
        self.rows.iter().map(sum).collect()
    }

    /// The largest difference of a score from what its sum stands for; `None` if entries of the table may be clamped.
    fn error(&self, query: &QuantizedQuery) -> Option<f64> {
        let BoundArgument { distance, weight, most_length, .. } = self.bound;
        let power = f64::from(1u32 << score_shift(query.len()));
        let lengths = query.data.chunks_exact(query.dim).map(|q| q.iter().map(|&q| f64::from(q).powi(2)).sum::<f64>());
        let lengths: Vec<f64> = lengths.map(f64::sqrt).collect();
        let is_bounded = lengths.iter().all(|&length| length <= most_length);
        is_bounded.then(|| lengths.iter().map(|length| (weight + length * distance) / power + 1.0).sum())
    }
}

/// Returns a case whose table is not clamped, if `below` is at most 1; else the case's own, which may be.
fn case(shape: &Shape, fill: Fill, below: f32) -> Case {
    let mut case = Case::new(shape, fill);
    let factor = below * (1 << 22) as f32 / (shape.dim as f32 * 127.0 * 127.0);
    let scale = factor * case.codec.residual_weight_step / case.codec.centroid_weight_step;
    case.codec = CheckedCodec::new(CodecParams { centroid_scale: scale, ..CodecParams::clone(&case.codec) }).unwrap();
    case
}

#[test]
fn scores_are_within_the_bound() {
    let (mut bounded, mut closest) = (0, 0f64);
    for seed in 0..300 {
        let rng = &mut Rng::new(seed);
        let lengths = (0..20).map(|_| rng.below(12)).collect();
        let shape = Shape { query_len: 1 + rng.below(20), lengths, seed, ..Shape::random(rng) };
        let fill = [Fill::Random, Fill::Extreme][rng.below(2)];
        // From entries of 0 up to entries that the limit clamps.
        let below = [1e-9, 1e-5, 1e-2, 0.3, 0.999, 1.5][rng.below(6)];
        let Case { codec, passages, query, .. } = case(&shape, fill, below);
        let naive = Naive::new(&codec, &passages);
        let Some(error) = naive.error(&query) else { continue };
        bounded += 1;
        let table = reference::centroid_table(&codec, &query);
        let scores = reference::maxsim(&codec, &passages, &query, &table, Select::All);
        let unit = naive.bound.step / f64::from(1u32 << score_shift(query.len()));
        for (pid, (&score, sum)) in scores.iter().zip(naive.sums(&query)).enumerate() {
            assert_eq!(score == NO_MATCH, sum == NO_MATCH);
            if score != NO_MATCH {
                let difference = (f64::from(score) - unit * f64::from(sum)).abs();
                assert!(difference <= error, "seed {seed}, passage {pid}: {difference} above {error}");
                closest = closest.max(difference / error);
            }
        }
    }
    // The bound is no empty one.
    assert!(bounded > 200 && closest > 0.3, "{bounded} cases, {closest}");
}

#[test]
fn runs_have_all_passages_and_few_tiles() {
    assert_eq!(cut(&[5], 3), []);
    assert_eq!(cut(&[0, 0, 0, 0, 0], 3), [(0, 3), (3, 1)]);
    assert_eq!(cut(&[2, 3, 11, 12, 100, 101, 101], 3), [(0, 2), (2, 1), (3, 1), (4, 2)]);
    // The tiles of a passage end before the first tile of the next one.
    let lengths = (0..200u32).map(|at| at * 7919 % 23);
    let offsets: Vec<u32> = std::iter::once(9)
        .chain(lengths.scan(9, |end, len| {
            *end += len;
            Some(*end)
        }))
        .collect();
    for first in 0..20 {
        for pid in first..199 {
            let end = tiles(&offsets, first, pid) + ((offsets[pid + 1] - offsets[pid]) as usize).div_ceil(TILE_TOKENS);
            assert!(end <= tiles(&offsets, first, pid + 1));
        }
    }
    for most in [1, 4, 50, 1000] {
        let runs = cut(&offsets, most);
        assert!(runs.iter().all(|&(first, num)| num == 1 || tiles(&offsets, first, first + num) <= most));
        assert!(runs.windows(2).all(|pair| pair[0].0 + pair[0].1 == pair[1].0));
        assert_eq!(runs.iter().map(|&(_, num)| num).sum::<usize>(), 200);
    }
}

/// A test of `cuda::process`: the device measures and sums as plain loops do, in a set and beside pids of no passage.
pub(in crate::cuda) fn the_device_measures_and_sums(cuda: &Cuda) {
    for (nbits, trellis, fill) in [(2, true, Fill::Random), (1, true, Fill::Extreme), (4, false, Fill::Random)] {
        let lengths = (0..50).map(|at| at * 7 % 20).collect();
        let shape = Shape { dim: 48, nbits, trellis, lengths, ..Shape::small() };
        let Case { codec, passages, .. } = case(&shape, fill, 0.5);
        let (naive, resident) = (Naive::new(&codec, &passages), cuda.load_codec(codec.clone()).unwrap());
        let part = |first_pid| IndexPart {
            passages: Arc::new(cuda.load_passages(&resident, passages.clone()).unwrap()),
            first_pid,
        };
        let index = LoadedIndex::new(cuda, &resident, vec![part(2), part(60)]).unwrap();
        let certificate = Certificate::measure(&index).unwrap().unwrap();
        let measured = certificate.bound;
        assert_eq!(BoundArgument { distance: naive.bound.distance, ..measured }, naive.bound);
        assert!((measured.distance / naive.bound.distance - 1.0).abs() < 1e-9, "{measured:?}, {}", naive.farthest);

        let rng = &mut Rng::new(3);
        let queries: Vec<Vec<f32>> = [1, 7, 33, 32, 65].map(|len| rng.unit_rows(len, 48)).into();
        let plan = Plan { k: 3, route: Route::Everything };
        let set = index.load_set(&[0xdead_beef; 4]).unwrap();
        for bits in [None, Some(&set)] {
            let order = |query| index.order(Embeddings::Host(query), &plan, index.address(bits));
            let orders: Vec<Ordered<'_>> = queries.iter().map(|query| order(&query[..])).collect();
            let orders: Vec<&Ordered<'_>> = orders.iter().collect();
            let sums = cuda.lanes.with(cuda, |lane| {
                batch::answer(lane, &index, &certificate, &orders)?;
                lane.batch.as_ref().expect("of the batch").sums()
            });
            for (query, sums) in queries.iter().zip(sums.unwrap()) {
                let of_segment = naive.sums(&reference::quantize_query(&codec, query));
                let gaps = |number| std::iter::repeat_n(NO_MATCH, number);
                let all = gaps(2).chain(of_segment.clone()).chain(gaps(8)).chain(of_segment);
                let is_chosen = |pid: usize| bits.is_none() || 0xdead_beef_u32 >> (pid % 32) & 1 == 1;
                let expected: Vec<i32> =
                    all.enumerate().map(|(pid, sum)| if is_chosen(pid) { sum } else { NO_MATCH }).collect();
                assert_eq!(sums, expected);
            }
        }
    }
}

/// A test of `cuda::process`: an index whose certificate does not fit into memory is not measured again.
pub(in crate::cuda) fn a_certificate_without_memory_is_none(open: impl Fn(Option<u64>) -> Cuda) {
    let Case { codec, passages, .. } = case(&Shape::small(), Fill::Random, 0.5);
    let loaded = |cuda: &Cuda| {
        let resident = cuda.load_codec(codec.clone()).unwrap();
        let passages = Arc::new(cuda.load_passages(&resident, passages.clone()).unwrap());
        LoadedIndex::new(cuda, &resident, vec![IndexPart { passages, first_pid: 0 }]).unwrap()
    };
    let all = open(None);
    let index = loaded(&all);
    let full = open(Some(all.context.held_bytes()));
    drop(index);
    let index = loaded(&full);
    assert!(index.certificate.get().is_none());
    let query = vec![1.0; codec.dim];
    let plan = Plan { k: 3, route: Route::Everything };
    let found = index.search(&[Embeddings::Host(&query); 4], &plan, None);
    assert!(matches!(found, Err(crate::Error::OutOfDeviceMemory { .. })), "nor does a scan fit");
    assert!(index.certificate.get().is_none(), "a later batch may have more memory");
}
