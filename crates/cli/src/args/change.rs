//! Arguments of the commands that change an index: `add`, `update`, `delete`, `compact` and `upgrade`.

use super::parse::{parse_size, parse_threads};
use super::{ArraysArgs, EncoderArgs, ReadArgs};
use clap::{ArgGroup, Args};
use selvedge::{Device, Language};
use std::path::PathBuf;

/// Arguments of `selvedge add` and of `selvedge update`.
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// Folder of the index.
    pub(crate) index: PathBuf,
    /// Collection to read, as `selvedge index` reads it.
    #[arg(required_unless_present = "embeddings", conflicts_with = "embeddings")]
    pub(crate) collection: Option<PathBuf>,
    /// Present folder or hub id of the model that made the index, if it has moved.
    #[arg(long, value_name = "DIR|HUB_ID")]
    pub(crate) model: Option<String>,
    /// Accept a model whose files differ from those that made the index.
    #[arg(long)]
    pub(crate) any_model: bool,
    /// Leave small segments as they are, instead of merging them by the policy of `selvedge compact`.
    #[arg(long)]
    pub(crate) no_compact: bool,
    /// Print one JSON object instead of the generation.
    #[arg(long)]
    pub(crate) json: bool,
    /// Embeddings in place of a collection; `update` needs their ids.
    #[command(flatten, next_help_heading = "Embeddings made elsewhere")]
    pub(crate) arrays: ArraysArgs,
    /// Options of reading a folder.
    #[command(flatten, next_help_heading = "Reading a folder")]
    pub(crate) read: ReadArgs,
    /// Lengths, precision, threads and device.
    #[command(flatten, next_help_heading = "Encoder")]
    pub(crate) encode: EncoderArgs,
    /// Maximum memory of the command, apart from the model: 4GiB (powers of 1024), 4GB (powers of 1000), or bytes.
    #[arg(long, value_name = "SIZE", default_value = "4GiB", value_parser = parse_size, help_heading = "Resources")]
    pub(crate) memory_budget: u64,
}

/// Arguments of `selvedge delete`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("passages").required(true).multiple(true).args(["ids", "file"]))]
pub(crate) struct DeleteArgs {
    /// Folder of the index.
    pub(crate) index: PathBuf,
    /// Ids of the passages.
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<String>,
    /// File of ids, one per line; - is standard input.
    #[arg(long = "ids", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Pass over ids that the index does not have.
    #[arg(long)]
    pub(crate) ignore_missing: bool,
    /// Print one JSON object instead of the generation.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `selvedge compact`.
#[derive(Debug, Args)]
pub(crate) struct CompactArgs {
    /// Folder of the index.
    pub(crate) index: PathBuf,
    /// Train another codec: on the stored text, encoded again, or on the stored embeddings [default: the text, if the
    /// index was made from text].
    #[arg(long, value_name = "text|stored", num_args = 0..=1, require_equals = true, value_enum)]
    pub(crate) retrain: Option<Option<RetrainArg>>,
    /// Give the index words in a language, for --lexical and --hybrid searches: english, arabic, danish, dutch,
    /// finnish, french, german, greek, hungarian, italian, norwegian, portuguese, romanian, russian, spanish, swedish,
    /// tamil, turkish, or none, without stems [default: as it is].
    #[arg(long, value_name = "LANGUAGE")]
    pub(crate) language: Option<Language>,
    /// Print one JSON object instead of the generation.
    #[arg(long)]
    pub(crate) json: bool,
    /// Device that trains and compresses, as `selvedge devices` lists it.
    #[arg(long, value_name = "cpu|cuda|cuda/N", default_value_t = Device::Cpu, help_heading = "Resources")]
    pub(crate) device: Device,
    /// Maximum memory of the command: 4GiB (powers of 1024), 4GB (powers of 1000), or bytes.
    #[arg(long, value_name = "SIZE", default_value = "4GiB", value_parser = parse_size, help_heading = "Resources")]
    pub(crate) memory_budget: u64,
    /// Number of threads [default: one per core].
    #[arg(long, value_name = "N", value_parser = parse_threads, help_heading = "Resources")]
    pub(crate) threads: Option<usize>,
}

/// Embeddings that another codec is trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum RetrainArg {
    /// The stored text, encoded again by the model that made the index: as slow as a build, and as good.
    Text,
    /// The embeddings that the index stores, decoded: without the model, but recall falls by 0.01 to 0.02.
    Stored,
}

/// Arguments of `selvedge upgrade`.
#[derive(Debug, Args)]
pub(crate) struct UpgradeArgs {
    /// Folder of the index.
    pub(crate) index: PathBuf,
}
