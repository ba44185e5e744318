//! Errors of training; every variant carries the values at fault.

use std::path::PathBuf;

/// Result with this crate's error.
pub type Result<T> = std::result::Result<T, Error>;

/// Error of training.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Checkpoint or text that the encoder refuses.
    #[error(transparent)]
    Encoder(#[from] selvedge_encoder::Error),

    /// I/O error of the operating system.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },

    /// Option out of its range.
    #[error("{option} is {value}: {reason}")]
    BadOption {
        /// Field of the options.
        option: &'static str,
        /// Value of the option.
        value: String,
        /// The values that are allowed.
        reason: &'static str,
    },

    /// Training data without an example.
    #[error("there is no example to train on")]
    NoExample,

    /// Example of another number of passages than the first one of its batch.
    #[error("{name}: has {found} passages, but {first} has {expected}; give every example as many")]
    PassageCount {
        /// Name of the example.
        name: String,
        /// Number of its passages.
        found: usize,
        /// Name of the first example of the batch.
        first: String,
        /// Number of that example's passages.
        expected: usize,
    },

    /// Example without a passage.
    #[error("{name}: has no passage")]
    NoPassage {
        /// Name of the example.
        name: String,
    },

    /// Example with scores of some of its passages only.
    #[error("{name}: has {found} scores, expected one for each of {expected} passages, or none")]
    ScoreCount {
        /// Name of the example.
        name: String,
        /// Number of its scores.
        found: usize,
        /// Number of its passages.
        expected: usize,
    },

    /// Folder of a new run that holds a checkpoint of an earlier one.
    #[error("{path}: holds a checkpoint of an earlier run; resume that run, or name another folder")]
    EarlierRun {
        /// The newest checkpoint.
        path: PathBuf,
    },

    /// Tensors that do not form a safetensors file.
    #[error("{path}: the weights cannot be written: {reason}")]
    UnwritableWeights {
        /// The file.
        path: PathBuf,
        /// Error of the safetensors library.
        reason: String,
    },

    /// Loss or gradient that is not finite: the run stops before it changes a weight.
    #[error("step {step}: the loss is {loss}, or a gradient is not finite; the batch was {}", examples.join(", "))]
    NonFiniteLoss {
        /// The step, from 1.
        step: u64,
        /// The loss.
        loss: f64,
        /// Names of the batch's examples.
        examples: Vec<String>,
    },

    /// Teacher's embeddings of another dimension than the student's, for a loss that compares them token by token.
    #[error(
        "the teacher's embeddings have {teacher} dimensions, the student's {student}; \
         a loss by token needs equal dimensions"
    )]
    TeacherDim {
        /// Dimension of the student's embeddings.
        student: usize,
        /// Dimension of the teacher's embeddings.
        teacher: usize,
    },

    /// Teacher whose tokenizer is not WordPiece, so that a new model cannot take its vocabulary.
    #[error("{model}: the tokenizer is not WordPiece, from which a new model takes its vocabulary")]
    NotWordPiece {
        /// The teacher.
        model: String,
    },

    /// Number of attention heads that does not divide the dimension of a new model.
    #[error("{heads} heads do not divide the {dim} dimensions of the teacher's embeddings, which a new model shares")]
    Heads {
        /// Requested number of heads.
        heads: usize,
        /// Dimension of the teacher's embeddings.
        dim: usize,
    },

    /// Failure of the tensor library, such as shapes that do not fit.
    #[error("tensor operation: {0}")]
    Tensor(#[from] candle_core::Error),
}
