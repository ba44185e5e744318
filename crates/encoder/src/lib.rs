//! Text to token embeddings: Stanford ColBERT, PyLate, sentence-transformers and plain checkpoints.
//!
//! **In:** a folder, a hub id or the shipped model's name, and texts. **Out:** [`Embeddings`], one unit-norm row per kept token, ragged.
//!
//! The trip of a text, one file per step:
//!
//! | step | file | what happens |
//! |---|---|---|
//! | find | `checkpoint`, `hub`, `shipped` | this crate, a local folder, or the hub with its cache, token and offline mode |
//! | read | `families/`, `recipe` | the family's settings become one [`TextRules`] |
//! | open | `open_checkpoint`, `options` | settings and tokenizer checked against each other; [`Weights`] by name on demand |
//! | split | `split` | on demand: a long text in parts that each fit a passage |
//! | tokens | `tokenizer`, `skiplist`, `rows` | ids, markers, `[MASK]` augmentation; which tokens are attended, which are kept |
//! | batch | `batch` | sort by length, cut by token count |
//! | transformer | `weights`, `models/`, `ops/` | hidden states (kept tokens, H), ragged: nothing is ever padded; products by the backend |
//! | project | `projection` | the chain of Dense layers, (tokens, D), then unit norm |
//! | collect | `encoder`, `embeddings` | input order restored; a `fingerprint` over all that changes a number |
//! | pool | `pool` | on demand: the rows of a passage in fewer, hierarchically |
//!
//! Batches are ragged: the tokens of all texts of a batch lie end to end, attention looks only inside a text. So no
//! padding is computed, no padding row can leak, and a text's embeddings do not depend on its neighbours.
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
//! # A checkpoint in other hands
//!
//! [`Encoder`] is all that inference needs. A program that changes weights, such as selvedge-trainer, begins with an
//! [`OpenCheckpoint`]: the same texts become the same [`TokenizedText`]s, the transformer is described by a [`Config`],
//! tensors are read by name, and [`OpenCheckpoint::copy_settings`] makes a checkpoint of new weights.
#![forbid(unsafe_code)]

mod batch;
mod checkpoint;
mod embeddings;
mod encoder;
mod error;
mod families;
mod fingerprint;
mod hub;
mod models;
mod open_checkpoint;
pub mod ops;
mod options;
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
pub use models::{Architecture, Config, ModernBertConfig, Positions, PostNormConfig, Precision, TensorNames};
pub use open_checkpoint::OpenCheckpoint;
pub use options::LoadOptions;
pub use pipeline::{TextPipeline, TokenizedText};
pub use pool::pool;
pub use text_rules::{
    Activation, DenseSpec, Expansion, Family, PrefixToken, SkiplistRule, TextConfig, TextKind, TextRules, punctuation,
};
pub use weights::Weights;
