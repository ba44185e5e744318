//! The query funnel. A stage is an op of the backend (`quantize_query`, `centroid_table`, `probe`) or a file here, public
//! and callable by itself.
//!
//! ```text
//! (Q, D) f32 --quantize_query--> q8 --centroid_table--> T (K, Q) --probe--> the nprobe best cells of each token
//!    --candidates--> the best ndocs by those cells --approx--> the best num_rescored by all their centroids
//!    --score--> MaxSim --topk--> k hits
//! ```
//!
//! `exact` leaves out the middle: [`Backend::search_batch`](selvedge_backend::Backend::search_batch), the fused kernel over
//! every passage, the ground truth of an index.
//! A subset of passages restricts either mode. [`Searcher`] strings the stages together; [`tune`] finds how far a query
//! has to look on a given index.
//!
//! # Threads
//!
//! Nothing here owns a thread. All parallel work runs on the current rayon pool, so a server hands its own in:
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
//! let outcomes = pool.install(|| searcher.search_batch(queries, &searcher.params(10), None))?;
//! # Ok(())
//! # }
//! ```
//!
//! - [`Searcher::search_batch`] gives each query one core of the pool.
//! - [`Searcher::search`] computes on the calling thread and needs no pool, in the funnel and over a subset alike, as
//!   long as no more than 16,384 passages of a segment are ranked (`ndocs`, or the subset's length).
//! - With [`Mode::Exact`] over every passage, one query spreads over the pool too, and a batch goes to the backend in one
//!   call.
//!
//! Outside of any pool parallel work goes to rayon's global one, which then starts with a thread for each core. Every
//! call blocks until it is answered: from async code, call it where blocking is allowed. A [`Searcher`] is shared by
//! reference between any number of threads.
//!
//! # Queries that are odd
//!
//! A dim that does not fit, a component that is not finite or beyond any embedding's, and too many tokens are
//! [`Error`]s. No token, `k = 0`, an empty subset and an empty index find nothing. `k`, `nprobe`, `ndocs` and `num_rescored`
//! out of range mean their nearest value in it. Where every component is 0, every score is 0 and the lowest pids win.
#![forbid(unsafe_code)]

pub mod approx;
pub mod candidates;
mod error;
mod params;
pub mod query;
mod reconstruct;
pub mod score;
mod search;
mod searcher;
mod subset;
pub mod topk;
mod tune;

pub use error::{Error, Result};
pub use params::{Mode, SearchParams};
pub use search::Search;
pub use searcher::{Hit, Ranking, ResidentSegment, Searcher, StageTimes};
pub use subset::Subset;
pub use tune::{Tuned, Tuning, tune};
