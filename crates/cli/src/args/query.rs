//! Arguments of the commands that search: `selvedge search`, `eval` and `tune`.

use super::EncoderArgs;
use super::parse::{parse_positive, parse_share, parse_weight};
use clap::Args;
use selvedge::Filter;
use std::path::PathBuf;

/// Flags of the source of queries and of their encoder.
#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    /// File of queries, one per line: `id<TAB>text`, or JSONL with "id" (or "_id") and "text". A BEIR folder stands for
    /// its queries.jsonl, - for standard input.
    #[arg(long, value_name = "FILE|BEIR_DIR", help_heading = "Queries")]
    pub(crate) queries: Option<PathBuf>,
    /// Embeddings of the queries, f16 or f32: a .npy array (queries, tokens, D), or (total_tokens, D) with
    /// --query-lens; or a folder, an .npz or a .safetensors file of `selvedge encode --queries`. Then --queries gives
    /// their ids and texts [default: the ids in the file or folder, or 0, 1, 2, ...].
    #[arg(long, value_name = "FILE|DIR", help_heading = "Queries")]
    pub(crate) query_embeddings: Option<PathBuf>,
    /// With a .npy array, the number of tokens of each query: (queries), i32.
    #[arg(long, value_name = "L.npy", requires = "query_embeddings", help_heading = "Queries")]
    pub(crate) query_lens: Option<PathBuf>,
    /// Checkpoint that made the index: a local folder or a hub id [default: as stored in the index].
    #[arg(long, value_name = "DIR|HUB_ID", help_heading = "Encoder")]
    pub(crate) model: Option<String>,
    /// Accept a checkpoint whose fingerprint is not that of the index, such as the same model saved again.
    #[arg(long, help_heading = "Encoder")]
    pub(crate) any_model: bool,
}

/// Flags of the depth of a search.
#[derive(Debug, Args)]
pub(crate) struct DepthArgs {
    /// Score every passage instead of searching approximately.
    #[arg(long, conflicts_with_all = ["nprobe", "ndocs", "num_rescored"])]
    pub(crate) exact: bool,
    /// Cells (inverted lists) probed per query token [default: as tuned, else by k].
    #[arg(long, value_name = "P")]
    pub(crate) nprobe: Option<usize>,
    /// Candidates kept after approximate scoring by centroids alone [default: as tuned, else by k].
    #[arg(long, value_name = "N")]
    pub(crate) ndocs: Option<usize>,
    /// Candidates scored with their residuals, the last stage [default: as tuned, else by k].
    #[arg(long, visible_alias = "nfull", value_name = "N")]
    pub(crate) num_rescored: Option<usize>,
}

/// Flags that restrict which passages a search may find.
#[derive(Debug, Args)]
pub(crate) struct FilterArgs {
    /// Condition on the metadata of passages, such as "year >= 2020 AND lang = 'en'" (see below).
    #[arg(long = "where", value_name = "CONDITION")]
    pub(crate) filter: Option<Filter>,
    /// File with the ids of the passages that may be found, one per line; - for standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) ids: Option<PathBuf>,
}

/// Flags of the score that passages are ranked by.
#[derive(Debug, Args)]
pub(crate) struct ScoreArgs {
    /// Rank by MaxSim and by words (BM25), fused: by reciprocal ranks, or with --alpha by their scores.
    #[arg(long, conflicts_with_all = ["lexical", "lexical_first"])]
    pub(crate) hybrid: bool,
    /// With --hybrid, weight of MaxSim in the sum of the normalized scores, from 0 to 1; BM25 has the rest.
    #[arg(long, value_name = "A", requires = "hybrid", conflicts_with_all = ["lexical", "lexical_first"])]
    #[arg(value_parser = parse_weight)]
    pub(crate) alpha: Option<f32>,
    /// Rank by words alone (BM25); no model is loaded.
    #[arg(long, conflicts_with = "lexical_first")]
    pub(crate) lexical: bool,
    /// Rank the best N passages by words, by their MaxSim.
    #[arg(long, value_name = "N", value_parser = parse_positive)]
    pub(crate) lexical_first: Option<usize>,
}

/// Flags of every command that ranks passages for queries.
#[derive(Debug, Args)]
pub(crate) struct RankArgs {
    /// Source of queries.
    #[command(flatten)]
    pub(crate) source: QueryArgs,
    /// Passages that may be found.
    #[command(flatten, next_help_heading = "Restriction to some passages")]
    pub(crate) filter: FilterArgs,
    /// Depth of the search.
    #[command(flatten, next_help_heading = "Depth of the search")]
    pub(crate) depth: DepthArgs,
    /// Lengths, precision, threads and device.
    #[command(flatten, next_help_heading = "Encoder")]
    pub(crate) encode: EncoderArgs,
}

