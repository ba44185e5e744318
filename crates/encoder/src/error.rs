//! What can go wrong between a model's name and its embeddings; every variant carries the values that broke.

use std::path::PathBuf;

/// The result of every fallible call of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A fact about a checkpoint, a request or a machine that kept an encoder from working.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model is neither an existing folder nor a hub id.
    #[error("{model}: no such folder, and not a hub id of the form owner/name")]
    UnknownModel {
        /// What was asked for.
        model: String,
    },

    /// The checkpoint lacks a file that it cannot do without.
    #[error("{path}: missing file")]
    MissingFile {
        /// The file, inside the folder or the hub repository.
        path: PathBuf,
    },

    /// Weights are there only as a pickle, which is not read: it would run code.
    #[error("{path}: weights are only there as a pickle; convert them to model.safetensors")]
    PickledWeights {
        /// The pickle that was found.
        path: PathBuf,
    },

    /// A file is the pointer that Git LFS leaves in place of a file that was not fetched.
    #[error("{path}: only a Git LFS pointer; fetch the file itself with `git lfs pull`")]
    LfsPointer {
        /// The file.
        path: PathBuf,
    },

    /// The operating system refused a file.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    /// A JSON file does not parse, or lacks a field, or holds one of the wrong kind.
    #[error("{path}: {reason}")]
    MalformedJson {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// A weights file is not valid safetensors.
    #[error("{path}: not a valid safetensors file: {reason}")]
    MalformedWeights {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// No weights file holds a tensor that the model needs.
    #[error("{path}: tensor {name} is missing")]
    MissingTensor {
        /// The weights file (or the index of the shards) that was searched.
        path: PathBuf,
        /// The tensor.
        name: String,
    },

    /// A tensor's shape is not the one that the configuration calls for.
    #[error("{path}: tensor {name} has shape {found:?}, expected {expected:?}")]
    ShapeMismatch {
        /// The weights file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The shape that the configuration calls for.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },

    /// A tensor's element type is not f32, f16 or bf16.
    #[error("{path}: tensor {name} holds {found}; f32, f16 and bf16 are read")]
    UnsupportedDtype {
        /// The weights file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The element type in the file.
        found: String,
    },

    /// A tensor holds a NaN or an infinity.
    #[error("{path}: tensor {tensor} holds a value that is not finite, at element {index}")]
    NonFinite {
        /// The weights file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The first such element, counted row-major.
        index: usize,
    },

    /// An embedding that is to be pooled has a component that is a NaN or an infinity.
    #[error("embedding {row} has a component that is not finite, number {component}")]
    NonFiniteEmbedding {
        /// The embedding, counted over all texts.
        row: usize,
        /// The component.
        component: usize,
    },

    /// The transformer is none of BERT, DistilBERT, XLM-RoBERTa and ModernBERT.
    #[error("{path}: model_type {found:?} is not one of bert, distilbert, xlm-roberta, roberta, modernbert")]
    UnsupportedArchitecture {
        /// The configuration file.
        path: PathBuf,
        /// Its `model_type`.
        found: String,
    },

    /// The checkpoint asks for something that this crate does not compute.
    #[error("{path}: {what} is not supported")]
    Unsupported {
        /// The file that asks.
        path: PathBuf,
        /// What it asks for.
        what: String,
    },

    /// The embeddings' dimension does not pack into bytes.
    #[error("{model}: the embeddings have {dim} dimensions, which is not a multiple of 8")]
    DimNotMultipleOf8 {
        /// The model.
        model: String,
        /// Its dimension.
        dim: usize,
    },

    /// A maximum length leaves no room for text, or exceeds what the transformer has positions for.
    #[error("{model}: a maximum length of {requested} tokens is outside {least}..={most}")]
    MaxLength {
        /// The model.
        model: String,
        /// The length asked for, by the caller or by the checkpoint.
        requested: usize,
        /// Special tokens, the marker and one token of text.
        least: usize,
        /// The positions that the transformer has.
        most: usize,
    },

    /// The tokenizer's vocabulary lacks a token that the checkpoint's settings name.
    #[error("{model}: the vocabulary has no token {token:?}, which {role} needs")]
    UnknownToken {
        /// The model.
        model: String,
        /// The token.
        token: String,
        /// What it is for.
        role: &'static str,
    },

    /// The tokenizer produced an id beyond the transformer's embedding table.
    #[error("token id {id} is beyond the {vocabulary} rows of the embedding table")]
    TokenOutOfRange {
        /// The id.
        id: u32,
        /// The rows that there are.
        vocabulary: usize,
    },

    /// The tokenizer could not be read, or could not read a text.
    #[error("tokenizer: {reason}")]
    Tokenizer {
        /// What the tokenizer said.
        reason: String,
    },

    /// A file of a hub model could not be fetched.
    #[error("{model}: {reason}")]
    Hub {
        /// The hub id.
        model: String,
        /// What the hub, or the network, said.
        reason: String,
    },

    /// Offline mode is on and the cache does not hold the model.
    #[error("{model}: not in the cache, and HF_HUB_OFFLINE forbids fetching it")]
    Offline {
        /// The hub id.
        model: String,
    },

    /// A layer whose inputs are too many for sums in int8.
    #[error("a layer has {width} inputs; int8 takes {most} at most: load the model in f32")]
    TooWideForInt8 {
        /// The layer's inputs.
        width: usize,
        /// Inputs that sums in int8 have been proven for.
        most: usize,
    },

    /// What computes in int8 is not there: an instruction set was asked for that this machine lacks.
    #[error(transparent)]
    Backend(#[from] selvedge_backend::Error),
}
