//! Integer scores of compressed vectors compared with f32 MaxSim of the vectors themselves, for every codec and nbits:
//! few and many vectors, distinct and repeated, with and without a centroid for each, and of any length.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use selvedge_backend::{
    Backend, CompressedPassages, Cpu, Embeddings, Select, TABLE_LIMIT, pack_codes, pack_weights, reference,
};
use selvedge_codec::{Codec, CodecKind, Error, TrainOptions, train};

/// Dim of the vectors. At up to 32 dims the search for a trellis row tries every initial state, which is
/// slow.
const DIM: usize = 48;
const TOKENS: usize = 5;
const QUERY_LEN: usize = 3;
const KINDS: [CodecKind; 2] = [CodecKind::Selvedge, CodecKind::ColbertV2];
const NBITS: [u8; 5] = [0, 1, 2, 4, 8];

/// Vectors in passages of [`TOKENS`], and queries of [`QUERY_LEN`] tokens that are near some of them.
struct Collection {
    rows: Vec<f32>,
    queries: Vec<Vec<f32>>,
}

impl Collection {
    /// Makes `num` vectors of unit length, of which `distinct` are different.
    fn new(num: usize, distinct: usize) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64((num * 7919 + distinct) as u64);
        let mut noise = || (0..6).map(|_| rng.random::<f32>() - 0.5).sum::<f32>();
        let topics: Vec<f32> = (0..12 * DIM).map(|_| noise()).collect();
        let kinds: Vec<f32> =
            (0..distinct * DIM).map(|at| topics[at / DIM % 12 * DIM + at % DIM] + 0.8 * noise()).collect();
        let kinds = unit_rows(kinds);
        // The step 31 shares no factor with the numbers of distinct vectors, so that passages differ.
        let rows: Vec<f32> = (0..num).flat_map(|i| kinds[i * 31 % distinct * DIM..][..DIM].to_vec()).collect();
        let queries = (0..8)
            .map(|q| {
                let near = |t: usize| &rows[(q * 97 + t * 41) % num * DIM..][..DIM];
                let tokens = (0..QUERY_LEN).flat_map(near).collect::<Vec<_>>();
                unit_rows(tokens.into_iter().map(|x| x + 0.1 * noise()).collect())
            })
            .collect();
        Self { rows, queries }
    }

    /// Returns the collection with vectors `factor` times as long.
    fn times(&self, factor: f32) -> Self {
        Self { rows: self.rows.iter().map(|x| x * factor).collect(), queries: self.queries.clone() }
    }

    /// First token of each passage, and the number of tokens.
    fn offsets(&self) -> Vec<usize> {
        let num = self.rows.len() / DIM;
        (0..num).step_by(TOKENS).chain([num]).collect()
    }

    /// Computes f32 MaxSim, one row of scores per query.
    fn exact(&self) -> Vec<Vec<f32>> {
        let scores = |query: &Vec<f32>| reference::maxsim_f32(DIM, query, &[0, QUERY_LEN], &self.rows, &self.offsets());
        self.queries.iter().map(scores).collect()
    }

    fn train(&self, kind: CodecKind, nbits: u8, num_centroids: usize) -> Codec {
        let options = TrainOptions { kind, ..TrainOptions::new(nbits, num_centroids) };
        train(&Cpu::new().unwrap(), DIM, self.rows.clone(), &options, &()).unwrap()
    }

    /// Computes scores of the compressed vectors, one row per query.
    fn compressed(&self, codec: &Codec) -> Vec<Vec<f32>> {
        let (cpu, params) = (Cpu::new().unwrap(), &codec.params);
        let (codes, packed) = codec.compressor(&cpu).unwrap().compress(&cpu, &mut self.rows.clone()).unwrap();
        let passages = CompressedPassages {
            offsets: self.offsets().iter().flat_map(|&offset| (offset as u32).to_le_bytes()).collect(),
            codes: pack_codes(&codes, params.code_bits()).into(),
            residuals: packed.residuals.into(),
            weights: pack_weights(&packed.weights, params.weight_bits).into(),
        };
        let sums = params.centroids.chunks_exact(DIM).map(|row| row.iter().map(|&c| i32::from(c).abs()).sum::<i32>());
        let largest_entry = params.table_factor() * 127.0 * sums.max().unwrap() as f32;
        assert!(largest_entry < TABLE_LIMIT as f32 * 1.001, "a query may reach the bound of the table");
        let resident = cpu.load_codec(params.clone()).unwrap();
        let passages = cpu.load_passages(&resident, passages).unwrap();
        let scores = |query: &Vec<f32>| {
            let query = cpu.quantize_query(&resident, Embeddings::Host(query)).unwrap();
            let unit = cpu.score_unit(&query).unwrap();
            let table = cpu.centroid_table(&resident, &query).unwrap();
            let scores = cpu.maxsim(&passages, &query, &table, Select::All).unwrap();
            scores.scores().iter().map(|&score| score as f32 * unit).collect()
        };
        self.queries.iter().map(scores).collect()
    }
}

fn unit_rows(mut rows: Vec<f32>) -> Vec<f32> {
    for row in rows.chunks_exact_mut(DIM) {
        let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        row.iter_mut().for_each(|x| *x /= length);
    }
    rows
}

/// Passages by descending score.
fn ranking(scores: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    order
}

