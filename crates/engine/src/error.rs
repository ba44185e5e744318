//! Errors: each names the file, line or value that caused it, and the remedy if there is one.

mod convert;

use crate::ChangeReport;
use std::path::PathBuf;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Failure of an operation of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// File or folder that cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The path.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// Line that is not valid UTF-8.
    #[error("{path}, line {line}: not valid UTF-8")]
    Utf8 {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// Line that does not have the format of its file.
    #[error("{path}, line {line}: {reason}")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Fault of the line.
        reason: String,
    },
    /// Line whose document the index refuses.
    #[error("{path}, line {line}: {source}")]
    RefusedLine {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Error of the index.
        source: selvedge_index::Error,
    },
    /// File of a folder that cannot be read as text, with
    /// [`ReadOptions::strict`](crate::collection::ReadOptions::strict).
    #[error("{path}: {reason}")]
    BadFile {
        /// The file.
        path: PathBuf,
        /// Reason why it cannot be read.
        reason: String,
    },
    /// Glob that cannot be parsed.
    #[error("the glob {glob:?}: {reason}")]
    Glob {
        /// The glob.
        glob: String,
        /// Fault of the glob.
        reason: String,
    },
    /// Option out of its range.
    #[error("{option} is {value}: {reason}")]
    BadOption {
        /// Field of the options.
        option: &'static str,
        /// Value of the option.
        value: String,
        /// The values that are allowed.
        reason: &'static str,
    },
    /// Option of reading folders that is given for a collection that is a file.
    #[error("{path}: not a folder of text files, the only kind of collection that {option} applies to")]
    FolderOption {
        /// The collection.
        path: PathBuf,
        /// Name of the option.
        option: &'static str,
    },
    /// Build without a document.
    #[error("no document was given: there is nothing to index")]
    NoDocuments,
    /// Folder without a passage, whose index has some.
    #[error(
        "{folder}: no file has a passage to index; {index} keeps its passages, as the folder may not be mounted \
         (`selvedge delete` deletes passages)"
    )]
    EmptyFolder {
        /// The folder.
        folder: PathBuf,
        /// The index.
        index: PathBuf,
    },
    /// Collection without a passage.
    #[error("{path}: holds no passage")]
    EmptyCollection {
        /// The collection.
        path: PathBuf,
    },
    /// File without an entry.
    #[error("{path}: holds no {of}")]
    Empty {
        /// The file.
        path: PathBuf,
        /// Kind of the entries, such as "query".
        of: &'static str,
    },
    /// Judgments of other queries than those that are evaluated.
    #[error(
        "{qrels}: judges none of the queries of {queries}: the first query judged is {judged:?}, the first query is \
         {asked:?}"
    )]
    NothingJudged {
        /// File of the judgments.
        qrels: PathBuf,
        /// Id of the query that is judged first.
        judged: String,
        /// File of the queries.
        queries: PathBuf,
        /// Id of the first query.
        asked: String,
    },
    /// Judgments of passages of which the index has none.
    #[error(
        "{qrels}: none of the {judgments} judged passages is in the index: their ids are such as {judged:?}, those of \
         the index such as {indexed:?}; give judgments with the ids of the collection"
    )]
    NoneIndexed {
        /// File of the judgments.
        qrels: PathBuf,
        /// Number of judgments of the queries.
        judgments: usize,
        /// Id of a judged passage.
        judged: String,
        /// Id of the first passage of the index.
        indexed: String,
    },
    /// Id that a TREC run cannot contain, since white space separates its columns.
    #[error("the id {id:?} is empty or contains white space, which separates the columns of a TREC run")]
    TrecId {
        /// The id.
        id: String,
    },
    /// Collection whose passages have no token.
    #[error("no passage has a token: there is nothing to index")]
    NoTokens,
    /// File of arrays that is malformed, or has another type or shape than expected.
    #[error("{path}: {reason}")]
    Npy {
        /// The file.
        path: PathBuf,
        /// Fault of the file.
        reason: String,
    },
    /// Component of an embedding that is NaN or infinite.
    #[error("{path}: row {row} has a component that is not finite")]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// Row of the embedding, from 0.
        row: usize,
    },
    /// Inputs that should have the same number of entries, and do not.
    #[error("{path}: has {found} entries, expected {expected}")]
    Count {
        /// The file.
        path: PathBuf,
        /// Number of entries of the other input.
        expected: usize,
        /// Number of entries of the file.
        found: usize,
    },
    /// Encoder of queries that is not the one that made the index.
    #[error(
        "the index was made with {expected_model} (fingerprint {expected}), but {found_model} has fingerprint {found}: \
         its weights, its tokenizer or its settings differ; name the model that made the index, or allow any model if \
         these files are the same model saved again"
    )]
    OtherEncoder {
        /// Model that made the index.
        expected_model: String,
        /// Fingerprint of the model that made the index.
        expected: String,
        /// Model that was loaded.
        found_model: String,
        /// Fingerprint of the model that was loaded.
        found: String,
    },
    /// Encoder that made an index and does not load by the name that the index stores.
    #[error(
        "the index was made with the model {model:?}, which cannot be loaded: {source}; if it has moved, give its \
         present folder or hub id"
    )]
    StoredModel {
        /// Name or path of the model, as the index stores it.
        model: String,
        /// Error of loading the model.
        source: Box<selvedge_encoder::Error>,
    },
    /// Ids to delete that the index does not have.
    #[error(
        "not in the index: {}{}; nothing is deleted",
        first.iter().map(|id| format!("{id:?}")).collect::<Vec<_>>().join(", "),
        if *total > first.len() { format!(" and {} more ids", total - first.len()) } else { String::new() }
    )]
    UnknownIds {
        /// Number of such ids.
        total: usize,
        /// The first of them, at most 20.
        first: Vec<String>,
    },
    /// Embeddings of a document in memory that do not fit.
    #[error("the embeddings of document {id:?} do not fit: {reason}")]
    BadEmbeddings {
        /// Id of the document.
        id: String,
        /// Reason, with the numbers.
        reason: String,
    },
    /// Text for an index that was made from embeddings.
    #[error("{path}: the index was made from embeddings, so it names no encoder of text: add embeddings")]
    MadeFromEmbeddings {
        /// The index.
        path: PathBuf,
    },
    /// Passage that was added as embeddings, so that there is no text to encode again.
    #[error("{path}: passage {id:?} has no text to encode again: train on what is stored (--retrain=stored)")]
    WithoutText {
        /// The index.
        path: PathBuf,
        /// Id of the first such passage.
        id: String,
    },
    /// Folder or file whose passages an update would delete because it cannot be read.
    #[error("{path}: {reason}; the index has passages of it, which an update would delete")]
    NotRead {
        /// The folder or the file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// Index to update that does not say which files it was made from.
    #[error(
        "{path}: the index does not say which files it was made from: it was not made from a folder, or by an earlier \
         version; build it anew from the folder"
    )]
    NoSources {
        /// The index.
        path: PathBuf,
    },
    /// Index to update whose record of the files it was made from cannot be read.
    #[error("{path}: the record of the files that it was made from cannot be read: {reason}; build the index anew")]
    Sources {
        /// The index.
        path: PathBuf,
        /// Fault of the record.
        reason: String,
    },
    /// Index to update that was made from another folder.
    #[error("{path}: the index was made from the folder {expected}, not from {found}: build an index of {found}")]
    OtherFolder {
        /// The index.
        path: PathBuf,
        /// Folder that the index was made from.
        expected: String,
        /// Folder that was given.
        found: String,
    },
    /// Embeddings that replace others, without the ids of those.
    #[error("{path}: embeddings replace those of the passages with their ids: give the ids")]
    IdsNeeded {
        /// The embeddings.
        path: PathBuf,
    },
    /// Index that was replaced by one of another model while it was open.
    #[error("{path}: the index was made anew with another model; open it again")]
    OtherModel {
        /// The index.
        path: PathBuf,
    },
    /// Change that was committed, to which the engine that made it could not follow.
    #[error("generation {} is committed, but not followed: {source}", report.generation)]
    NotFollowed {
        /// The change.
        report: Box<ChangeReport>,
        /// The error.
        source: Box<Error>,
    },
    /// Embedding of the training sample that the codec refuses; its number is its place in the sample.
    #[error("of the embeddings sampled for training: {source}")]
    Sample {
        /// Error of the codec.
        source: selvedge_codec::Error,
    },
    /// Memory budget that is smaller than the fixed parts of a build.
    #[error("the memory budget of {budget_bytes} bytes is too small: {needed_bytes} bytes are needed for {what}")]
    Budget {
        /// Budget in bytes.
        budget_bytes: u64,
        /// Bytes of the fixed parts.
        needed_bytes: u64,
        /// Names of the fixed parts.
        what: String,
    },
    /// Query given as text to an index made from embeddings.
    #[error("an index of embeddings names no encoder: give embeddings of the queries, or name the model")]
    NoEncoder,
    /// Index without text, where stored text has to be encoded again.
    #[error(
        "the index holds no text to encode again: exact f32 MaxSim needs the uncompressed embeddings and their \
         lengths, and a single vector per passage cannot be measured"
    )]
    NoText,
    /// Tensor of candle whose memory the search cannot read.
    #[error("the tensor cannot be searched: {reason}")]
    Tensor {
        /// Reason why not.
        reason: String,
    },
    /// Queries given as embeddings, where their texts are needed.
    #[error("one vector per passage, and words, are searched with the texts of the queries: give the texts too")]
    NoQueryTexts,
    /// Queries read for a search by words alone, where their embeddings are needed.
    #[error("the queries were read without their embeddings, for a search by words alone: read them with both")]
    NoQueryEmbeddings,
    /// Index without words, or with a segment without.
    #[error("{}: the index has no words to search for", path.display())]
    NoWords {
        /// Directory of the index.
        path: PathBuf,
    },
    /// Language of words for an index without text.
    #[error("{}: the index was made from embeddings, and holds no text to take words from", path.display())]
    NoTextForWords {
        /// Directory of the index.
        path: PathBuf,
    },
    /// Words that cannot be read, or a language that this version does not know.
    #[error("the words of the index: {0}")]
    Words(#[from] selvedge_lexical::Error),
    /// Words of another number of passages than their segment has.
    #[error("{}: a file of words has {found} passages, its segment {expected}", path.display())]
    WordsMismatch {
        /// Directory of the index.
        path: PathBuf,
        /// Passages of the segment.
        expected: u32,
        /// Passages of the file.
        found: u32,
    },
    /// Words that could not be read when the index was opened.
    #[error("{source}")]
    UnreadableWords {
        /// Error of opening them.
        source: std::sync::Arc<Self>,
    },
    /// Recall that no search setting reaches.
    #[error("no setting tried finds {recall} of the top {k}; the best finds {best_recall:.4}: request a lower recall")]
    NothingTuned {
        /// Number of results.
        k: usize,
        /// Share of the exhaustive top k that was requested.
        recall: f64,
        /// Largest share that a setting finds.
        best_recall: f64,
    },
    /// Queries of which none finds a passage.
    #[error("no query finds a passage: give queries that find something")]
    NothingFound,
    /// Operation that its [`Progress`](crate::Progress) asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// Shards that cannot be searched as one.
    #[error(transparent)]
    Shards(#[from] crate::shards::ShardsError),
    /// Error of a format of other programs.
    #[error(transparent)]
    Bridges(Box<selvedge_bridges::Error>),
    /// Error of the encoder.
    #[error(transparent)]
    Encoder(#[from] selvedge_encoder::Error),
    /// Error of the codec.
    #[error(transparent)]
    Codec(selvedge_codec::Error),
    /// Error of the index.
    #[error(transparent)]
    Index(#[from] selvedge_index::Error),
    /// Error of the search.
    #[error(transparent)]
    Search(selvedge_search::Error),
    /// Error of the backend.
    #[error(transparent)]
    Backend(#[from] selvedge_backend::Error),
}
