#!/usr/bin/env python3
"""Makes the shipped model: its texts, five rounds of training with mined passages, the mean of two rounds, and the cut
of its vocabulary.

    make.py --selvedge BINARY --data DATA --teacher TEACHER --scorer SCORER --work WORK

BINARY   a release build of selvedge
DATA     a folder with debian/collection.tsv.gz (id TAB text) and debian/train_pairs.tsv.gz (query TAB id)
TEACHER  all-MiniLM-L6-v2 as a PyLate checkpoint, projected to 128 dimensions, that reads 512 tokens
SCORER   all-MiniLM-L6-v2 as it is: 384 dimensions, which score better
WORK     the folder of all results; WORK/shipped is the checkpoint

Needs apt-get, for PACKAGES (an English dictionary and a lexical database, for words that Debian's descriptions lack)
and MANUALS (technical prose). The gain of each was not measured.
"""
import argparse, collections, gzip, html, json, math, pathlib, random, re, shutil, struct, subprocess

PACKAGES = ["dict-gcide", "wordnet-base"]
# Folders of manuals that do not have their package's name.
FOLDERS = {"python3.11-doc": "python3.11", "octave-doc": "octave"}
MANUALS = ["python3.11-doc", "python-scipy-doc", "octave-doc", "postgresql-doc-15", "maxima-doc"]
PASSAGE_WORDS = 110
MOST_BYTES = 8_000_000
ROUND_1 = dict(steps=350, lr="3e-3", batch=64)
ROUND_2 = dict(steps=320, lr="5e-4", batch=32)
ROUND_3 = dict(epochs=1, lr="1e-3", batch=32)
ROUND_4 = dict(steps=580, lr="7e-4", batch=32)
ROUND_5 = dict(steps=1000, lr="7e-4", batch=32)
# Factor of BM25 in its sum with a scorer's MaxSim. nDCG@10 on held-out passages, Debian's and FOLDOC's (a
# dictionary, first sentence as query): 0.927 and 0.532 for MaxSim alone, 0.930 and 0.549 with 0.1, 0.933 and 0.552 with
# 0.2, 0.932 and 0.554 with 0.3.
BM25_WEIGHT = 0.2
WAYS = 8


def clean(text):
    return re.sub(r"\s+", " ", text).strip()


def debian(data):
    """Descriptions by package."""
    with gzip.open(data / "debian/collection.tsv.gz", "rt") as lines:
        return dict(line.rstrip("\n").split("\t", 1) for line in lines)


def synopses(data, by_package):
    """Synopses of packages with their descriptions."""
    with gzip.open(data / "debian/train_pairs.tsv.gz", "rt") as lines:
        known = [line.rstrip("\n").split("\t") for line in lines]
    return [(query, by_package[package]) for query, package in known if package in by_package]


def dictionary(room):
    """GCIDE's entries in their order, without pronunciation and etymology, in passages."""
    raw = gzip.open(room / "usr/share/dictd/gcide.dict.dz").read().decode("utf8", "replace")
    passages, words = [], []
    for entry in re.split(r"\n(?=\S)", raw)[60:]:  # after the preface
        entry = re.sub(r"\[[^\]]*\]", "", re.sub(r"\\[^\\]*\\", "", entry))
        entry = clean(entry.replace("{", "").replace("}", "")).split()
        if len(entry) < 4:
            continue
        words += entry
        if len(words) >= 80:
            cut = [words[at : at + PASSAGE_WORDS] for at in range(0, len(words), PASSAGE_WORDS)]
            passages += [" ".join(part) for part in cut if len(part) >= 8]
            words = []
    return passages


def glosses(room):
    """WordNet's synsets, "word, word: gloss", in their order."""
    for part in ["noun", "verb", "adj", "adv"]:
        for line in open(room / f"usr/share/wordnet/data.{part}"):
            if not line.startswith("  "):
                fields, gloss = line.split("|", 1)
                fields = fields.split()
                words = [fields[4 + 2 * at].replace("_", " ") for at in range(int(fields[3], 16))]
                yield clean(", ".join(words) + ": " + gloss)


def prose(path):
    """Paragraphs and items of a page that are mostly words."""
    page = re.sub(r"(?is)<(script|style|pre|table|head|nav)\b.*?</\1>", " ", path.read_text(errors="replace"))
    for part in re.findall(r"(?is)<(?:p|dd|li)\b[^>]*>(.*?)(?=</?(?:p|dd|li|div|ul|ol|dl|h\d)\b)", page):
        text = clean(html.unescape(re.sub(r"(?s)<[^>]+>", "", part))).replace("¶", "")
        words = text.split()
        if len(words) >= 8 and sum(word.strip(".,;:()").isalpha() for word in words) >= 0.75 * len(words):
            yield text


def manual(folder):
    """A manual's paragraphs, each once, in passages of 80 words and more."""
    seen, passages = set(), []
    for page in sorted(path for path in folder.rglob("*.html") if path.is_file()):
        words = []
        for text in prose(page):
            if text not in seen:
                seen.add(text)
                words += text.split()
                if len(words) >= 80:
                    passages.append(" ".join(words[: 2 * PASSAGE_WORDS]))
                    words = []
        if len(words) >= 30:
            passages.append(" ".join(words[: 2 * PASSAGE_WORDS]))
    return passages


