"""Indexes of texts: made, searched, changed, measured."""

from __future__ import annotations

import os
import pickle
import sqlite3

import numpy as np
import pytest
from conftest import TEXTS

from selvedge_search import Encoder, Index, errors


def test_a_search_finds_the_passage_with_its_text_and_metadata(texts):
    results = texts.search("how are log files rotated", k=2, snippet=30)
    assert results.ids[0] == results[0].id == "logs"
    assert results.scores.dtype == np.float32 and results.scores[0] == pytest.approx(results[0].score)
    assert results[0].text == TEXTS[2][1] and results[0].metadata == TEXTS[2][2]
    assert results[0].snippet.text in TEXTS[2][1] and len(results[0].snippet.text) <= 30
    assert len(results) == 2 and results[-1].id == results.ids[1] and len(results[0:5]) == 2
    assert results.num_scored > 0 and results.stages_us["score"] > 0 and results.output_us > 0
    bare = texts.search("logs", text=False, metadata=False)[0]
    assert bare.text is None and bare.metadata is None and bare.explanation is None


def test_a_batch_answers_as_each_query_alone(texts):
    queries = ["honey", "colonies of ants", ""]
    batch = texts.search(queries, k=3)
    assert [results.ids for results in batch] == [texts.search(query, k=3).ids for query in queries]
    rows = [texts.encoder.encode_queries(query) for query in queries[:2]]
    assert [results.ids for results in texts.search(rows, k=3)] == [results.ids for results in batch[:2]]
    assert batch.ids == [results.ids for results in batch] and [len(ids) for ids in batch.ids] == [3, 3, 0]
    assert [scores.tolist() for scores in batch.scores] == [results.scores.tolist() for results in batch]
    assert batch.texts[0] == batch[0].texts and batch.scores[2].shape == (0,)
    assert len(texts.search([])) == 0 and texts.search([]).ids == []


@pytest.mark.parametrize("rank_by", ["lexical", "hybrid", "lexical-first"])
def test_passages_are_ranked_by_words_too(texts, rank_by):
    assert texts.search("honey", rank_by=rank_by).ids[0] == "bees"


def test_filters_ids_and_facets_restrict_and_count(texts):
    assert set(texts.search("animal", where="legs = 6").ids) == {"ants", "bees"}
    assert texts.search("animal", ids=["cats", "unknown"]).ids == ["cats"]
    assert texts.search("animal", ids=[]).ids == []
    assert [found.ids for found in texts.search(["a", "b"], ids=[["cats"], []])] == [["cats"], []]
    assert texts.search("animal", facets=["kind"]).facets == {"kind": [("insect", 2), ("file", 1), ("mammal", 1)]}
    assert sorted(texts.ids("legs = 6")) == ["ants", "bees"]


def test_an_explanation_sums_to_the_score(texts):
    explanation = texts.explain("old log files", "logs")
    assert explanation.similarities.shape == (len(explanation.query), len(explanation.passage))
    assert sum(match.part for match in explanation.matches) == pytest.approx(explanation.score, rel=1e-5)
    assert explanation.similarities.max(axis=1) == pytest.approx([match.similarity for match in explanation.matches])
    hit = texts.search("old log files", k=1, explain=True)[0]
    assert hit.explanation.score == pytest.approx(hit.score, rel=1e-5)
    words = [TEXTS[2][1][word.start : word.end] for word in explanation.words]
    assert "log" in words and "files" in words


def test_an_explanation_is_printed_as_a_heat_map_within_the_terminal(texts, monkeypatch):
    explanation = texts.explain("old log files", "logs")
    query, passage = [token.token for token in explanation.query], [token.token for token in explanation.passage]
    monkeypatch.setenv("COLUMNS", "80")
    lines = str(explanation).splitlines()
    assert lines[0] == f"score {explanation.score:.3f}" and max(map(len, lines)) <= 80
    left, height = max(map(len, query)) + 2, max(map(len, passage))
    columns = ["".join(line.ljust(80)[left + at] for line in lines[1 : 1 + height]) for at in range(len(passage))]
    assert [column.strip() for column in columns] == passage
    for token, row, match, line in zip(query, explanation.similarities, explanation.matches, lines[1 + height :]):
        digits = "".join("." if value < 0 else str(min(int(value * 10), 9)) for value in row)
        assert line == f"{token.rjust(left - 2)}  {digits}  {passage[match.passage_token]} {match.similarity:.2f}"
    assert len(lines) == 1 + height + len(query)
    monkeypatch.setenv("COLUMNS", "32")
    narrow = str(explanation).splitlines()
    assert max(map(len, narrow)) <= 32
    shown = len({match.passage_token for match in explanation.matches})
    assert narrow[-1] == f"{shown} of {len(passage)} passage tokens are shown" and shown < len(passage)
    rows = texts.encoder.encode_queries("old log files")
    assert str(texts.explain(rows, "logs")).splitlines()[0] == lines[0]


