//! Training: the weights of a checkpoint of any family are moved so that its scores become a teacher's.
//!
//! **In:** a [`Student`], [`Examples`] (a query, the passage that answers it, negatives, a teacher's scores), perhaps a
//! teacher. **Out:** a checkpoint of the same family, and checkpoints on the way.
//!
//! | step | file | what happens |
//! |---|---|---|
//! | begin | `fresh` | a new, small checkpoint whose words begin with a teacher's embeddings of them |
//! | weights | `params`, `student` | a checkpoint's tensors as variables; saved under the same names |
//! | forward | `forward`, `blocks` | the encoder's passes as candle's operations, which know their gradients; padded |
//! | the same, fast | `ragged`, `ops` | in f32, of BERT's family: operations of our own with gradients; ragged |
//! | losses | `loss` | MaxSim, divergence from a teacher's scores, in-batch negatives, distance token by token |
//! | shards | `shards` | a batch's forward and backward passes, texts of like length together, on all threads |
//! | step | `adamw` | AdamW, with the gradient's norm cut |
//! | run | `run`, `state` | order, rate, accumulation; what is kept, and going on from it |
//!
//! ColBERTv2 (Santhanam and others, 2022, section 3.2) trains by the divergence from a cross-encoder's scores over n
//! passages a query, negatives mined with the model itself.
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
mod params;
mod run;
mod shards;
mod state;
mod student;
#[cfg(test)]
mod tests;

pub use adamw::AdamWOptions;
pub use error::{Error, Result};
pub use init::{FreshOptions, fresh};
pub use loss::{Encoded, divergence, in_batch, maxsim, own, own_maxsim, token_distance};
pub use params::StoredAs;
pub use run::{Example, Examples, Losses, StepReport, TrainOptions, train};
pub use student::Student;
