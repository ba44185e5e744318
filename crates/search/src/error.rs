//! Errors of a search.

/// A `Result` of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Error of a search, with the values that broke the rule.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Embeddings of another dim, as another model makes them.
    #[error("the embeddings have dim {found}, the index has dim {expected}")]
    DimMismatch {
        /// Dim of the index.
        expected: usize,
        /// Dim of the embeddings, or their number of components if that is not a multiple of `expected`.
        found: usize,
    },
    /// NaN or infinity in a query.
    #[error("embedding {token} of the query has a component that is not finite")]
    NotFinite {
        /// Number of the query token.
        token: usize,
    },
    /// Query component that is too large for f32 scores.
    #[error("embedding {token} of the query has the component {component:e}; embeddings have about unit length")]
    TooLarge {
        /// Number of the query token.
        token: usize,
        /// Value of the component.
        component: f32,
    },
    /// Query with too many tokens for integer scores.
    #[error("the query has {found} tokens; at most {limit} fit the score's range")]
    QueryTooLong {
        /// Tokens of the query.
        found: usize,
        /// Largest supported number of tokens.
        limit: usize,
    },
    /// Passage that the index does not have.
    #[error("passage {pid} does not exist: the index has {num_passages} passages")]
    NoSuchPassage {
        /// Pid that is out of range.
        pid: u32,
        /// Number of passages.
        num_passages: usize,
    },
    /// Passage with too many tokens to decode them at once.
    #[error("passage {pid} has {found} tokens; at most {limit} are decoded at once")]
    PassageTooLong {
        /// Pid of the passage.
        pid: u32,
        /// Tokens of the passage.
        found: usize,
        /// Largest supported number of tokens.
        limit: usize,
    },
    /// Mistake in the text of a filter.
    #[error(
        "column {column} of the filter: expected {expected}, found {}",
        if found.is_empty() { "the end".to_owned() } else { format!("{found:?}") }
    )]
    FilterSyntax {
        /// Number of the character at which the mistake is, from 1.
        column: usize,
        /// Words for what the grammar has there.
        expected: &'static str,
        /// Beginning of the text from there on.
        found: String,
    },
    /// Filter that cannot have an answer.
    #[error("the filter has a mistake: {reason}")]
    BadFilter {
        /// Rule that is broken.
        reason: String,
    },
    /// Set of passages that was made by the searcher of another generation, in which pids are other ones.
    #[error("the set of passages was made for another generation of the index; make it anew")]
    OtherGeneration,
    /// Search that was stopped before its end.
    #[error("the search was stopped")]
    Stopped,
    /// Queue whose places are all taken; the request was not queued.
    #[error("{waiting} requests wait already, as many as the queue takes; try again later")]
    QueueFull {
        /// Number of requests that wait.
        waiting: usize,
    },
    /// Queue that has ended.
    #[error("the queue has ended")]
    QueueClosed,
    /// Panic of the searcher during a batch, which may have been caused by another query of it.
    #[error("the search panicked: {message}")]
    SearchPanicked {
        /// Message of the panic; empty if it is not a text.
        message: String,
    },
    /// Error of a searcher during a batch, shared by all of its requests.
    #[error(transparent)]
    Batch(std::sync::Arc<Error>),
    /// Thread of a queue that the system cannot start.
    #[error("the thread of a queue cannot be started: {0}")]
    NoThread(#[source] std::io::Error),
    /// Codec of the index that cannot be read.
    #[error(transparent)]
    Index(#[from] selvedge_index::Error),
    /// Failure of the backend.
    #[error(transparent)]
    Backend(#[from] selvedge_backend::Error),
}
