//! The query funnel, one file per stage, each stage public and callable by itself.
//!
//! ```text
//! (Q, D) f32 --quantize_query--> q8 --centroid_table--> T (K, Q) --probe--> nprobe cells a token
//!    --candidates--> pids with approximate scores, best ndocs --score--> MaxSim --topk--> k hits
//! ```
//!
//! `exact` leaves out the middle: the fused kernel over every passage, the ground truth of an index.
//! A subset of passages restricts either mode. [`Searcher`] strings the stages together; [`tune`] finds how far a query
//! has to look on a given index.
#![forbid(unsafe_code)]

pub mod candidates;
mod error;
mod params;
pub mod probe;
pub mod quantize_query;
pub mod score;
mod searcher;
mod subset;
pub mod topk;
mod tune;

pub use error::{Error, Result};
pub use params::{Mode, Params};
pub use searcher::{Found, Outcome, Searcher, Segment, StageTimes};
pub use subset::Subset;
pub use tune::{Tuned, tune};
