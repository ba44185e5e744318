"""Indexes of embeddings, from arrays of every form."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from conftest import unit_rows

from selvedge_search import Encoder, Index, _rerank, errors, maxsim, rerank


def passages(lens, dim=64, seed=1):
    """Return arrays (T, dim) of these lengths."""
    rows = unit_rows(sum(lens), dim, seed)
    ends = np.cumsum(lens)
    return [rows[end - n : end] for end, n in zip(ends, lens)]


LENS = [3, 1, 0, 7, 4, 2, 5, 6] * 12


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_all_forms_make_the_same_index(tmp_path, dtype):
    parts = [part.astype(dtype) for part in passages(LENS)]
    padded, mask = np.zeros((len(LENS), 7, 64), dtype), np.zeros((len(LENS), 7), bool)
    for number, part in enumerate(parts):
        padded[number, : len(part)], mask[number, : len(part)] = part, True
    forms = {
        "list": {"embeddings": parts},
        "generator": {"embeddings": (part for part in parts)},
        "flat": {"embeddings": np.concatenate(parts), "lens": LENS},
        "masked": {"embeddings": padded, "mask": mask},
        "padded": {"embeddings": padded, "lens": np.array(LENS, np.uint8)},
        "strided": {"embeddings": np.asfortranarray(np.concatenate(parts)), "lens": LENS},
    }
    answers = {}
    for name, form in forms.items():
        with Index.create(tmp_path / name, **form, ids=range(len(LENS))) as index:
            answers[name] = [(found.ids, found.scores.tolist()) for found in index.search(parts[:8], k=5)]
            assert len(index) == len(LENS) and index.num_tokens == sum(LENS)
    assert all(answer == answers["list"] for answer in answers.values())
    assert answers["list"][3][0][0] == "3"


def test_embeddings_are_added_and_replaced(rows_path):
    with Index.open(rows_path) as index:
        more = passages([2, 3])
        assert index.add(embeddings=more, ids=["new", "p5x"], metadata=[{"n": 5}, None])["added"] == 2
        assert index.update(embeddings=np.concatenate(more), lens=[2, 3], ids=["p0", "p1"])["deleted"] == 2
        assert set(index.search(more[0], k=2).ids) == {"new", "p0"} and index.get("new")["metadata"] == {"n": 5}
        assert index.get("new")["text"] is None and index.model is None
        index.add(embeddings=more)  # numbered on
        with pytest.raises(errors.IdExists):
            index.add(embeddings=more, ids=["p7", "p8"])
        with pytest.raises(errors.DimensionMismatch) as caught:
            index.add(embeddings=passages([2], dim=32), ids=["z"])
        assert (caught.value.expected, caught.value.found) == (64, 32)
        with pytest.raises(errors.ModelError):
            index.search("a text")


def test_embeddings_may_have_texts(tmp_path):
    encoder, bodies = Encoder(), ["Cats sleep all day.", None, "Ants carry leaves."]
    rows = encoder.encode_passages([body or "x" for body in bodies])
    flat = {"embeddings": np.concatenate(rows), "lens": [len(part) for part in rows]}
    for name, given in {"parts": {"embeddings": rows}, "flat": flat}.items():
        with Index.create(tmp_path / name, **given, texts=iter(bodies), model=encoder) as index:
            found = index.search("leaves", k=3, snippet=7)
            assert found.ids[0] == "2" and found[0].text == bodies[2] and found[0].snippet.text in bodies[2]
            assert {hit.id: hit.text for hit in found} == dict(zip("012", bodies))
            assert [passage["text"] for passage in index.get(["0", "1", "2"])] == bodies
            assert index.search("leaves", k=1, text=False)[0].text is None
            index.add(embeddings=rows[:1], ids=["more"], texts=["Another text."])
            index.update(embeddings=rows[:1], ids=["0"], texts=["Cats purr."])
            index.compact(retrain="stored")
            assert [passage["text"] for passage in index.get(["more", "0"])] == ["Another text.", "Cats purr."]


def test_tensors_of_torch_are_read(tmp_path):
    torch = pytest.importorskip("torch")
    parts = [torch.tensor(part, requires_grad=number == 0) for number, part in enumerate(passages([4, 2, 9]))]
    with Index.create(tmp_path / "index", embeddings=parts) as index:
        assert index.search(parts[2]).ids[0] == "2"
        assert index.search(torch.stack([parts[0], parts[0]]))[1].ids[0] == "0"
        with pytest.raises(errors.WrongType, match="float32"):
            index.search(parts[1].to(torch.bfloat16))


def test_maxsim_is_the_sum_of_the_best_similarities():
    documents, queries = passages(LENS), passages([4, 3], seed=2)
    expected = np.array([[(q @ d.T).max(axis=1).sum() if len(d) else -np.inf for d in documents] for q in queries])
    assert maxsim(queries, documents) == pytest.approx(expected, abs=1e-5)
    assert maxsim(queries[0], np.concatenate(documents), lens=LENS) == pytest.approx(expected[0], abs=1e-5)
    assert maxsim(queries[0], []).shape == (0,) and maxsim([], documents).shape == (0, len(documents))
    assert maxsim(queries[0].astype(np.float16), documents) == pytest.approx(expected[0], abs=1e-2)


def test_rerank_orders_texts_and_embeddings():
    best = rerank("cats purr", ["dogs bark", "cats purr softly", "birds sing"], k=2, ids=[7, 8, 9])
    assert len(best) == 2 and (best[0].index, best[0].id, best[0].document) == (1, "8", "cats purr softly")
    documents = passages(LENS)
    query = documents[3]
    assert rerank(query, documents)[0].index % 96 == 3 and rerank(query, documents)[-1].score == -np.inf
    with pytest.raises(errors.InvalidInput, match="no components"):
        maxsim(np.zeros((2, 0), np.float32), [np.zeros((3, 0), np.float32)])


def test_few_encoders_stay_in_memory():
    _rerank._loaded.cache_clear()
    folder = str(Path(__file__).parents[3] / "tests" / "golden")
    if not os.path.isdir(folder):
        pytest.skip("checkpoints are not here")
    for name in ("shipped", "shipped", f"{folder}/stanford_bert", f"{folder}/pylate_bert"):
        assert rerank("a", ["b"], model=name)
    info = _rerank._loaded.cache_info()
    assert (info.hits, info.misses, info.currsize) == (1, 3, 2)


def test_measurements_take_queries_of_the_indexs_dimension(rows_path):
    wrong = np.zeros((4, 32), np.float32)
    with Index.open(rows_path) as index:
        with pytest.raises(errors.DimensionMismatch):
            index.eval({"q": wrong}, {"q": {"p0": 1}})
        with pytest.raises(errors.DimensionMismatch):
            index.tune([wrong])
        queries = list(unit_rows(500).reshape(100, 5, 64)[:20])
        assert index.tune(queries, k=np.int64(1))["best"] and index.info()["search"][0]["k"] == 1


def test_arrays_in_unusual_memory_are_read_as_they_are(rows_path):
    rows = unit_rows(500)
    unaligned = np.frombuffer(b"x" + rows.tobytes(), np.uint8)[1:].view(np.float32).reshape(rows.shape)
    frozen = rows[:5].copy()
    frozen.flags.writeable = False
    with Index.open(rows_path) as index:
        for query in (unaligned[:5], frozen, rows[:10:2][:5], np.asfortranarray(rows[:5])):
            assert index.search(query, k=1).scores == pytest.approx(index.search(query.copy(), k=1).scores)
        assert index.search(unaligned[:5], k=1).ids == ["p0"]
        assert [found["id"] for found in index.get(np.array(["p3", "p4"]))] == ["p3", "p4"]
        assert index.search(rows[:5], ids=np.array(["p7"])).ids == ["p7"]
        with pytest.raises(errors.WrongType, match="masked"):
            index.search(np.ma.array(rows[:5]))
    assert maxsim(rows[:5], unaligned, lens=[500]) == pytest.approx(maxsim(rows[:5], [rows]))
    with pytest.raises(errors.WrongType, match="one text"):
        rerank("a query", "one document")
    with pytest.raises(errors.WrongType, match="one query"):
        rerank(["a", "b"], ["one document"])


NAN = np.full((2, 64), np.nan, np.float32)


@pytest.mark.parametrize(
    ("query", "error", "words"),
    [
        (np.zeros((2, 64)), errors.WrongType, "float64.*astype"),
        (np.zeros((2, 64), int), errors.WrongType, "int64"),
        (np.zeros((2, 64), object), errors.WrongType, "object"),
        (np.zeros((2, 32), np.float32), errors.DimensionMismatch, "dim 32.*dim 64"),
        (np.zeros((2, 128), np.float32), errors.DimensionMismatch, "dim 128.*dim 64"),
        (np.zeros(64, np.float32), errors.InvalidInput, r"\(Q, D\)"),
        (np.zeros((1, 1, 2, 64), np.float32), errors.InvalidInput, r"\(Q, D\)"),
        (NAN, errors.InvalidInput, "not finite"),
        ([[0.0] * 64], errors.WrongType, "list"),
        ([np.zeros((2, 64), np.float32), "a text"], errors.WrongType, "str"),
        (["a text", np.zeros((2, 64), np.float32)], errors.WrongType, "ndarray, not a str"),
        ({"a": 1}, errors.WrongType, "dict"),
        (b"bytes", errors.WrongType, "bytes"),
        (5, errors.WrongType, "int"),
        ("\udcff", errors.InvalidInput, "surrogates"),
    ],
)
def test_a_query_with_a_fault_says_which(rows_path, query, error, words):
    with Index.open(rows_path) as index, pytest.raises(error, match=words) as caught:
        index.search(query)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({}, errors.InvalidInput, "documents or embeddings"),
        ({"embeddings": unit_rows(4)}, errors.InvalidInput, "lens"),
        ({"embeddings": unit_rows(4), "lens": [1, 2]}, errors.InvalidInput, "adds up to 3.*4 rows"),
        ({"embeddings": unit_rows(4), "lens": [5, -1]}, errors.InvalidInput, "negative"),
        ({"embeddings": unit_rows(4), "lens": [[4]]}, errors.InvalidInput, r"\(P,\)"),
        ({"embeddings": unit_rows(4), "lens": [1.5, 2.5]}, errors.InvalidInput, "integers"),
        ({"embeddings": [unit_rows(2), unit_rows(2, 32)]}, errors.InvalidInput, "passage 1.*32.*64"),
        ({"embeddings": [unit_rows(2), unit_rows(2).astype(float)]}, errors.WrongType, "passage 1.*float64"),
        ({"embeddings": [unit_rows(2), [1, 2]]}, errors.WrongType, "passage 1.*list"),
        ({"embeddings": [unit_rows(2), NAN]}, errors.InvalidInput, '"1".*NaN'),
        ({"embeddings": NAN, "lens": [2]}, errors.InvalidInput, "nan|NaN"),
        ({"embeddings": []}, errors.InvalidInput, "no document"),
        ({"embeddings": unit_rows(2, 60), "lens": [2]}, errors.InvalidInput, "multiple of 8"),
        ({"embeddings": [unit_rows(2)] * 3, "ids": ["a"]}, errors.InvalidInput, "ids has 1"),
        ({"embeddings": [unit_rows(2)], "ids": ["a", "b"]}, errors.InvalidInput, "ids has more than 1"),
        ({"embeddings": [unit_rows(2)] * 2, "ids": ["a", "a"]}, errors.IdExists, "twice"),
        ({"embeddings": [unit_rows(2)], "ids": "abc"}, errors.WrongType, "ids is a str"),
        ({"embeddings": [unit_rows(2)], "texts": "abc"}, errors.WrongType, "texts is a str"),
        ({"embeddings": [unit_rows(2)] * 2, "texts": ["a"]}, errors.InvalidInput, "texts has 1"),
        ({"embeddings": unit_rows(2), "lens": [2], "texts": ["a", "b"]}, errors.InvalidInput, "texts has more than 1"),
        ({"embeddings": [unit_rows(2)], "texts": [5]}, errors.WrongType, 'text of document "0" is a int'),
        ({"documents": ["a"], "texts": ["a"]}, errors.InvalidInput, "have their own"),
        ({"embeddings": [unit_rows(2)], "ids": [1.5]}, errors.WrongType, "float"),
        ({"embeddings": [unit_rows(2)], "metadata": [5]}, errors.WrongType, "metadata of"),
        ({"embeddings": [unit_rows(2)], "lens": [2]}, errors.InvalidInput, "iterable"),
        ({"embeddings": 5}, errors.WrongType, "embeddings is a int"),
        ({"documents": 5}, errors.WrongType, "documents is a int"),
        ({"documents": [5]}, errors.WrongType, "document 0 is a int"),
        ({"documents": {"id": "a", "text": "b"}}, errors.WrongType, "documents is a dict"),
        ({"documents": b"ab"}, errors.WrongType, "documents is a bytes"),
        ({"documents": ["a"], "split_words": 5}, errors.InvalidInput, "go with a folder"),
        ({"documents": ["a"], "model": Encoder(), "query_maxlen": 7}, errors.InvalidInput, "query_maxlen goes"),
        ({"documents": "/tmp", "include": 5}, errors.WrongType, "include"),
        ({"documents": [{"id": "a"}]}, errors.InvalidInput, 'no "text"'),
        ({"documents": [("a", 5)]}, errors.WrongType, 'text of document "a"'),
        ({"documents": [{"text": "t", "x": {1: 2}}]}, errors.InvalidInput, "key 1"),
        ({"documents": [{"text": "t", "x": float("nan")}]}, errors.InvalidInput, "nan"),
        ({"documents": [{"text": "t", "x": 1 << 70}]}, errors.InvalidInput, "64 bits"),
        ({"documents": [{"text": "t", "x": {1, 2}}]}, errors.InvalidInput, "set"),
        ({"documents": [("", "no id")]}, errors.InvalidInput, "id"),
        ({"documents": []}, errors.InvalidInput, "no document"),
        ({"documents": "/nowhere/at/all"}, errors.NotFound, "/nowhere/at/all"),
        ({"documents": ["a"], "nbits": 3}, errors.InvalidInput, "nbits"),
        ({"documents": ["a"], "nbits": "2"}, errors.WrongType, "nbits is a str"),
        ({"documents": ["a"], "nbits": -1}, errors.InvalidInput, "nbits"),
        ({"documents": ["a"], "query_maxlen": 1.5}, errors.WrongType, "query_maxlen"),
        ({"documents": ["a"], "codec": "x"}, errors.InvalidInput, "codec"),
        ({"documents": ["a"], "precision": "x"}, errors.InvalidInput, "precision"),
        ({"documents": ["a"], "language": "klingon"}, errors.InvalidInput, "klingon"),
        ({"documents": ["a"], "device": "tpu"}, errors.InvalidInput, "tpu"),
        ({"documents": ["a"], "memory": 1000}, errors.InvalidInput, "memory"),
        ({"documents": ["a"], "model": "/nowhere/at/all"}, errors.ModelError, "/nowhere"),
        ({"documents": ["a"], "ids": ["a"]}, errors.InvalidInput, "have their own"),
    ],
)
def test_a_build_with_a_fault_says_which_and_leaves_nothing(tmp_path, given, error, words):
    with pytest.raises(error, match=words) as caught:
        Index.create(tmp_path / "index", **given)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "index").exists()
