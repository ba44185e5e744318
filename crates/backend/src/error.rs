//! What can fail for reasons outside the program: data and machines.

use crate::Isa;

/// A `Result` of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, with the values that broke the rule.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A dim that no layout fits.
    #[error("dim {dim} is not a multiple of 8 between 8 and 32768")]
    BadDim {
        /// The dim that was asked for.
        dim: usize,
    },
    /// A codec whose numbers break a bound.
    #[error("codec: {what} is out of range: {value}")]
    BadCodec {
        /// Which number.
        what: &'static str,
        /// Its value.
        value: String,
    },
    /// An array that does not fit the others.
    #[error("{array}: expected {expected} bytes, found {found}")]
    ArrayLength {
        /// Which array.
        array: &'static str,
        /// Bytes that the other arrays ask for.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// Passage offsets that run backwards.
    #[error("passage {pid} ends before it starts")]
    OffsetsDescend {
        /// The passage.
        pid: usize,
    },
    /// A code that names no centroid.
    #[error("embedding {embedding} has code {code}, but there are {num_centroids} centroids")]
    CodeOutOfRange {
        /// The embedding.
        embedding: usize,
        /// Its code.
        code: u32,
        /// Number of centroids.
        num_centroids: usize,
    },
    /// `SELVEDGE_ISA` names an instruction set that is unknown or that this machine lacks.
    #[error("SELVEDGE_ISA={wanted}: {reason} (known: portable, avx2, avxvnni, avx512)")]
    BadIsa {
        /// What was asked for.
        wanted: String,
        /// Why it cannot be had.
        reason: &'static str,
    },
    /// An instruction set that this machine lacks.
    #[error("this machine lacks the instruction set {} (it has {})", .wanted.name(), available())]
    UnavailableIsa {
        /// The instruction set.
        wanted: Isa,
    },
    /// A GPU that was asked for and cannot be had.
    #[error("no CUDA device {wanted}: {reason} (`selvedge devices` lists what there is)")]
    NoCudaDevice {
        /// Its number, from 0.
        wanted: usize,
        /// Why it cannot be had.
        reason: String,
    },
    /// A kernel that NVRTC refuses.
    #[error("kernel {kernel} does not compile:\n{log}")]
    KernelCompile {
        /// The kernel.
        kernel: String,
        /// What the compiler said.
        log: String,
    },
    /// More device memory is needed than there is left.
    #[error(
        "out of device memory: {wanted_bytes} bytes are needed, {free_bytes} are free; free some, take another device, \
         or compute on the CPU"
    )]
    OutOfDeviceMemory {
        /// Bytes that were asked for.
        wanted_bytes: u64,
        /// Bytes that the device had left.
        free_bytes: u64,
    },
    /// A call of CUDA that failed.
    #[error("{call} failed with code {code}{}", parenthesized(meaning))]
    Cuda {
        /// The function.
        call: &'static str,
        /// What it returned.
        code: i32,
        /// What that means, in words; empty where nobody knows.
        meaning: String,
    },
}

/// Names of the instruction sets that this machine has.
fn available() -> String {
    Isa::ALL.into_iter().filter(|isa| isa.is_available()).map(Isa::name).collect::<Vec<_>>().join(", ")
}

/// Words to put behind a sentence.
fn parenthesized(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(" ({words})") }
}
