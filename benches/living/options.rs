//! Options of a run.

use std::path::PathBuf;

/// Measures an index that changes while it is searched.
#[derive(clap::Parser, Clone, Debug)]
#[command(name = "living")]
pub struct Options {
    /// Index made from embeddings; it stays as it is
    #[arg(long)]
    pub index: PathBuf,
    /// Embeddings of the passages that are added: (tokens, D), f16 or f32
    #[arg(long)]
    pub embeddings: PathBuf,
    /// Number of tokens of each of these passages: (passages), i32
    #[arg(long)]
    pub doclens: PathBuf,
    /// Parts of the measurement
    #[arg(long, value_delimiter = ',', default_values = ["single", "segments", "policy", "readers"])]
    pub parts: Vec<Part>,
    /// Number of passages added and deleted one by one
    #[arg(long, default_value_t = 200)]
    pub singles: usize,
    /// Number of segments beside one
    #[arg(long, default_value_t = 20)]
    pub segments: usize,
    /// Number of passages added one by one by each policy
    #[arg(long, default_value_t = 1000)]
    pub policy_adds: usize,
    /// Filter of the metadata of the index, which is then searched as it is; may be repeated
    #[arg(long)]
    pub filters: Vec<String>,
    /// Number of queries
    #[arg(long, default_value_t = 100)]
    pub queries: usize,
    /// Number of threads that search
    #[arg(long, default_value_t = 16)]
    pub readers: usize,
    /// Minutes for which they search beside the writer
    #[arg(long, default_value_t = 10.0)]
    pub minutes: f64,
    /// Minutes for which they search alone before
    #[arg(long, default_value_t = 2.0)]
    pub minutes_alone: f64,
    /// Pause of the writer between two changes, in milliseconds
    #[arg(long, default_value_t = 100)]
    pub pause: u64,
    /// Scratch folder, on the disk of the index
    #[arg(long, default_value = concat!(env!("CARGO_TARGET_TMPDIR"), "/living"))]
    pub dir: PathBuf,
    /// Flag that cargo passes to a benchmark
    #[arg(long, hide = true)]
    pub bench: bool,
}

/// Part of a run.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// One passage at a time.
    Single,
    /// Many segments beside one.
    Segments,
    /// Policies of merging.
    Policy,
    /// Readers beside a writer.
    Readers,
    /// Searches within filters.
    Filters,
}
