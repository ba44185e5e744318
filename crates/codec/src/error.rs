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
    /// An embedding whose length the codec cannot keep beside the others'.
    #[error("embedding {embedding} has length {length}; lengths here can be {least} to {most}")]
    Length {
        /// Number of the embedding among those given.
        embedding: usize,
        /// Its length.
        length: f64,
        /// The shortest that there can be.
        least: f64,
        /// The longest that there can be.
        most: f64,
    },
    /// An embedding for ColBERTv2's codec that is not of unit length.
    #[error(
        "embedding {embedding} has length {length}; ColBERTv2's codec puts every vector back at length 1: scale \
         embeddings to it, or take the other codec"
    )]
    NotOfUnitLength {
        /// Number of the embedding among those given.
        embedding: usize,
        /// Its length.
        length: f64,
    },
    /// The backend failed, or the numbers that came out break a bound.
    #[error(transparent)]
    Backend(#[from] selvedge_backend::Error),
}

impl Error {
    /// The same error, where the embeddings given are a block of more and the first of them has number `first`.
    pub fn numbered_from(mut self, first: usize) -> Self {
        if let Self::Length { embedding, .. } | Self::NotOfUnitLength { embedding, .. } = &mut self {
            *embedding += first;
        }
        self
    }
}
