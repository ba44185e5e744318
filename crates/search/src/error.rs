//! What can fail while searching.

/// A `Result` of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, with the values that broke the rule.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A query of another model.
    #[error("the query's embeddings have dim {found}, the index has dim {expected}")]
    DimMismatch {
        /// Dim of the index.
        expected: usize,
        /// Length that is no multiple of it, or dim of the query.
        found: usize,
    },
    /// NaN or infinity in a query.
    #[error("embedding {token} of the query has a component that is not finite")]
    NotFinite {
        /// Number of the query token.
        token: usize,
    },
    /// A component far beyond what an embedding holds.
    #[error("embedding {token} of the query has the component {component:e}; embeddings have about unit length")]
    TooLarge {
        /// Number of the query token.
        token: usize,
        /// The component.
        component: f32,
    },
    /// More query tokens than the arithmetic contract has room for.
    #[error("the query has {found} tokens; at most {limit} fit the score's range")]
    QueryTooLong {
        /// Tokens of the query.
        found: usize,
        /// Tokens allowed.
        limit: usize,
    },
    /// A passage that the index does not have.
    #[error("passage {pid} does not exist: the index has {num_passages}")]
    NoSuchPassage {
        /// The pid.
        pid: u32,
        /// Number of passages.
        num_passages: usize,
    },
    /// The backend refused, or failed.
    #[error(transparent)]
    Backend(#[from] selvedge_backend::Error),
}
