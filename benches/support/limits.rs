//! What this core, and a GPU, can do at most: int8 products and f32 multiply-adds that never leave the registers, and
//! bytes copied from memory to memory. `benches/peak.rs` measures the same at length.

use super::Timed;
use selvedge_backend::Cuda;
use std::hint::black_box;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Rounds of a loop over registers.
pub const ROUNDS: usize = 1 << 12;
/// Bytes that are copied: more than any cache is said to hold for one core.
pub const COPIED: usize = 1 << 28;
/// How long each limit is measured, where it is not a bench's own subject.
const SHORT: Duration = Duration::from_millis(200);

/// Amounts a second, none where it is not known how to measure it.
#[derive(Clone, Copy)]
pub struct Limits {
    pub products: Option<f64>,
    pub multiply_adds: Option<f64>,
    /// Bytes copied: each is read and written.
    pub copied: f64,
}

/// Work of known amount over registers.
pub struct Loop {
    pub name: &'static str,
    /// Multiply-adds, or products of bytes.
    pub amount: usize,
    pub of_bytes: bool,
    body: unsafe fn(),
}

impl Loop {
    pub fn run(&self) {
        // SAFETY: `loops` names none whose instructions are not there.
        unsafe { (self.body)() }
    }
}

/// Those whose instructions are there.
#[cfg(target_arch = "x86_64")]
pub fn loops() -> Vec<Loop> {
    use registers::*;
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let avxvnni = avx2 && is_x86_feature_detected!("avxvnni");
    let avx512 = is_x86_feature_detected!("avx512f");
    let vnni = avx512 && is_x86_feature_detected!("avx512vnni");
    let body = |name, amount, of_bytes, body: unsafe fn()| Loop { name, amount, of_bytes, body };
    let all = [
        (avx2, body("fma_256", CHAINS_256 * ROUNDS * 8, false, fma_256)),
        (avx512, body("fma_512", CHAINS * ROUNDS * 16, false, fma_512)),
        (avx2, body("dot_products_256", CHAINS_256 * ROUNDS * 32, true, dot_products_256)),
        (avxvnni, body("dot_products_256_vnni", CHAINS_256 * ROUNDS * 32, true, dot_products_256_vnni)),
        (vnni, body("dot_products_512", CHAINS * ROUNDS * 64, true, dot_products_512)),
    ];
    all.into_iter().filter_map(|(is_there, body)| is_there.then_some(body)).collect()
}

/// Peaks of arithmetic are measured on x86-64 only.
#[cfg(not(target_arch = "x86_64"))]
pub fn loops() -> Vec<Loop> {
    Vec::new()
}

#[cfg(target_arch = "x86_64")]
mod registers {
    use super::ROUNDS;
    use std::arch::x86_64::*;
    use std::hint::black_box;

    /// Sums that are added to in turn: more than the latency of an addition times the units that add.
    pub const CHAINS: usize = 16;
    /// The same where there are sixteen registers, some of which hold what is multiplied.
    pub const CHAINS_256: usize = 12;

    /// `CHAINS_256 * ROUNDS * 8` multiply-adds.
    #[target_feature(enable = "avx2,fma")]
    pub fn fma_256() {
        let (a, b) = (black_box(_mm256_set1_ps(0.5)), black_box(_mm256_set1_ps(1e-3)));
        let mut sums = [a; CHAINS_256];
        for _ in 0..ROUNDS {
            sums.iter_mut().for_each(|sum| *sum = _mm256_fmadd_ps(a, b, *sum));
        }
        black_box(sums);
    }

    /// `CHAINS * ROUNDS * 16` multiply-adds.
    #[target_feature(enable = "avx512f")]
    pub fn fma_512() {
        let (a, b) = (black_box(_mm512_set1_ps(0.5)), black_box(_mm512_set1_ps(1e-3)));
        let mut sums = [a; CHAINS];
        for _ in 0..ROUNDS {
            sums.iter_mut().for_each(|sum| *sum = _mm512_fmadd_ps(a, b, *sum));
        }
        black_box(sums);
    }

