//! Arguments of `selvedge import` and `selvedge export`.

use super::parse::{output_path, parse_nbits, parse_size, parse_threads};
use clap::Args;
use selvedge::Language;
use std::path::PathBuf;

/// Arguments of `selvedge import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Folder of the index of another program, URL of a collection of Qdrant, or Parquet file; it is only read.
    #[arg(value_name = "SOURCE")]
    pub(crate) source: PathBuf,
    /// Folder of the new index; an existing one is never overwritten.
    #[arg(value_parser = output_path(), required_unless_present = "dry_run")]
    pub(crate) index: Option<PathBuf>,
    /// Keep codes, residuals and formula of SOURCE (the default).
    #[arg(long, conflicts_with = "recode")]
    pub(crate) as_is: bool,
    /// Decode all embeddings, and compress their residuals with this program's codec.
    #[arg(long)]
    pub(crate) recode: bool,
    /// Bits per residual component, with --recode or of points: 0 (centroids only), 1, 2, 4 or 8 [default: as SOURCE; 2
    /// of points].
    #[arg(long, value_name = "N", value_parser = parse_nbits)]
    pub(crate) nbits: Option<u8>,
    /// Documents of the passages, in their order: JSONL or TSV, or a BEIR folder, as `index` reads them.
    #[arg(long, value_name = "FILE")]
    pub(crate) collection: Option<PathBuf>,
    /// Language of the words of texts, for --lexical and --hybrid searches, as `selvedge index` takes it. Texts come
    /// from --collection or from points; of points, words are made if --model is given [default: english].
    #[arg(long, value_name = "LANGUAGE")]
    pub(crate) language: Option<Language>,
    /// Model that made the embeddings: a folder or a Hugging Face hub id, which is stored and not loaded [default: the
    /// name in SOURCE].
    #[arg(long, value_name = "DIR|HUB_ID")]
    pub(crate) model: Option<String>,
    /// Name of the multivectors, or of their column, where SOURCE has several.
    #[arg(long, value_name = "NAME", help_heading = "Points")]
    pub(crate) vector: Option<String>,
    /// Field or column of the text [default: the first of text, content, page_content, document, chunk, body]; the
    /// others are metadata.
    #[arg(long, value_name = "FIELD", help_heading = "Points")]
    pub(crate) text_field: Option<String>,
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

impl ImportArgs {
    /// Returns a flag that was given and is for points alone.
    pub(crate) fn flag_of_points(&self) -> Option<&'static str> {
        let given = [(self.vector.is_some(), "--vector"), (self.text_field.is_some(), "--text-field")];
        given.into_iter().find_map(|(is_given, flag)| is_given.then_some(flag))
    }
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
SOURCE is the folder of an index, the URL of a collection, or a file:
  PLAID            Stanford's ColBERT: centroids.pt, N.codes.pt, N.residuals.pt
  fast-plaid       centroids.npy, chunks or merged files; metadata.db becomes metadata
  next-plaid       the same with residuals, or with one sign per component (binary)
  WARP             residuals.compacted.pt, sorted by centroid
  xtr-warp-rs      chunks or sorted by centroid; passages that are marked as deleted are left out
  Qdrant           http://HOST:6333/collections/NAME: points with multivectors (max_sim)
  FILE.parquet     a column of lists of lists of floats; needs a build with --features parquet
A folder is recognized by its files, only read, and never changed. Pickles in it are read as data;
nothing that they name is executed.

--as-is keeps codes, residuals and the formula by which SOURCE decodes: it reads each byte once and
assigns nothing anew. Scores are those of SOURCE within the rounding of centroids, bucket values and
lengths to 8 bits. --recode keeps the centroids and codes, but decodes each embedding and codes its
residual by this program's codec: fewer bytes, or better at the same size, but what SOURCE has lost
stays lost.

SOURCE holds no texts, and ids only as numbers. --collection gives both: JSONL or TSV with one line
per passage, in the order in which SOURCE was built; --language english makes words of its texts for
--hybrid searches. The name of the checkpoint comes along if SOURCE has it; queries of text work
once `selvedge search` can load that model, from a folder or the hub.

Points of Qdrant keep their ids; rows of Parquet have those of a column id or _id, or numbers. One
field is the text, the others are metadata. The embeddings are whole, so this program's codec
compresses them. Qdrant's pages are read one after another, and again after a failure; its API key
is taken from the environment variable QDRANT_API_KEY. Give --model, the model that made the
embeddings: queries of text and words need it.
A table of Lance becomes Parquet by two lines of Python:
  import lance, pyarrow.parquet
  pyarrow.parquet.write_table(lance.dataset(\"t.lance\").to_table(), \"t.parquet\")

Examples
  selvedge import --dry-run experiments/msmarco/indexes/msmarco.2bits
  selvedge import msmarco.2bits msmarco.index --collection collection.tsv --language english
  selvedge import fast-plaid-index/ my.index --model lightonai/GTE-ModernColBERT-v1
  selvedge import xtr-warp-index/ my.index --recode --nbits 2
  selvedge import http://localhost:6333/collections/papers papers.index --model lightonai/LateOn
  selvedge import papers.parquet papers.index --vector embeddings --nbits 4";

pub(super) const EXPORT_HELP: &str = "\
DIR is a new folder that the other program opens as its own index; INDEX stays as it is. An index of
the codec colbertv2, such as an imported one, keeps its codes and buckets. Any other one is decoded
and coded in buckets, which loses some recall: 4 bits keep most of it. Deleted passages are left out
and the others numbered from 0; DIR/documents.jsonl has their ids, texts and metadata in this order,
and is a collection for `selvedge import --collection`.

Examples
  selvedge export my.index plaid-index/ --format plaid
  selvedge export my.index fast-plaid-index/ --format fast-plaid --nbits 4";
