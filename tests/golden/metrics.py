#!/usr/bin/env python3
"""Rankings, judgments and the values that trec_eval computes from them: ./metrics.py rank | odd | judge

    ./metrics.py rank DATA cranfield cacm debian:30    # BM25's first 100 of each query; of debian the first 30 queries
    ./metrics.py odd                                   # made-up rankings and judgments with everything that is unusual
    ./metrics.py judge                                 # with pytrec-eval-terrier 0.5.11, which is trec_eval's C code

DATA/NAME has collection.tsv or collection.tsv.gz (id TAB text), queries.tsv (id TAB text) and qrels.tsv (query,
passage, grade). Only ids are kept here. metrics/NAME.run has one query per line: its id TAB the passages' ids, best
first. NAME.qrels has the judgments, NAME.expected the values, one query per line and "all" for the mean. ties.trec is
a run with many equal scores as `selvedge search --trec` prints it: the first queries of odd.run, in the same order.
"""
import collections, gzip, math, pathlib, random, re, sys

HERE = pathlib.Path(__file__).parent / "metrics"
DEPTH = 100
TIED = 12
MEASURES = ["ndcg_cut_10", "recip_rank", "recall_100", "map", "success_1", "success_5", "success_10"]


def rows(path):
    with (gzip.open(path, "rt") if path.suffix == ".gz" else open(path)) as lines:
        return [line.rstrip("\n").split("\t") for line in lines if line.strip()]


def words(text):
    return re.findall(r"[a-z0-9]+", text.lower())


def bm25(passages, queries, k1=1.2, b=0.75):
    """The best passages of each query; ties in the order of the collection."""
    postings, lens = collections.defaultdict(dict), []
    for number, text in enumerate(passages):
        counts = collections.Counter(words(text))
        lens.append(sum(counts.values()))
        for word, count in counts.items():
            postings[word][number] = count
    mean = sum(lens) / len(lens)
    for query in queries:
        scores = collections.Counter()
        for word in set(words(query)):
            found = postings.get(word, {})
            idf = math.log(1 + (len(lens) - len(found) + 0.5) / (len(found) + 0.5))
            for number, count in found.items():
                scores[number] += idf * count * (k1 + 1) / (count + k1 * (1 - b + b * lens[number] / mean))
        yield sorted(scores, key=lambda number: (-scores[number], number))[:DEPTH]


def rank(data, cases):
    for case in cases:
        name, _, limit = case.partition(":")
        folder = pathlib.Path(data) / name
        collection = folder / "collection.tsv"
        passages = rows(collection if collection.exists() else folder / "collection.tsv.gz")
        queries = rows(folder / "queries.tsv")[: int(limit) if limit else None]
        ranked = bm25([row[1] if len(row) > 1 else "" for row in passages], [text for _, text in queries])
        write_run(name, {query: [passages[n][0] for n in found] for (query, _), found in zip(queries, ranked)})
        asked = {query for query, _ in queries}
        write_qrels(name, [row for row in rows(folder / "qrels.tsv") if row[0] in asked])


def odd():
    """Negative grades, queries judged 0 only, passages outside the collection, short, empty and deep rankings."""
    draw = random.Random(7)
    run, qrels = {}, []
    for number in range(48):
        query = f"q{number}"
        ids = [f"d{n:03}" for n in draw.sample(range(400), draw.choice([0, 1, 5, 9, 10, 11, 60, 99, 100, 101, 150]))]
        run[query] = ids
        if number % 12 == 11:
            continue  # asked, but not judged
        grades = [[0, 0, 0], [-2, -1, 0], [1], [0, 1], [-1, 0, 1, 2, 3, 4]][number % 5]
        count = 40 if len(ids) > DEPTH else draw.choice([0, 1, 3])
        judged = set(draw.sample(ids, min(len(ids), count)))
        judged |= set(draw.sample(ids[:15], min(len(ids), draw.choice([1, 12]))))
        judged |= {f"outside{n}" for n in range(draw.choice([0, 1, 12]))} or {"outside"}
        qrels += [[query, passage, draw.choice(grades)] for passage in sorted(judged)]
    qrels += [["not asked", "d001", 1]]
    write_run("odd", run)
    write_qrels("odd", qrels)
    write_ties(run)


def write_ties(run):
    """Writes ties.trec: seven passages per score, each tie printed as the next smaller f32, which keeps the order."""
    import numpy

    with open(HERE / "ties.trec", "w") as out:
        for query, ids in list(run.items())[:TIED]:
            last = numpy.float32(math.inf)
            for place, passage in enumerate(ids):
                score = numpy.float32(30 - place // 7)
                last = score if score < last else numpy.nextafter(last, numpy.float32(-math.inf))
                out.write(f"{query} Q0 {passage} {place + 1} {float(last)} selvedge\n")


def judge():
    import pytrec_eval

    for path in sorted(HERE.glob("*.qrels")):
        qrels = collections.defaultdict(dict)
        for query, passage, grade in rows(path):
            qrels[query][passage] = int(grade)
        ranked = read_run(path.stem)
        expect(pytrec_eval, path.stem, qrels, {q: scored(found) for q, found in ranked.items()})
    ties = {query: {} for query in list(read_run("odd"))[:TIED]}
    for line in (HERE / "ties.trec").read_text().splitlines():
        query, _, passage, _, score, _ = line.split()
        ties[query][passage] = float(score)
    qrels = collections.defaultdict(dict)
    for query, passage, grade in rows(HERE / "odd.qrels"):
        qrels[query][passage] = int(grade)
    expect(pytrec_eval, "ties", qrels, ties)


def scored(found):
    return {passage: float(-place) for place, passage in enumerate(found)}


def expect(pytrec_eval, name, qrels, run):
    measures = {"ndcg_cut.10", "recall.100", "map", "success.1,5,10"}
    values = pytrec_eval.RelevanceEvaluator(qrels, measures).evaluate(run)
    # trec_eval sorts by score in f32, then by id from last to first.
    def order(found):
        return sorted(sorted(found, reverse=True), key=lambda passage: -found[passage])
    cut = {query: {passage: found[passage] for passage in order(found)[:10]} for query, found in run.items()}
    for query, value in pytrec_eval.RelevanceEvaluator(qrels, {"recip_rank"}).evaluate(cut).items():
        values[query]["recip_rank"] = value["recip_rank"]
    with open(HERE / f"{name}.expected", "w") as out:
        out.write("\t".join(["query", *MEASURES]) + "\n")
        for query in [query for query in run if query in values]:
            out.write("\t".join([query, *(repr(values[query][m]) for m in MEASURES)]) + "\n")
        means = (math.fsum(value[m] for value in values.values()) / len(values) for m in MEASURES)
        out.write("\t".join(["all", *map(repr, means)]) + "\n")


def read_run(name):
    return {query: ids.split() for query, ids in ((row + [""])[:2] for row in rows(HERE / f"{name}.run"))}


def write_run(name, run):
    (HERE / f"{name}.run").write_text("".join(f"{query}\t{' '.join(ids)}\n" for query, ids in run.items()))


def write_qrels(name, qrels):
    (HERE / f"{name}.qrels").write_text("".join("\t".join(map(str, row)) + "\n" for row in qrels))


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    {"rank": lambda: rank(sys.argv[2], sys.argv[3:]), "odd": odd, "judge": judge}[sys.argv[1]]()
