//! Limits of one core and of a GPU: int8 products and f32 multiply-adds that stay in registers, and bytes copied from
//! memory to memory.

use super::backends::Timed;
use super::sampler::{Sample, sample};
use selvedge_backend::Cuda;
use std::hint::black_box;
use std::sync::OnceLock;
use std::time::Duration;

/// Rounds of a loop over registers.
const ROUNDS: usize = 1 << 12;
/// Bytes that are copied: more than the caches of one core.
const COPIED: usize = 1 << 28;
/// Time to measure one limit.
const BUDGET: Duration = Duration::from_millis(500);

/// Resource that bounds an op.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Products of int8 numbers, each with its addition.
    Int8,
    /// Multiply-adds of f32 numbers.
    F32,
    /// Bytes read and written. Reads that caches serve can exceed it.
    Memory,
}

impl Limit {
    /// Name of the limit in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Int8 => "int8",
            Self::F32 => "f32",
            Self::Memory => "memory",
        }
    }

    /// Unit of the amounts that the limit bounds.
    pub fn unit(self) -> &'static str {
        if self == Self::Memory { "B" } else { "MAC" }
    }
}

/// A loop that reaches a limit, measured.
pub struct Peak {
    pub name: &'static str,
    pub limit: Limit,
    /// Multiply-adds or bytes of one call.
    pub amount: usize,
    pub sample: Sample,
}

impl Peak {
    fn measure(name: &'static str, limit: Limit, amount: usize, call: impl FnMut()) -> Self {
        Self { name, limit, amount, sample: sample(BUDGET, call) }
    }

    /// Most multiply-adds or bytes per second.
    fn rate(&self) -> f64 {
        self.amount as f64 / self.sample.least
    }
}

/// Largest rate of the loops for `limit`, whichever instruction set they use. `None` if no loop measures it here.
pub fn rate(peaks: &[Peak], limit: Limit) -> Option<f64> {
    peaks.iter().filter(|peak| peak.limit == limit).map(Peak::rate).reduce(f64::max)
}

/// Limits of one core: every loop whose instructions it has, and a copy.
pub fn of_one_core() -> &'static [Peak] {
    static PEAKS: OnceLock<Vec<Peak>> = OnceLock::new();
    PEAKS.get_or_init(|| {
        let registers =
            loops().into_iter().map(|body| Peak::measure(body.name, body.limit, body.amount, || body.run()));
        let mut peaks: Vec<Peak> = registers.collect();
        let (from, mut to) = (vec![1u8; COPIED], vec![0u8; COPIED]);
        let copy = || black_box(&mut to).copy_from_slice(black_box(&from));
        // A copied byte is read and written.
        peaks.push(Peak::measure("limit_copy", Limit::Memory, 2 * COPIED, copy));
        peaks
    })
}

/// Limits of a GPU: products in its tensor cores (`mma.sync`), multiply-adds, and copies within its memory.
pub fn of_gpu(cuda: &Cuda) -> &'static [Peak] {
    static PEAKS: OnceLock<Vec<Peak>> = OnceLock::new();
    PEAKS.get_or_init(|| {
        let rounds = cuda.size(ROUNDS, 4 * ROUNDS);
        let peak = cuda.peak(&vec![1; cuda.size(COPIED, 4 * COPIED)]).expect("it does not fail");
        let (products, multiply_adds) = (peak.num_products() * rounds, peak.num_multiply_adds() * rounds);
        vec![
            Peak::measure("limit_mma", Limit::Int8, products, || {
                peak.products(rounds as u32).expect("it does not fail")
            }),
            Peak::measure("limit_fma_f32", Limit::F32, multiply_adds, || {
                peak.multiply_adds(rounds as u32).expect("it does not fail");
            }),
            Peak::measure("limit_copy", Limit::Memory, 2 * peak.num_bytes(), || peak.copy().expect("it does not fail")),
        ]
    })
}

/// Work of known amount over registers.
struct Loop {
    name: &'static str,
    limit: Limit,
    /// Multiply-adds of one call.
    amount: usize,
    body: unsafe fn(),
}

impl Loop {
    fn run(&self) {
        // SAFETY: `loops` returns only loops whose instructions this machine has.
        unsafe { (self.body)() }
    }
}

/// Loops whose instructions this machine has.
#[cfg(target_arch = "x86_64")]
fn loops() -> Vec<Loop> {
    use registers::*;
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let avxvnni = avx2 && is_x86_feature_detected!("avxvnni");
    let avx512 = is_x86_feature_detected!("avx512f");
    let vnni = avx512 && is_x86_feature_detected!("avx512vnni");
    let body = |name, limit, amount, body: unsafe fn()| Loop { name, limit, amount, body };
    let all = [
        (avx2, body("limit_fma_f32_256", Limit::F32, CHAINS_256 * ROUNDS * 8, fma_256)),
        (avx512, body("limit_fma_f32_512", Limit::F32, CHAINS * ROUNDS * 16, fma_512)),
        (avx2, body("limit_vpmaddubsw_256", Limit::Int8, CHAINS_256 * ROUNDS * 32, maddubs_256)),
        (avxvnni, body("limit_vpdpbusd_256", Limit::Int8, CHAINS_256 * ROUNDS * 32, dpbusd_256)),
        (vnni, body("limit_vpdpbusd_512", Limit::Int8, CHAINS * ROUNDS * 64, dpbusd_512)),
    ];
    all.into_iter().filter_map(|(available, body)| available.then_some(body)).collect()
}

/// No loops: limits of arithmetic are measured on x86-64 only.
#[cfg(not(target_arch = "x86_64"))]
fn loops() -> Vec<Loop> {
    Vec::new()
}

#[cfg(target_arch = "x86_64")]
mod registers {
    use super::ROUNDS;
    use std::arch::x86_64::*;
    use std::hint::black_box;

    /// Independent sums: more than the latency of an addition times the units that add.
    pub const CHAINS: usize = 16;
    /// Independent sums of 256 bits: sixteen registers, less two factors and a temporary.
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

    /// `CHAINS_256 * ROUNDS * 32` products of bytes by AVX2: pairs to 16 bits, pairs of these to 32, a sum. The left
    /// side depends on the sum, or the compiler would multiply once.
    #[target_feature(enable = "avx2")]
    pub fn maddubs_256() {
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
    pub fn dpbusd_256() {
        let (a, b) = (black_box(_mm256_set1_epi8(3)), black_box(_mm256_set1_epi8(-5)));
        let mut sums = [a; CHAINS_256];
        for _ in 0..ROUNDS {
            sums.iter_mut().for_each(|sum| *sum = _mm256_dpbusd_avx_epi32(*sum, a, b));
        }
        black_box(sums);
    }

    /// `CHAINS * ROUNDS * 64` products of bytes.
    #[target_feature(enable = "avx512f,avx512vnni")]
    pub fn dpbusd_512() {
        let (a, b) = (black_box(_mm512_set1_epi8(3)), black_box(_mm512_set1_epi8(-5)));
        let mut sums = [a; CHAINS];
        for _ in 0..ROUNDS {
            sums.iter_mut().for_each(|sum| *sum = _mm512_dpbusd_epi32(*sum, a, b));
        }
        black_box(sums);
    }
}
