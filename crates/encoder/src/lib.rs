//! Text to token embeddings: Stanford ColBERT, PyLate, sentence-transformers and plain checkpoints.
//!
//! **In:** a folder, a hub id or the shipped model's name, and texts. **Out:** [`Embeddings`], one unit-norm row per kept token, ragged.
//!
//! The trip of a text, one file per step:
//!
//! | step | file | what happens |
//! |---|---|---|
//! | find | `checkpoint`, `shipped` | this crate, a local folder, or the hub with its cache, token and offline mode |
//! | read | `families/`, `recipe` | the family's settings become one [`Recipe`] |
//! | split | `split` | on demand: a long text in parts that each fit a passage |
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
mod families;
mod fingerprint;
mod models;
mod ops;
mod pool;
mod projection;
mod recipe;
mod rows;
pub mod shipped;
mod skiplist;
mod split;
mod tokenizer;
pub mod train;
mod weights;

pub use embeddings::Embeddings;
pub use encoder::{Encoder, LoadOptions};
pub use error::{Error, Result};
pub use models::{Architecture, Precision};
pub use pool::pool;
pub use recipe::{Activation, DenseSpec, Expansion, Family, Marker, Recipe, Side, SkiplistRule, TextKind};
