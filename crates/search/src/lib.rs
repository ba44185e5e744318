//! Search of an index, approximate or exhaustive.
//!
//! # In and out
//!
//! Query embeddings `(Q, D) f32` in, a [`Ranking`] of at most `k` [`Hit`]s out, best first. The score of a passage is
//! MaxSim on its compressed embeddings; higher is better:
//!
//! ```text
//! score(passage) = sum over query tokens i of max over tokens t of the passage of <q_i, y_t>
//! ```
//!
//! Scores are integers, so every backend returns the same ranking; ties go to the lower pid.
//!
//! # Stages
//!
//! Shapes: `Q` query tokens, `D` dim, `K` centroids.
//!
//! ```text
//! (Q, D) f32 --quantize_query--> (Q, D) i8 --centroid_table--> T (K, Q) i32 --probe--> nprobe best cells per token
//!    --candidates--> ndocs best passages of those cells --approx--> num_rescored best by all their centroids
//!    --score--> MaxSim --topk--> k hits
//! ```
//!
//! Stage 1 (`quantize_query`) and stage 2 (`centroid_table` and `probe`) are ops of the
//! [`Backend`](selvedge_backend::Backend); stages 3 to 6 are public modules here. The stages follow PLAID
//! (Santhanam et al., "PLAID: An Efficient Engine for Late Interaction Retrieval", section 4): candidate
//! generation, centroid interaction, scoring straight from the compressed bytes. A query token adds a missing
//! score to a passage that is in none of its probed cells, as in XTR (Lee et al., "Rethinking the Role of
//! Token Retrieval in Multi-Vector Retrieval") and WARP (Scheerer et al., "WARP: An Efficient Engine for
//! Multi-Vector Retrieval").
//!
//! [`Mode::Exact`] scores every passage ([`Backend::search_batch`](selvedge_backend::Backend::search_batch)); it is the
//! ground truth for the recall of [`Mode::Approximate`]. A [`PassageSet`] restricts both: the
//! passages of a [`Filter`], or of pids. [`tune`] finds the fastest
//! parameters for a target recall on an index.
//!
//! # Generations
//!
//! A [`Searcher`] answers from the generation of the index that it was made of. [`Searcher::followed`] makes one of
//! another generation, which shares all segments that both have: only new ones are loaded. Deleted passages are left
//! out before anything is selected, like those outside of a set. So the ranking is the same as if they had never been
//! added. Segments do not matter either: scores are compared across them, and ties go to the lower pid.
//!
//! # Threads
//!
//! This crate owns no thread, except for one of each [`Queue`]. Parallel work runs on the current rayon pool, so a
//! server can use its own:
//!
//! ```no_run
//! # fn example(queries: &[Vec<f32>]) -> Result<(), Box<dyn std::error::Error>> {
//! use selvedge_backend::Cpu;
//! use selvedge_index::{Check, Index};
//! use selvedge_search::Searcher;
//!
//! let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build()?;
//! let index = Index::open("my.index".as_ref(), Check::Structure)?;
//! let searcher = pool.install(|| Searcher::new(Cpu::new()?, &index))?;
//! let rankings = pool.install(|| searcher.search_batch(queries, &searcher.params(10, None), None))?;
//! # Ok(())
//! # }
//! ```
//!
//! - [`Searcher::search_batch`] with [`Mode::Approximate`] uses one core per query.
//! - [`Searcher::search`] with [`Mode::Approximate`] or a set computes on the calling thread, as long as at most
//!   16,384 passages of a segment are scored (`ndocs`, or the length of the set).
//! - [`Mode::Exact`] without a set uses the pool for a single query too. A batch is one call of the backend.
//! - On a GPU the caller waits for the device, once per query or per 32 of a batch, and no pool is used.
//!
//! Outside of any pool, parallel work runs on rayon's global pool, which starts a thread per core at first use. All
//! calls block; from async code, call them where blocking is allowed, or use a queue. A [`Searcher`] can be shared by
//! reference between any number of threads.
//!
//! # Concurrent callers
//!
//! A [`Queue`] answers the requests of any number of callers in batches, on a thread of its own. A request is a future
//! for any async runtime, can be cancelled by dropping it, and is refused at once if too many wait.
//!
//! # Unusual queries
//!
//! Embeddings of another dim, a component that is not finite or too large, and too many tokens are [`Error`]s
//! ([`query::check`]). A query without tokens, `k = 0`, an empty set and an empty index give no hits. `k`, `nprobe`,
//! `ndocs` and `num_rescored` out of range are clamped. If every component is 0, every score is 0, and the hits are the
//! lowest pids (in an approximate search, those in the probed cells).
#![forbid(unsafe_code)]

pub mod approx;
pub mod candidates;
mod error;
mod exact;
pub mod filter;
mod funnel;
pub mod fusion;
mod on_device;
mod params;
mod passage_set;
pub mod query;
pub mod queue;
mod ranking;
mod reconstruct;
pub mod score;
mod search;
mod searcher;
pub mod topk;
mod tune;

pub use error::{Error, Result};
pub use filter::Filter;
pub use params::{Mode, SearchParams};
pub use passage_set::{FilterStats, PassageSet};
pub use queue::{Pending, QueryEmbeddings, Queue, QueueOptions, QueueStats};
pub use ranking::{Hit, Ranking, StageTimes};
pub use search::{GoesOn, Search};
pub use searcher::{ResidentSegment, Searcher};
pub use tune::{Tuned, Tuning, tune};
