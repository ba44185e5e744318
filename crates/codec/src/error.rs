//! Errors of training and compression.

/// A `Result` of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Error of training or compression, with the values that broke the rule.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Dim that is zero or not a multiple of 8.
    #[error("embeddings have dim {dim}; it must be a positive multiple of 8")]
    Dim {
        /// Components of an embedding.
        dim: usize,
    },
    /// Empty sample.
    #[error("there is no embedding to train the codec on")]
    EmptySample,
    /// Sample whose last embedding is incomplete.
    #[error("the sample has {len} components, which is not a whole number of embeddings of dim {dim}")]
    PartialEmbedding {
        /// Components of the sample.
        len: usize,
        /// Components of an embedding.
        dim: usize,
    },
    /// Unsupported number of bits per residual component.
    #[error("nbits is {nbits}; it can be 0, 1, 2, 4 or 8")]
    Nbits {
        /// Requested bits.
        nbits: u8,
    },
    /// Weight indices of more than 8 bits.
    #[error("weight_bits is {weight_bits}; it can be 0 to 8")]
    WeightBits {
        /// Requested bits.
        weight_bits: u8,
    },
    /// Codec of signs, which has no buckets of residuals.
    #[error("the codec stores signs, of an index that another program made: it compresses no further embeddings")]
    SignsOnly,
    /// NaN or infinity in an embedding of the sample.
    #[error("embedding {embedding} of the sample has a component that is not finite")]
    NotFinite {
        /// Number of the embedding.
        embedding: usize,
    },
    /// Embedding whose length is out of the codec's range.
    #[error("embedding {embedding} has length {length}; supported lengths are {least} to {most}")]
    Length {
        /// Number of the embedding among those given.
        embedding: usize,
        /// Length of the embedding.
        length: f64,
        /// Shortest supported length.
        least: f64,
        /// Longest supported length.
        most: f64,
    },
    /// Embedding for ColBERTv2's codec that is not of unit length.
    #[error(
        "embedding {embedding} has length {length}; ColBERTv2's codec decodes every vector to length 1: scale the \
         embeddings to length 1, or use the codec selvedge"
    )]
    NotOfUnitLength {
        /// Number of the embedding among those given.
        embedding: usize,
        /// Length of the embedding.
        length: f64,
    },
    /// Training that was stopped by [`Progress::is_cancelled`](crate::Progress::is_cancelled).
    #[error("cancelled")]
    Cancelled,
    /// Failure of the backend, or trained numbers that break a bound of the codec.
    #[error(transparent)]
    Backend(#[from] selvedge_backend::Error),
}

impl Error {
    /// Adds `first` to the number of the embedding, for a block that starts at embedding `first` of a larger array.
    pub fn numbered_from(mut self, first: usize) -> Self {
        if let Self::Length { embedding, .. } | Self::NotOfUnitLength { embedding, .. } = &mut self {
            *embedding += first;
        }
        self
    }
}
