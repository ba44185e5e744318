//! Arguments of `selvedge train` and `selvedge mine`.

use super::parse::{output_path, parse_margin, parse_positive};
use super::{BuildArgs, EncoderArgs};
use clap::Args;
use selvedge_encoder::shipped;
use std::path::PathBuf;

/// Arguments of `selvedge train`.
#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// Folder of the trained checkpoint.
    #[arg(value_name = "OUT_DIR", value_parser = output_path())]
    pub(crate) out: PathBuf,
    /// Training data (see below).
    #[arg(long, value_name = "TRAIN")]
    pub(crate) data: PathBuf,
    /// Queries by id, as `search --queries` reads them [default: TRAIN has texts instead of ids].
    #[arg(long, value_name = "FILE|BEIR_DIR")]
    pub(crate) queries: Option<PathBuf>,
    /// Passages by id, as `index` reads them [default: TRAIN has texts instead of ids].
    #[arg(long, value_name = "COLLECTION")]
    pub(crate) collection: Option<PathBuf>,
    /// Checkpoint to start from: a local folder, a hub id or "shipped" [default: a new, small model with the vocabulary
    /// of --teacher].
    #[arg(long, value_name = "DIR|HUB_ID")]
    pub(crate) model: Option<String>,
    /// Checkpoint that scores the passages of each batch if TRAIN has no scores; its embeddings are the target of
    /// --tokens.
    #[arg(long, value_name = "DIR|HUB_ID")]
    pub(crate) teacher: Option<String>,
    /// Continue from the last checkpoint in OUT_DIR.
    #[arg(long)]
    pub(crate) resume: bool,
    /// Steps between checkpoints.
    #[arg(long, value_name = "STEPS", default_value_t = 500)]
    pub(crate) save_every: u64,
    /// Write the trained weights in f16, half as large as f32.
    #[arg(long)]
    pub(crate) f16: bool,
    /// Passages per query [default: the number in the line with the fewest].
    #[arg(long, value_name = "N", value_parser = parse_positive, help_heading = "Schedule")]
    pub(crate) ways: Option<usize>,
    /// Queries per batch.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = parse_positive, help_heading = "Schedule")]
    pub(crate) batch: usize,
    /// Batches per step, whose gradients are averaged.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = parse_positive, help_heading = "Schedule")]
    pub(crate) accumulate: usize,
    /// Passes over the data.
    #[arg(long, value_name = "N", default_value_t = 1.0, help_heading = "Schedule")]
    pub(crate) epochs: f64,
    /// Number of steps, instead of --epochs.
    #[arg(long, value_name = "N", conflicts_with = "epochs", help_heading = "Schedule")]
    pub(crate) steps: Option<u64>,
    /// Maximum learning rate.
    #[arg(long = "lr", value_name = "RATE", default_value_t = 3e-5, help_heading = "Schedule")]
    pub(crate) rate: f64,
    /// Share of the steps over which the learning rate rises from 0; it falls to 0 over the rest.
    #[arg(long, value_name = "SHARE", default_value_t = 0.05, help_heading = "Schedule")]
    pub(crate) warm_up: f64,
    /// Weight decay of AdamW, on matrices only.
    #[arg(long, value_name = "DECAY", default_value_t = 0.01, help_heading = "Schedule")]
    pub(crate) weight_decay: f64,
    /// Maximum norm of a step's gradient; a longer gradient is scaled down.
    #[arg(long, value_name = "NORM", default_value_t = 1.0, help_heading = "Schedule")]
    pub(crate) clip: f64,
    /// Seed of the order of examples and of a new model's weights.
    #[arg(long, default_value_t = 42, help_heading = "Schedule")]
    pub(crate) seed: u64,
    /// Weight of KL(teacher || student) over passages [default: 1 for queries with scores or a teacher, else 0].
    #[arg(long, value_name = "WEIGHT", help_heading = "Losses")]
    pub(crate) divergence: Option<f64>,
    /// Weight of the cross entropy of in-batch negatives [default: 0 with scores or a teacher, else 1].
    #[arg(long, value_name = "WEIGHT", help_heading = "Losses")]
    pub(crate) in_batch: Option<f64>,
    /// Divisor of the scores in the loss of in-batch negatives.
    #[arg(long, value_name = "T", default_value_t = 1.0, help_heading = "Losses")]
    pub(crate) temperature: f64,
    /// Weight of the cosine distance to the teacher's embedding of each token [default: 1 for texts alone, else 0].
    #[arg(long, value_name = "WEIGHT", help_heading = "Losses")]
    pub(crate) tokens: Option<f64>,
    /// Sizes of a new model.
    #[command(flatten, next_help_heading = "New model, without --model")]
    pub(crate) init: InitArgs,
    /// Lengths, the teacher's precision, and threads.
    #[command(flatten, next_help_heading = "Encoder")]
    pub(crate) encode: EncoderArgs,
}