def test_passages_are_read_by_their_ids(texts):
    assert texts.get("ants") == {"id": "ants", "text": TEXTS[1][1], "metadata": TEXTS[1][2]}
    assert [found["id"] for found in texts.get(["bees", "cats"])] == ["bees", "cats"]
    assert texts.ids() == list(texts) == ["cats", "ants", "logs", "bees"] and len(texts) == 4
    assert "cats" in texts and "dogs" not in texts and 5 not in texts
    rows = texts.embeddings("ants")
    exact = texts.encoder.encode_passages(TEXTS[1][1])
    assert rows.shape == exact.shape and (rows * exact).sum(axis=1).min() > 0.9
    with pytest.raises(errors.UnknownIds) as caught:
        texts.get(["cats", "dogs", "cows"])
    assert caught.value.ids == ["dogs", "cows"] and caught.value.total == 2


def test_tables_have_a_row_per_hit(texts):
    pa, pd = pytest.importorskip("pyarrow"), pytest.importorskip("pandas")
    table = texts.search("honey", k=2).to_arrow()
    assert table.column_names == ["rank", "id", "score", "text", "metadata"] and table.num_rows == 2
    assert table.schema.field("score").type == pa.float32() and '"legs"' in table["metadata"][0].as_py()
    frame = texts.search(["honey", "ants"], k=2).to_pandas()
    assert isinstance(frame, pd.DataFrame) and list(frame["query"]) == [0, 0, 1, 1]


def test_documents_come_in_every_form(tmp_path):
    documents = [
        "a text alone",
        ("pair", "of id and text"),
        [7, "an id that is a number"],
        {"text": "no id"},
        {"id": np.int64(9), "text": "keys", "metadata": {"a": None, "b": [1, "x"]}, "when": np.float32(0.5)},
    ]
    with Index.create(tmp_path / "forms", documents) as index:
        assert index.ids() == ["0", "pair", "7", "3", "9"]
        assert index.get("9")["metadata"] == {"a": None, "b": [1, "x"], "when": 0.5}
        assert index.get("3")["metadata"] is None


def test_passages_that_are_cut_are_noted(tmp_path, caplog):
    long = "word " * 600
    with Index.create(tmp_path / "index", [long, "short"]) as index:
        assert "1 of 2 passages are longer than 512 tokens" in caplog.text
        assert index.add([long])["truncated"] == 1 and len(caplog.records) == 2
        assert index.ids("nothing = 1") == [] and 'no passage has the key "nothing"' in caplog.text
    with pytest.raises(errors.WrongType, match=r"Index\.open"):
        Index("index")


def test_files_and_folders_are_read(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "one.txt").write_text("the first file")
    (tmp_path / "lines.jsonl").write_text('{"id": "a", "text": "a line", "year": 1999}\n')
    (tmp_path / "folder" / "long.txt").write_text("\n" + "a long file of many words " * 300)
    with Index.create(tmp_path / "by-folder", tmp_path / "folder") as index:
        assert index.get("one.txt")["metadata"] == {"file": "one.txt", "line": 1}
        assert index.get("long.txt#2")["metadata"]["file"] == "long.txt"
        assert index.ids("file = 'one.txt'") == ["one.txt"] and len(index.ids("file = 'long.txt'")) == len(index) - 1
        (tmp_path / "folder" / "long.txt").unlink()
        (tmp_path / "folder" / "two.txt").write_text("another file")
        report = index.update_folder(tmp_path / "folder")
        assert len(index) == 2 and report["generation"] == index.generation
    with Index.create(tmp_path / "by-lines", str(tmp_path / "lines.jsonl")) as index:
        assert index.get("a")["metadata"] == {"year": 1999}


