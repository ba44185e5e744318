//! Made-up data with the shape of real token embeddings.

use super::backends::fastest_cpu;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use selvedge_backend::{Backend, CheckedCodec, CodecParams, CompressedPassages, Embeddings, pack_codes, pack_weights};
use selvedge_codec::{Codec, TrainOptions, train};

/// Components of an embedding.
pub const DIM: usize = 128;
/// Passages that are compressed; more passages repeat their bytes.
const DISTINCT: usize = 256;

/// `n` unit vectors, `(n, D)`, around `topics` directions: residuals about as long as real ones.
pub fn embeddings(n: usize, topics: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let normal = |rng: &mut ChaCha8Rng| (0..6).map(|_| rng.random::<f32>() - 0.5).sum::<f32>();
    let centers: Vec<f32> = (0..topics * DIM).map(|_| normal(&mut rng)).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut rows = Vec::with_capacity(n * DIM);
    for _ in 0..n {
        let topic = rng.random_range(0..topics);
        let row: Vec<f32> = centers[topic * DIM..][..DIM].iter().map(|c| c + 0.6 * normal(&mut rng)).collect();
        let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        rows.extend(row.iter().map(|x| x / norm));
    }
    rows
}

/// `n` random codes.
pub fn codes(n: usize, num_centroids: usize) -> Vec<u32> {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    (0..n).map(|_| rng.random_range(0..num_centroids as u32)).collect()
}

/// A codec trained on [`embeddings`].
pub fn codec(nbits: u8, num_centroids: usize) -> Codec {
    let mut options = TrainOptions::new(nbits, num_centroids);
    options.iterations = 1;
    train(&fastest_cpu(), DIM, embeddings(4 * num_centroids.max(5000), 1000, 1), &options, &()).expect("good sample")
}

/// A codec with `num_centroids` random centroids: their directions do not change the time of an op.
pub fn wide(codec: &CodecParams, num_centroids: usize) -> CheckedCodec {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let centroids = (0..num_centroids * DIM).map(|_| rng.random_range(-127..=127)).collect();
    CheckedCodec::new(CodecParams { centroids, ..codec.clone() }).expect("valid")
}

/// A query of `len` tokens, loaded for `codec`.
pub fn query<B: Backend>(backend: &B, codec: &B::Codec, len: usize) -> B::Query {
    backend.quantize_query(codec, Embeddings::Host(&embeddings(len, 1000, 3))).expect("enough memory")
}

/// `num` passages of `len` tokens for `wide`: residuals that `codec` compressed, and random codes.
pub fn passages(codec: &Codec, wide: &CodecParams, num: usize, len: usize) -> CompressedPassages {
    let (distinct, times) = (num.min(DISTINCT), num.div_ceil(DISTINCT));
    let mut rows = embeddings(distinct * len, 1000, 2);
    let compressor = codec.compressor(&fastest_cpu()).expect("a CPU never fails");
    let (_, packed) = compressor.compress(&fastest_cpu(), &mut rows).expect("a CPU never fails");
    let codes = codes(num * len, wide.num_centroids());
    packed_passages(wide, len, &codes, packed.residuals.repeat(times), &packed.weights.repeat(times))
}

/// `num` passages of `len` tokens with random codes, for ops that read codes only.
pub fn coded_passages(codec: &CodecParams, num: usize, len: usize) -> CompressedPassages {
    let codes = codes(num * len, codec.num_centroids());
    packed_passages(codec, len, &codes, vec![0; codes.len() * codec.row_bytes()], &vec![0; codes.len()])
}

/// The byte arrays of passages of `len` tokens each.
fn packed_passages(
    codec: &CodecParams,
    len: usize,
    codes: &[u32],
    mut residuals: Vec<u8>,
    weights: &[u8],
) -> CompressedPassages {
    residuals.truncate(codes.len() * codec.row_bytes());
    let offsets = (0..=codes.len() / len).flat_map(|passage| ((passage * len) as u32).to_le_bytes());
    CompressedPassages {
        offsets: offsets.collect::<Vec<u8>>().into(),
        codes: pack_codes(codes, codec.code_bits()).into(),
        residuals: residuals.into(),
        weights: pack_weights(&weights[..codes.len()], codec.weight_bits).into(),
    }
}
