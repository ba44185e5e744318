//! Failures, with the file, the line or the value concerned and the way out.

use std::path::{Path, PathBuf};

/// A `Result` of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A path that cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Text that is no text.
    #[error("{path}, line {line}: not valid UTF-8")]
    Utf8 {
        /// The file.
        path: PathBuf,
        /// Its line.
        line: usize,
    },
    /// A line that does not have the format.
    #[error("{path}, line {line}: {reason}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Its line.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of a folder that cannot be read as text.
    #[error("{path}: {reason}")]
    BadFile {
        /// The file.
        path: PathBuf,
        /// Why it cannot be read.
        reason: String,
    },
    /// A glob that cannot be parsed.
    #[error("the glob {glob:?}: {reason}")]
    Glob {
        /// The glob.
        glob: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A collection without a passage.
    #[error("{path}: holds no passage")]
    EmptyCollection {
        /// The collection.
        path: PathBuf,
    },
    /// A file without a thing that it should hold.
    #[error("{path}: holds no {of}")]
    Empty {
        /// The file.
        path: PathBuf,
        /// The thing, such as "query".
        of: &'static str,
    },
    /// Judgments that are of other queries than those asked.
    #[error("{qrels}: judges none of the queries of {queries}: it begins with {judged:?}, they with {asked:?}")]
    NothingJudged {
        /// The judgments.
        qrels: PathBuf,
        /// The query that they judge first.
        judged: String,
        /// The queries.
        queries: PathBuf,
        /// The first of them.
        asked: String,
    },
    /// An id that does not fit into a TREC run, whose columns are parted by white space.
    #[error("the id {id:?} is empty or holds white space, which a TREC run cannot tell from its columns")]
    TrecId {
        /// The id.
        id: String,
    },
    /// A collection whose every passage came out without a token.
    #[error("no passage has a token left after tokenizing: there is nothing to index")]
    NoTokens,
    /// A NumPy file that is none, or of another shape.
    #[error("{path}: {reason}")]
    Npy {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A component that is NaN or infinite.
    #[error("{path}: row {row} has a component that is not finite")]
    NotFinite {
        /// The file, or what stands for it.
        path: PathBuf,
        /// The row.
        row: usize,
    },
    /// Two inputs that should have the same number of entries.
    #[error("{path}: has {found} entries, expected {expected}")]
    Count {
        /// The file.
        path: PathBuf,
        /// Entries that the other input asks for.
        expected: usize,
        /// Entries found.
        found: usize,
    },
    /// Queries by another model.
    #[error(
        "the index was made with {expected_model} (fingerprint {expected}), but {found_model} has fingerprint {found}: \
         the bytes of its weights or its tokenizer, or its settings, are others; name the model that made the index, or \
         take any model if these files are the same model saved again"
    )]
    OtherEncoder {
        /// Model of the index.
        expected_model: String,
        /// Its fingerprint.
        expected: String,
        /// Model at hand.
        found_model: String,
        /// Its fingerprint.
        found: String,
    },
    /// The model that an index remembers, which does not load any more.
    #[error("the index was made with the model {model:?}, which cannot be loaded: {source}; name it where it is now")]
    RememberedModel {
        /// Name or path of the model, as the index has it.
        model: String,
        /// Failure of loading it.
        source: Box<selvedge_encoder::Error>,
    },
    /// A budget that cannot hold even the fixed parts.
    #[error("the memory budget of {budget_bytes} bytes is too small: {needed_bytes} bytes are needed for {what}")]
    Budget {
        /// The budget.
        budget_bytes: u64,
        /// What the fixed parts take.
        needed_bytes: u64,
        /// Which parts.
        what: String,
    },
    /// An index made from embeddings, asked with a text.
    #[error(
        "the index was made from embeddings, so it names no encoder: give embeddings of the queries, or name the model"
    )]
    NoEncoder,
    /// An index without text, where text has to be encoded again.
    #[error("the index holds no text: recall against exact f32 needs the uncompressed embeddings and their lengths")]
    NoText,
    /// Queries that are embeddings, where their texts are needed.
    #[error("a single vector per passage is compared with the queries' texts: give the texts too")]
    NoQueryTexts,
    /// No search setting reaches the recall.
    #[error("no setting tried finds {recall} of the top {k}; one finds {most:.4}: ask for less recall")]
    NothingTuned {
        /// Number of results.
        k: usize,
        /// Share of the exhaustive top k that was asked for.
        recall: f64,
        /// The largest share that a setting finds.
        most: f64,
    },
    /// Queries none of which finds a passage.
    #[error("no query finds a passage: give queries that find something")]
    NothingFound,
    /// An operation whose [`Progress`](crate::Progress) asked it to stop.
    #[error("cancelled")]
    Cancelled,
    /// The encoder.
    #[error(transparent)]
    Encoder(#[from] selvedge_encoder::Error),
    /// The codec.
    #[error(transparent)]
    Codec(#[from] selvedge_codec::Error),
    /// The index.
    #[error(transparent)]
    Index(#[from] selvedge_index::Error),
    /// The search.
    #[error(transparent)]
    Search(#[from] selvedge_search::Error),
    /// The backend.
    #[error(transparent)]
    Backend(#[from] selvedge_backend::Error),
}

impl Error {
    /// An I/O error at `path`.
    pub fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.into(), source }
    }

    /// A malformed line.
    pub fn line(path: &Path, line: usize, reason: impl Into<String>) -> Self {
        Self::Line { path: path.into(), line, reason: reason.into() }
    }
}
