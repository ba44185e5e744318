//! Failures of a command, and their exit codes.

use std::path::PathBuf;

/// Result with this crate's error.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Failure of a command.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Command line whose arguments contradict each other or cannot be satisfied.
    #[error("{0}")]
    Usage(String),
    /// Broken index; `verify` has printed the reason for each file.
    #[error("{path}: {broken} of {files} files are broken; build the index again from its collection")]
    Broken {
        /// Folder of the index.
        path: PathBuf,
        /// Number of broken files.
        broken: usize,
        /// Number of all files.
        files: usize,
    },
    /// Standard output that cannot be written.
    #[error("standard output: {0}")]
    Output(std::io::Error),
    /// Standard output whose reader closed the pipe early, such as `head`: not a failure.
    #[error("standard output: its reader closed the pipe")]
    ClosedPipe,
    /// Server that does not answer, or is not ready.
    #[error("not ready: {0}")]
    NotReady(String),
    /// Error of the library.
    #[error(transparent)]
    Engine(#[from] selvedge::Error),
    /// Error of an import.
    #[error(transparent)]
    Bridges(selvedge_bridges::Error),
    /// Error of the server.
    #[error(transparent)]
    Server(#[from] selvedge_server::ApiError),
    /// Error of the trainer.
    #[error(transparent)]
    Trainer(#[from] selvedge_trainer::Error),
}

impl Error {
    /// Returns the exit code of the process: 2 for wrong usage, 1 for bad input and failures.
    pub(crate) fn exit_code(&self) -> u8 {
        use selvedge::Error::{BadOption, NoEncoder, NoQueryTexts, NoText, NothingFound, NothingTuned};
        match self {
            Self::Usage(_) | Self::Engine(BadOption { .. } | NoEncoder | NoText | NoQueryTexts) => 2,
            Self::Engine(NothingFound | NothingTuned { .. }) => 2,
            Self::Trainer(selvedge_trainer::Error::BadOption { .. } | selvedge_trainer::Error::EarlierRun { .. }) => 2,
            _ => 1,
        }
    }

    /// Returns the flags or the command that help, which the library's message cannot name.
    pub(crate) fn flags(&self) -> Option<&'static str> {
        use selvedge::Error as E;
        use selvedge_encoder::{Error as Encoder, TextKind};
        use selvedge_trainer::LOSS_WEIGHTS;
        match self {
            Self::Engine(E::Budget { .. }) => Some("--memory-budget"),
            Self::Bridges(error) => flags_of_bridges(error),
            Self::Engine(E::Bridges(error)) => flags_of_bridges(error),
            Self::Engine(E::BadOption { option: "language", .. }) => Some("--collection"),
            Self::Engine(E::Index(selvedge_index::Error::NoIndex { .. })) => Some("`selvedge index` builds one"),
            Self::Engine(E::UnknownIds { .. }) => Some("--ignore-missing"),
            Self::Engine(E::BadOption { option: "doclens", .. }) => Some("--doclens"),
            Self::Engine(E::BadOption { option: "lens", .. }) => Some("--query-lens"),
            Self::Engine(E::MadeFromEmbeddings { .. }) => Some("--embeddings, --doclens"),
            Self::Engine(E::IdsNeeded { .. }) => Some("--ids"),
            Self::Engine(E::NoWords { .. }) => Some("`selvedge compact --language english` makes them"),
            Self::Engine(E::NoEncoder) => Some("--query-embeddings, --model"),
            Self::Engine(E::Encoder(Encoder::MaxLength { kind: TextKind::Query, .. })) => Some("--query-maxlen"),
            Self::Engine(E::Encoder(Encoder::MaxLength { kind: TextKind::Passage, .. })) => Some("--passage-maxlen"),
            Self::Engine(E::Encoder(Encoder::UnsupportedArchitecture { candle_has_it: true, .. })) => {
                Some("--executor candle")
            }
            Self::Engine(E::Encoder(Encoder::CandleInt8)) => Some("--precision, --executor"),
            Self::Engine(E::OtherEncoder { .. }) => Some("--model, --any-model"),
            Self::Engine(E::StoredModel { .. }) => Some("--model"),
            Self::Engine(E::NoText) => Some("--embeddings, --doclens"),
            Self::Engine(E::NoQueryTexts) => Some("--queries"),
            Self::Engine(E::NothingTuned { .. }) => Some("--recall"),
            Self::Trainer(selvedge_trainer::Error::EarlierRun { .. }) => Some("--resume"),
            Self::Trainer(selvedge_trainer::Error::BadOption { option: "rate", .. }) => Some("--lr"),
            Self::Trainer(selvedge_trainer::Error::BadOption { option: LOSS_WEIGHTS, .. }) => {
                Some("--divergence, --in-batch, --tokens")
            }
            _ => None,
        }
    }
}

fn flags_of_bridges(error: &selvedge_bridges::Error) -> Option<&'static str> {
    use selvedge_bridges::Error as E;
    match error {
        E::Count { of: "documents", .. } => Some("--collection"),
        E::Vectors { .. } => Some("--vector"),
        E::Columns { .. } => Some("--vector, --text-field"),
        E::Status { status: 401 | 403, .. } => Some("QDRANT_API_KEY"),
        _ => None,
    }
}

/// A cancelled import or export is the library's `Cancelled`, like every other operation.
impl From<selvedge_bridges::Error> for Error {
    fn from(error: selvedge_bridges::Error) -> Self {
        match error {
            selvedge_bridges::Error::Cancelled => Self::Engine(selvedge::Error::Cancelled),
            error => Self::Bridges(error),
        }
    }
}

/// Converts the errors of lower crates to the library's error.
macro_rules! from_below {
    ($($error:ty),*) => {
        $(impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::Engine(error.into())
            }
        })*
    };
}
from_below!(selvedge_backend::Error, selvedge_encoder::Error, selvedge_index::Error, selvedge_search::Error);
