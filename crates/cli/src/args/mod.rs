//! Command line of `selvedge`.
//!
//! The doc comments of commands and flags are the texts of `--help`. As is usual there, commands and switches are
//! described in the imperative, and a flag with a value by a noun phrase that names the value.

mod arrays;
mod build;
mod change;
mod help;
mod import;
mod mcp;
mod options;
mod parse;
mod plan;
mod query;
mod read;
mod router;
mod serve;
#[cfg(test)]
mod tests;
mod train;

pub(crate) use arrays::ArraysArgs;
pub(crate) use build::{BuildArgs, CodecArg, EncodeArgs, EncoderArgs, IndexArgs, PrecisionArg};
pub(crate) use change::{AddArgs, CompactArgs, DeleteArgs, RetrainArg, UpgradeArgs};
use import::{EXPORT_HELP, IMPORT_HELP};
pub(crate) use import::{ExportArgs, FormatArg, ImportArgs};
pub(crate) use mcp::McpArgs;
pub(crate) use options::fusion;
pub(crate) use parse::check_output;
pub(crate) use plan::PlanArgs;
pub(crate) use query::{CompareArg, DepthArgs, EvalArgs, QueryArgs, RankArgs, ScoreArgs, SearchArgs, TuneArgs};
pub(crate) use read::ReadArgs;
pub(crate) use router::RouterArgs;
pub(crate) use serve::{ServeArgs, ServeSettings};
pub(crate) use train::{InitArgs, MineArgs, TrainArgs};

use clap::{Arg, Args, Parser, Subcommand};
use help::*;
use parse::*;
use std::path::PathBuf;

/// Late-interaction retrieval: index text, search it, measure quality and speed, train models.
#[derive(Debug, Parser)]
#[command(name = "selvedge", version, max_term_width = 100, after_help = ROOT_HELP)]
pub(crate) struct Cli {
    /// Print more messages: -v progress of the command, -vv details, -vvv everything.
    #[arg(short, long, action = clap::ArgAction::Count, global = true, help_heading = "Messages on standard error")]
    pub(crate) verbose: u8,
    /// Print errors only: no notes, warnings or progress bars.
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Messages on standard error")]
    pub(crate) quiet: bool,
    /// Command to run.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Commands, in the order in which a user needs them.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build an index from a collection of text, or from embeddings made elsewhere.
    #[command(
        after_help = INDEX_HELP,
        override_usage = "selvedge index [OPTIONS] COLLECTION INDEX\n       \
                          selvedge index [OPTIONS] --update FOLDER INDEX\n       \
                          selvedge index [OPTIONS] --embeddings FILE|DIR INDEX"
    )]
    Index(IndexArgs),
    /// Import from another program: PLAID (ColBERT), fast-plaid, next-plaid, WARP, xtr-warp-rs or Qdrant.
    #[command(after_help = IMPORT_HELP)]
    Import(ImportArgs),
    /// Write an index in the layout of PLAID (ColBERT), fast-plaid or next-plaid.
    #[command(after_help = EXPORT_HELP)]
    Export(ExportArgs),
    /// Add passages to an index, and print the generation that was committed.
    #[command(
        after_help = ADD_HELP,
        override_usage = "selvedge add [OPTIONS] INDEX COLLECTION\n       \
                          selvedge add [OPTIONS] --embeddings FILE|DIR [--ids IDS.txt] INDEX"
    )]
    Add(AddArgs),
    /// Replace the passages of an index that have the ids of a collection's, and add the others.
    #[command(
        after_help = UPDATE_HELP,
        override_usage = "selvedge update [OPTIONS] INDEX COLLECTION\n       \
                          selvedge update [OPTIONS] --embeddings FILE|DIR [--ids IDS.txt] INDEX"
    )]
    Update(AddArgs),
    /// Delete passages of an index by their ids.
    #[command(
        after_help = DELETE_HELP,
        override_usage = "selvedge delete [OPTIONS] INDEX ID...\n       \
                          selvedge delete [OPTIONS] --ids FILE INDEX"
    )]
    Delete(DeleteArgs),
    /// Merge the segments of an index, without their deleted passages.
    #[command(after_help = COMPACT_HELP)]
    Compact(CompactArgs),
    /// Search an index: print the best passages of each query.
    #[command(after_help = SEARCH_HELP, mut_arg("query_embeddings", without_encoder))]
    Search(SearchArgs),
    /// Measure search quality against relevance judgments and exact f32 MaxSim, and search speed.
    #[command(
        after_help = EVAL_HELP,
        override_usage = "selvedge eval [OPTIONS] --queries <FILE|BEIR_DIR> --qrels <FILE|BEIR_DIR> INDEX\n       \
                          selvedge eval [OPTIONS] --query-embeddings <Q.npy> --qrels <FILE|BEIR_DIR> INDEX"
    )]
    Eval(EvalArgs),
    /// Find the fastest search parameters that reach a recall, and store them in the index.
    #[command(
        after_help = TUNE_HELP,
        mut_arg("query_embeddings", without_encoder),
        override_usage = "selvedge tune [OPTIONS] --queries <FILE|BEIR_DIR> INDEX\n       \
                          selvedge tune [OPTIONS] --query-embeddings <Q.npy> INDEX"
    )]
    Tune(TuneArgs),
    /// Serve indexes over HTTP, with a web page.
    #[command(after_help = SERVE_HELP)]
    Serve(ServeArgs),
    /// Search collections whose shards are on several servers, over HTTP, as one index.
    #[command(after_help = ROUTER_HELP)]
    Router(RouterArgs),
    /// Give an assistant tools that search folders of documents (Model Context Protocol).
    #[command(
        after_help = MCP_HELP,
        mut_arg("indexes", mcp::folders),
        mut_arg("data", mcp::kept_in),
        mut_arg("listen", mcp::over_http)
    )]
    Mcp(McpArgs),
    /// Write embeddings of passages or queries as NumPy arrays.
    #[command(after_help = ENCODE_HELP, mut_arg("device", hidden))]
    Encode(EncodeArgs),
    /// Train a model from a teacher's scores, or from pairs of queries and answers.
    #[command(
        after_help = TRAIN_HELP,
        mut_arg("device", hidden),
        mut_arg("precision", of_teacher),
        mut_arg("executor", of_teacher)
    )]
    Train(TrainArgs),
    /// Find hard negatives for training: passages that the model ranks high and a teacher does not.
    #[command(after_help = MINE_HELP)]
    Mine(MineArgs),
    /// Plan the machines for a collection, a latency and a number of queries, from measured figures.
    #[command(
        after_help = PLAN_HELP,
        override_usage = "selvedge plan [OPTIONS] --passages COUNT\n       \
                          selvedge plan --check [--figures FILE.json]\n       \
                          selvedge plan --measure FILE.json [--sizes COUNTxTOKENS,...]"
    )]
    Plan(PlanArgs),
    /// Print the contents of an index: passages, tokens, codec, model, size.
    #[command(after_help = INFO_HELP)]
    Info(InfoArgs),
    /// Check every byte of an index against its checksums.
    #[command(after_help = VERIFY_HELP)]
    Verify(VerifyArgs),
    /// Convert an index of an earlier format, in place.
    #[command(after_help = UPGRADE_HELP)]
    Upgrade(UpgradeArgs),
    /// List the CPU's instruction sets and the CUDA devices, and the reason why one cannot be used.
    #[command(after_help = DEVICES_HELP)]
    Devices(DevicesArgs),
    /// Print the completion script of a shell.
    #[command(after_help = COMPLETIONS_HELP)]
    Completions(CompletionsArgs),
    /// Write manual pages.
    #[command(after_help = MAN_HELP)]
    Man(ManArgs),
}

