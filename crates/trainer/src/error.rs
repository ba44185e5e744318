//! Failures of training; every variant carries the values that broke.

use std::path::PathBuf;

/// The result of every fallible call of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A fact about a checkpoint, an example or a machine that kept a run from going on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The checkpoint, or a text, is not what the encoder takes.
    #[error(transparent)]
    Encoder(#[from] selvedge_encoder::Error),

    /// The operating system refused a file.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },

    /// Tensors that do not form a safetensors file.
    #[error("{path}: the weights cannot be written: {reason}")]
    UnwritableWeights {
        /// The file.
        path: PathBuf,
        /// The reason of the safetensors library.
        reason: String,
    },

    /// A loss, or a gradient, that is no number: the run stops before it changes a weight.
    #[error("step {step}: the loss is {loss}, or a gradient is not finite; the batch was {}", examples.join(", "))]
    NonFiniteLoss {
        /// The step.
        step: u64,
        /// The loss.
        loss: f64,
        /// The examples of the batch.
        examples: Vec<String>,
    },

    /// Embeddings that are compared one by one, of unequal dimensions.
    #[error(
        "the teacher's embeddings have {teacher} dimensions, the student's {student}: losses by token need the same"
    )]
    TeacherDim {
        /// The student's.
        student: usize,
        /// The teacher's.
        teacher: usize,
    },

    /// A new model takes its vocabulary from a teacher that has another kind of it.
    #[error("{model}: a new model takes its vocabulary from a WordPiece tokenizer, and this is none")]
    NotWordPiece {
        /// The teacher.
        model: String,
    },

    /// Sizes of a new model that do not go together.
    #[error("{heads} heads do not divide the {dim} dimensions of the teacher's embeddings, which a new model shares")]
    Heads {
        /// The heads asked for.
        heads: usize,
        /// The teacher's dimension.
        dim: usize,
    },

    /// The tensor library failed; no input that passed the checks above should cause it.
    #[error("tensor operation: {0}")]
    Tensor(#[from] candle_core::Error),
}
