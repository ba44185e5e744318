//! Arguments of `selvedge import` and `selvedge export`.

use super::parse::{output_path, parse_nbits, parse_size, parse_threads};
use clap::Args;
use selvedge::Language;
use std::path::PathBuf;

/// Arguments of `selvedge import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Folder of the index of another program, which is only read.
    pub(crate) source: PathBuf,
    /// Folder of the new index; an existing one is never overwritten.
    #[arg(value_parser = output_path(), required_unless_present = "dry_run")]
    pub(crate) index: Option<PathBuf>,
    /// Keep codes, residuals and formula of SOURCE (the default).
    #[arg(long, conflicts_with = "recode")]
    pub(crate) as_is: bool,
    /// Decode all embeddings, and compress them with this program's codec.
    #[arg(long)]
    pub(crate) recode: bool,
    /// Bits per residual component, with --recode: 0 (centroids only), 1, 2, 4 or 8 [default: as SOURCE].
    #[arg(long, value_name = "N", value_parser = parse_nbits, requires = "recode")]
    pub(crate) nbits: Option<u8>,
    /// Documents of the passages, in their order: JSONL or TSV, or a BEIR folder, as `index` reads them.
    #[arg(long, value_name = "FILE")]
    pub(crate) collection: Option<PathBuf>,
    /// Index the words of the texts of --collection, for --lexical and --hybrid searches, in a language of `selvedge
    /// compact --language`.
    #[arg(long, value_name = "LANGUAGE", requires = "collection")]
    pub(crate) language: Option<Language>,
    /// Model that made the embeddings: a folder or a Hugging Face hub id, which is stored and not loaded [default: the
    /// name in SOURCE].
    #[arg(long, value_name = "DIR|HUB_ID")]
    pub(crate) model: Option<String>,
    /// Say what SOURCE holds, and write nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print one JSON object with what was found, and the counts of the index.
    #[arg(long)]
    pub(crate) json: bool,
    /// Maximum memory of the import: 4GiB (powers of 1024), 4GB (powers of 1000), or bytes.
    #[arg(long, value_name = "SIZE", default_value = "4GiB", value_parser = parse_size, help_heading = "Resources")]
    pub(crate) memory_budget: u64,
    /// Number of threads [default: one per core].
    #[arg(long, value_name = "N", value_parser = parse_threads, help_heading = "Resources")]
    pub(crate) threads: Option<usize>,
}

/// Arguments of `selvedge export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Folder of the index.
    pub(crate) index: PathBuf,
    /// Folder of the exported index; an existing one is never overwritten.
    #[arg(value_name = "DIR", value_parser = output_path())]
    pub(crate) out: PathBuf,
    /// Program that is to open it.
    #[arg(long, value_enum)]
    pub(crate) format: FormatArg,
    /// Bits per component of residuals that are coded anew: 1, 2, 4 or 8.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=8))]
    pub(crate) nbits: u8,
    /// Print one JSON object with the counts.
    #[arg(long)]
    pub(crate) json: bool,
    /// Number of threads [default: one per core].
    #[arg(long, value_name = "N", value_parser = parse_threads, help_heading = "Resources")]
    pub(crate) threads: Option<usize>,
}

/// Program whose layout is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum FormatArg {
    /// PLAID of Stanford's ColBERT.
    Plaid,
    /// fast-plaid.
    FastPlaid,
    /// next-plaid.
    NextPlaid,
}

pub(super) const IMPORT_HELP: &str = "\
SOURCE is the folder of an index of
  PLAID            Stanford's ColBERT: centroids.pt, N.codes.pt, N.residuals.pt
  fast-plaid       centroids.npy, chunks or merged files; metadata.db becomes metadata
  next-plaid       the same with residuals, or with one sign per component (binary)
  WARP             residuals.compacted.pt, sorted by centroid
  xtr-warp-rs      chunks or sorted by centroid; passages that are marked as deleted are left out
It is recognized by its files, only read, and never changed. Pickles in it are read as data; nothing
that they name is executed.

--as-is keeps codes, residuals and the formula by which SOURCE decodes: it reads each byte once and
assigns nothing anew. Scores are those of SOURCE within the rounding of centroids, bucket values and
lengths to 8 bits. --recode decodes each embedding and compresses it by this program's codec, as
`selvedge index` does with embeddings: smaller or better at the same size, but what SOURCE has lost
stays lost.

SOURCE holds no texts, and ids only as numbers. --collection gives both: JSONL or TSV with one line
per passage, in the order in which SOURCE was built; --language english makes words of its texts for
--hybrid searches. The name of the checkpoint comes along if SOURCE has it; queries of text work
once `selvedge search` can load that model, from a folder or the hub.

Examples
  selvedge import --dry-run experiments/msmarco/indexes/msmarco.2bits
  selvedge import msmarco.2bits msmarco.index --collection collection.tsv --language english
  selvedge import fast-plaid-index/ my.index --model lightonai/GTE-ModernColBERT-v1
  selvedge import xtr-warp-index/ my.index --recode --nbits 2";

pub(super) const EXPORT_HELP: &str = "\
DIR is a new folder that the other program opens as its own index; INDEX stays as it is. An index of
the codec colbertv2, such as an imported one, keeps its codes and buckets. Any other one is decoded
and coded in buckets, which loses some recall: 4 bits keep most of it. Deleted passages are left out
and the others numbered from 0; DIR/documents.jsonl has their ids, texts and metadata in this order,
and is a collection for `selvedge import --collection`.

Examples
  selvedge export my.index plaid-index/ --format plaid
  selvedge export my.index fast-plaid-index/ --format fast-plaid --nbits 4";
