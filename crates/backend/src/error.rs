//! Errors of the ops: corrupt data, and devices that fail.

use crate::Isa;
use std::path::{Path, PathBuf};

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
    /// NVRTC is of a newer major version than the driver, which cannot load its kernels.
    #[error("{}", newer_than_driver(path, *nvrtc, *driver))]
    NvrtcNewerThanDriver {
        /// Path of NVRTC, the newest that was found.
        path: PathBuf,
        /// Version of NVRTC, major and minor.
        nvrtc: (u32, u32),
        /// CUDA version of the driver, major and minor.
        driver: (u32, u32),
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
    /// A table of centroid scores that would take more than its share of a device's memory.
    #[error(
        "the scores of {query_len} query tokens for {num_centroids} centroids take {wanted_bytes} bytes of device \
         memory, more than the limit of {limit_bytes}; use shorter queries, another device, or compute on the CPU"
    )]
    TableTooLarge {
        /// Number of centroids.
        num_centroids: usize,
        /// Number of query tokens.
        query_len: usize,
        /// Bytes of the table.
        wanted_bytes: u64,
        /// Limit on its bytes: a quarter of the device's memory.
        limit_bytes: u64,
    },
    /// A component of a query that is not finite, or larger than [`MAX_COMPONENT`](crate::MAX_COMPONENT), in embeddings
    /// of a device.
    #[error("query token {token} has the component {component}, which is not finite or too large")]
    BadComponent {
        /// Number of the query token.
        token: usize,
        /// The component.
        component: f32,
    },
    /// Memory that is not of the device that should read it.
    #[error("the memory at {pointer:#x} is of {}, not of cuda/{requested}", of_device(*found))]
    NotOfDevice {
        /// Number of the device that should read it.
        requested: usize,
        /// Address of the memory.
        pointer: u64,
        /// Number of the device that has it; `None` if no device has.
        found: Option<usize>,
    },
    /// A CUDA function that failed. After a code that [is sticky](Error::is_sticky) every call of this process fails.
    #[error("{call} failed with code {code}{}{}", parenthesized(meaning), sticky(*code))]
    Cuda {
        /// Name of the function.
        call: &'static str,
        /// Return code.
        code: i32,
        /// Meaning of the code in words; empty if unknown.
        meaning: String,
    },
}

impl Error {
    /// Returns whether the error ends the use of a GPU in this process: after a fault of a kernel every call of the
    /// driver fails until the process is started again.
    pub fn is_sticky(&self) -> bool {
        matches!(self, Self::Cuda { code, .. } if STICKY.contains(code))
    }

    /// The error for device `requested`, which cannot be used without a part of CUDA.
    #[cfg(feature = "cuda")]
    pub(crate) fn without_cuda(requested: usize, error: crate::cuda::Unavailable) -> Self {
        match error {
            crate::cuda::Unavailable::NewerThanDriver { path, nvrtc, driver } => {
                Self::NvrtcNewerThanDriver { path, nvrtc, driver }
            }
            error => Self::NoCudaDevice { requested, reason: error.to_string() },
        }
    }
}

/// `CUresult` of cuda.h after which the context is lost: an uncorrectable memory or NVLink error, an illegal address, a
/// timeout, an assertion, and other faults of kernels.
const STICKY: [i32; 13] = [214, 220, 226, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719];

/// Says after a sticky code what helps.
fn sticky(code: i32) -> &'static str {
    if STICKY.contains(&code) { "; the GPU is lost to this process: start it again" } else { "" }
}

/// Says which versions of NVRTC and the driver do not go together, and what helps.
pub(crate) fn newer_than_driver(path: &Path, nvrtc: (u32, u32), driver: (u32, u32)) -> String {
    format!(
        "NVRTC {}.{} ({}) makes kernels that the driver, of CUDA {}.{}, cannot load; install a driver of CUDA {} or \
         newer, or NVRTC {} (the Python package nvidia-cuda-nvrtc-cu{}, or a CUDA toolkit), and name its file in \
         SELVEDGE_NVRTC if it is not found",
        nvrtc.0,
        nvrtc.1,
        path.display(),
        driver.0,
        driver.1,
        nvrtc.0,
        driver.0,
        driver.0
    )
}

/// Names a device, or none.
fn of_device(found: Option<usize>) -> String {
    found.map_or_else(|| "no device".to_owned(), |ordinal| format!("cuda/{ordinal}"))
}

/// Names of the instruction sets that this machine has.
fn available() -> String {
    Isa::ALL.into_iter().filter(|isa| isa.is_available()).map(Isa::name).collect::<Vec<_>>().join(", ")
}

/// Returns `words` in parentheses, to be appended to a message; nothing if `words` is empty.
fn parenthesized(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(" ({words})") }
}
