//! Training of checkpoints: moves the weights of a checkpoint of any family so that its scores approach a teacher's.
//!
//! **In:** a [`Student`], [`Examples`] (a query, the passage that answers it, negatives, a teacher's scores), and
//! optionally a teacher. **Out:** a checkpoint of the same family, and checkpoints of the unfinished run.
//!
//! | stage | file | task |
//! |---|---|---|
//! | new model | `init` | a new, small checkpoint whose token embeddings start as a teacher's |
//! | weights | `params`, `student` | the tensors of a checkpoint as variables; saved under the same names |
//! | forward | `forward`, `blocks` | the encoder's forward passes in candle's differentiable operations; padded |
//! | fast forward | `fast_forward`, `ops` | BERT's family in f32, in this crate's differentiable operations; ragged |
//! | losses | `loss` | MaxSim, divergence from a teacher's scores, in-batch negatives, distance token by token |
//! | shards | `shards` | forward and backward passes of a batch on all threads; a shard has texts of similar length |
//! | optimizer | `adamw` | AdamW with clipped gradients |
//! | run | `options`, `run`, `state` | order of examples, learning rate, accumulation, checkpoints and resuming |
//!
//! ColBERTv2 (Santhanam and others, 2022, section 3.2) minimizes the divergence from a cross-encoder's scores over
//! n passages per query, with negatives that are mined with the model itself.
//!
//! ```no_run
//! use selvedge_encoder::LoadOptions;
//! use selvedge_trainer::{StoredAs, Student};
//!
//! let student = Student::load("shipped", &LoadOptions::default())?;
//! // selvedge_trainer::train moves its weights.
//! student.save("trained".as_ref(), StoredAs::F32)?;
//! # Ok::<(), selvedge_trainer::Error>(())
//! ```
#![forbid(unsafe_code)]

mod adamw;
mod blocks;
mod error;
mod fast_forward;
mod forward;
mod init;
mod loss;
mod ops;
mod options;
mod params;
mod run;
mod shards;
mod state;
mod student;
#[cfg(test)]
mod tests;

pub use adamw::AdamWOptions;
pub use error::{Error, Result};
pub use init::{InitOptions, init};
pub use loss::{Encoded, divergence, in_batch, maxsim, own, own_maxsim, token_distance};
pub use options::{LOSS_WEIGHTS, Losses, MAX_BATCH, TrainOptions};
pub use params::StoredAs;
pub use run::{Example, Examples, StepReport, train};
pub use state::check_no_earlier_run;
pub use student::Student;