def test_a_generator_may_read_what_belongs_to_its_thread(tmp_path):
    database = sqlite3.connect(":memory:")
    database.execute("create table notes (id integer, body text)")
    rows = [(number, f"note number {number} of many") for number in range(600)]
    database.executemany("insert into notes values (?, ?)", rows)
    with Index.create(tmp_path / "sql", database.execute("select id, body from notes")) as index:
        assert len(index) == 600 and index.get(599)["text"] == rows[599][1]


def test_changes_are_seen_at_once_and_by_others_after_refresh(tmp_path):
    index = Index.create(tmp_path / "index", TEXTS)
    other, before = Index.open(tmp_path / "index"), index.snapshot()
    assert index.add([("owls", "Owls fly without a sound.")])["added"] == 1
    assert index.update([("owls", "Owls see in the dark."), ("emus", "Emus run.")])["deleted"] == 1
    assert index.get("owls")["text"] == "Owls see in the dark."
    assert index.delete(["ants"])["deleted"] == 1 and index.delete(where="legs = 6")["deleted"] == 1
    assert index.delete([])["deleted"] == 0 and index.delete("ants", ignore_missing=True)["deleted"] == 0
    assert set(index) == {"cats", "logs", "owls", "emus"}
    assert len(other) == 4 and "owls" not in other
    assert other.refresh() == index.generation and "owls" in other
    assert before.ids() == ["cats", "ants", "logs", "bees"] and before.search("colonies").ids[0] == "ants"
    assert index.add(["no id"])["added"] == 1 and "7" in index  # Seven were added before.
    with pytest.raises(errors.InvalidInput, match="no id"):
        index.update(["no id"])
    index.delete("7")
    report = index.compact(retrain=True)
    assert report["segments"] == 1 and len(index) == 4 and index.verify()["ok"]
    with pytest.raises(errors.InvalidInput, match="snapshot"):
        before.__class__(before._engine)._engine.delete(["cats"], False)


def test_an_index_may_become_empty_and_grow_again(tmp_path):
    with Index.create(tmp_path / "index", TEXTS[:2]) as index:
        index.delete(list(index))
        assert len(index) == 0 and index.search("ants").ids == [] and index
        index.add(TEXTS[2:])
        assert index.search("honey", k=1).ids == ["bees"]


