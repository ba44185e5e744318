//! Arguments of `selvedge index` and `selvedge encode`, and flags of every command that encodes.

use super::parse::{output_path, parse_nbits, parse_positive, parse_size, parse_threads};
use super::{ArraysArgs, ReadArgs};
use clap::Args;
use selvedge::{Device, Executor, Language};
use selvedge_encoder::shipped;
use std::path::PathBuf;

/// Flags of a build that an existing index cannot follow: they conflict with `index --update`.
const BUILD_FLAGS: [&str; 11] = [
    "nbits",
    "codec",
    "centroids",
    "codec_from",
    "exact_assign",
    "pool",
    "seed",
    "save_embeddings",
    "embeddings",
    "language",
    "no_words",
];

/// Flags that apply to passages only: they conflict with `encode --queries`.
const PASSAGE_FLAGS: [&str; 7] = ["split", "include", "exclude", "hidden", "no_ignore", "strict", "passage_maxlen"];

/// Arguments of `selvedge index`.
#[derive(Debug, Args)]
pub(crate) struct IndexArgs {
    /// Collection to read (see below), and folder of the new index; with --embeddings, the folder alone.
    #[arg(value_name = "COLLECTION> <INDEX", num_args = 1..=2, required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// Add, update and delete what changed in the folder that INDEX was made from (see below); build a missing INDEX.
    #[arg(long, conflicts_with_all = BUILD_FLAGS)]
    pub(crate) update: bool,
    /// With --update, leave small segments as they are, instead of merging them by the policy of `selvedge compact`.
    #[arg(long, requires = "update")]
    pub(crate) no_compact: bool,
    /// Print one JSON object with the counts.
    #[arg(long)]
    pub(crate) json: bool,
    /// Model: a local checkpoint folder, a Hugging Face hub id, or "shipped", a small English model without a download
    /// [default: shipped; with --update, the model that made INDEX].
    #[arg(long, value_name = "DIR|HUB_ID")]
    pub(crate) model: Option<String>,
    /// With --update, accept a model whose files differ from those that made INDEX.
    #[arg(long, requires = "update")]
    pub(crate) any_model: bool,
    /// Folder to which the uncompressed embeddings are written as well: docs.npy (f16), doclens.npy, ids.txt. A path
    /// that ends in .npz or .safetensors is one file with all of them.
    #[arg(long, value_name = "DIR|FILE", value_parser = output_path(), conflicts_with = "embeddings")]
    pub(crate) save_embeddings: Option<PathBuf>,
    /// Compress with the codec of another index, instead of training one. Indexes that share a codec and a model have
    /// comparable scores: they can be the shards of one collection (see below).
    #[arg(
        long,
        value_name = "INDEX",
        conflicts_with_all = ["nbits", "codec", "centroids", "seed"],
        help_heading = "Compression"
    )]
    pub(crate) codec_from: Option<PathBuf>,
    /// Settings of the codec and of the build.
    #[command(flatten, next_help_heading = "Compression")]
    pub(crate) build: BuildArgs,
    /// Embeddings in place of a collection.
    #[command(flatten, next_help_heading = "Embeddings made elsewhere")]
    pub(crate) arrays: ArraysArgs,
    /// Options of reading a folder.
    #[command(flatten, next_help_heading = "Reading a folder")]
    pub(crate) read: ReadArgs,
    /// Lengths, precision, threads and device.
    #[command(flatten, next_help_heading = "Encoder")]
    pub(crate) encode: EncoderArgs,
}

/// Arguments of `selvedge encode`.
#[derive(Debug, Args)]
pub(crate) struct EncodeArgs {
    /// Collection as `index` reads it; with --queries, queries as `search --queries` reads them.
    #[arg(value_name = "COLLECTION")]
    pub(crate) input: PathBuf,
    /// Folder of the arrays, created if it does not exist; or a file, by its ending .npz or .safetensors.
    #[arg(value_name = "OUT", value_parser = output_path())]
    pub(crate) out: PathBuf,
    /// Model: a local checkpoint folder, a Hugging Face hub id, or "shipped", a small English model without a download.
    #[arg(long, value_name = "DIR|HUB_ID", default_value = shipped::NAME)]
    pub(crate) model: String,
    /// Encode queries instead of passages.
    #[arg(long, conflicts_with_all = PASSAGE_FLAGS)]
    pub(crate) queries: bool,
    /// Write f32 arrays [default: f16].
    #[arg(long)]
    pub(crate) f32: bool,
    /// Replace arrays that OUT holds already.
    #[arg(long)]
    pub(crate) force: bool,
    /// Options of reading a folder.
    #[command(flatten, next_help_heading = "Reading a folder")]
    pub(crate) read: ReadArgs,
    /// Lengths, precision and threads.
    #[command(flatten, next_help_heading = "Encoder")]
    pub(crate) encode: EncoderArgs,
}

