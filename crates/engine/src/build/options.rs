//! Options of a build. `Default` suits most programs.

use crate::collection::ReadOptions;
use crate::{Device, Error, Language, Result};
use selvedge_backend::Assignment;
use selvedge_codec::CodecKind;
use selvedge_encoder::{LoadOptions, shipped};
use selvedge_index::EncoderInfo;
use std::path::PathBuf;

/// Options of a build.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// The encoder of [`Engine::build`](crate::Engine::build): a local folder, a hub id, or `shipped`.
    pub model: String,
    /// Options of loading the encoder.
    pub encoder: LoadOptions,
    /// The device that trains the codec and compresses. The encoder runs where [`LoadOptions::executor`] says.
    pub device: Device,
    /// Kind of codec.
    pub codec: CodecKind,
    /// Bits per residual component: 0 (centroids only), 1, 2, 4 or 8.
    pub nbits: u8,
    /// Number of centroids, 1 to 2^24. `None` is ColBERTv2's rule, `2^floor(log2(16 sqrt(tokens)))`.
    pub num_centroids: Option<usize>,
    /// Index whose codec compresses the embeddings, instead of one that is trained on them; `codec`, `nbits`,
    /// `num_centroids` and `seed` then have no effect. The [shards](crate::shards) of a collection share a codec.
    pub codec_from: Option<PathBuf>,
    /// Assignment of embeddings to centroids, in k-means and in compression: among all of them, or on two levels, which
    /// is much faster with many. `None` takes two levels on the CPU from 2^14 centroids on, and all on a GPU; one
    /// assignment gives the same codes on CPU and GPU.
    pub assignment: Option<Assignment>,
    /// Factor by which the tokens of a passage are pooled, hierarchically; 1 keeps all tokens.
    pub pool: usize,
    /// Bytes of memory that the build may use, without the model's weights and activations.
    pub memory_budget: u64,
    /// Language of the words that are indexed beside the embeddings of texts, for BM25; `None` for no words.
    pub language: Option<Language>,
    /// Seed of the random numbers. On one kind of device, the same seed and input give the same index.
    pub seed: u64,
    /// Model that made the embeddings of a build that has no encoder. The index names it, so that it encodes queries of
    /// text, and gets words of the documents' texts; without it, neither.
    pub made_by: Option<EncoderInfo>,
    /// Options of reading a collection that is a folder.
    pub read: ReadOptions,
    /// Folder that the uncompressed embeddings are also written to: f16, or the type of the array they come from.
    pub save_embeddings: Option<PathBuf>,
}

/// The shipped model, the CPU, `CodecKind::Selvedge` with 2 bits, all tokens, 4 GiB of memory, English words and seed
/// 42.
impl Default for BuildOptions {
    fn default() -> Self {
        Self {
            model: shipped::NAME.into(),
            encoder: LoadOptions::default(),
            device: Device::Cpu,
            codec: CodecKind::Selvedge,
            nbits: 2,
            num_centroids: None,
            codec_from: None,
            assignment: None,
            pool: 1,
            memory_budget: 4 << 30,
            language: Some(Language::English),
            seed: 42,
            made_by: None,
            read: ReadOptions::default(),
            save_embeddings: None,
        }
    }
}

/// Maximum number of centroids.
const MAX_CENTROIDS: usize = 1 << 24;

impl BuildOptions {
    /// Checks the options that have a range of their own.
    pub(crate) fn check(&self) -> Result<()> {
        if !matches!(self.nbits, 0 | 1 | 2 | 4 | 8) {
            return Err(Error::option("nbits", self.nbits, "expected 0, 1, 2, 4 or 8"));
        }
        if self.pool == 0 {
            return Err(Error::option("pool", self.pool, "expected at least 1"));
        }
        match self.num_centroids {
            Some(count) if !(1..=MAX_CENTROIDS).contains(&count) => {
                Err(Error::option("num_centroids", count, "expected 1 to 2^24"))
            }
            _ => Ok(()),
        }
    }
}
