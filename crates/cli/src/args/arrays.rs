//! Flags of embeddings made elsewhere, of every command that takes them in place of a collection.

use clap::Args;
use selvedge::build::Arrays;
use std::path::PathBuf;

/// Flags that apply to text only: they conflict with embeddings made elsewhere.
const TEXT_FLAGS: [&str; 12] = [
    "model",
    "any_model",
    "split",
    "include",
    "exclude",
    "hidden",
    "no_ignore",
    "strict",
    "query_maxlen",
    "passage_maxlen",
    "precision",
    "executor",
];

/// Flags of embeddings made elsewhere.
#[derive(Debug, Args)]
pub(crate) struct ArraysArgs {
    /// Token embeddings of all passages: a .npy array (total_tokens, D), f16 or f32, with --doclens; an .npz or
    /// .safetensors file; or a folder that `selvedge encode` wrote (see `selvedge index --help`).
    #[arg(long, value_name = "FILE|DIR", conflicts_with_all = TEXT_FLAGS)]
    pub(crate) embeddings: Option<PathBuf>,
    /// With a .npy array, the number of tokens of each passage: (passages), i32.
    #[arg(long, value_name = "LENS.npy", requires = "embeddings")]
    pub(crate) doclens: Option<PathBuf>,
    /// Ids of the passages, one per line [default: the ids in --embeddings, or numbers from 0, on from the passages
    /// ever added].
    #[arg(long, value_name = "IDS.txt", requires = "embeddings")]
    pub(crate) ids: Option<PathBuf>,
}

impl ArraysArgs {
    /// The files, if embeddings are given.
    pub(crate) fn arrays(&self) -> Option<Arrays> {
        let embeddings = self.embeddings.clone()?;
        Some(Arrays { embeddings, doclens: self.doclens.clone(), ids: self.ids.clone() })
    }
}
