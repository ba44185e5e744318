//! Bridges to the indexes of other late-interaction programs.
//!
//! **In:** the folder of an index of PLAID (Stanford's ColBERT), fast-plaid, next-plaid, WARP or xtr-warp-rs. **Out:**
//! an index of this project, by [`as_is`] or [`recode`]; or its embeddings in f32, by a [`Decoder`].
//!
//! ```text
//! folder --formats/--> Source --as_is---> Writer of selvedge-index      codes, residuals and formula stay
//!                        ├──────recode--> Writer of selvedge-index      codes stay, residuals are coded anew
//!                        └──────Decoder-> embeddings (N, D) f32
//! ```
//!
//! [`export`] is the way back: an index of this project in the layout of PLAID, fast-plaid or next-plaid. [`vectors`]
//! reads embeddings without an index, in files of NumPy and safetensors; [`points`], documents with embeddings that
//! another store serves.
//!
//! The files come from anywhere, so they are taken as hostile: every length is checked against the length of its file
//! before memory is reserved, pickles are read as data and execute nothing (`pickle.rs`), archives are read in place
//! without unpacking (`archive.rs`), and no path is made of what a file says (`folder.rs`). The source is only read.
#![forbid(unsafe_code)]

mod archive;
mod array;
mod as_is;
mod decode;
mod documents;
mod error;
mod export;
mod folder;
mod formats;
#[cfg_attr(not(feature = "sqlite"), path = "metadata_without.rs")]
mod metadata;
pub mod npy;
mod pickle;
mod pieces;
pub mod points;
mod recode;
mod repack;
mod rows;
mod source;
mod torch;
pub mod vectors;

pub use array::Array;
pub use as_is::as_is;
pub use decode::Decoder;
pub use documents::Documents;
pub use error::{Error, Result};
pub use export::{Exported, Layout, export};
pub use formats::open;
pub use recode::recode;
pub use source::{Block, Decoding, Format, Found, Source, SourceCodec};
