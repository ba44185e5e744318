//! Identity of a shard: whatever has to be equal in all shards for their scores to be comparable.

use crate::Snapshot;
use selvedge_index::CodecEntry;
use sha2::{Digest, Sha256};
use std::path::PathBuf;

/// Codec, model and language of words of a shard. Scores of shards are comparable where these are equal.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Identity {
    /// Kind, sizes and checksum of the codec.
    pub codec: String,
    /// Fingerprint of the model that made the embeddings; `None` if they were given.
    pub model: Option<String>,
    /// Language of the words; `None` for an index without words.
    pub language: Option<String>,
}

impl Identity {
    /// Checks that shard number `shard` has the identity of an earlier one.
    ///
    /// # Errors
    /// [`ShardsError::Differ`], which names both.
    pub fn check_equal(&self, shard: usize, found: &Self) -> Result<(), ShardsError> {
        let name = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".into());
        let parts = [
            ("codec", self.codec.clone(), found.codec.clone()),
            ("model", name(&self.model), name(&found.model)),
            ("language of words", name(&self.language), name(&found.language)),
        ];
        match parts.into_iter().find(|(_, expected, found)| expected != found) {
            Some((part, expected, found)) => Err(ShardsError::Differ { part, shard, expected, found }),
            None => Ok(()),
        }
    }
}

/// Reason why indexes are not the shards of one collection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShardsError {
    /// Collection without a shard.
    #[error("a collection in shards has at least one shard")]
    None,
    /// Shards whose scores are not comparable.
    #[error(
        "shard {shard} has another {part} than the first one: {found}, not {expected}; shards are built with one codec \
         and one model (`selvedge index --codec-from`)"
    )]
    Differ {
        /// Part that differs: codec, model or language of words.
        part: &'static str,
        /// Number of the shard, from 0.
        shard: usize,
        /// The part of the first shard.
        expected: String,
        /// The part of this shard.
        found: String,
    },
    /// Path or URL without the file of a collection.
    #[error(
        "{}: no collection, or one whose build has not ended (`python -m selvedge_search.ray build` makes one)",
        url.display()
    )]
    NoCollection {
        /// Path or URL of the collection.
        url: PathBuf,
    },
    /// Damaged file of a collection, or one of another version.
    #[error("{}: the file of the collection: {reason}", url.display())]
    BadCollection {
        /// Path or URL of the collection.
        url: PathBuf,
        /// Reason, with the place in the file.
        reason: String,
    },
    /// Number that no shard of a collection has.
    #[error("{}: no shard {number}; the numbers of its shards are 0 to {}", url.display(), shards - 1)]
    NoShard {
        /// Path or URL of the collection.
        url: PathBuf,
        /// The number.
        number: usize,
        /// Number of shards.
        shards: usize,
    },
}

impl Snapshot {
    /// Returns the identity that all shards of a collection have in common.
    pub fn identity(&self) -> Identity {
        let manifest = self.index().manifest();
        let CodecEntry { kind, dim, num_centroids, nbits, weight_bits, file, .. } = manifest.codec;
        let codec = format!(
            "{kind:?}, {dim} dimensions, {num_centroids} centroids, {nbits} bits, {weight_bits} bits of weights, \
             checksum {:08x} of {} bytes",
            file.crc32, file.bytes
        );
        let model = manifest.encoder.as_ref().map(|encoder| encoder.fingerprint.clone());
        Identity { codec, model, language: manifest.language.clone() }
    }

    /// Name of the contents of this generation: its number and a checksum of its manifest. Copies of an index have the
    /// same one, and the same pids.
    pub fn version(&self) -> &str {
        self.version.get_or_init(|| {
            let manifest = serde_json::to_vec(self.index().manifest()).unwrap_or_default();
            let digest: String = Sha256::digest(manifest)[..8].iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{}-{digest}", self.generation())
        })
    }
}
