//! Text to token embeddings: Stanford ColBERT, PyLate, sentence-transformers and plain checkpoints.
//!
//! **In:** a folder, a hub id or the shipped model's name, and texts. **Out:** [`Embeddings`], one unit-norm row per kept token, ragged.
//!
//! The trip of a text, one file per step:
//!
//! | step | file | what happens |
//! |---|---|---|
//! | find | `checkpoint`, `shipped` | this crate, a local folder, or the hub with its cache, token and offline mode |
//! | read | `stanford`, `pylate`, `sentence_transformers`, `plain` | the family's settings become one [`Recipe`] |
//! | tokens | `tokenizer`, `rows` | ids, markers, `[MASK]` augmentation; which tokens are attended, which are kept |
//! | batch | `batch` | sort by length, cut by token count |
//! | transformer | `models/`, `ops` | hidden states (kept tokens, H), ragged: nothing is ever padded; products by the backend |
//! | project | `projection` | the chain of Dense layers, (tokens, D), then unit norm |
//! | collect | `encoder` | input order restored |
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
#![forbid(unsafe_code)]

mod batch;
mod checkpoint;
mod embeddings;
mod encoder;
mod error;
mod fingerprint;
mod models;
mod ops;
mod plain;
mod pool;
mod projection;
mod pylate;
mod recipe;
mod rows;

mod sentence_transformers;
pub mod shipped;
mod skiplist;
mod stanford;
mod tokenizer;
pub mod train;
mod weights;

pub use embeddings::Embeddings;
pub use encoder::{Encoder, LoadOptions, Precision};
pub use error::{Error, Result};
pub use models::Architecture;
pub use pool::pool;
pub use projection::{Activation, DenseSpec};
pub use recipe::{Expansion, Family, Marker, Recipe, Side, TextKind};
