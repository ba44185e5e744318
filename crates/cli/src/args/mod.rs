//! The words on the command line; the first line of every doc comment is what `--help` shows.

mod help;
mod options;
mod parse;
mod read;
mod train;

pub(crate) use read::ReadArgs;
pub(crate) use train::{FreshArgs, MineArgs, TrainArgs};

use clap::{Args, Parser, Subcommand};
use help::*;
use parse::*;
use selvedge::Device;
use selvedge_encoder::shipped;
use std::path::PathBuf;
use train::{MINE_HELP, TRAIN_HELP};

/// Late-interaction retrieval: index text, search it, and measure what the index and the model lose.
#[derive(Debug, Parser)]
#[command(name = "selvedge", version, max_term_width = 110)]
pub(crate) struct Cli {
    /// Say more on standard error; -vv and -vvv say still more. SELVEDGE_LOG=debug does the same.
    #[arg(short, long, action = clap::ArgAction::Count, global = true, display_order = 900)]
    pub(crate) verbose: u8,
    /// Say nothing but errors on standard error.
    #[arg(short, long, global = true, conflicts_with = "verbose", display_order = 901)]
    pub(crate) quiet: bool,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make an index of a collection of text, or of embeddings made elsewhere.
    #[command(
        after_help = INDEX_HELP,
        override_usage = "selvedge index [OPTIONS] COLLECTION INDEX\n       \
                          selvedge index [OPTIONS] --embeddings DOCS.npy --doclens LENS.npy INDEX"
    )]
    Index(IndexArgs),
    /// Write embeddings of a collection or of queries as NumPy arrays, without an index.
    #[command(after_help = ENCODE_HELP)]
    Encode(EncodeTextsArgs),
    /// Answer queries, best passage first.
    #[command(after_help = SEARCH_HELP)]
    Search(SearchArgs),
    /// Measure quality against judgments and against exact f32 MaxSim, and speed.
    #[command(after_help = EVAL_HELP)]
    Eval(EvalArgs),
    /// Find the fastest search parameters for a wanted recall, and keep them in the index.
    #[command(after_help = TUNE_HELP)]
    Tune(TuneArgs),
    /// Train a checkpoint: by a teacher's scores, or by which passages answer which queries.
    #[command(after_help = TRAIN_HELP)]
    Train(TrainArgs),
    /// Find hard negatives for training: passages that the model ranks high and a teacher does not.
    #[command(after_help = MINE_HELP)]
    Mine(MineArgs),
    /// Say what an index holds.
    Info(InfoArgs),
    /// Check every byte of an index.
    Verify(VerifyArgs),
    /// Say what this machine can compute with, and why the rest cannot be had.
    #[command(after_help = DEVICES_HELP)]
    Devices(DevicesArgs),
    /// Print completions for a shell.
    #[command(after_help = COMPLETIONS_HELP)]
    Completions(CompletionsArgs),
    /// Write the manual pages into a folder.
    Man(ManArgs),
}

impl Command {
    /// Whether files that the command has begun must be removed where a signal ends it. Any other command ends at once.
    pub(crate) fn has_to_clean_up(&self) -> bool {
        matches!(self, Self::Index(_) | Self::Encode(_) | Self::Mine(_))
    }

    /// Threads that the command computes with; none for one per core.
    pub(crate) fn threads(&self) -> Option<usize> {
        match self {
            Self::Index(args) => args.encode.threads,
            Self::Encode(args) => args.encode.threads,
            Self::Search(args) => args.encode.threads,
            Self::Eval(args) => args.encode.threads,
            Self::Tune(args) => args.encode.threads,
            Self::Train(args) => args.encode.threads,
            Self::Mine(args) => args.encode.threads,
            Self::Verify(args) => args.threads,
            Self::Info(_) | Self::Devices(_) | Self::Completions(_) | Self::Man(_) => Some(1), // they compute nothing
        }
    }
}

/// `selvedge index`.
#[derive(Debug, Args)]
pub(crate) struct IndexArgs {
    /// COLLECTION and INDEX, or INDEX alone with --embeddings.
    #[arg(value_name = "COLLECTION> <INDEX", num_args = 1..=2, required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// A checkpoint: a local folder or a hub id; "shipped" is a small one for English, which needs no download.
    #[arg(long, value_name = "DIR|HUB_ID", default_value = shipped::NAME)]
    pub(crate) model: String,
    /// Embeddings of all passages, one after the other: (total_tokens, D), f16 or f32.
    #[arg(long, value_name = "DOCS.npy", requires = "doclens", conflicts_with = "model")]
    pub(crate) embeddings: Option<PathBuf>,
    /// Tokens of each passage: (passages), i32.
    #[arg(long, value_name = "LENS.npy", requires = "embeddings")]
    pub(crate) doclens: Option<PathBuf>,
    /// Ids of the passages, one a line; without it they are numbered from 0.
    #[arg(long, value_name = "IDS.txt", requires = "embeddings")]
    pub(crate) ids: Option<PathBuf>,
    /// How a folder is read.
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    /// Also write the uncompressed vectors there: docs.npy (f16), doclens.npy, ids.txt.
    #[arg(long, value_name = "DIR", conflicts_with = "embeddings")]
    pub(crate) save_embeddings: Option<PathBuf>,
    /// CodecParams and build.
    #[command(flatten)]
    pub(crate) build: BuildArgs,
    /// Length limits and threads.
    #[command(flatten)]
    pub(crate) encode: EncodeArgs,
}