def test_an_index_is_replaced_when_the_new_one_is_complete(tmp_path):
    path = tmp_path / "index"
    Index.create(path, TEXTS).close()
    with pytest.raises(errors.IndexExists) as caught:
        Index.create(path, TEXTS)
    assert caught.value.path == str(path)

    def failing():
        yield "a text"
        raise KeyError("of the caller")

    with pytest.raises(KeyError, match="of the caller"):
        Index.create(path, failing(), overwrite=True)
    with Index.open(path) as index:
        assert len(index) == 4
    os.chmod(path, 0o750)
    with Index.create(path, ["another"], overwrite=True) as index:
        assert len(index) == 1 and os.stat(path).st_mode & 0o777 == 0o750

    def interrupted(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Index.create(path, TEXTS, overwrite=True, progress=interrupted)

    def locking(index: Index):
        with pytest.raises(errors.IndexLocked):
            Index.create(path, TEXTS, overwrite=True)
        yield "one"

    with Index.open(path) as index:
        assert len(index) == 1 and index.add(locking(index))["added"] == 1
    assert os.listdir(tmp_path) == ["index"]
    (tmp_path / "link").symlink_to(path)
    with Index.create(tmp_path / "link", TEXTS, overwrite=True), Index.open(path) as index:
        assert len(index) == 4 and (tmp_path / "link").is_symlink()
    (tmp_path / "link").unlink()
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("kept")
    with pytest.raises(errors.SelvedgeError):
        Index.create(tmp_path / "precious", ["a"], overwrite=True)
    assert (tmp_path / "precious" / "file").read_text() == "kept"


def test_quality_is_measured_and_parameters_are_tuned(texts, tmp_path, caplog):
    queries = {"q1": "rotated files", "q2": "dancing for flowers"}
    qrels = {"q1": {"logs": 1}, "q2": {"bees": 2, "cats": 0}}
    report = texts.eval(queries, qrels)
    assert report["ndcg@10"] == 1.0 and report["judged_queries"] == 2
    (tmp_path / "qrels.tsv").write_text("q1\t0\tlogs\t1\nq2\t0\tbees\t2\n")
    assert texts.eval(queries, tmp_path / "qrels.tsv")["ndcg@10"] == 1.0
    for wrong in ([("q1", "logs", 1)], {"q1": ["logs"]}):
        with pytest.raises(errors.WrongType, match="qrels has to be"):
            texts.eval(queries, wrong)
    with pytest.raises(errors.InvalidInput, match=r'no query is judged.*"q9"'):
        texts.eval(queries, {"q9": {"logs": 1}})
    compared = texts.eval(queries, qrels, compare=["lexical", "hybrid"], alpha=0.5)["compared"]
    assert [one["ranking"] for one in compared] == ["lexical", "hybrid"]
    assert compared[1]["ndcg@10"] == 1.0 and compared[0]["p50_ms"] > 0
    with pytest.raises(errors.InvalidInput, match="alpha goes with"):
        texts.eval(queries, qrels, compare="lexical", alpha=0.5)
    assert not caplog.records
    tuned = texts.tune(list(queries.values()), k=1, dry_run=True)
    assert "2 queries are few to tune with" in caplog.text
    assert 2 < texts.tune(k=1, dry_run=True)["best"][0]["queries"] <= len(texts)
    best = tuned["best"][0]
    assert best["recall"] >= 0.99
    # The names of a report's parameters are those of a search's arguments.
    found = texts.search("honey", k=1, **{name: best[name] for name in ("nprobe", "ndocs", "num_rescored")})
    assert found.ids == ["bees"]
    funnel = texts.eval(queries, qrels, nprobe=2, ndocs=200, num_rescored=150)["params"]["mode"]["funnel"]
    assert funnel == {"nprobe": 2, "ndocs": 200, "num_rescored": 150}


def test_an_encoder_is_shared(tmp_path):
    encoder = Encoder(passage_maxlen=16)
    with Index.create(tmp_path / "index", ["word " * 100], model=encoder) as index:
        assert index.num_tokens == 16 and index.encoder.passage_maxlen == 16
    with Index.open(tmp_path / "index", model=encoder) as index:
        assert index.encoder.fingerprint == encoder.fingerprint


def test_indexes_and_encoders_travel_between_processes(texts):
    copy = pickle.loads(pickle.dumps(texts))
    assert copy.search("honey").ids == texts.search("honey").ids
    found = texts.search("honey", explain=True)
    again = pickle.loads(pickle.dumps(found))
    assert again == found and again.ids == found.ids and again[0] in found and found.index(again[1]) == 1
    assert pickle.loads(pickle.dumps(Encoder(query_maxlen=16))).query_maxlen == 16
    with pytest.raises(errors.WrongType, match="snapshot"):
        pickle.dumps(texts.snapshot())


def test_info_names_what_the_index_has(texts, texts_path):
    info = texts.info()
    assert info["passages"] == 4 and info["dim"] == texts.dim and info["nbits"] == 2
    assert [column["key"] for column in info["columns"]] == ["kind", "legs"]
    assert texts.path == texts_path and texts.model == "shipped" and texts.num_tokens == info["tokens"]


def test_damage_is_found(tmp_path):
    path = tmp_path / "index"
    index = Index.create(path, TEXTS)
    assert index.verify()["ok"]
    largest = max(index.verify()["files"], key=lambda file: file["bytes"])
    file = next(path.rglob(largest["file"]))
    damaged = bytearray(file.read_bytes())
    damaged[-1] ^= 1
    file.write_bytes(damaged)
    report = index.verify()
    assert not report["ok"] and [f["file"] for f in report["files"] if f["fault"]] == [largest["file"]]
    index.close()
    with pytest.raises(errors.CorruptIndex, match=largest["file"]):
        Index.open(path)
    with Index.create(path, TEXTS, overwrite=True) as index:
        assert index.verify()["ok"]
