//! ColBERTv2 late-interaction retrieval as a library.
//!
//! **In:** texts, or token embeddings made elsewhere. **Out:** ranked passages with their ids, scores, texts and
//! metadata.
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
//! | task | call |
//! |---|---|
//! | build an index of files | [`Engine::build`] |
//! | build an index of documents in memory | [`build::from_documents`], [`build::from_embedded`] |
//! | build an index of arrays | [`build::from_arrays`], [`build::from_source`] |
//! | add, replace and delete passages, merge segments | [`change::add`], [`change::delete`], [`change::compact`] |
//! | add and delete by an engine that is open, and follow | [`Engine::add`], [`Engine::delete`] |
//! | bring an index up to date with its folder | [`change::update_folder`] |
//! | open an index with its encoder | [`Engine::open`] |
//! | follow an index that others change | [`Engine::refresh`] |
//! | search by text | [`Engine::search`], [`Engine::search_batch`] |
//! | search by embeddings | [`Engine::search_embeddings`], [`Engine::search_embeddings_batch`] |
//! | search a collection in several indexes | [`Shards`] |
//! | see which tokens matched which | [`SearchOptions::explain`], [`Engine::explain`] |
//! | measure quality and speed | [`Engine::eval`] |
//! | choose search parameters for a recall | [`Engine::tune`] |
//! | write embeddings as NumPy arrays or safetensors | [`encode()`] |
//! | find hard negatives for training | [`mine()`] |
//! | plan the machines for a collection | [`plan::Plan`] |
//!
//! # Threads
//!
//! The library keeps no thread. An [`Engine`] is `Send + Sync`: share it by reference or in an `Arc`, without
//! a lock. A call blocks until its result is complete, and its parallel work runs on the current rayon pool.
//! (A download of a model starts threads of its own.)
//! A server therefore makes a pool of its own, and calls the engine from a thread that may block, inside
//! `pool.install`. The example `03-server` answers async clients in this way, in batches.
//!
//! # Progress, warnings and errors
//!
//! Nothing is printed. Long operations report to a [`Progress`], which can also cancel them: the operation then returns
//! [`Error::Cancelled`] and removes the file or index that it was writing. `&()` ignores progress. Warnings go to
//! [`tracing`]. Options are checked before the work begins: [`Error::BadOption`].
#![forbid(unsafe_code)]

mod arrays;
pub mod build;
#[cfg(feature = "candle-cuda")]
pub mod candle;
pub mod change;
pub mod collection;
mod device;
mod embedded;
mod encode;
mod engine;
mod error;
pub mod eval;
mod explain;
mod facet;
pub mod import;
mod info;
pub mod lines;
mod made_queries;
mod mine;
pub mod npy;
mod options;
mod output;
pub mod plan;
mod progress;
pub mod qrels;
pub mod queries;
pub mod query_file;
mod rank;
mod records;
pub mod save;
pub mod shards;
mod snapshot;
mod snippet;
pub mod source;
mod staged;
mod stored_texts;
mod text;
pub mod trec;
mod tune;
mod words;

/// The programs of the README, compiled as doctests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
mod readme {}

pub use arrays::Arrays;
pub use build::{BuildOptions, BuildReport};
pub use change::{
    AddOptions, Additions, ChangeReport, CompactOptions, CompactReport, FileCounts, FolderReport, Retrain,
};
pub use device::Device;
pub use embedded::EmbeddedDocument;
pub use encode::{EncodeOptions, EncodeReport, encode};
pub use engine::Engine;
pub use error::{Error, Result};
pub use eval::{EvalOptions, EvalReport, metrics, truth};
pub use explain::{ExplainedToken, Explanation, Match, MatchedWord};
pub use facet::{Facet, FacetCount};
pub use info::info;
pub use mine::{MineOptions, MineReport, Teacher, mine};
pub use options::{Model, OpenOptions, SearchOptions};
pub use output::{Hit, HitQuery, SearchOutput};
pub use progress::{Progress, Step};
pub use qrels::Qrels;
pub use queries::Queries;
pub use rank::{Found, Fusion, RankBy};
#[cfg(feature = "cuda")]
pub use selvedge_backend::cuda;
pub use selvedge_backend::{Assignment, Backend, Cpu, Error as BackendError, Several};
pub use selvedge_codec::{CodecKind, plan::num_centroids as planned_centroids};
pub use selvedge_encoder::{
    CandleDevice, EmbeddedToken, Embeddings, Encoder, Executor, LoadOptions, Precision, TextKind, TokenKind, pool,
};
pub use selvedge_index::{Check, ColumnInfo, Document, Error as IndexError, Index, Value};
pub use selvedge_lexical::{Language, Statistics};
pub use selvedge_search::{
    Error as SearchError, Filter, FilterStats, Mode, PassageSet, Pending, QueryEmbeddings, Queue, QueueOptions,
    QueueStats, Ranking, Search, SearchParams, StageTimes, Tuned, filter,
};
pub use shards::Shards;
pub use snapshot::Snapshot;
pub use snippet::Snippet;
pub use tune::{TuneOptions, TuneReport};