/// Sizes of a new model, whose embeddings have the teacher's dim.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Number of layers.
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "model")]
    pub(crate) layers: usize,
    /// Number of attention heads per layer, a divisor of the teacher's embedding dimension.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = parse_positive, conflicts_with = "model")]
    pub(crate) heads: usize,
    /// Width of a layer's feed-forward network.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = parse_positive, conflicts_with = "model")]
    pub(crate) intermediate: usize,
    /// File of tokens without an embedding, one per line [default: punctuation].
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    pub(crate) skiplist: Option<PathBuf>,
}

/// Arguments of `selvedge mine`.
#[derive(Debug, Args)]
pub(crate) struct MineArgs {
    /// File of the tuples.
    #[arg(value_name = "OUT.jsonl", value_parser = output_path())]
    pub(crate) out: PathBuf,
    /// Queries, as `search --queries` reads them.
    #[arg(long, value_name = "FILE|BEIR_DIR")]
    pub(crate) queries: PathBuf,
    /// Passages, as `index` reads them; each file of a folder is one passage.
    #[arg(long, value_name = "COLLECTION")]
    pub(crate) collection: PathBuf,
    /// Checkpoint that ranks the passages: a local folder, a hub id or "shipped".
    #[arg(long, value_name = "DIR|HUB_ID", default_value = shipped::NAME)]
    pub(crate) model: String,
    /// Passages that answer queries, by id (see below).
    #[arg(long, value_name = "FILE|BEIR_DIR")]
    pub(crate) answers: Option<PathBuf>,
    /// Checkpoint that scores the passages found: a local folder or a hub id.
    #[arg(long, value_name = "DIR|HUB_ID", conflicts_with = "scores", required_unless_present = "scores")]
    pub(crate) teacher: Option<String>,
    /// Score one vector per text (mean pooling, cosine) with the teacher.
    #[arg(long, requires = "teacher", conflicts_with = "scores")]
    pub(crate) dense: bool,
    /// Scores made elsewhere (see below); passages without a score are dropped.
    #[arg(long, value_name = "TSV")]
    pub(crate) scores: Option<PathBuf>,
    /// Number of passages found per query.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = parse_positive)]
    pub(crate) depth: usize,
    /// Negatives per query; a query with fewer is left out.
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = parse_positive)]
    pub(crate) negatives: usize,
    /// Minimum distance of a negative's score below the answer's, as a share of the range from the answer's score down
    /// to the lowest score of the query's passages.
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, value_parser = parse_margin)]
    pub(crate) margin: f64,
    /// Print the counts as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// Settings of the index, which is removed at the end.
    #[command(flatten, next_help_heading = "Compression of the temporary index")]
    pub(crate) build: BuildArgs,
    /// Lengths, precision, threads and device.
    #[command(flatten, next_help_heading = "Encoder")]
    pub(crate) encode: EncoderArgs,
}