/// Arguments of `selvedge search`.
#[derive(Debug, Args)]
pub(crate) struct SearchArgs {
    /// Folder of the index.
    pub(crate) index: PathBuf,
    /// Text of a query; each argument is one query.
    #[arg(value_name = "QUERY", conflicts_with_all = ["queries", "query_embeddings"])]
    pub(crate) texts: Vec<String>,
    /// Number of results per query.
    #[arg(short, default_value_t = 10)]
    pub(crate) k: usize,
    /// Count the values of a key of metadata among the best passages of each query; may be repeated.
    #[arg(long, value_name = "KEY", conflicts_with = "trec")]
    pub(crate) facet: Vec<String>,
    /// Number of the best passages whose values are counted; at least -k.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = parse_positive, requires = "facet")]
    pub(crate) facet_depth: usize,
    /// Print one JSON object per query.
    #[arg(long)]
    pub(crate) json: bool,
    /// Show which passage token each query token matched best, and its share of the score: matched words are tinted on
    /// a terminal. With --json, all similarities too.
    #[arg(long, conflicts_with_all = ["trec", "lexical"])]
    pub(crate) explain: bool,
    /// Write the results as a TREC run to the file RUN, or to standard output if it is -; print nothing else.
    #[arg(long, value_name = "RUN", conflicts_with = "json")]
    pub(crate) trec: Option<PathBuf>,
    /// Score of the passages.
    #[command(flatten, next_help_heading = "Score")]
    pub(crate) score: ScoreArgs,
    /// Queries, and the depth of their search.
    #[command(flatten)]
    pub(crate) rank: RankArgs,
}

/// Ranking as the command line names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum CompareArg {
    /// One vector per passage.
    Dense,
    /// BM25 of the words.
    Lexical,
    /// MaxSim of the embeddings.
    Maxsim,
    /// MaxSim and BM25, fused.
    Hybrid,
}

/// Arguments of `selvedge eval`.
#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// Folder of the index.
    pub(crate) index: PathBuf,
    /// Relevance judgments, one per line: `query<TAB>passage<TAB>grade`, or the four columns of TREC. A BEIR folder
    /// stands for its qrels/test.tsv.
    #[arg(long, value_name = "FILE|BEIR_DIR")]
    pub(crate) qrels: PathBuf,
    /// Depth of the measured ranking; below 100 it counts as 100.
    #[arg(short, default_value_t = 100)]
    pub(crate) k: usize,
    /// Also measure one vector per passage (mean pooling, cosine) of the same model.
    #[arg(long)]
    pub(crate) dense: bool,
    /// Also measure these rankings, in one table: dense (one vector per passage), lexical (BM25), maxsim, hybrid.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) compare: Vec<CompareArg>,
    /// With --compare hybrid, fuse normalized scores with this weight of MaxSim [default: reciprocal ranks].
    #[arg(long, value_name = "A", requires = "compare", value_parser = parse_weight)]
    pub(crate) alpha: Option<f32>,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// Uncompressed embeddings of the passages, as `index --embeddings` takes them: the ground truth of recall
    /// [default: the stored text is encoded again].
    #[arg(long, value_name = "FILE|DIR", help_heading = "Ground truth")]
    pub(crate) embeddings: Option<PathBuf>,
    /// With a .npy array, the number of tokens of each passage: (passages), i32.
    #[arg(long, value_name = "LENS.npy", requires = "embeddings", help_heading = "Ground truth")]
    pub(crate) doclens: Option<PathBuf>,
    /// Queries, and the depth of their search.
    #[command(flatten)]
    pub(crate) rank: RankArgs,
}

/// Arguments of `selvedge tune`.
#[derive(Debug, Args)]
pub(crate) struct TuneArgs {
    /// Folder of the index.
    pub(crate) index: PathBuf,
    /// Share of the exhaustive top k to find: above 0, at most 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.99, value_parser = parse_share)]
    pub(crate) recall: f64,
    /// Numbers of results to tune for, separated by commas.
    #[arg(short, value_delimiter = ',', default_value = "10,100", value_parser = parse_positive)]
    pub(crate) k: Vec<usize>,
    /// Tune for searches within the passages of this condition, as `search --where` takes it; nothing is stored.
    #[arg(long = "where", value_name = "CONDITION")]
    pub(crate) filter: Option<Filter>,
    /// Print the parameters without storing them in the index.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print one JSON array.
    #[arg(long)]
    pub(crate) json: bool,
    /// Source of queries.
    #[command(flatten)]
    pub(crate) source: QueryArgs,
    /// Lengths, precision, threads and device.
    #[command(flatten, next_help_heading = "Encoder")]
    pub(crate) encode: EncoderArgs,
}
