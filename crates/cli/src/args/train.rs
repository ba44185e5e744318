//! The words of `selvedge train` and `selvedge mine`.

use super::parse::{parse_margin, parse_positive};
use super::{BuildArgs, EncodeArgs};
use clap::Args;
use selvedge_encoder::shipped;
use std::path::PathBuf;

pub(super) const TRAIN_HELP: &str = "\
TRAIN is one of
  FILE.jsonl       [query, [passage, score], [passage, score], ...] a line: n-way tuples with a teacher's scores
  FILE.tsv         query<TAB>passage<TAB>negative, or query<TAB>passage, or passage alone (with --teacher)
Queries are ids of --queries, or texts without it; passages are ids of --collection, or texts without it.

OUT_DIR becomes a checkpoint that every command takes as --model. On the way there are OUT_DIR/checkpoints, from which
--resume goes on, and OUT_DIR/log.csv.

--precision is the teacher's; training itself is in f32.

Examples
  selvedge train --data pairs.tsv --collection docs.tsv --model sentence-transformers/all-MiniLM-L6-v2 trained/
  selvedge train --data tuples.jsonl --queries q.tsv --collection docs.tsv --model ./my-colbert trained/
  selvedge train --data texts.tsv --teacher ./large --lr 1e-3 small/
  selvedge train --data pairs.tsv --collection docs.tsv --model small/ --teacher ./large trained/";

pub(super) const MINE_HELP: &str = "\
Indexes COLLECTION with the model as it stands, searches it for each query, and has the teacher score what was found.
Passages that the teacher scores above the one that answers, or nearly so, are dropped: they are answers that nobody
marked. OUT.jsonl has a line a query, [query, [passage, score], [passage, score], ...], the answer first; `selvedge train`
reads it. Train, mine again with what was trained, train again: the loop of ColBERTv2.

--answers FILE has query<TAB>passage, or judgments as `eval --qrels` reads them, of which the first with a grade above 0
answers its query. Without it the passage that the teacher scores highest is taken for the answer.
--scores FILE.tsv has query<TAB>passage<TAB>score, made by any model anywhere.

Examples
  selvedge mine --queries q.tsv --collection docs.tsv --model trained/ --teacher ./large --answers pairs.tsv tuples.jsonl
  selvedge train --data tuples.jsonl --queries q.tsv --collection docs.tsv --model trained/ trained-again/";

/// `selvedge train`.
#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// Where the trained checkpoint goes.
    #[arg(value_name = "OUT_DIR")]
    pub(crate) out: PathBuf,
    /// What to train on.
    #[arg(long, value_name = "TRAIN")]
    pub(crate) data: PathBuf,
    /// The checkpoint to begin with: a local folder or a hub id [default: a new, small model with the teacher's words].
    #[arg(long, value_name = "DIR|HUB_ID")]
    pub(crate) model: Option<String>,
    /// What a new model is made of.
    #[command(flatten)]
    pub(crate) fresh: FreshArgs,
    /// Passages by id, as `index` reads them.
    #[arg(long, value_name = "COLLECTION")]
    pub(crate) collection: Option<PathBuf>,
    /// Queries by id, as `search` reads them.
    #[arg(long, value_name = "FILE|BEIR_DIR")]
    pub(crate) queries: Option<PathBuf>,
    /// A checkpoint whose scores are learned: of a query's own passages where the data has none, or of the batch's.
    #[arg(long, value_name = "DIR|HUB_ID")]
    pub(crate) teacher: Option<String>,
    /// Passages of each query [default: as many as every line has].
    #[arg(long, value_name = "N", value_parser = parse_positive)]
    pub(crate) ways: Option<usize>,
    /// Queries of a batch.
    #[arg(long, default_value_t = 32, value_parser = parse_positive)]
    pub(crate) batch: usize,
    /// Batches of a step.
    #[arg(long, default_value_t = 1, value_parser = parse_positive)]
    pub(crate) accumulate: usize,
    /// Rounds over the data.
    #[arg(long, default_value_t = 1.0)]
    pub(crate) epochs: f64,
    /// Steps, in the place of rounds.
    #[arg(long, conflicts_with = "epochs")]
    pub(crate) steps: Option<u64>,
    /// Largest learning rate.
    #[arg(long = "lr", value_name = "RATE", default_value_t = 3e-5)]
    pub(crate) rate: f64,
    /// Share of the steps over which the rate rises; then it falls to 0.
    #[arg(long, value_name = "SHARE", default_value_t = 0.05)]
    pub(crate) warm_up: f64,
    /// Weight of KL(teacher || student) [default: 1 with scores, or queries and a teacher, else 0].
    #[arg(long, value_name = "WEIGHT")]
    pub(crate) divergence: Option<f64>,
    /// Weight of the in-batch negatives' cross entropy [default: 0 with scores or a teacher, else 1].
    #[arg(long, value_name = "WEIGHT")]
    pub(crate) in_batch: Option<f64>,
    /// What scores are divided by for in-batch negatives.
    #[arg(long, default_value_t = 1.0)]
    pub(crate) temperature: f64,
    /// Weight of the distance from the teacher's vectors, token by token [default: 1 for texts alone, else 0].
    #[arg(long, value_name = "WEIGHT")]
    pub(crate) tokens: Option<f64>,
    /// Decay of matrices.
    #[arg(long, default_value_t = 0.01)]
    pub(crate) weight_decay: f64,
    /// Largest length of a step's gradient.
    #[arg(long, default_value_t = 1.0)]
    pub(crate) clip: f64,
    /// Seed of the order of examples.
    #[arg(long, default_value_t = 42)]
    pub(crate) seed: u64,
    /// Steps between checkpoints.
    #[arg(long, value_name = "STEPS", default_value_t = 500)]
    pub(crate) save_every: u64,
    /// Write the trained weights in f16, half as large.
    #[arg(long)]
    pub(crate) f16: bool,
    /// Go on from the last checkpoint in OUT_DIR.
    #[arg(long)]
    pub(crate) resume: bool,
    /// Length limits and threads.
    #[command(flatten)]
    pub(crate) encode: EncodeArgs,
}

