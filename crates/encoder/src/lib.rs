//! Text to token embeddings: Stanford ColBERT, PyLate, sentence-transformers and plain checkpoints.
//!
//! **In:** a folder, a hub id or the shipped model's name, and texts. **Out:** [`Embeddings`], one unit-norm vector per
//! kept token, ragged.
//!
//! The steps from a checkpoint and texts to embeddings:
//!
//! | step | files | result |
//! |---|---|---|
//! | find | `checkpoint`, `hub`, `paths`, `shipped` | the files: in this crate, in a local folder, or on the hub |
//! | read | `families/`, `text_rules` | the settings of any family as one [`TextRules`] |
//! | open | `open_checkpoint`, `options` | settings checked against the tokenizer; [`Weights`] on demand |
//! | split | `split` | on request: a long text in parts that each fit a passage |
//! | tokenize | `tokenizer`, `skiplist`, `pipeline` | token ids with prefix tokens and `[MASK]` expansion |
//! | batch | `batch` | texts sorted by length, batches cut by token count |
//! | transform | `forward`, `weights`, `models/`, `ops/` | hidden states of the kept tokens (N, H), ragged |
//! | | `executor`, `candle/` | the same by candle's models, on request |
//! | project | `projection` | the chain of Dense layers to (N, D), then unit norm |
//! | collect | `encoder`, `embeddings` | input order restored; `fingerprint` hashes everything that changes a number |
//! | pool | `pool` | on request: fewer embeddings per passage by hierarchical clustering |
//!
//! A token is *attended* if other tokens of its text attend to it, and *kept* if its embedding is returned. The backend
//! computes the matrix products.
//!
//! Batches are ragged: the tokens of all texts of a batch are stored end to end, and attention stays inside each text.
//! No padding is computed, and the embeddings of a text do not depend on the other texts of its batch.
//!
//! ```no_run
//! use selvedge_encoder::{Encoder, LoadOptions};
//!
//! let encoder = Encoder::load("path/to/checkpoint", &LoadOptions::default())?;
//! let passages = encoder.encode_passages(&["a woven edge", "keeps a cloth from fraying"])?;
//! assert_eq!(passages.data.len(), passages.num_embeddings() * encoder.dim());
//! # Ok::<(), selvedge_encoder::Error>(())
//! ```
//!
//! # Executors
//!
//! The forward pass is this crate's own, or that of candle-transformers: [`LoadOptions::executor`]. Builds with the
//! feature `candle` have the latter on the CPU, with `candle-cuda` (compiled with nvcc) on NVIDIA GPUs, with
//! `candle-metal` on Apple's. It also has architectures that this crate lacks, and `Encoder::encode_queries_on_device`
//! returns embeddings as tensors on the device. `crates/encoder/README.md` lists the checkpoints, and the differences.
//!
//! # Checkpoints for training
//!
//! [`Encoder`] is all that inference needs. A program that changes weights, such as selvedge-trainer, starts from an
//! [`OpenCheckpoint`]: texts become the same [`TokenizedText`]s, [`Config`] describes the transformer, tensors are read
//! by name, and [`OpenCheckpoint::copy_settings`] copies the settings beside new weights.
#![forbid(unsafe_code)]

mod batch;
#[cfg(feature = "candle")]
mod candle;
mod checkpoint;
mod embeddings;
mod encoder;
mod error;
mod executor;
mod families;
mod fingerprint;
mod forward;
mod hub;
mod models;
mod open_checkpoint;
pub mod ops;
mod options;
mod paths;
mod pipeline;
mod pool;
mod projection;
pub mod shipped;
mod skiplist;
mod split;
mod text_rules;
mod tokenizer;
mod weights;

pub use batch::{Batch, plan_batches};
pub use embeddings::Embeddings;
pub use encoder::Encoder;
pub use error::{Error, Result};
pub use executor::{CandleDevice, Executor};
pub use models::{Architecture, Config, ModernBertConfig, Positions, PostNormConfig, Precision, TensorNames};
pub use open_checkpoint::OpenCheckpoint;
pub use options::LoadOptions;
pub use pipeline::{EmbeddedToken, TextPipeline, TokenKind, TokenizedText};
pub use pool::pool;
pub use text_rules::{
    Activation, DenseSpec, Expansion, Family, PrefixToken, SkiplistRule, TextConfig, TextKind, TextRules, punctuation,
};
pub use weights::Weights;
