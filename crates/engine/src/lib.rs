//! ColBERTv2 late-interaction retrieval as a library: the parts that a program embeds.
//!
//! **In:** text, or token embeddings. **Out:** ranked passages with their ids, scores, texts and metadata.
//!
//! ```no_run
//! use selvedge::{Engine, OpenOptions, SearchOptions};
//!
//! fn main() -> selvedge::Result<()> {
//!     let engine = Engine::open("notes.index".as_ref(), OpenOptions::default())?;
//!     let options = SearchOptions { k: 3, text: true, ..SearchOptions::default() };
//!     for hit in engine.search("how do I rotate a log file", &options)?.hits {
//!         println!("{:.3}  {}  {}", hit.score, hit.id, hit.text.unwrap_or_default());
//!     }
//!     Ok(())
//! }
//! ```
//!
//! | to | call |
//! |---|---|
//! | make an index | [`Engine::build`], or the parts of [`mod@build`] |
//! | open one, with its model | [`Engine::open`] |
//! | ask it | [`Engine::search`], [`Engine::search_batch`], [`Engine::search_embeddings`] |
//! | measure quality and speed | [`Engine::eval`] |
//! | choose search parameters for a recall | [`Engine::tune`] |
//! | write embeddings as NumPy arrays | [`encode()`] |
//! | find hard negatives for training | [`mine()`] |
//!
//! # Threads
//!
//! Nothing here owns a thread. An [`Engine`] is `Send + Sync` and is shared by reference or `Arc`; its calls block until
//! they are answered, and their parallel work runs on the current rayon pool. So a server hands in its own pool, and
//! calls from where blocking is allowed: `pool.install(|| engine.search(text, &options))`. Nothing is printed: long
//! operations report to a [`Progress`], warnings go to [`tracing`].
#![forbid(unsafe_code)]

pub mod build;
pub mod collection;
mod device;
mod encode;
mod engine;
mod error;
pub mod eval;
pub mod lines;
mod mine;
pub mod npy;
mod options;
mod progress;
pub mod qrels;
pub mod queries;
pub mod query_file;
pub mod save;
mod snippet;
pub mod source;
mod text;
pub mod trec;
mod tune;

pub use build::{BuildOptions, BuildReport};
pub use device::Device;
pub use encode::{EncodeOptions, EncodeReport, encode};
pub use engine::{Engine, Hit, SearchOutput};
pub use error::{Error, Result};
pub use eval::{EvalOptions, Report, metrics, truth};
pub use mine::{MineOptions, MineReport, Teacher, mine};
pub use options::{Model, OpenOptions, SearchOptions};
pub use progress::{Progress, Step};
pub use qrels::Qrels;
pub use queries::Queries;
pub use selvedge_codec::CodecKind;
pub use selvedge_encoder::{Encoder, LoadOptions, Precision};
pub use selvedge_index::{Document, Index};
pub use selvedge_search::{Mode, SearchParams, StageTimes, Subset, Tuned};
pub use snippet::Snippet;
pub use tune::{TuneOptions, TuneReport};