/// What a new model is made of; it is as wide as its teacher's embeddings.
#[derive(Debug, Args)]
pub(crate) struct FreshArgs {
    /// A new model's layers.
    #[arg(long, default_value_t = 1, conflicts_with = "model")]
    pub(crate) layers: usize,
    /// Heads of their attention.
    #[arg(long, default_value_t = 4, value_parser = parse_positive, conflicts_with = "model")]
    pub(crate) heads: usize,
    /// Width between a layer's two products.
    #[arg(long, default_value_t = 256, value_parser = parse_positive, conflicts_with = "model")]
    pub(crate) intermediate: usize,
    /// Tokens that a new model drops, one a line [default: punctuation].
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    pub(crate) skiplist: Option<PathBuf>,
}

/// `selvedge mine`.
#[derive(Debug, Args)]
pub(crate) struct MineArgs {
    /// Where the tuples go.
    #[arg(value_name = "OUT.jsonl")]
    pub(crate) out: PathBuf,
    /// Queries, as `search` reads them.
    #[arg(long, value_name = "FILE|BEIR_DIR")]
    pub(crate) queries: PathBuf,
    /// Passages, as `index` reads them.
    #[arg(long, value_name = "COLLECTION")]
    pub(crate) collection: PathBuf,
    /// The checkpoint that ranks them: a local folder, a hub id, or "shipped".
    #[arg(long, value_name = "DIR|HUB_ID", default_value = shipped::NAME)]
    pub(crate) model: String,
    /// Which passages answer which queries, by id.
    #[arg(long, value_name = "FILE|BEIR_DIR")]
    pub(crate) answers: Option<PathBuf>,
    /// A checkpoint that scores what was found.
    #[arg(long, value_name = "DIR|HUB_ID", conflicts_with = "scores", required_unless_present = "scores")]
    pub(crate) teacher: Option<String>,
    /// The teacher scores single vectors (mean pooling, cosine).
    #[arg(long, requires = "teacher")]
    pub(crate) dense: bool,
    /// Scores made elsewhere; passages without one are dropped.
    #[arg(long, value_name = "TSV")]
    pub(crate) scores: Option<PathBuf>,
    /// Passages that the model finds for each query.
    #[arg(long, default_value_t = 100, value_parser = parse_positive)]
    pub(crate) depth: usize,
    /// Negatives of each query; one with fewer is left out.
    #[arg(long, default_value_t = 15, value_parser = parse_positive)]
    pub(crate) negatives: usize,
    /// How near to the answer's score is too near: a share of the way down to the lowest score of the query's passages.
    #[arg(long, default_value_t = 0.1, value_parser = parse_margin)]
    pub(crate) margin: f64,
    /// CodecParams and build of the index, which is removed in the end.
    #[command(flatten)]
    pub(crate) build: BuildArgs,
    /// Length limits and threads.
    #[command(flatten)]
    pub(crate) encode: EncodeArgs,
    /// Say what was mined as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}
