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
    /// Token embeddings of all passages, one after the other: (total_tokens, D), f16 or f32.
    #[arg(long, value_name = "DOCS.npy", requires = "doclens", conflicts_with_all = TEXT_FLAGS)]
    pub(crate) embeddings: Option<PathBuf>,
    /// Number of tokens of each passage: (passages), i32.
    #[arg(long, value_name = "LENS.npy", requires = "embeddings")]
    pub(crate) doclens: Option<PathBuf>,
    /// Ids of the passages, one per line [default: 0, 1, 2, ..., or on from the passages ever added].
    #[arg(long, value_name = "IDS.txt", requires = "embeddings")]
    pub(crate) ids: Option<PathBuf>,
}

impl ArraysArgs {
    /// The files, if embeddings are given.
    pub(crate) fn arrays(&self) -> Option<Arrays> {
        let (embeddings, doclens) = self.embeddings.clone().zip(self.doclens.clone())?;
        Some(Arrays { embeddings, doclens, ids: self.ids.clone() })
    }
}