def fetch(work):
    room = work / "packages"
    if not room.exists():
        debs = work / "debs"
        debs.mkdir(parents=True)
        subprocess.run(["apt-get", "download", *PACKAGES, *MANUALS], cwd=debs, check=True)
        for deb in debs.glob("*.deb"):
            subprocess.run(["dpkg", "-x", deb, room], check=True)
    return room


def texts(descriptions, in_order, shuffled, synsets):
    """Round 1: 45,000 passages, 5,000 of them long."""
    rng = random.Random(7)
    long = [" ".join(in_order[at : at + 3]) for at in range(0, 15000, 3)]
    short = in_order[15000:]
    rng.shuffle(short)
    chosen = descriptions[:24000] + short[:8000] + long + synsets[:8000]
    rng.shuffle(chosen)
    return chosen


def pairs(data, by_package, passages, synsets):
    """Round 2: 11,000 synopses with their descriptions, and 9,000 spans of passages with the rest of each passage."""
    rng = random.Random(11)
    known = synopses(data, by_package)
    rng.shuffle(known)
    spans = []
    for passage in passages[8000:16000] + synsets[8000:16000]:
        words = passage.split()
        if len(words) >= 40:
            length = rng.randint(6, 18)
            at = rng.randint(0, len(words) - length)
            spans.append((" ".join(words[at : at + length]), " ".join(words[:at] + words[at + length :])))
    rng.shuffle(spans)
    chosen = known[1000:12000] + spans[:9000]
    rng.shuffle(chosen)
    return ["\t".join(pair) for pair in chosen if "\t" not in "".join(pair)]