    /// `CHAINS_256 * ROUNDS * 32` products of bytes, as AVX2 has them: pairs to 16 bits, pairs of these to 32, a sum. The
    /// left side depends on the sum, or the compiler would multiply once.
    #[target_feature(enable = "avx2")]
    pub fn dot_products_256() {
        let (a, b, ones) = (black_box(_mm256_set1_epi8(3)), black_box(_mm256_set1_epi8(-5)), _mm256_set1_epi16(1));
        let mut sums = [a; CHAINS_256];
        for _ in 0..ROUNDS {
            sums.iter_mut().for_each(|sum| {
                let pairs = _mm256_madd_epi16(_mm256_maddubs_epi16(*sum, b), ones);
                *sum = _mm256_add_epi32(*sum, pairs);
            });
        }
        black_box(sums);
    }

    /// `CHAINS_256 * ROUNDS * 32` products of bytes.
    #[target_feature(enable = "avx2,avxvnni")]
    pub fn dot_products_256_vnni() {
        let (a, b) = (black_box(_mm256_set1_epi8(3)), black_box(_mm256_set1_epi8(-5)));
        let mut sums = [a; CHAINS_256];
        for _ in 0..ROUNDS {
            sums.iter_mut().for_each(|sum| *sum = _mm256_dpbusd_avx_epi32(*sum, a, b));
        }
        black_box(sums);
    }

    /// `CHAINS * ROUNDS * 64` products of bytes.
    #[target_feature(enable = "avx512f,avx512vnni")]
    pub fn dot_products_512() {
        let (a, b) = (black_box(_mm512_set1_epi8(3)), black_box(_mm512_set1_epi8(-5)));
        let mut sums = [a; CHAINS];
        for _ in 0..ROUNDS {
            sums.iter_mut().for_each(|sum| *sum = _mm512_dpbusd_epi32(*sum, a, b));
        }
        black_box(sums);
    }
}

/// `amount` over the least of the times that `run` takes.
fn most(amount: usize, mut run: impl FnMut()) -> f64 {
    let started = Instant::now();
    let mut least = Duration::MAX;
    while least == Duration::MAX || started.elapsed() < SHORT {
        let started = Instant::now();
        run();
        least = least.min(started.elapsed());
    }
    amount as f64 / least.as_secs_f64()
}

/// The larger of the limits of all instruction sets, whichever a backend uses.
pub fn of_this_core() -> Limits {
    static LIMITS: OnceLock<Limits> = OnceLock::new();
    *LIMITS.get_or_init(|| {
        let best = |of_bytes: bool| {
            let loops = loops().into_iter().filter(|body| body.of_bytes == of_bytes);
            loops.map(|body| most(body.amount, || body.run())).reduce(f64::max)
        };
        let (from, mut to) = (vec![1u8; COPIED], vec![0u8; COPIED]);
        let copied = most(COPIED, || black_box(&mut to).copy_from_slice(black_box(&from)));
        Limits { products: best(true), multiply_adds: best(false), copied }
    })
}

/// The same of a GPU: products in its tensor cores (`mma.sync`), copies from its memory to its memory.
pub fn of_gpu(cuda: &Cuda) -> Limits {
    static LIMITS: OnceLock<Limits> = OnceLock::new();
    *LIMITS.get_or_init(|| {
        let rounds = cuda.size(ROUNDS, 4 * ROUNDS) as u32;
        let peak = cuda.peak(&vec![1; cuda.size(COPIED, 4 * COPIED)]).expect("it does not fail");
        let products = most(peak.num_products() * rounds as usize, || peak.products(rounds).expect("it does not fail"));
        let multiply_adds =
            most(peak.num_multiply_adds() * rounds as usize, || peak.multiply_adds(rounds).expect("it does not fail"));
        let copied = most(peak.num_bytes(), || peak.copy().expect("it does not fail"));
        Limits { products: Some(products), multiply_adds: Some(multiply_adds), copied }
    })
}
