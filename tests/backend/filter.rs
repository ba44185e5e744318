//! Batches of queries on a GPU, whose passages a certified bound filters: they find what each query finds by itself,
//! and what the reference finds.

mod rare;

use crate::cases::{Case, Fill, Rng, Shape, codec};
use crate::gpu::{cuda, cudas};
use selvedge_backend::cuda::LoadedIndex;
use selvedge_backend::{
    Backend, CheckedCodec, CodecParams, CompressedPassages, Cuda, DeviceIndex, Embeddings, IndexPart, NO_MATCH, Plan,
    RawHit, Route, Select, pack_codes, pack_weights, reference,
};
use std::cmp::Reverse;
use std::sync::Arc;

/// Returns a codec of this shape whose centroid table has no entry that is clamped.
fn unclamped(shape: &Shape, fill: Fill, rng: &mut Rng) -> CheckedCodec {
    let params = codec(shape, fill, rng);
    let factor = (1 << 21) as f32 / (shape.dim as f32 * 127.0 * 127.0);
    let centroid_scale = factor * params.residual_weight_step / params.centroid_weight_step;
    CheckedCodec::new(CodecParams { centroid_scale, ..params }).unwrap()
}

/// A token: its code, its weight index and its packed row.
type Token = (u32, u8, Vec<u8>);

/// Returns `num` passages of up to `longest` tokens. Each is a copy of one of a few, and most copies differ in a bit:
/// many scores are equal, and many more are close.
fn alike(codec: &CodecParams, num: usize, longest: usize, rng: &mut Rng) -> CompressedPassages {
    let token = |rng: &mut Rng| -> Token {
        let row = (0..codec.row_bytes()).map(|_| rng.bits() as u8).collect();
        (rng.below(codec.num_centroids()) as u32, rng.below(codec.centroid_weights.len()) as u8, row)
    };
    let few: Vec<Vec<Token>> =
        (0..1 + num / 30).map(|_| (0..rng.below(longest + 1)).map(|_| token(rng)).collect()).collect();
    let passages: Vec<Vec<Token>> = (0..num)
        .map(|_| {
            let mut passage = few[rng.below(few.len())].clone();
            if let (true, len @ 1..) = (rng.below(4) > 0, passage.len()) {
                let (_, weight, row) = &mut passage[rng.below(len)];
                match row.len() {
                    0 => *weight = rng.below(codec.centroid_weights.len()) as u8,
                    bytes => row[rng.below(bytes)] ^= 1 << rng.below(8),
                }
            }
            passage
        })
        .collect();
    packed(codec, &passages)
}

fn packed(codec: &CodecParams, passages: &[Vec<Token>]) -> CompressedPassages {
    let ends = passages.iter().scan(0, |end, passage| {
        *end += passage.len() as u32;
        Some(*end)
    });
    let tokens = || passages.iter().flatten();
    let (codes, weights): (Vec<u32>, Vec<u8>) = tokens().map(|&(code, weight, _)| (code, weight)).unzip();
    CompressedPassages {
        offsets: std::iter::once(0).chain(ends).flat_map(u32::to_le_bytes).collect::<Vec<u8>>().into(),
        codes: pack_codes(&codes, codec.code_bits()).into(),
        residuals: tokens().flat_map(|(_, _, row)| row.clone()).collect::<Vec<u8>>().into(),
        weights: pack_weights(&weights, codec.weight_bits).into(),
    }
}

/// An index in device memory, and its segments.
struct Loaded<'a> {
    cuda: &'a Cuda,
    codec: CheckedCodec,
    segments: Vec<(u32, CompressedPassages)>,
    num_pids: usize,
    index: Box<dyn DeviceIndex>,
}

impl<'a> Loaded<'a> {
    /// Loads segments, with pids of no passage between them.
    fn new(cuda: &'a Cuda, codec: CheckedCodec, segments: Vec<CompressedPassages>) -> Self {
        const GAP: u32 = 3;
        let resident = cuda.load_codec(codec.clone()).unwrap();
        let mut next = GAP;
        let placed: Vec<(u32, CompressedPassages)> = segments
            .into_iter()
            .map(|passages| {
                let first = next;
                next = first + passages.num_passages() as u32 + GAP;
                (first, passages)
            })
            .collect();
        let part = |(first_pid, passages): &(u32, CompressedPassages)| IndexPart {
            passages: Arc::new(cuda.load_passages(&resident, passages.clone()).unwrap()),
            first_pid: *first_pid,
        };
        let index = cuda.load_index(&resident, placed.iter().map(part).collect()).unwrap().unwrap();
        Self { cuda, codec, num_pids: (next - GAP) as usize, segments: placed, index }
    }

