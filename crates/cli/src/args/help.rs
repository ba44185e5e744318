//! Texts that `--help` shows after the flags. Lines have at most 100 columns, the width at which help is wrapped.

pub(super) const ROOT_HELP: &str = "\
Examples
  selvedge index notes/ notes.index
  selvedge search notes.index \"how do I rotate a log file\"
  selvedge index --help                                     (every command has examples)

In builds with the feature cloud, an INDEX may be a URL: s3://bucket/papers.index, gs://, az://, or
file:// for a shared folder. Its files are copied once to a cache on this machine and checked.

Environment
  SELVEDGE_LOG     filter of the log, such as debug or selvedge_encoder=trace,warn; overrides -v, -q
  SELVEDGE_ISA     CPU kernels: portable, avx2, avxvnni or avx512 [default: the best of this CPU]
  SELVEDGE_CUBINS  compiled GPU kernels [default: selvedge/cubins in the user's cache folder]
  HF_HOME, HF_HUB_CACHE, HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE, HF_HUB_ETAG_TIMEOUT,
  HF_HUB_DOWNLOAD_TIMEOUT
                   cache and access of the Hugging Face hub, as in Python's huggingface_hub
  AWS_*, GOOGLE_*, AZURE_*
                   access of object stores, such as AWS_ACCESS_KEY_ID, AWS_REGION, AWS_ENDPOINT
  SELVEDGE_CACHE   copies of objects [default: selvedge/objects in the user's cache folder]
  SELVEDGE_CACHE_BYTES
                   most bytes of all copies; the least recently opened go first [default: 100 GiB]

Exit status: 0 success, 1 bad input or failure, 2 wrong usage.";

pub(super) const INDEX_HELP: &str = "\
COLLECTION is one of
  a folder         Every text file is read; its path is the id of its passage. A long file becomes
                   several passages (see --split): PATH#1, PATH#2, ... Each has the metadata `file`
                   and `line`. Hidden files, files that .gitignore lists and indexes are left out.
                   A file that is not text is skipped with a note. Links are followed.
  FILE.jsonl       One object per line: \"id\", \"text\"; other fields are metadata (search --where).
  FILE.tsv         One passage per line: id<TAB>text; a first line \"id<TAB>text\" is a header.
  a BEIR folder    Its corpus.jsonl is read: \"_id\", \"title\" and \"text\"; the title precedes the text.
  -                JSONL or TSV from standard input.
Files may be compressed with gzip or Zstandard.

--embeddings takes, in place of a collection, token embeddings in f16, bf16 or f32:
  a folder         docs.npy, doclens.npy and ids.txt, as `selvedge encode` writes them.
  FILE.npy         (total_tokens, D), with --doclens.
  FILE.npz         Arrays docs and doclens, and ids (strings or integers) or a file ids.txt. Or one
                   array (tokens, D) per passage, whose name is the id; arr_0 of numpy.savez is the
                   id 0. Compressed archives (savez_compressed) are refused.
  FILE.safetensors The same as tensors; ids are a tensor of UTF-8 bytes, one id per line.
--ids takes the place of ids in the file. Files are read in place, never as a whole.

INDEX is a new folder. It appears when it is complete; an existing one is never overwritten, but
--update changes it.

--update FOLDER INDEX compares each file of the folder with what INDEX holds of it. A file of the
same size and time is not opened; any other one is read if its content differs (SHA-256). Passages
that changed are added, replaced and deleted in one commit, and its generation is printed; if no
file changed, it is that of before, or the next one if new times of files had to be recorded. Give
the same flags each time: INDEX then holds what a build with the flags of reading would hold, except
that passages deleted by id stay deleted until their file changes. A file or folder that can no
longer be read is an error, rather than a reason to delete its passages. The codec stays, so
--update takes none of the flags that a codec or embeddings need; to choose them, build INDEX
without --update first. While another command changes INDEX, --update waits; add, update, delete
and compact fail.

A collection that is too large for one machine is split into ranges, and each becomes an index, a
shard. The first index trains the codec, on a sample of the whole collection or on the first range;
the others take it with --codec-from. `selvedge router` searches them as one: equal codecs give the
same scores and the same ranking as one index would.

Examples
  selvedge index notes/ notes.index
  selvedge index notes/ notes.index --model ./my-colbert
  selvedge index --update notes/ notes.index
  selvedge -q index --update src/ src.index --include \"*.rs\" > /dev/null
                                            (a command for the save hook of an editor)
  selvedge index collection.tsv.gz my.index --model lightonai/GTE-ModernColBERT-v1 --nbits 2
  selvedge index --embeddings docs.npy --doclens lens.npy my.index
  selvedge index --embeddings vectors.safetensors my.index
  selvedge index part-1.jsonl shard-1.index --codec-from shard-0.index";

pub(super) const ADD_HELP: &str = "\
Passages are compressed with the codec of the index and added as a new segment: all of them at once,
or none after an error. An id that the index has is refused; `selvedge update` replaces its passage.
Programs that have the index open keep their generation until they refresh. Once eight neighbouring
segments are of about one size, they are merged; `selvedge compact` merges all of them. While
another command changes the index, add fails.

Examples
  selvedge add my.index new.jsonl
  selvedge add my.index --embeddings docs.npy --doclens lens.npy --ids ids.txt
  selvedge add notes.index more/";

pub(super) const UPDATE_HELP: &str = "\
A passage with an id that the index has takes the place of that passage; any other one is added.
Passages of the index whose ids are not in the collection stay as they are.

Examples
  selvedge update my.index changed.jsonl
  selvedge update my.index --embeddings docs.npy --doclens lens.npy --ids ids.txt";

pub(super) const DELETE_HELP: &str = "\
The passages are marked as deleted and are no longer found. Their bytes are freed when their segment
is merged: see `selvedge compact`. If the index lacks one of the ids, nothing is deleted.

Examples
  selvedge delete my.index doc-17 doc-18
  selvedge delete my.index --ids ids.txt --ignore-missing";

pub(super) const COMPACT_HELP: &str = "\
Neighbouring segments become one, as large as --memory-budget allows, and the bytes of deleted
passages are freed. Each merge is a commit of its own. Searches go on meanwhile; other changes fail.

Text of another kind than the index was built from fits its codec badly; `selvedge info` shows the
drift of each segment, about 1 for text that fits. --retrain trains another codec on all passages:
encoded again from their text, or with --retrain=stored decoded from what the index has, which costs
recall.

Examples
  selvedge compact my.index
  selvedge compact my.index --retrain
  selvedge compact my.index --memory-budget 1GiB";

pub(super) const UPGRADE_HELP: &str = "\
The index keeps its passages, ids and parameters. It is in the old format until the last step, and
in the new one from then on.

Examples
  selvedge upgrade my.index";

pub(super) const ENCODE_HELP: &str = "\
OUT is a folder that gets three files:
                                       passages       with --queries
  embeddings (total_tokens, D)         docs.npy       queries.npy
  tokens per text (texts), i32         doclens.npy    querylens.npy
  ids, one per line                    ids.txt        queryids.txt
OUT.npz is a NumPy archive of these files. OUT.safetensors has the tensors docs, doclens and ids (or
queries, querylens and queryids), the last of UTF-8 bytes. `index --embeddings` reads
them all; `search --query-embeddings` takes the files, not the folder.

Examples
  selvedge encode docs.tsv out/ --model ./my-colbert
  selvedge encode queries.tsv out/ --queries --model ./my-colbert
  selvedge encode docs.tsv out.safetensors
  selvedge index my.index --embeddings out/
  selvedge search my.index --query-embeddings out/queries.npy --query-lens out/querylens.npy";

pub(super) const SEARCH_HELP: &str = "\
A score is the sum over the query's tokens of their best similarity with a token of the passage
(MaxSim); higher is better. Without --json, each result is a rank, a score, an id and the part of
the passage that matched best.

A search probes --nprobe cells per query token, keeps the best --ndocs candidates by an approximate
score, and scores --num-rescored of them in full. `selvedge tune` finds good values and stores them
in the index.

--where takes a condition on metadata, the fields of JSONL besides id and text:
  year >= 2020 AND lang = 'en'            comparisons: = != < <= > >=
  lang IN ('en', 'de') OR NOT (a.b = 1)   a dot leads into nested objects
  size BETWEEN 10 AND 20                  ends included
  part LIKE 'XJ-9%'                       % is any text, _ any character; there is no escape
  created >= '2024-02-29'                 a date is its first moment in UTC; times are those of
                                          RFC 3339, with an offset: '2024-02-29T12:00:00Z'
  lang IS NULL, lang IS NOT NULL          passages without and with a value
NOT binds closer than AND, and AND closer than OR. A key of other characters than letters, digits, _
and - is put in double quotes, a text in single ones, in which a quote is doubled: 'it''s'. Texts
are compared by case. As in SQL, a comparison with a value that a passage lacks is neither true nor
false, and so is its NOT. A value of another type than the condition's counts as lacking. Of an
array, one element must fit; != is NOT =. `selvedge info --columns` lists the keys. By MaxSim, the
results are those of an index that has no other passages; the frequencies of words are those of all
passages, deleted ones included until their segment is merged.

--lexical ranks by the words that query and passage share (BM25): exact names, part numbers, rare
words. --hybrid fuses it with MaxSim, by reciprocal ranks or with --alpha by the scores;
--lexical-first N scores the best N passages by words. Words are stemmed by the language that
`selvedge index --language` was given; accents stay. The parts of snake_case, camelCase and a/b.c
are words, too.

--facet counts the values of a key among the best passages (--facet-depth), however similar these
are.

--trec writes `query Q0 passage rank score selvedge`. trec_eval sorts a run by score and id; equal
scores are therefore written as distinct numbers that keep the order of this search.

Examples
  selvedge search notes.index \"how do I rotate a log file\"   (quotes make several words one query)
  selvedge search my.index --queries queries.tsv -k 100 --json
  selvedge search my.index \"exact part\" --where \"year >= 2020 AND lang = 'en'\" --facet lang
  selvedge search my.index \"pump AB-1234/X\" --hybrid
  selvedge search my.index --queries queries.jsonl -k 1000 --trec run.txt
  selvedge search my.index --query-embeddings q.npy --exact";

pub(super) const EVAL_HELP: &str = "\
Three losses are reported separately: of the model (exact f32 MaxSim on uncompressed embeddings), of
the compression (this index against exact f32 MaxSim), and of the approximate search (against
--exact on this index).

nDCG@10, MRR@10, Recall@100, MAP and success@k are defined as in trec_eval; the gain of nDCG is the
grade. A passage is relevant if its grade is above 0. Means run over the queries that have a
judgment; a query without a relevant passage, or without a result, counts as 0 (trec_eval -c).
Passages of equal score rank in the order of the collection; trec_eval ranks them by id, descending,
but keeps the order of a run of `search --trec`. A passage whose id is the query's is ranked like
any other.

Latency is the time of one query at a time, in ms, without encoding the query.

--where and --ids restrict every ranking, as in `selvedge search`; a relevant passage outside counts
as not found.

Examples
  selvedge eval my.index --queries queries.tsv --qrels qrels.tsv --json
  selvedge eval my.index --queries beir/scifact --qrels beir/scifact   (a BEIR folder has both)
  selvedge eval my.index --queries q.tsv --qrels r.tsv --compare dense,lexical,maxsim,hybrid
  selvedge eval my.index --queries q.tsv --qrels r.tsv --embeddings docs.npy --doclens lens.npy";

pub(super) const TUNE_HELP: &str = "\
Recall is the share of the exhaustive top k that is found, on this index and these queries. Use a
few hundred queries that resemble those of later searches, which use the stored parameters unless
--nprobe, --ndocs or --num-rescored is given. Without queries, parts of 300 passages are taken. An
index of at most K passages is searched exhaustively for K results, so there is nothing to tune.
Parameters tuned with --where suit searches with that condition alone: they are printed, to be given
by the flags, and not stored.

Exit status: 2 if no parameters reach the recall.

Examples
  selvedge tune my.index
  selvedge tune my.index --queries queries.tsv --recall 0.99
  selvedge tune my.index --queries queries.tsv -k 10,100,1000 --dry-run";

pub(super) const TRAIN_HELP: &str = "\
TRAIN is one of
  FILE.jsonl     [query, [passage, score], [passage, score], ...] per line, with a teacher's scores
  FILE.tsv       query<TAB>passage<TAB>negative, or query<TAB>passage, or (with --teacher) passage
The first passage of a line answers its query. A query is an id of --queries or, without --queries,
a text; a passage is an id of --collection or, without --collection, a text.

OUT_DIR becomes a checkpoint that every command takes as --model. It also holds checkpoints/, from
which --resume continues, and log.csv: one line per step with loss, learning rate, gradient norm and
examples per second.

Training runs on the CPU in f32; --precision and --executor are those of the teacher.

Examples
  selvedge train trained/ --data pairs.tsv --collection docs.tsv --model shipped
  selvedge train trained/ --data tuples.jsonl --queries q.tsv --collection docs.tsv --model ./mine
  selvedge train small/ --data texts.tsv --teacher ./large --lr 1e-3
  selvedge train trained/ --data pairs.tsv --collection docs.tsv --model small/ --teacher ./large";

pub(super) const MINE_HELP: &str = "\
The model indexes the collection and searches it for each query; the teacher scores the passages
found. Passages that it scores above the answer, or nearly as high, are dropped: they are probably
answers without a label. OUT.jsonl gets one line per query, which `selvedge train` reads:
  [query, [passage, score], [passage, score], ...]      (the answer first)
To repeat the loop of ColBERTv2, train on the tuples, mine with the trained model, train again.

--answers FILE has query<TAB>passage per line, or judgments as `eval --qrels` reads them: the first
passage with a grade above 0 answers its query. Without it, the passage with the teacher's highest
score is the answer.
--scores FILE has query<TAB>passage<TAB>score per line, made by any other model.

Examples
  selvedge mine tuples.jsonl --queries q.tsv --collection docs.tsv --teacher ./large
  selvedge mine tuples.jsonl --queries q.tsv --collection docs.tsv --scores s.tsv --answers a.tsv
  selvedge train again/ --data tuples.jsonl --queries q.tsv --collection docs.tsv --model trained/";

pub(super) const PLAN_HELP: &str = "\
The fewest machines that hold the collection in memory and answer 99 of 100 queries in time: shards,
replicas, memory, disk, network, build, and the assumptions. Bytes and times of a shard follow from
laws through figures that were measured; the latency of the fan-out is simulated, with queues,
stragglers and failures, as `selvedge router` behaves, with and without hedges. A hedge sends a slow
request to another replica, too.

Cost is in units without a currency: what the fleet has, for an hour, divided by the millions of
queries of that hour. Machines are the measured one unless --cores and --memory are given.

--measure takes figures of this machine (Linux): it builds and searches indexes of synthetic
passages, each in a process of its own, on machines that do nothing else. Add sizes near those of
your shards; a million passages of 16 tokens take a quarter of an hour on two cores. --check shows
how well the laws predict each size from the others.

Exit status: 2 if no fleet keeps the latency, the queries per second or the memory.

Examples
  selvedge plan --passages 10B --tokens 60 --nbits 2 --latency 200ms --qps 1000
  selvedge plan --passages 8.8M --qps 50 --cores 16 --memory 64GiB --json
  selvedge plan --passages 100M --latency 200ms --replicas 2 --svg curve.svg
  selvedge plan --measure here.json --sizes 10kx60,30kx60,100kx60,300kx60
  selvedge plan --check --figures here.json";

pub(super) const INFO_HELP: &str = "\
Sizes are in bytes. bytes_per_vector counts the files that searches read: neither texts nor ids nor
columns, words or sources. The files scales hold the weight indices of the tokens (scale_bits each),
the files lists the passages of each cell. The entry search has the parameters that `selvedge tune`
stored.

Examples
  selvedge info my.index
  selvedge info my.index --columns          (the keys of the metadata, for --where)
  selvedge info my.index --json";

pub(super) const VERIFY_HELP: &str = "\
Prints one line per file: name, bytes, and ok or the reason why it is broken.

Exit status: 0 if every file is whole, 1 if one is broken or missing.

Examples
  selvedge verify my.index";

pub(super) const DEVICES_HELP: &str = "\
The CUDA driver and NVRTC are looked up when a command runs; the program also runs without them.
Name their files if they are in an unusual place:
  SELVEDGE_CUDA_DRIVER=/path/to/libcuda.so.1 SELVEDGE_NVRTC=/path/to/libnvrtc.so.13 selvedge devices
CUDA_HOME, CUDA_PATH and CUDA_VISIBLE_DEVICES have their usual meaning.

Examples
  selvedge devices
  selvedge index notes/ notes.index --device cuda
  selvedge search notes.index \"how do I rotate a log file\" --device cuda/1";

pub(super) const COMPLETIONS_HELP: &str = "\
Examples
  selvedge completions bash > ~/.local/share/bash-completion/completions/selvedge
  selvedge completions zsh > ~/.zfunc/_selvedge
  selvedge completions fish > ~/.config/fish/completions/selvedge.fish";

pub(super) const MAN_HELP: &str = "\
OUT_DIR gets selvedge.1 and one page per command, such as selvedge-index.1.

Examples
  selvedge man ~/.local/share/man/man1";

pub(super) const SERVE_HELP: &str = "\
The server answers under /v1 (create, fill, search and explain indexes), has a page at / and its
description at /openapi.json. Every flag may be set in the environment, as shown beside it, or in
the TOML file of --config, with _ for -; a flag comes before the environment, and the environment
before the file. Keys of clients are in the file alone: see --new-key. SIGINT and SIGTERM end the
server: it accepts no more connections, and answers the requests that are open.

Examples
  selvedge serve --data d                           then open http://127.0.0.1:8080
  selvedge serve notes.index --listen 0.0.0.0:80 --config keys.toml
  selvedge serve s3://bucket/papers/shards/0003     (in builds with the feature cloud)
  selvedge serve --new-key write >> keys.toml   # the key itself is shown once, not written
  curl -s localhost:8080/v1/indexes/notes.index/search -H content-type:application/json \\
       -d '{\"query\": \"how do I rotate a log file\", \"k\": 3}'";

pub(super) const ROUTER_HELP: &str = "\
FILE.json has the name of a collection and its shards, in the order of the collection; each is an
index on one server, or copies of it on several:

  {\"name\": \"papers\", \"key_env\": \"SHARD_KEY\", \"shards\": [
    {\"index\": \"papers-0\", \"replicas\": [\"http://10.0.0.1:8080\", \"http://10.0.0.2:8080\"]},
    {\"index\": \"papers-1\", \"replicas\": [\"http://10.0.0.3:8080\"]}]}

key_env names an environment variable that has the API key of these servers; without it, none is
sent. Shards are indexes of one codec: see `selvedge index --codec-from`. The file is read again
when it changes; a bad one is logged, and the shards before it stay.

A collection that `python -m selvedge_search.ray build` made lists its shards itself, in a folder or
in an object store (s3://, gs://, az://, in builds with the feature cloud; the settings of the store
come from the environment, such as AWS_ACCESS_KEY_ID). Then patterns of addresses are enough, one
for each replica, where {shard} is 0, 1, and so on. With --shards as well, the file has the
addresses, and the collection says which shards it must have. A server whose index is older than the
collection is passed over.

The router answers searches as `selvedge serve` does, with the ranking and the scores of one index;
its answers say which shards they are of. A search fails if a shard does, unless it has
\"partial\": true. Writes go to the servers of the shards.

Examples
  selvedge router --shards papers.json
  selvedge router --shards papers.json --shards news.json --listen 0.0.0.0:80 --config keys.toml
  selvedge router --collection s3://bucket/papers --shard-address http://papers-{shard}.svc:8080
  selvedge router --collection /srv/papers --shards papers.json
  curl -s localhost:8080/v1/indexes/papers/search -H content-type:application/json \\
       -d '{\"query\": \"how do I rotate a log file\", \"k\": 3, \"partial\": true}'";

pub(super) const MCP_HELP: &str = "\
An assistant that speaks the Model Context Protocol (MCP) starts this command and gets tools:
search, read, explain, indexes, and index, which reads the files that changed. Register it with

  {\"mcpServers\": {\"notes\": {\"command\": \"selvedge\", \"args\": [\"mcp\", \"/path/to/notes\"]}}}

in the assistant's settings (claude_desktop_config.json, .cursor/mcp.json, ...), or by its command:
  claude mcp add notes -- selvedge mcp /path/to/notes

Of a folder of documents, an index is made in --data and brought up to date at each start, while
searches are answered already. What is read and skipped is as in `selvedge index --help`. An
existing index is served as it is.

The protocol runs over standard input and output; the log is on standard error. The command ends
with its input. With --listen it is the server of `selvedge serve` instead, with these tools at
/mcp; that server has them too.

Examples
  selvedge mcp ~/notes
  selvedge mcp ~/notes ~/src/manual handbook.index --model lightonai/GTE-ModernColBERT-v1
  selvedge mcp ~/notes --listen 127.0.0.1:8080     (for an assistant that takes a URL; a page at /)";