/// Flags of a build.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct BuildArgs {
    /// Bits per residual component: 0 (centroids only), 1, 2, 4 or 8. A token of D dimensions takes about
    /// D * N / 8 + 4 bytes.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = parse_nbits)]
    pub(crate) nbits: u8,
    /// Codec of the embeddings.
    #[arg(long, value_enum, default_value_t = CodecArg::Selvedge)]
    pub(crate) codec: CodecArg,
    /// Number of centroids, at most 2^24 [default: 2^floor(log2(16 sqrt(tokens)))].
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=(1 << 24)))]
    pub(crate) centroids: Option<u32>,
    /// Compare every embedding with every centroid, in k-means and in compression. On the CPU, 2^14 centroids or more
    /// are compared on two levels otherwise: several times as fast, and the nearest for about 99 of 100 embeddings.
    #[arg(long)]
    pub(crate) exact_assign: bool,
    /// Pool similar tokens of each passage, FACTOR into one: a smaller index of lower quality. 1 keeps every token.
    #[arg(long, value_name = "FACTOR", default_value_t = 1, value_parser = parse_positive)]
    pub(crate) pool: usize,
    /// Language of the words of texts, for --lexical and --hybrid searches: english, arabic, danish, dutch, finnish,
    /// french, german, greek, hungarian, italian, norwegian, portuguese, romanian, russian, spanish, swedish, tamil,
    /// turkish, or none, without stems.
    #[arg(long, value_name = "LANGUAGE", default_value_t = Language::English, help_heading = "Words")]
    pub(crate) language: Language,
    /// Index no words.
    #[arg(long, help_heading = "Words", conflicts_with = "language")]
    pub(crate) no_words: bool,
    /// Seed of sampling and k-means: on one kind of device, the same seed and input give the same index.
    #[arg(long, default_value_t = 42)]
    pub(crate) seed: u64,
    /// Maximum memory of the build, apart from the model: 4GiB (powers of 1024), 4GB (powers of 1000), or bytes.
    #[arg(long, value_name = "SIZE", default_value = "4GiB", value_parser = parse_size, help_heading = "Resources")]
    pub(crate) memory_budget: u64,
}

/// Codec as the command line names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum CodecArg {
    /// Rotation, then a trellis (1 and 2 bits) or Lloyd-Max levels (4 and 8 bits), with weights per vector.
    Selvedge,
    /// ColBERTv2's quantile buckets; decompressed vectors are normalized.
    Colbertv2,
}

/// Precision of a model as the command line names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum PrecisionArg {
    /// 32-bit floats, as in the checkpoint's own library.
    F32,
    /// 8-bit integers, with one scale per output of the weights and per token of the inputs.
    Int8,
}

/// Flags of every command that encodes or searches.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct EncoderArgs {
    /// Maximum tokens of a query; longer ones are cut [default: the index's; without an index 256, or the checkpoint's
    /// where it pads queries with [MASK]].
    #[arg(long, value_name = "TOKENS")]
    pub(crate) query_maxlen: Option<usize>,
    /// Maximum tokens of a passage; longer ones are cut [default: the index's, or the checkpoint's without an index].
    #[arg(long, value_name = "TOKENS")]
    pub(crate) passage_maxlen: Option<usize>,
    /// Arithmetic of the model's matrix products; int8 is faster and nearly as good [default: int8 for the shipped
    /// model, f32 for any other].
    #[arg(long, value_enum)]
    pub(crate) precision: Option<PrecisionArg>,
    /// Code that runs the model: own layers on the CPU, or candle, in f32, on the CPU or a GPU. candle also runs
    /// JinaBERT and NomicBERT. It needs a build with --features candle; for GPUs, candle-cuda or candle-metal.
    #[arg(long, value_name = "own|candle|candle/cuda|candle/metal", default_value_t = Executor::Own)]
    pub(crate) executor: Executor,
    /// Number of threads [default: one per core].
    #[arg(long, value_name = "N", value_parser = parse_threads, help_heading = "Resources")]
    pub(crate) threads: Option<usize>,
    /// Device of k-means, compression and search, as `selvedge devices` lists it. The model runs where
    /// --executor says.
    #[arg(long, value_name = "cpu|cuda|cuda/N", default_value_t = Device::Cpu, help_heading = "Resources")]
    pub(crate) device: Device,
}