/// Refuses the encoder's flags where queries come as embeddings and no text is encoded.
fn without_encoder(query_embeddings: Arg) -> Arg {
    let of_encoder = ["model", "any_model", "query_maxlen", "passage_maxlen", "precision", "executor"];
    query_embeddings.conflicts_with_all(of_encoder)
}

/// Refuses a flag of `train` that applies to the teacher alone, if there is none.
fn of_teacher(flag: Arg) -> Arg {
    flag.requires("teacher")
}

/// Hides `--device` where only the model computes. The command then refuses any device but the CPU, with the reason.
fn hidden(device: Arg) -> Arg {
    device.hide(true)
}

impl Command {
    /// Whether unfinished files must be removed when a signal ends the command. Any other command ends at once.
    pub(crate) fn has_to_clean_up(&self) -> bool {
        matches!(
            self,
            Self::Index(_)
                | Self::Import(_)
                | Self::Export(_)
                | Self::Add(_)
                | Self::Update(_)
                | Self::Compact(_)
                | Self::Encode(_)
                | Self::Mine(_)
        )
    }

    /// Number of threads that compute; `None` for one per core.
    pub(crate) fn threads(&self) -> Option<usize> {
        match self {
            Self::Index(args) => args.encode.threads,
            Self::Import(args) => args.threads,
            Self::Export(args) => args.threads,
            Self::Add(args) | Self::Update(args) => args.encode.threads,
            Self::Compact(args) => args.threads,
            Self::Encode(args) => args.encode.threads,
            Self::Search(args) => args.rank.encode.threads,
            Self::Eval(args) => args.rank.encode.threads,
            Self::Tune(args) => args.encode.threads,
            Self::Train(args) => args.encode.threads,
            Self::Mine(args) => args.encode.threads,
            Self::Verify(args) => args.threads,
            Self::Plan(_) => None,
            // They compute nothing.
            Self::Delete(_) | Self::Info(_) | Self::Upgrade(_) => Some(1),
            Self::Devices(_) | Self::Completions(_) | Self::Man(_) => Some(1),
            // They have pools of their own.
            Self::Serve(_) | Self::Router(_) | Self::Mcp(_) => Some(1),
        }
    }
}

/// Arguments of `selvedge info`.
#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// Folder of the index.
    pub(crate) index: PathBuf,
    /// Print the keys of the metadata instead: kind, values, passages and bytes of each.
    #[arg(long)]
    pub(crate) columns: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `selvedge verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Folder of the index.
    pub(crate) index: PathBuf,
    /// Number of threads [default: one per core].
    #[arg(long, value_name = "N", value_parser = parse_threads)]
    pub(crate) threads: Option<usize>,
}

/// Arguments of `selvedge devices`.
#[derive(Debug, Args)]
pub(crate) struct DevicesArgs {
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `selvedge completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// Shell that reads the script.
    pub(crate) shell: clap_complete::Shell,
}

/// Arguments of `selvedge man`.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Folder of the pages, such as /usr/local/share/man/man1; created if it does not exist.
    #[arg(value_name = "OUT_DIR", value_parser = output_path())]
    pub(crate) out: PathBuf,
}
