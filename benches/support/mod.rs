//! Made-up data with the shape of real token embeddings, the backends to compare, and what they are held against.

pub mod limits;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Throughput};
use limits::Limits;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use selvedge_backend::cuda::devices;
use selvedge_backend::{
    Backend, CheckedCodec, CodecParams, CompressedPassages, Cpu, Cuda, Embeddings, Isa, pack_codes, pack_weights,
};
use selvedge_codec::{Codec, TrainOptions, train};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

pub const DIM: usize = 128;
/// Passages that are compressed; where more are wanted their bytes are repeated.
const DISTINCT: usize = 256;
/// The emulated GPU is asked for a part of what a CPU is.
const EMULATED_PART: usize = 64;

/// Runs a body on every backend of this machine, by name, since [`Backend`] is generic.
#[macro_export]
macro_rules! each_backend {
    ($backend:ident => $body:expr) => {
        for $backend in &$crate::support::cpus() {
            $body;
        }
        if let Some($backend) = $crate::support::gpu() {
            $body;
        }
    };
}

/// A backend whose time is taken.
pub trait Timed: Backend {
    /// Waits until what was asked for is done: some ops of a GPU come back before.
    fn wait(&self);

    /// How much work it gets: a GPU more, so that it is more than a launch.
    fn size(&self, cpu: usize, gpu: usize) -> usize;

    /// What its machine can do.
    fn limits(&self) -> Limits;
}

/// What a call cannot do without, in the unit of the limit that it is held against.
#[derive(Clone, Copy)]
pub enum Work {
    /// Products of bytes.
    Products(usize),
    /// f32 multiply-adds.
    MultiplyAdds(usize),
    /// Bytes read and written. What caches hold can come faster than memory copies.
    Moved(usize),
}

impl Work {
    /// Each thread's part.
    pub fn divided(self, threads: usize) -> Self {
        match self {
            Self::Products(n) => Self::Products(n / threads),
            Self::MultiplyAdds(n) => Self::MultiplyAdds(n / threads),
            Self::Moved(n) => Self::Moved(n / threads),
        }
    }

    /// How large a part of the limit was reached by a call that took `time`.
    fn share(self, limits: &Limits, time: Duration) -> Option<String> {
        let (amount, limit, unit) = match self {
            Self::Products(n) => (n, limits.products?, "G int8 products/s"),
            Self::MultiplyAdds(n) => (n, limits.multiply_adds?, "G multiply-adds/s"),
            // A copied byte is moved twice.
            Self::Moved(n) => (n, 2.0 * limits.copied, "GB/s read and written"),
        };
        let share = amount as f64 / time.as_secs_f64() / limit;
        Some(format!("{:.1} % of {:.0} {unit}", 100.0 * share, limit / 1e9))
    }
}

/// Takes the time of `op` on a backend, until it is done, and says how large a part of the limit it reached.
pub fn bench<B: Timed, O>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    backend: &B,
    what: String,
    throughput: Throughput,
    work: Work,
    mut op: impl FnMut() -> O,
) {
    let limits = backend.limits();
    let mut times = Vec::new();
    group.throughput(throughput);
    group.bench_function(BenchmarkId::new(backend.name(), what), |b| {
        b.iter(|| {
            let started = Instant::now();
            let out = op();
            backend.wait();
            times.push(started.elapsed());
            out
        });
    });
    // None where another bench was asked for.
    if !times.is_empty() {
        let middle = times.len() / 2;
        let (_, median, _) = times.select_nth_unstable(middle);
        if let Some(share) = work.share(&limits, *median) {
            println!("{:24}limit: {share}", "");
        }
    }
}

impl Timed for Cpu {
    fn wait(&self) {}

    fn size(&self, cpu: usize, _gpu: usize) -> usize {
        cpu
    }

    fn limits(&self) -> Limits {
        limits::of_this_core()
    }
}

impl Timed for Cuda {
    fn wait(&self) {
        self.synchronize().expect("the device works");
    }