/// `selvedge encode`.
#[derive(Debug, Args)]
pub(crate) struct EncodeTextsArgs {
    /// A collection as `index` reads it; with --queries, queries as `search` reads them.
    #[arg(value_name = "COLLECTION")]
    pub(crate) input: PathBuf,
    /// The folder that the arrays go into.
    #[arg(value_name = "OUT_DIR")]
    pub(crate) out: PathBuf,
    /// A checkpoint: a local folder or a hub id; "shipped" is a small one for English, which needs no download.
    #[arg(long, value_name = "DIR|HUB_ID", default_value = shipped::NAME)]
    pub(crate) model: String,
    /// The texts are queries.
    #[arg(long)]
    pub(crate) queries: bool,
    /// Write f32 rather than f16.
    #[arg(long)]
    pub(crate) f32: bool,
    /// How a folder is read.
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    /// Length limits and threads.
    #[command(flatten)]
    pub(crate) encode: EncodeArgs,
}

/// How an index is built.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct BuildArgs {
    /// Bits of a residual component: 0 (centroid only), 1, 2, 4 or 8.
    #[arg(long, default_value_t = 2, value_parser = parse_nbits)]
    pub(crate) nbits: u8,
    /// Which codec.
    #[arg(long, value_enum, default_value_t = CodecArg::Selvedge)]
    pub(crate) codec: CodecArg,
    /// Number of centroids [default: 2^floor(log2(16 sqrt(tokens)))].
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=(1 << 24)))]
    pub(crate) centroids: Option<u32>,
    /// Pool each passage's tokens to one in FACTOR, hierarchically: a smaller index, at some cost in quality.
    #[arg(long, value_name = "FACTOR", default_value_t = 1, value_parser = parse_positive)]
    pub(crate) pool: usize,
    /// Memory the build may use, the model's weights aside.
    #[arg(long, value_name = "SIZE", default_value = "4GiB", value_parser = parse_size)]
    pub(crate) memory_budget: u64,
    /// Seed of everything random: the same seed and input give the same index.
    #[arg(long, default_value_t = 42)]
    pub(crate) seed: u64,
}

/// Which codec, on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum CodecArg {
    /// Rotation, a trellis (1, 2 bits) or Lloyd-Max levels, one scale a vector.
    Selvedge,
    /// ColBERTv2's quantile buckets, renormalized.
    Colbertv2,
}

/// What a model's products are computed in, on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum PrecisionArg {
    /// As the checkpoint's own library does.
    F32,
    /// Weights rounded for each output, inputs for each token.
    Int8,
}

/// What every command that computes takes.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct EncodeArgs {
    /// Tokens of a query at most [default: the checkpoint's].
    #[arg(long, value_name = "TOKENS")]
    pub(crate) query_maxlen: Option<usize>,
    /// Tokens of a passage at most [default: the checkpoint's].
    #[arg(long, value_name = "TOKENS")]
    pub(crate) passage_maxlen: Option<usize>,
    /// What the model's products are computed in: f32, or int8, which is faster and nearly the same [default: int8 with the
    /// shipped model, whose loss is measured; f32 with any other].
    #[arg(long, value_enum)]
    pub(crate) precision: Option<PrecisionArg>,
    /// Threads [default: one for each core].
    #[arg(long, value_name = "N", value_parser = parse_threads)]
    pub(crate) threads: Option<usize>,
    /// What computes, the model aside: cpu, or a GPU as `selvedge devices` lists it.
    #[arg(long, value_name = "cpu|cuda|cuda/N", default_value_t = Device::Cpu)]
    pub(crate) device: Device,
}

/// Where queries come from.
#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    /// Queries, one a line: `id<TAB>text`, or JSONL with "id" (or "_id") and "text"; of a folder, its queries.jsonl.
    #[arg(long, value_name = "FILE|BEIR_DIR")]
    pub(crate) queries: Option<PathBuf>,
    /// Embeddings of the queries: (queries, tokens, D), or (total_tokens, D) with --query-lens; f16 or f32.
    #[arg(long, value_name = "Q.npy")]
    pub(crate) query_embeddings: Option<PathBuf>,
    /// Tokens of each query: (queries), i32.
    #[arg(long, value_name = "L.npy", requires = "query_embeddings")]
    pub(crate) query_lens: Option<PathBuf>,
    /// The checkpoint that made the index, where it has moved: a local folder or a hub id.
    #[arg(long, value_name = "DIR|HUB_ID")]
    pub(crate) model: Option<String>,
    /// Take a checkpoint whose fingerprint is not that of the index, such as the same model saved again.
    #[arg(long)]
    pub(crate) any_model: bool,
}

