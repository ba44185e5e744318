#!/usr/bin/env python3
"""Makes the shipped model: its texts, its teacher, both rounds of training, and its scores.

    make.py --selvedge BINARY --data DATA --teacher TEACHER --work WORK

BINARY   a release build of selvedge
DATA     a folder with debian/collection.tsv.gz (id TAB text), debian/train_pairs.tsv.gz (query TAB id), and, for the scores,
         debian/queries.tsv and debian/qrels.tsv
TEACHER  all-MiniLM-L6-v2 as a PyLate checkpoint, projected to 128 dimensions, that reads 512 tokens
WORK     where everything goes; WORK/shipped is the checkpoint

Needs apt-get, for the packages dict-gcide and wordnet-base: an English dictionary and a lexical database, for words that Debian's
descriptions lack. How much they help was not measured.
"""
import argparse, gzip, json, pathlib, random, re, shutil, subprocess

PASSAGE_WORDS = 110
MOST_BYTES = 8_000_000
ROUND_1 = dict(steps=350, lr="3e-3", batch=64)
ROUND_2 = dict(steps=320, lr="5e-4", batch=32)


def clean(text):
    return re.sub(r"\s+", " ", text).strip()


def debian(data):
    """Descriptions by package."""
    with gzip.open(data / "debian/collection.tsv.gz", "rt") as lines:
        return dict(line.rstrip("\n").split("\t", 1) for line in lines)


def dictionary(room):
    """GCIDE's entries in their order, without pronunciation and etymology, in passages."""
    raw = gzip.open(room / "usr/share/dictd/gcide.dict.dz").read().decode("utf8", "replace")
    passages, words = [], []
    for entry in re.split(r"\n(?=\S)", raw)[60:]:  # behind the preface
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


def fetch(work):
    room = work / "packages"
    if not room.exists():
        debs = work / "debs"
        debs.mkdir(parents=True)
        subprocess.run(["apt-get", "download", "dict-gcide", "wordnet-base"], cwd=debs, check=True)
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
    """Round 2: 11,000 synopses with their descriptions, and 9,000 spans of passages with what is left of these."""
    rng = random.Random(11)
    with gzip.open(data / "debian/train_pairs.tsv.gz", "rt") as lines:
        known = [line.rstrip("\n").split("\t") for line in lines]
    known = [(query, by_package[package]) for query, package in known if package in by_package]
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


def cut(folder):
    """Drops the rarest words until the checkpoint is small enough: BERT numbered its words by how often they come."""
    weights, vocab, config = folder / "model.safetensors", folder / "vocab.txt", folder / "config.json"
    raw, words = weights.read_bytes(), vocab.read_text().splitlines()
    length = int.from_bytes(raw[:8], "little")
    header, data = json.loads(raw[8 : 8 + length]), raw[8 + length :]
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
    header = json.dumps(header, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    weights.write_bytes(len(header).to_bytes(8, "little") + header + data)
    vocab.write_text("".join(word + "\n" for word in words[:kept]))
    settings = json.loads(config.read_text())
    settings["vocab_size"] = kept
    config.write_text(json.dumps(settings, indent=2) + "\n")


def write(path, lines):
    path.write_text("".join(line + "\n" for line in lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ["selvedge", "data", "teacher", "work"]:
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

    def train(out, data, model, options, *more):
        flags = [flag for key, value in options.items() for flag in (f"--{key}", str(value))]
        subprocess.run(
            [args.selvedge, "train", args.work / out, "--data", args.work / data, "--teacher", args.teacher, *model, *flags, *more],
            check=True,
        )

    train("distilled", "texts.tsv", ["--layers", "2", "--intermediate", "512", "--passage-maxlen", "512"], ROUND_1)
    train("shipped", "pairs.tsv", ["--model", args.work / "distilled"], ROUND_2, "--f16")
    for extra in ["checkpoints", "log.csv"]:
        path = args.work / "shipped" / extra
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    cut(args.work / "shipped")


if __name__ == "__main__":
    main()