    /// The best `k` passages that are in the set, by the reference.
    fn expected(&self, query: &[f32], k: usize, set: Option<&[u32]>) -> Vec<RawHit> {
        let query = reference::quantize_query(&self.codec, query);
        let table = reference::centroid_table(&self.codec, &query);
        let mut hits = Vec::new();
        for (first, passages) in &self.segments {
            let scores = reference::maxsim(&self.codec, passages, &query, &table, Select::All);
            hits.extend((*first..).zip(scores).map(|(pid, score)| RawHit { pid, score }));
        }
        let is_chosen = |pid: u32| set.is_none_or(|bits| bits[pid as usize / 32] >> (pid % 32) & 1 == 1);
        hits.retain(|hit| hit.score != NO_MATCH && is_chosen(hit.pid));
        hits.sort_by_key(|hit| (Reverse(hit.score), hit.pid));
        hits.truncate(k);
        hits
    }

    /// Numbers of queries that were filtered, and of those that were not.
    fn batched(&self) -> (u64, u64) {
        self.index.as_any().downcast_ref::<LoadedIndex>().expect("of a GPU").batched_queries()
    }

    /// Checks the results of a batch, and how many of its queries were filtered.
    fn check(&self, queries: &[Vec<f32>], k: usize, set: Option<&[u32]>, filtered: usize) {
        let before = self.batched();
        let loaded = set.map(|bits| self.index.load_set(bits).unwrap());
        // Some are in the memory of the device.
        let uploaded: Vec<_> = queries.iter().map(|query| self.cuda.upload_embeddings(query).unwrap()).collect();
        let embeddings: Vec<Embeddings<'_>> = (queries.iter().zip(&uploaded).enumerate())
            .map(|(at, (query, uploaded))| match at % 3 {
                1 => Embeddings::Device(uploaded),
                _ => Embeddings::Host(query),
            })
            .collect();
        let plan = Plan { k, route: Route::Everything };
        let found = self.index.search(&embeddings, &plan, loaded.as_ref()).unwrap();
        let after = self.batched();
        assert_eq!((after.0 - before.0) as usize, filtered, "queries that are filtered");
        assert_eq!(found.len(), queries.len());
        for (at, (query, found)) in queries.iter().zip(found).enumerate() {
            let name = format!("query {at} of {}, {} tokens, k {k}", queries.len(), query.len() / self.codec.dim);
            assert_eq!(found.hits, self.expected(query, k, set), "{name}");
            assert_eq!((found.candidates, found.rescored, found.refused), (0, 0, None), "{name}");
            if at % 5 == 0 {
                let alone = self.index.search(&embeddings[at..=at], &plan, loaded.as_ref()).unwrap();
                assert_eq!(alone, [found], "{name}");
            }
        }
    }
}

/// Returns queries of mixed lengths, up to `longest` tokens.
fn queries(num: usize, dim: usize, longest: usize, rng: &mut Rng) -> Vec<Vec<f32>> {
    (0..num)
        .map(|_| {
            let len = 1 + rng.below(longest);
            rng.unit_rows(len, dim)
        })
        .collect()
}

/// Batches of every size around that of the kernel, mixed lengths, each coding, several segments, sets, and `k` up to
/// more than there are passages. Each variant of the kernels is compiled, so there are few dims.
#[test]
fn batches_find_what_single_queries_find() {
    let codings = [
        (32, 1, true, 4, Fill::Random),
        (48, 2, true, 5, Fill::Random),
        (48, 2, true, 5, Fill::Extreme),
        (32, 4, false, 0, Fill::Extreme),
        (8, 8, false, 3, Fill::Random),
        (8, 0, false, 4, Fill::Extreme),
    ];
    for (cuda, most) in cudas().zip([codings.len(), 1]) {
        println!("{}", cuda.name());
        for (dim, nbits, trellis, weight_bits, fill) in codings.into_iter().take(most) {
            let rng = &mut Rng::new(u64::from(nbits) + if fill == Fill::Random { 10 } else { 20 });
            let shape = Shape { dim, nbits, trellis, weight_bits, num_centroids: 21, ..Shape::small() };
            let codec = unclamped(&shape, fill, rng);
            let segments = [50, 1, 23].map(|num| alike(&codec, num, 40, rng));
            let loaded = Loaded::new(cuda, codec, segments.into());
            let (all, any) = (queries(64, dim, 9, rng), |_: &u32| rng.bits() as u32);
            let half: Vec<u32> = vec![0; loaded.num_pids.div_ceil(32)].iter().map(any).collect();
            let most: Vec<u32> = half.iter().map(|word| word | word.rotate_left(7)).collect();
            let few: Vec<u32> = half.iter().map(|word| word & word.rotate_left(7) & word.rotate_left(3)).collect();
            loaded.check(&all[..1], 10, None, 0);
            loaded.check(&all[..3], 10, None, 0);
            loaded.check(&all[..4], 1, None, 4);
            loaded.check(&all[4..17], 10, Some(&most), 13);
            loaded.check(&all[9..18], 1000, Some(&most), 9);
            loaded.check(&all[9..18], 10, Some(&few), 0);
            if nbits == 2 && fill == Fill::Random {
                loaded.check(&all[..35], 3, None, 32);
                loaded.check(&all, 10, None, 64);
            }
            loaded.check(&queries(4, dim, 70, rng), 10, None, 4);
        }
    }
}

