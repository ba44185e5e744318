//! Errors of loading a checkpoint and encoding texts. Every variant carries the offending values.

use std::path::PathBuf;

use crate::executor::CandleDevice;
use crate::text_rules::TextKind;

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Error of loading a checkpoint or encoding texts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model is neither an existing folder nor a hub id.
    #[error("{model}: no such folder, and not a hub id of the form owner/name")]
    UnknownModel {
        /// The requested name.
        model: String,
    },

    /// The checkpoint lacks a required file.
    #[error("{path}: missing file")]
    MissingFile {
        /// Path inside the folder or the hub repository.
        path: PathBuf,
    },

    /// The weights exist only as a pickle, which is not read because unpickling runs code.
    #[error("{path}: the weights are a pickle, which is not read; convert them to model.safetensors")]
    PickledWeights {
        /// Path of the pickle.
        path: PathBuf,
    },

    /// A file is a Git LFS pointer, left in place of a file that was not fetched.
    #[error("{path}: only a Git LFS pointer; fetch the file itself with `git lfs pull`")]
    LfsPointer {
        /// The file.
        path: PathBuf,
    },

    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The I/O error.
        source: std::io::Error,
    },

    /// A JSON file does not parse, lacks a field, or has a field of the wrong kind or out of range.
    #[error("{path}: {reason}")]
    MalformedJson {
        /// The file.
        path: PathBuf,
        /// The defect.
        reason: String,
    },

    /// A weights file is not valid safetensors.
    #[error("{path}: not a valid safetensors file: {reason}")]
    MalformedWeights {
        /// The file.
        path: PathBuf,
        /// The defect.
        reason: String,
    },

    /// No weights file has a tensor that the model needs.
    #[error("{path}: tensor {name} is missing")]
    MissingTensor {
        /// The weights file, or the index of the shards.
        path: PathBuf,
        /// Name of the tensor.
        name: String,
    },

    /// The shape of a tensor differs from the one that the configuration implies.
    #[error("{path}: tensor {name} has shape {found:?}, expected {expected:?}")]
    ShapeMismatch {
        /// The weights file.
        path: PathBuf,
        /// Name of the tensor.
        name: String,
        /// The shape that the configuration implies.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },

    /// The element type of a tensor is not f32, f16 or bf16.
    #[error("{path}: tensor {name} is stored as {found}; only f32, f16 and bf16 are supported")]
    UnsupportedDtype {
        /// The weights file.
        path: PathBuf,
        /// Name of the tensor.
        name: String,
        /// The element type in the file.
        found: String,
    },

    /// A tensor contains a NaN or an infinity.
    #[error("{path}: tensor {tensor} has a value that is not finite at element {index}")]
    NonFinite {
        /// The weights file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// Index of the first such element, row-major.
        index: usize,
    },

    /// An embedding to be pooled has a component that is a NaN or an infinity.
    #[error("component {component} of embedding {row} is not finite")]
    NonFiniteEmbedding {
        /// Index of the embedding, counted over all texts.
        row: usize,
        /// Index of the component.
        component: usize,
    },

    /// The transformer is not BERT, DistilBERT, XLM-RoBERTa, RoBERTa or ModernBERT.
    #[error(
        "{path}: model_type {found:?} is not one of bert, distilbert, xlm-roberta, roberta, modernbert{}",
        candle_hint(*candle_has_it)
    )]
    UnsupportedArchitecture {
        /// The configuration file.
        path: PathBuf,
        /// The `model_type` in the file, followed by what tells it apart.
        found: String,
        /// Whether [`Executor::Candle`](crate::Executor::Candle) computes it.
        candle_has_it: bool,
    },

    /// The executor candle is requested from a build without it.
    #[error("this build has no executor candle; build it with `--features candle`, candle-cuda or candle-metal")]
    NoCandle,

    /// The device of the executor candle is not available.
    #[error("no device {device} for the executor candle: {reason}{}", device_hint(*device))]
    NoCandleDevice {
        /// The requested device.
        device: CandleDevice,
        /// candle's message.
        reason: String,
    },

    /// The executor candle is requested with int8, which it does not compute.
    #[error("the executor candle computes in f32 only; int8 needs the executor own")]
    CandleInt8,

    /// Tensors on a device are requested from an encoder that runs without candle.
    #[error("the executor own has no tensors on a device; load the encoder with the executor candle")]
    NotCandle,

    /// An operation of candle failed, for example because the device is out of memory.
    #[error("candle: {reason}")]
    Candle {
        /// candle's message.
        reason: String,
    },

    /// The checkpoint uses a feature that this crate does not compute.
    #[error("{path}: {what} is not supported")]
    Unsupported {
        /// The file that requests the feature.
        path: PathBuf,
        /// The unsupported feature.
        what: String,
    },

    /// The dimension of the embeddings is 0 or not a multiple of 8.
    #[error("{model}: the embeddings have {dim} dimensions, which is not a multiple of 8")]
    DimNotMultipleOf8 {
        /// The model.
        model: String,
        /// The dimension of its embeddings.
        dim: usize,
    },

    /// A maximum length leaves no space for text or exceeds the transformer's positions.
    #[error("{model}: the maximum length of a {kind} is {requested} tokens, and must be from {least} to {most}")]
    MaxLength {
        /// The model.
        model: String,
        /// Kind of text that the length is for.
        kind: TextKind,
        /// The length that the caller or the checkpoint requests.
        requested: usize,
        /// The least length: special tokens, the prefix token and one token of text.
        least: usize,
        /// The greatest length: the transformer's number of positions.
        most: usize,
    },

    /// The tokenizer's vocabulary lacks a token that the checkpoint's settings name.
    #[error("{model}: the vocabulary has no token {token:?}, needed for {role}")]
    UnknownToken {
        /// The model.
        model: String,
        /// Spelling of the token.
        token: String,
        /// Purpose of the token.
        role: &'static str,
    },

    /// A token id is out of range of the transformer's embedding table.
    #[error("token id {id} is out of range of an embedding table of {vocabulary} rows")]
    TokenOutOfRange {
        /// The token id.
        id: u32,
        /// Number of rows of the table.
        vocabulary: usize,
    },

    /// The tokenizer could not be loaded or failed on a text.
    #[error("tokenizer: {reason}")]
    Tokenizer {
        /// The tokenizer's message.
        reason: String,
    },

    /// A file of a hub model could not be fetched.
    #[error("{model}: no such folder; from the hub: {reason}")]
    Hub {
        /// The hub id.
        model: String,
        /// The message of the hub or the network.
        reason: String,
    },

    /// Offline mode is on and the model is not in the cache.
    #[error("{model}: no such folder, and as a hub id not in the cache; HF_HUB_OFFLINE forbids fetching it")]
    Offline {
        /// The hub id.
        model: String,
    },

    /// It is unknown whether a hub model has a settings file on which its embeddings depend.
    #[error(
        "{model}: {file} is neither in the cache nor known to be missing, and embeddings depend on it; \
         load the model once while the hub can be reached, or name {folder} as the model if that folder is complete"
    )]
    NotCached {
        /// Hub id of the model.
        model: String,
        /// The file, relative to the repository's root.
        file: String,
        /// Folder of the cached files.
        folder: PathBuf,
    },

    /// A layer has too many inputs for int8 sums.
    #[error("a layer has {width} inputs; int8 supports at most {most}: load the model in f32")]
    TooWideForInt8 {
        /// Number of inputs of the layer.
        width: usize,
        /// Largest number of inputs for which int8 sums cannot overflow.
        most: usize,
    },

    /// The backend could not be set up, for example because the requested instruction set is not available.
    #[error(transparent)]
    Backend(#[from] selvedge_backend::Error),
}

/// End of the message about an architecture that only candle has.
fn candle_hint(candle_has_it: bool) -> &'static str {
    if candle_has_it { "; the executor candle runs it, in a build with `--features candle`" } else { "" }
}

/// End of the message about a GPU that this build cannot use at all.
fn device_hint(device: CandleDevice) -> &'static str {
    match device {
        CandleDevice::Cuda(_) if !cfg!(feature = "candle-cuda") => "; build it with `--features candle-cuda`",
        CandleDevice::Metal(_) if !cfg!(feature = "candle-metal") => "; build it with `--features candle-metal`",
        _ => "",
    }
}
