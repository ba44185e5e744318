//! What can fail while training and compressing: data and machines.

/// A `Result` of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, with the values that broke the rule.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Embeddings whose dim is no multiple of 8.
    #[error("embeddings have dim {dim}, which is not a multiple of 8")]
    Dim {
        /// The dim.
        dim: usize,
    },
    /// Nothing to train on.
    #[error("there is no embedding to train the codec on")]
    EmptySample,
    /// An nbits that no layout fits.
    #[error("nbits is {nbits}; it can be 0, 1, 2, 4 or 8")]
    Nbits {
        /// The nbits.
        nbits: u8,
    },
    /// NaN or infinity in an embedding.
    #[error("embedding {embedding} of the sample has a component that is not finite")]
    NotFinite {
        /// Number of the embedding.
        embedding: usize,
    },
    /// The backend failed, or the numbers that came out break a bound.
    #[error(transparent)]
    Backend(#[from] selvedge_backend::Error),
}
