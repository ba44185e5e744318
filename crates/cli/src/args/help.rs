//! Texts that `--help` shows after the flags.

pub(super) const INDEX_HELP: &str = "\
COLLECTION is one of
  a folder         every file is text; a long file becomes several passages (see --split); the id is its path.
                   Hidden files, those that .gitignore names and other indexes are left out, links are followed;
                   a file that is not text is skipped and named
  FILE.jsonl       one object a line: \"id\", \"text\"; whatever else it holds is kept as metadata
  FILE.tsv         one passage a line: id<TAB>text; a first line \"id<TAB>text\" is a header
  a BEIR folder    its corpus.jsonl: \"_id\", \"title\" and \"text\", the title before the text
  -                JSONL or TSV from standard input
All may be compressed by gzip or Zstandard.

Examples
  selvedge index notes/ notes.index
  selvedge index notes/ notes.index --model ./my-colbert
  selvedge index collection.tsv.gz my.index --model lightonai/GTE-ModernColBERT-v1 --nbits 2
  selvedge index --embeddings docs.npy --doclens lens.npy my.index";

pub(super) const ENCODE_HELP: &str = "\
OUT_DIR gets docs.npy (total_tokens, D), doclens.npy (passages) and ids.txt; with --queries queries.npy, querylens.npy
and queryids.txt. `index --embeddings` and `search --query-embeddings` read them.

Examples
  selvedge encode docs.tsv vectors/ --model ./my-colbert
  selvedge encode queries.tsv vectors/ --queries --model ./my-colbert
  selvedge index --embeddings vectors/docs.npy --doclens vectors/doclens.npy --ids vectors/ids.txt my.index
  selvedge search my.index --query-embeddings vectors/queries.npy --query-lens vectors/querylens.npy";

pub(super) const DEVICES_HELP: &str = "\
The CUDA driver and NVRTC are looked for when the command runs, unless this build was made without the feature cuda.
Where they are elsewhere, say so:
  SELVEDGE_CUDA_DRIVER=/path/to/libcuda.so.1 SELVEDGE_NVRTC=/path/to/libnvrtc.so.13 selvedge devices
CUDA_HOME, CUDA_PATH and CUDA_VISIBLE_DEVICES mean what they mean elsewhere.";

pub(super) const COMPLETIONS_HELP: &str = "\
Examples
  selvedge completions bash > ~/.local/share/bash-completion/completions/selvedge
  selvedge completions zsh > ~/.zfunc/_selvedge
  selvedge completions fish > ~/.config/fish/completions/selvedge.fish";

pub(super) const SEARCH_HELP: &str = "\
Examples
  selvedge search notes.index \"how do I rotate a log file\"        (quote a query of several words)
  selvedge search my.index --queries queries.tsv -k 100 --json
  selvedge search my.index --queries queries.jsonl -k 1000 --trec run.txt
  selvedge search my.index --query-embeddings q.npy --exact";

pub(super) const EVAL_HELP: &str = "\
nDCG@10, MRR@10, Recall@100, MAP and success@k are those of trec_eval; nDCG's gain is the grade. A passage is relevant
where its grade is above 0. Means run over the queries that have a judgment; a query with no relevant passage counts as
0, and so does one that finds nothing (trec_eval -c). Passages of one score rank in the order of the collection; trec_eval
ranks them by id, from last to first, but keeps the order of a run of `search --trec`. A passage whose id is the query's
is ranked like any other. JSON names the number of judgments whose passage is not in the index.

Recall against exact f32 MaxSim needs the uncompressed vectors: given with --embeddings and --doclens, or
else made again from the stored text with the index's own model.

Examples
  selvedge eval my.index --queries queries.tsv --qrels qrels.tsv --json
  selvedge eval my.index --queries beir/scifact --qrels beir/scifact      (queries.jsonl and qrels/test.tsv in it)";

pub(super) const TUNE_HELP: &str = "\
Recall is the share of the exhaustive top k, on this index and these queries; use some hundred queries like those
to come. Searches then use what was found, but for what they name: --nprobe, --ndocs, --nfull. An index of at most K
passages is searched whole for K results, whatever the setting: there nothing is tuned.

Example
  selvedge tune my.index --queries queries.tsv --recall 0.99";