/// How far to look.
#[derive(Debug, Args)]
pub(crate) struct FunnelArgs {
    /// Score every passage.
    #[arg(long, conflicts_with_all = ["nprobe", "ndocs", "num_rescored"])]
    pub(crate) exact: bool,
    /// Cells opened for each query token [default: by k].
    #[arg(long, value_name = "P")]
    pub(crate) nprobe: Option<usize>,
    /// Candidates ranked by their centroids [default: by k].
    #[arg(long, value_name = "N")]
    pub(crate) ndocs: Option<usize>,
    /// Candidates scored with their residuals [default: by k].
    #[arg(long, visible_alias = "nfull", value_name = "N")]
    pub(crate) num_rescored: Option<usize>,
}

/// `selvedge search`.
#[derive(Debug, Args)]
pub(crate) struct SearchArgs {
    /// The index.
    pub(crate) index: PathBuf,
    /// Queries; each argument is one.
    #[arg(value_name = "QUERY", conflicts_with_all = ["queries", "query_embeddings"])]
    pub(crate) texts: Vec<String>,
    /// Where queries come from.
    #[command(flatten)]
    pub(crate) source: QueryArgs,
    /// Results for each query.
    #[arg(short, default_value_t = 10)]
    pub(crate) k: usize,
    /// Funnel.
    #[command(flatten)]
    pub(crate) funnel: FunnelArgs,
    /// Length limits and threads.
    #[command(flatten)]
    pub(crate) encode: EncodeArgs,
    /// One JSON object a query.
    #[arg(long)]
    pub(crate) json: bool,
    /// Write a TREC run there and print nothing; its order survives trec_eval, which sorts by score and id.
    #[arg(long, value_name = "RUN", conflicts_with = "json")]
    pub(crate) trec: Option<PathBuf>,
}

/// `selvedge eval`.
#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// The index.
    pub(crate) index: PathBuf,
    /// Where queries come from.
    #[command(flatten)]
    pub(crate) source: QueryArgs,
    /// Judgments, one a line: `query<TAB>passage<TAB>grade`, or the four columns of TREC; of a folder, its qrels/test.tsv.
    #[arg(long, value_name = "FILE|BEIR_DIR")]
    pub(crate) qrels: PathBuf,
    /// Uncompressed embeddings of the passages, (total_tokens, D): what recall is measured against.
    #[arg(long, value_name = "DOCS.npy", requires = "doclens")]
    pub(crate) embeddings: Option<PathBuf>,
    /// Tokens of each passage: (passages), i32.
    #[arg(long, value_name = "LENS.npy", requires = "embeddings")]
    pub(crate) doclens: Option<PathBuf>,
    /// Depth of the ranking that is measured (at least 100).
    #[arg(short, default_value_t = 100)]
    pub(crate) k: usize,
    /// Also measure a single vector a passage (mean pooling, cosine) of the same model.
    #[arg(long)]
    pub(crate) dense: bool,
    /// Funnel.
    #[command(flatten)]
    pub(crate) funnel: FunnelArgs,
    /// Length limits and threads.
    #[command(flatten)]
    pub(crate) encode: EncodeArgs,
    /// One JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `selvedge tune`.
#[derive(Debug, Args)]
pub(crate) struct TuneArgs {
    /// The index.
    pub(crate) index: PathBuf,
    /// Where queries come from.
    #[command(flatten)]
    pub(crate) source: QueryArgs,
    /// Share of the exhaustive top k to find.
    #[arg(long, default_value_t = 0.99, value_parser = parse_share)]
    pub(crate) recall: f64,
    /// Numbers of results to tune for.
    #[arg(short, value_delimiter = ',', default_values_t = [10, 100], value_parser = parse_positive)]
    pub(crate) k: Vec<usize>,
    /// Say what was found, but leave the index as it is.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Length limits and threads.
    #[command(flatten)]
    pub(crate) encode: EncodeArgs,
    /// One JSON array.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `selvedge info`.
#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// The index.
    pub(crate) index: PathBuf,
    /// One JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `selvedge verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The index.
    pub(crate) index: PathBuf,
    /// Threads [default: one for each core].
    #[arg(long, value_name = "N", value_parser = parse_threads)]
    pub(crate) threads: Option<usize>,
}

/// `selvedge devices`.
#[derive(Debug, Args)]
pub(crate) struct DevicesArgs {
    /// One JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `selvedge completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    pub(crate) shell: clap_complete::Shell,
}

/// `selvedge man`.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// The folder, such as /usr/local/share/man/man1.
    #[arg(value_name = "OUT_DIR")]
    pub(crate) out: PathBuf,
}
