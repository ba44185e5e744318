//! Made-up data with the shape of real token embeddings, and the instruction sets to compare.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use selvedge_backend::{Backend, CompressedPassages, Cpu, Isa, pack_codes, pack_scales};
use selvedge_codec::{TrainOptions, TrainedCodec, train};

pub const DIM: usize = 128;

/// Every instruction set that this machine has, on one thread, so that ratios mean something.
pub fn backends() -> Vec<Cpu> {
    let _ = rayon::ThreadPoolBuilder::new().num_threads(1).build_global();
    Isa::ALL.into_iter().filter(|isa| isa.is_available()).map(|isa| Cpu::with_isa(isa).expect("available")).collect()
}

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

/// A codec trained on such vectors.
pub fn codec(backend: &Cpu, nbits: u8, num_centroids: usize) -> TrainedCodec {
    let mut options = TrainOptions::new(nbits, num_centroids);
    options.iterations = 1;
    train(backend, DIM, embeddings(4 * num_centroids.max(5000), 1000, 1), &options, &()).expect("good sample")
}

/// `num` passages of `len` tokens, compressed.
pub fn passages(backend: &Cpu, codec: &TrainedCodec, num: usize, len: usize) -> CompressedPassages {
    let (codes, packed) =
        codec.compressor().compress(backend, &mut embeddings(num * len, 1000, 2)).expect("a CPU never fails");
    CompressedPassages {
        offsets: (0..=num as u32).flat_map(|p| (p * len as u32).to_le_bytes()).collect::<Vec<u8>>().into(),
        codes: pack_codes(&codes, codec.params.code_bits()).into(),
        residuals: packed.residuals.into(),
        scales: pack_scales(&packed.scales, codec.params.scale_bits).into(),
    }
}

/// `backend` under a name for a bench id.
pub fn name(backend: &Cpu) -> String {
    Backend::name(backend)
}