/// Sum of the exact scores of the `k` passages found, relative to that of the `k` best ones: 1 for a perfect ranking,
/// whatever the order of passages with equal scores.
fn quality(exact: &[Vec<f32>], found: &[Vec<f32>], k: usize) -> f32 {
    let sum = |scores: &[f32], by: &[f32]| ranking(by).iter().take(k).map(|&pid| scores[pid]).sum::<f32>();
    let share = |(exact, found): (&Vec<f32>, &Vec<f32>)| sum(exact, found) / sum(exact, exact);
    exact.iter().zip(found).map(share).sum::<f32>() / exact.len() as f32
}

/// Largest error of a score, relative to the largest score.
fn largest_error(exact: &[Vec<f32>], found: &[Vec<f32>]) -> f32 {
    let largest = exact.iter().flatten().fold(0f32, |most, score| most.max(score.abs()));
    let errors = exact.iter().flatten().zip(found.iter().flatten()).map(|(exact, found)| (exact - found).abs());
    errors.fold(0f32, f32::max) / largest
}

#[test]
fn a_centroid_for_every_vector_keeps_every_score() {
    // (vectors, distinct vectors, centroids)
    let cases = [
        (1, 1, 16),
        (2, 2, 2),
        (10, 10, 32),
        (18, 18, 64),
        (40, 40, 40),
        (100, 100, 128),
        (600, 600, 1024),
        (3000, 10, 512),
        (3000, 60, 60),
        (5000, 700, 1024),
        (5000, 2500, 5000),
    ];
    for (num, distinct, num_centroids) in cases {
        let collection = Collection::new(num, distinct);
        let exact = collection.exact();
        for kind in KINDS {
            for nbits in NBITS {
                let name = format!("{num} vectors, {distinct} distinct, {num_centroids} centroids, {kind:?} {nbits}");
                let codec = collection.train(kind, nbits, num_centroids);
                let found = collection.compressed(&codec);
                assert_eq!(codec.params.num_centroids(), distinct, "{name}");
                let error = largest_error(&exact, &found);
                assert!(error < 0.03, "{name}: the error of a score is {error}");
                let first = quality(&exact, &found, 1);
                assert!(first > 0.999, "{name}: the first passages have {first} of the best scores");
            }
        }
    }
}

#[test]
fn more_bits_never_rank_worse() {
    for (num, distinct, num_centroids) in
        [(40, 40, 38), (100, 100, 95), (600, 600, 64), (3000, 60, 50), (3000, 60, 1), (5000, 5000, 256)]
    {
        let collection = Collection::new(num, distinct);
        let exact = collection.exact();
        for kind in KINDS {
            let of_nbits =
                |nbits| quality(&exact, &collection.compressed(&collection.train(kind, nbits, num_centroids)), 5);
            let qualities = NBITS.map(of_nbits);
            let name = format!("{num} vectors, {distinct} distinct, {num_centroids} centroids, {kind:?}");
            assert!(qualities.windows(2).all(|pair| pair[1] > pair[0] - 0.004), "{name}: {qualities:?}");
        }
    }
}

#[test]
fn a_factor_on_all_vectors_changes_no_ranking() {
    // Lengths of 1 to 3.
    let mut collection = Collection::new(1000, 1000);
    for (i, row) in collection.rows.chunks_exact_mut(DIM).enumerate() {
        row.iter_mut().for_each(|x| *x *= 1.0 + (i % 17) as f32 / 8.0);
    }
    let exact = collection.exact();
    for nbits in NBITS {
        let of_factor = |factor: f32| {
            let longer = collection.times(factor);
            let found = longer.compressed(&longer.train(CodecKind::Selvedge, nbits, 128));
            (quality(&exact, &found, 5), largest_error(&longer.exact(), &found), found)
        };
        let (quality, error, scores) = of_factor(1.0);
        for factor in [0.5f32.powi(33), 8.0, 2f32.powi(33)] {
            let found: Vec<Vec<f32>> = of_factor(factor).2;
            let same = |(a, b): (&f32, &f32)| a * factor == *b;
            assert!(scores.iter().flatten().zip(found.iter().flatten()).all(same), "{nbits} bits, times {factor}");
        }
        // Factors that are not powers of two change the rounding of every component.
        for factor in [1e-10, 0.01, 3.0, 10.0, 1000.0, 1e10] {
            let (q, e, _) = of_factor(factor);
            let name = format!("{nbits} bits, times {factor}");
            assert!((q - quality).abs() < 0.01, "{name}: {q} of the best scores, not {quality}");
            assert!((e - error).abs() < 0.04, "{name}: the error of a score is {e}, not {error}");
        }
    }
}

#[test]
fn an_embedding_of_unsupported_length_is_named() {
    let collection = Collection::new(40, 40);
    for (kind, factor) in [(CodecKind::Selvedge, 1e18f32), (CodecKind::ColbertV2, 3.0)] {
        let mut rows = collection.rows.clone();
        rows[39 * DIM..].iter_mut().for_each(|x| *x *= factor);
        let cpu = Cpu::new().unwrap();
        let options = TrainOptions { kind, ..TrainOptions::new(2, 16) };
        let named = |error: Error| {
            matches!(error, Error::Length { embedding: 39, .. } | Error::NotOfUnitLength { embedding: 39, .. })
        };
        assert!(named(train(&cpu, DIM, rows.clone(), &options, &()).unwrap_err()));
        let compressor = collection.train(kind, 2, 16).compressor(&cpu).unwrap();
        let error = compressor.compress(&cpu, &mut rows[10 * DIM..]).unwrap_err();
        assert!(named(error.numbered_from(10)));
    }
}
