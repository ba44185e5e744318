//! Errors of the ops: corrupt data, and devices that fail.

use crate::Isa;

/// A `Result` of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a backend, with the values that broke a rule.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A dimension that is not a multiple of 8 between 8 and 32768.
    #[error("dim {dim} is not a multiple of 8 between 8 and 32768")]
    BadDim {
        /// The dimension.
        dim: usize,
    },
    /// A codec whose numbers break a bound.
    #[error("codec: invalid {what}: {value}")]
    BadCodec {
        /// Name of the number.
        what: &'static str,
        /// Value of the number.
        value: String,
    },
    /// An array that does not fit the others.
    #[error("{array}: expected {expected} bytes, found {found}")]
    ArrayLength {
        /// Name of the array.
        array: &'static str,
        /// Bytes that follow from the other arrays and the codec.
        expected: usize,
        /// Bytes of the array.
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
        /// Number of the embedding.
        embedding: usize,
        /// Code of the embedding.
        code: u32,
        /// Number of centroids.
        num_centroids: usize,
    },
    /// `SELVEDGE_ISA` names an instruction set that is unknown or that this machine lacks.
    #[error("SELVEDGE_ISA={requested}: {reason} (known: portable, avx2, avxvnni, avx512)")]
    BadIsa {
        /// Value of the variable.
        requested: String,
        /// Reason why it cannot be used.
        reason: &'static str,
    },
    /// An instruction set that this machine lacks.
    #[error("this machine lacks the instruction set {} (it has {})", .requested.name(), available())]
    UnavailableIsa {
        /// The instruction set.
        requested: Isa,
    },
    /// A GPU that was requested and cannot be used.
    #[error("no CUDA device {requested}: {reason} (`selvedge devices` lists the devices)")]
    NoCudaDevice {
        /// Number of the device, from 0.
        requested: usize,
        /// Reason why it cannot be used.
        reason: String,
    },
    /// A kernel that NVRTC rejects or fails to compile.
    #[error("kernel {kernel} does not compile:\n{log}")]
    KernelCompile {
        /// Name of the kernel.
        kernel: String,
        /// Log of the compiler.
        log: String,
    },
    /// An allocation for which the device has too little free memory.
    #[error(
        "out of device memory: {wanted_bytes} bytes are needed, {free_bytes} are free; free some memory, use another \
         device, or compute on the CPU"
    )]
    OutOfDeviceMemory {
        /// Bytes of the allocation.
        wanted_bytes: u64,
        /// Free bytes of the device.
        free_bytes: u64,
    },
    /// A CUDA function that failed.
    #[error("{call} failed with code {code}{}", parenthesized(meaning))]
    Cuda {
        /// Name of the function.
        call: &'static str,
        /// Return code.
        code: i32,
        /// Meaning of the code in words; empty if unknown.
        meaning: String,
    },
}

/// Names of the instruction sets that this machine has.
fn available() -> String {
    Isa::ALL.into_iter().filter(|isa| isa.is_available()).map(Isa::name).collect::<Vec<_>>().join(", ")
}

/// Returns `words` in parentheses, to be appended to a message; nothing if `words` is empty.
fn parenthesized(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(" ({words})") }
}