    fn size(&self, cpu: usize, gpu: usize) -> usize {
        if gpu_is_emulated() { cpu.div_ceil(EMULATED_PART) } else { gpu }
    }

    fn limits(&self) -> Limits {
        limits::of_gpu(self)
    }
}

/// Every instruction set that this machine has, on one thread, so that ratios mean something.
pub fn cpus() -> Vec<Cpu> {
    let _ = rayon::ThreadPoolBuilder::new().num_threads(1).build_global();
    Isa::ALL.into_iter().filter(|isa| isa.is_available()).map(|isa| Cpu::with_isa(isa).expect("available")).collect()
}

/// The fastest of them, for what is not timed.
pub fn cpu() -> Cpu {
    cpus().pop().expect("portable is there")
}

/// The first GPU. The emulated one only if `SELVEDGE_BENCH_EMULATED` is set: its times mean nothing.
pub fn gpu() -> Option<&'static Cuda> {
    static GPU: OnceLock<Option<Cuda>> = OnceLock::new();
    let open = || {
        if gpu_is_emulated() && std::env::var_os("SELVEDGE_BENCH_EMULATED").is_none() {
            eprintln!("skipped: the GPU is an emulated one");
            return None;
        }
        Cuda::new(0).map_err(|error| eprintln!("skipped: {error}")).ok()
    };
    GPU.get_or_init(open).as_ref()
}

/// Whether the first GPU is that of tests/emulator.
pub fn gpu_is_emulated() -> bool {
    static EMULATED: OnceLock<bool> = OnceLock::new();
    let first = || devices().devices.into_iter().next().and_then(Result::ok);
    *EMULATED.get_or_init(|| first().is_some_and(|device| device.name.starts_with("Emulated")))
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

/// `n` codes that may be any.
pub fn codes(n: usize, num_centroids: usize) -> Vec<u32> {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    (0..n).map(|_| rng.random_range(0..num_centroids as u32)).collect()
}

/// A codec trained on such vectors.
pub fn codec(nbits: u8, num_centroids: usize) -> Codec {
    let mut options = TrainOptions::new(nbits, num_centroids);
    options.iterations = 1;
    train(&cpu(), DIM, embeddings(4 * num_centroids.max(5000), 1000, 1), &options, &()).expect("good sample")
}

/// A codec with `num_centroids` centroids, which for the time that they take may point anywhere.
pub fn wide(codec: &CodecParams, num_centroids: usize) -> CheckedCodec {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let centroids = (0..num_centroids * DIM).map(|_| rng.random_range(-127..=127)).collect();
    CheckedCodec::new(CodecParams { centroids, ..codec.clone() }).expect("valid")
}

/// A query of `len` tokens, as `backend` holds it for `codec`.
pub fn query<B: Backend>(backend: &B, codec: &B::Codec, len: usize) -> B::Query {
    backend.quantize_query(codec, Embeddings::Host(&embeddings(len, 1000, 3))).expect("there is room")
}

/// `num` passages of `len` tokens, compressed.
pub fn passages(codec: &Codec, num: usize, len: usize) -> CompressedPassages {
    let (distinct, times) = (num.min(DISTINCT), num.div_ceil(DISTINCT));
    let mut rows = embeddings(distinct * len, 1000, 2);
    let compressor = codec.compressor(&cpu()).expect("a CPU never fails");
    let (codes, packed) = compressor.compress(&cpu(), &mut rows).expect("a CPU never fails");
    let (codes, weights) = (codes.repeat(times), packed.weights.repeat(times));
    packed_passages(&codec.params, len, &codes[..num * len], packed.residuals.repeat(times), &weights)
}

/// The same with any codes and the lowest levels and weights, for ops that look at codes only.
pub fn coded_passages(codec: &CodecParams, num: usize, len: usize) -> CompressedPassages {
    let codes = codes(num * len, codec.num_centroids());
    packed_passages(codec, len, &codes, vec![0; codes.len() * codec.row_bytes()], &vec![0; codes.len()])
}

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