def with_spans(rng, kind, queries, collection, others):
    """Numbered queries and passages: those given, and others, most of which lose a span to a query."""
    for text in others:
        words = text.split()
        if len(words) < 30:
            collection.append(text)
            continue
        length = rng.randint(5, min(26, len(words) // 2))
        at = rng.randint(0, len(words) - length)
        queries.append(" ".join(words[at : at + length]))
        collection.append(" ".join(words[:at] + words[at + length :]))
    numbered = lambda kind, texts: [f"{kind}{at}\t" + text.replace("\t", " ") for at, text in enumerate(texts)]
    return numbered(kind[0], queries), numbered(kind[1], collection)


def to_mine(data, by_package, passages, synsets):
    """Round 3: 14,000 synopses with their descriptions, and 29,000 other passages."""
    rng = random.Random(13)
    known = synopses(data, by_package)
    rng.shuffle(known)
    others = [description for _, description in known[14000:26000]] + passages[:9000] + synsets[:8000]
    return with_spans(rng, "qp", [query for query, _ in known[:14000]], [text for _, text in known[:14000]], others)


def to_mine_again(data, by_package, passages, synsets, room):
    """Round 5: 12,000 other synopses, and 29,457 passages not mined before, of manuals above all."""
    known = synopses(data, by_package)
    random.Random(13).shuffle(known)
    rng, others = random.Random(17), []
    for package in MANUALS:
        pages = manual(room / "usr/share/doc" / FOLDERS.get(package, package))
        rng.shuffle(pages)
        others += pages[:5000]
    others += passages[16000:22000] + synsets[16000:21000]
    known = known[26000:38000]
    return with_spans(rng, "rs", [query for query, _ in known], [text for _, text in known], others)


class BM25:
    """BM25 with k1 = 1.2 and b = 0.75; a plural's s is dropped."""

    def __init__(self, texts):
        self.counts = {key: collections.Counter(self.words(text)) for key, text in texts.items()}
        self.lengths = {key: sum(counts.values()) for key, counts in self.counts.items()}
        self.mean = sum(self.lengths.values()) / len(self.lengths)
        within = collections.Counter(word for counts in self.counts.values() for word in counts)
        self.weight = {word: math.log(1 + (len(texts) - n + 0.5) / (n + 0.5)) for word, n in within.items()}

    @staticmethod
    def words(text):
        stem = lambda word: word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
        return [stem(word) for word in re.findall(r"[a-z0-9]+", text.lower())]

    def score(self, query, key):
        counts, floor = self.counts[key], 1.2 * (0.25 + 0.75 * self.lengths[key] / self.mean)
        return sum(self.weight[word] * counts[word] * 2.2 / (counts[word] + floor) for word in query if word in counts)


def mixed(mined, queries, collection, seed):
    """WAYS passages of each query's tuple, with BM25 added to the scores; about half keep the scorer's best passage."""
    rng = random.Random(seed)
    bm25 = BM25(dict(line.split("\t", 1) for line in collection))
    queries = {key: BM25.words(text) for key, text in (line.split("\t", 1) for line in queries)}
    for line in mined.read_text().splitlines():
        query, best, *others = json.loads(line)
        others, with_best = rng.sample(others, WAYS), rng.random() < 0.5
        chosen = [best] * with_best + others[: WAYS - with_best]
        scored = [[key, round(score + BM25_WEIGHT * bm25.score(queries[query], key), 4)] for key, score in chosen]
        scored.sort(key=lambda passage: -passage[1])
        yield json.dumps([query, *scored])


def tensors(path):
    """A safetensors file's header and data."""
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    return json.loads(raw[8 : 8 + length]), raw[8 + length :]


def write_tensors(path, header, data):
    header = json.dumps(header, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)


def average(one, other):
    """Replaces the weights of the file `other` with the mean of both files'."""
    (header, data), (_, data_too) = tensors(one), tensors(other)
    halves = f"<{len(data) // 2}e"
    mean = [(a + b) / 2 for a, b in zip(struct.unpack(halves, data), struct.unpack(halves, data_too))]
    write_tensors(other, header, struct.pack(halves, *mean))


def change(path, **settings):
    path.write_text(json.dumps(json.loads(path.read_text()) | settings, indent=2) + "\n")


def cut(folder):
    """Drops the rarest words until the checkpoint has MOST_BYTES; the order of BERT's vocabulary is by frequency."""
    weights, vocab = folder / "model.safetensors", folder / "vocab.txt"
    (header, data), words = tensors(weights), vocab.read_text().splitlines()
    table = header["embeddings.word_embeddings.weight"]
    row = (table["data_offsets"][1] - table["data_offsets"][0]) // len(words)
    excess = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) - MOST_BYTES
    kept = len(words)
    while excess > 0:
        kept -= 1
        excess -= row + len(words[kept]) + 1
    gone = (len(words) - kept) * row
    if gone == 0:
        return
    end = table["data_offsets"][1]
    data = data[: end - gone] + data[end:]
    table["shape"][0] = kept
    for name, tensor in header.items():
        tensor["data_offsets"] = [at - gone if at >= end else at for at in tensor["data_offsets"]]
    write_tensors(weights, header, data)
    vocab.write_text("".join(word + "\n" for word in words[:kept]))
    change(folder / "config.json", vocab_size=kept, dtype="float32")


def write(path, lines):
    path.write_text("".join(line + "\n" for line in lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ["selvedge", "data", "teacher", "scorer", "work"]:
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True)
    parser.add_argument("--texts-only", action="store_true", help="stop before the first round")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    room = fetch(args.work)

    rng = random.Random(1)
    in_order = dictionary(room)
    passages = list(in_order)
    rng.shuffle(passages)
    synsets = list(glosses(room))
    rng.shuffle(synsets)
    synsets = [" ".join(synsets[at : at + 5]) for at in range(0, len(synsets), 5)]
    by_package = debian(args.data)
    descriptions = list(by_package.values())
    rng.shuffle(descriptions)
    flat = lambda lines: [line.replace("\t", " ") for line in lines]
    write(args.work / "texts.tsv", flat(texts(descriptions, in_order, passages, synsets)))
    write(args.work / "pairs.tsv", pairs(args.data, by_package, passages, synsets))
    if args.texts_only:
        return

    work = lambda name: args.work / name

    def run(command, out, options, *more):
        flags = [part for key, value in options.items() for part in (f"--{key}", str(value))]
        subprocess.run([args.selvedge, command, work(out), *flags, *more], check=True)

    fresh = {"layers": 2, "intermediate": 512, "passage-maxlen": 512}
    run("train", "distilled", dict(data=work("texts.tsv"), teacher=args.teacher) | fresh | ROUND_1)
    run("train", "scored", dict(data=work("pairs.tsv"), teacher=args.teacher, model=work("distilled")) | ROUND_2)

    def mine(number, model, queries, collection, *more):
        """Texts by id, and hard passages for each query: WORK/mined NUMBER."""
        texts = {"queries": work(f"queries{number}.tsv"), "collection": work(f"collection{number}.tsv")}
        write(texts["queries"], queries)
        write(texts["collection"], collection)
        mining = dict(model=work(model), teacher=args.scorer, depth=64, negatives=15, margin=0)
        run("mine", f"mined{number}.jsonl", texts | mining, *more)
        return texts

    def tuples(mined, seed, queries, collection):
        path = work(f"tuples{seed}.jsonl")
        write(path, mixed(work(mined), queries, collection, seed))
        return dict(data=path)

    old = to_mine(args.data, by_package, passages, synsets)
    texts_by_id = mine(3, "scored", *old)
    run("train", "ranked", tuples("mined3.jsonl", 3, *old) | dict(model=work("scored")) | texts_by_id | ROUND_3)
    run("train", "again", tuples("mined3.jsonl", 4, *old) | dict(model=work("ranked")) | texts_by_id | ROUND_4, "--f16")
    new = to_mine_again(args.data, by_package, passages, synsets, room)
    texts_by_id = mine(5, "again", *new, "--precision", "int8")
    last = tuples("mined5.jsonl", 5, *new) | dict(model=work("again"))
    run("train", "shipped", last | texts_by_id | ROUND_5, "--f16")

    for extra in ["checkpoints", "log.csv"]:
        path = work("shipped") / extra
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    average(work("again") / "model.safetensors", work("shipped") / "model.safetensors")
    cut(work("shipped"))


if __name__ == "__main__":
    main()