/// Rows of the most components that products of warpgroups multiply, whose slabs fill the shared memory.
#[test]
fn a_batch_of_wide_rows_loses_no_passage() {
    let Some(cuda) = cuda() else { return };
    println!("{}", cuda.name());
    let (dim, rng) = (selvedge_kernels::Op::FilterWgmma.most_dim(), &mut Rng::new(3));
    let codec = unclamped(&Shape { dim, trellis: true, num_centroids: 9, ..Shape::small() }, Fill::Random, rng);
    // Alike enough that a wrong sum loses the best passage.
    let segments = vec![alike(&codec, 300, 9, rng)];
    Loaded::new(cuda, codec, segments).check(&queries(16, dim, 4, rng), 1, None, 16);
}

/// Many passages with close scores: a bound that is too small loses some, and so does a token of the next passage.
#[test]
fn a_batch_loses_no_passage() {
    for (seed, longest) in [1, 2].into_iter().flat_map(|seed| [1, 9, 40].map(|longest| (seed, longest))) {
        for cuda in cudas().take(if seed == 1 { 2 } else { 1 }) {
            println!("{}", cuda.name());
            let rng = &mut Rng::new(seed);
            let shape = Shape { dim: 32, trellis: true, num_centroids: 5, ..Shape::small() };
            let codec = unclamped(&shape, Fill::Random, rng);
            let segments = vec![alike(&codec, 900 / longest.min(5), longest, rng)];
            let loaded = Loaded::new(cuda, codec, segments);
            for k in [1, 10] {
                loaded.check(&queries(16, 32, 4, rng), k, None, 16);
            }
        }
    }
}

/// Runs of passages: at 4,096 components one has few.
#[test]
fn a_batch_goes_from_run_to_run() {
    let Some(cuda) = cuda() else { return };
    println!("{}", cuda.name());
    let rng = &mut Rng::new(5);
    let shape = Shape { dim: 4096, nbits: 1, trellis: true, weight_bits: 0, num_centroids: 3, ..Shape::small() };
    let codec = unclamped(&shape, Fill::Random, rng);
    let segments = [450, 90].map(|num| alike(&codec, num, 4, rng));
    let loaded = Loaded::new(cuda, codec, segments.into());
    // One that is too long is scanned alone.
    let mut asked = queries(4, 4096, 3, rng);
    asked.insert(2, rng.unit_rows(17, 4096));
    loaded.check(&asked, 10, None, 4);
}

/// Queries whose survivors exceed their slots, and those whose table is clamped, are answered by a scan.
#[test]
fn a_batch_without_a_certificate_is_scanned() {
    for cuda in cudas() {
        println!("{}", cuda.name());
        let rng = &mut Rng::new(6);
        let shape = Shape { dim: 8, num_centroids: 3, ..Shape::small() };
        let codec = unclamped(&shape, Fill::Random, rng);
        let equal = vec![(1, 2, vec![0x5a, 0x33])];
        let other = vec![(0, 1, vec![0x71, 0x0f])];
        let passages = packed(&codec, &[vec![equal; 1100], vec![other; 40]].concat());
        let loaded = Loaded::new(cuda, codec.clone(), vec![passages.clone()]);
        let asked = queries(6, 8, 3, rng);
        let is_of_many = |query: &&Vec<f32>| loaded.expected(query, 1, None)[0].pid < 1103;
        let many = asked.iter().filter(is_of_many).count();
        assert!(many > 0 && many < asked.len(), "{many}");
        loaded.check(&asked, 1, None, asked.len() - many);
        // Twice the factor of the largest table.
        let centroid_scale = codec.centroid_scale * 4.0;
        let clamped = CheckedCodec::new(CodecParams { centroid_scale, ..CodecParams::clone(&codec) }).unwrap();
        let centroids = vec![127; clamped.centroids.len()].into();
        let clamped = CheckedCodec::new(CodecParams { centroids, ..CodecParams::clone(&clamped) }).unwrap();
        let loaded = Loaded::new(cuda, clamped, vec![passages]);
        loaded.check(&vec![vec![1.0; 8]; 4], 5, None, 0);
    }
}

/// Corrupt offsets have no certificate, and codes that are out of range name the last centroid.
#[test]
fn batches_over_corrupt_passages_find_what_the_reference_finds() {
    for (cuda, seeds) in cudas().zip([6, 2]) {
        println!("{}", cuda.name());
        for seed in 1..=seeds {
            let rng = &mut Rng::new(seed);
            let lengths = (0..40).map(|_| rng.below(40)).collect();
            let shape = Shape { trellis: seed % 2 == 0, num_centroids: 5, lengths, seed, ..Shape::small() };
            let codec = unclamped(&shape, Fill::Random, rng);
            let case = Case::new(&shape, Fill::Random);
            let corrupted = case.clone().corrupted(seed).passages;
            let codes = CompressedPassages { codes: corrupted.codes.clone(), ..case.passages.clone() };
            let asked = queries(5, shape.dim, 9, rng);
            Loaded::new(cuda, codec.clone(), vec![codes, case.passages.clone()]).check(&asked, 10, None, 5);
            Loaded::new(cuda, codec, vec![case.passages, corrupted]).check(&asked, 10, None, 0);
        }
    }
}
