"""`selvedge_search.compat.pylate` with arrays, and with PyLate's own classes where PyLate is installed."""

from __future__ import annotations

import inspect
import os
from pathlib import Path

import numpy as np
import pytest

from selvedge_search import Index
from selvedge_search.compat import pylate as compat
from selvedge_search.compat.pylate import indexes

REPOSITORY = Path(__file__).parents[4]
DIM = 64


def documents(num: int, seed: int = 0, dim: int = DIM) -> list[np.ndarray]:
    """Random embeddings of unit length, 8 to 15 for each document."""
    rng = np.random.default_rng(seed)
    made = [rng.standard_normal((8 + number % 8, dim), dtype=np.float32) for number in range(num)]
    return [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in made]


@pytest.fixture
def index(tmp_path: Path) -> indexes.PLAID:
    embeddings = documents(30)
    made = indexes.PLAID(index_folder=str(tmp_path), index_name="colbert")
    assert made.add_documents([f"d{number}" for number in range(30)], embeddings) is made
    return made


def ids(results: list[list[dict]]) -> list[list[str]]:
    return [[result["id"] for result in query] for query in results]


def test_a_document_is_the_best_result_for_its_own_embeddings(index: indexes.PLAID) -> None:
    results = index(documents(30)[3:6], k=5)
    assert [query[0]["id"] for query in results] == ["d3", "d4", "d5"]
    assert all(len(query) == 5 for query in results)
    assert all(list(result) == ["id", "score"] and type(result["score"]) is float for result in results[0])
    scores = [result["score"] for result in results[0]]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == pytest.approx(len(documents(30)[3]), rel=0.05)


def test_forms_of_embeddings(index: indexes.PLAID, tmp_path: Path) -> None:
    docs = documents(30)
    single = index(docs[7])
    assert len(single) == 1 and single[0][0]["id"] == "d7"
    assert index(docs[7][None]) == single
    assert index([docs[7][None]]) == single
    assert index(np.stack([docs[0][:8], docs[8][:8]])) == index([docs[0][:8], docs[8][:8]])
    assert index([]) == []
    assert index(docs[7].astype(np.float16))[0][0]["id"] == "d7"
    assert index(docs[7].astype(np.float64)) == single

    padded = np.zeros((3, 15, DIM), dtype=np.float32)
    for number, rows in enumerate(docs[:3]):
        padded[number, : len(rows)] = rows
    other = indexes.PLAID(str(tmp_path), "padded").add_documents(["a", "b", "c"], padded)
    assert [len(rows) for rows in other.get_documents_embeddings([["a", "b", "c"]])[0]] == [8, 9, 10]
    other.add_documents("d", docs[3])
    assert other(docs[3])[0][0]["id"] == "d"


def test_k_above_the_number_of_documents_gives_all(index: indexes.PLAID) -> None:
    assert sorted(ids(index(documents(1), k=100))[0]) == sorted(f"d{number}" for number in range(30))
    with pytest.raises(ValueError, match="k is 0"):
        index(documents(1), k=0)


def test_subsets(index: indexes.PLAID) -> None:
    docs = documents(30)
    queries = docs[:2]
    assert set(ids(index(queries, subset=["d5", "d9", "unknown"]))[1]) == {"d5", "d9"}
    assert [set(found) for found in ids(index(queries, subset=[["d5"], ["d6", "d7"]]))] == [{"d5"}, {"d6", "d7"}]
    assert ids(index(queries, subset=[])) == [[], []]
    assert [set(found) for found in ids(index(queries, subset=[["d5"], []]))] == [{"d5"}, set()]
    assert ids(index(queries, subset=["unknown"])) == [[], []]
    with pytest.raises(ValueError, match="1 lists for 2 queries"):
        index(queries, subset=[["d5"]])


def test_removed_documents_are_not_found(index: indexes.PLAID) -> None:
    docs = documents(30)
    assert index.remove_documents(["d3", "unknown"]) is index
    assert "d3" not in ids(index(docs[3], k=30))[0]
    index.remove_documents("d4")
    assert len(index(docs[3], k=30)[0]) == 28
    index.remove_documents([])
    index.add_documents(["d3"], docs[3])
    assert index(docs[3])[0][0]["id"] == "d3"


def test_all_documents_can_be_removed(index: indexes.PLAID) -> None:
    index.remove_documents([f"d{number}" for number in range(30)])
    assert index(documents(1)) == [[]]
    index.add_documents(["new"], documents(1))
    assert ids(index(documents(1))) == [["new"]]


def test_documents_are_replaced(index: indexes.PLAID) -> None:
    new = documents(2, seed=9)
    assert index.update_documents(["d3", "e"], new) is index
    assert [query[0]["id"] for query in index(new)] == ["d3", "e"]
    assert len(index(new, k=100)[0]) == 31
    index.add_documents(["e"], [new[0][:4]])
    assert index.get_documents_embeddings([["e"]])[0][0].shape == (4, DIM)


def test_integers_come_back_as_integers(tmp_path: Path) -> None:
    docs = documents(10)
    index = indexes.PLAID(str(tmp_path)).add_documents(range(8), docs[:8])
    index.add_documents(np.arange(8, 9), docs[8:9])
    assert index(docs[3])[0][0]["id"] == 3 and index(docs[8])[0][0]["id"] == 8
    assert set(ids(index(docs[3], subset=[3, np.int64(4)]))[0]) == {3, 4}
    assert len(index.get_documents_embeddings([[3]])[0]) == 1
    index.add_documents(["nine"], docs[9:])
    assert indexes.PLAID(str(tmp_path))(docs[8:])[0][0]["id"] == 8
    assert index(docs[9])[0][0]["id"] == "nine"
    assert len(index.remove_documents([3, 4])(docs[3], k=20)[0]) == 8


def test_embeddings_come_back_by_id(index: indexes.PLAID) -> None:
    found = index.get_documents_embeddings([["d1", "d2"], ["d1"], []])
    assert [len(query) for query in found] == [2, 1, 0]
    assert found[0][0].shape == (9, DIM) and found[0][0].dtype == np.float32
    assert np.array_equal(found[0][0], found[1][0])
    cosines = (found[0][0] * documents(30)[1]).sum(1)
    assert cosines.min() > 0.9
    with pytest.raises(KeyError, match="unknown"):
        index.get_documents_embeddings([["unknown"]])


def test_an_index_stays(index: indexes.PLAID, tmp_path: Path) -> None:
    docs = documents(30)
    again = indexes.PLAID(str(tmp_path), "colbert")
    assert again(docs[3]) == index(docs[3])
    again.remove_documents(["d3"])
    assert "d3" not in ids(index(docs[3], k=30))[0]
    assert len(Index.open(tmp_path / "colbert")) == 29
    assert len(index.index) == 29


def test_override(index: indexes.PLAID, tmp_path: Path) -> None:
    new = indexes.PLAID(str(tmp_path), "colbert", override=True)
    with pytest.raises(ValueError, match="empty"):
        new(documents(1))
    new.add_documents(["only"], documents(1))
    new.add_documents(["second"], documents(1, seed=4))
    assert sorted(ids(new(documents(1)))[0]) == ["only", "second"]
    assert index(documents(1)) == new(documents(1))


def test_an_index_of_pylate_is_replaced_on_request_only(tmp_path: Path) -> None:
    (tmp_path / "colbert" / "fast_plaid_index").mkdir(parents=True)
    with pytest.raises(ValueError, match="PyLate wrote"):
        indexes.PLAID(str(tmp_path))
    indexes.PLAID(str(tmp_path), override=True).add_documents(["a"], documents(1))
    assert ids(indexes.PLAID(str(tmp_path))(documents(1))) == [["a"]]


def test_without_documents(tmp_path: Path) -> None:
    empty = indexes.PLAID(str(tmp_path))
    for use in (empty, empty.remove_documents, empty.get_documents_embeddings):
        with pytest.raises(ValueError, match="empty"):
            use([])
    assert empty.add_documents([], []) is empty


def test_mistakes(index: indexes.PLAID, tmp_path: Path) -> None:
    docs = documents(30)
    with pytest.raises(ValueError, match="2 ids were given with the embeddings of 1"):
        index.add_documents(["x", "y"], docs[:1])
    with pytest.raises(ValueError, match="'x' is given twice"):
        index.add_documents(["x", "x"], docs[:2])
    with pytest.raises(TypeError, match=r"1\.5"):
        index.add_documents([1.5], docs[:1])
    with pytest.raises(ValueError, match="NaN"):
        index.add_documents(["x"], [np.full((4, DIM), np.nan, dtype=np.float32)])
    with pytest.raises(ValueError, match="128"):
        index.add_documents(["x"], [np.ones((4, DIM * 2), dtype=np.float32)])
    with pytest.raises(ValueError, match="128"):
        index(np.ones((4, DIM * 2), dtype=np.float32))
    assert len(index(docs[0], k=100)[0]) == 30


def test_parameters(tmp_path: Path) -> None:
    def plaid(**parameters: object) -> indexes.PLAID:
        return indexes.PLAID(str(tmp_path), **parameters)

    for bad, value in (
        ("nbits", 3),
        ("nbits", 16),
        ("n_ivf_probe", 0),
        ("n_full_scores", -1),
        ("kmeans_niters", 0),
        ("batch_size", 0),
        ("num_threads", 0),
        ("device", "mps"),
        ("device", "cuda:first"),
        ("device", []),
    ):
        with pytest.raises(ValueError, match=bad.split("_")[0]):
            plaid(**{bad: value})
    with pytest.raises(TypeError):
        plaid(nbits="2")
    with pytest.warns(FutureWarning, match="ncells, ndocs"):
        plaid(ndocs=100, ncells=4)
    with pytest.warns(UserWarning, match="one device"):
        plaid(device=["cpu", "cuda:1"])
    docs = documents(30)
    for nbits in (1, 2, 4, 8):
        index = plaid(index_name=f"of-{nbits}", nbits=nbits, n_ivf_probe=4, n_full_scores=100, use_fast=False)
        index.add_documents([str(number) for number in range(30)], docs)
        assert index(docs[3])[0][0]["id"] == "3"


def test_names() -> None:
    assert compat.PLAID is indexes.PLAID and compat.indexes is indexes
    assert indexes.PLAID.is_end_to_end_index is True


def test_tensors(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    docs = documents(12)
    tensors = [torch.from_numpy(rows) for rows in docs]
    index = indexes.PLAID(str(tmp_path)).add_documents([str(number) for number in range(12)], tensors)
    assert index(tensors[3])[0][0]["id"] == "3"
    assert index(torch.stack([rows[:8] for rows in tensors[:2]])) == index([rows[:8] for rows in docs[:2]])
    assert index(tensors[3].half())[0][0]["id"] == "3"
    assert index(tensors[3].to(torch.bfloat16))[0][0]["id"] == "3"
    padded = torch.nn.utils.rnn.pad_sequence(tensors[:3], batch_first=True)
    index.add_documents(["a", "b", "c"], padded)
    assert [len(rows) for rows in index.get_documents_embeddings([["a", "b", "c"]])[0]] == [8, 9, 10]


TEXTS = {
    "apples": "apples and their nutritional benefits",
    "bananas": "bananas and their vitamins",
    "cherries": "cherries and antioxidants",
    "dates": "dates and natural sugars",
    "paris": "the capital of France is Paris",
}


@pytest.fixture(scope="module")
def model() -> object:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    models = pytest.importorskip("pylate.models")
    return models.ColBERT(str(REPOSITORY / "tests/golden/pylate_bert"), device="cpu")


class TestWithPyLate:
    """PyLate's own model, retriever and reranker, on a model of 16 dimensions."""

    def test_a_program(self, model: object, tmp_path: Path) -> None:
        from pylate import rank, retrieve

        index = indexes.PLAID(index_folder=str(tmp_path), index_name="colbert", override=True)
        texts = list(TEXTS.values())
        index.add_documents(documents_ids=list(TEXTS), documents_embeddings=model.encode(texts, is_query=False))
        queries = model.encode(["apples and benefits", "the capital Paris"], is_query=True)

        results = retrieve.ColBERT(index=index).retrieve(queries_embeddings=queries, k=3)
        assert [len(found) for found in results] == [3, 3]
        assert results[0][0]["id"] == "apples" and results[1][0]["id"] == "paris"

        candidates = [[result["id"] for result in found] for found in results]
        decoded = rank.rerank(
            documents_ids=candidates,
            queries_embeddings=queries,
            documents_embeddings=index.get_documents_embeddings(candidates),
        )
        for found, reranked in zip(results, decoded):
            scores = {result["id"]: result["score"] for result in reranked}
            for result in found:
                assert result["score"] == pytest.approx(scores[result["id"]], abs=0.05)

        index.remove_documents(["apples"])
        again = retrieve.ColBERT(index=index).retrieve(queries, k=5, subset=["apples", "bananas", "dates"])
        assert [{result["id"] for result in found} for found in again] == [{"bananas", "dates"}] * 2

    def test_a_single_query_and_tensors(self, model: object, tmp_path: Path) -> None:
        from pylate import retrieve

        index = indexes.PLAID(str(tmp_path))
        embeddings = model.encode(list(TEXTS.values()), is_query=False, convert_to_tensor=True)
        index.add_documents(range(5), embeddings)
        retriever = retrieve.ColBERT(index=index)
        single = retriever.retrieve(model.encode("apples and benefits", is_query=True), k=2)
        assert len(single) == 1 and single[0][0]["id"] == 0
        query = model.encode(["apples and benefits"], is_query=True, convert_to_tensor=True)
        assert [result["id"] for result in retriever.retrieve(query, k=2)[0]] == [result["id"] for result in single[0]]

    def test_signatures(self) -> None:
        theirs = pytest.importorskip("pylate.indexes").PLAID
        for name in (
            "__init__",
            "__call__",
            "add_documents",
            "remove_documents",
            "update_documents",
            "get_documents_embeddings",
        ):
            want = inspect.signature(getattr(theirs, name)).parameters
            have = inspect.signature(getattr(indexes.PLAID, name)).parameters
            assert list(have) == list(want), name
            assert {key: value.default for key, value in have.items()} == {
                key: value.default for key, value in want.items()
            }, name

    def test_results_are_those_of_plaid(self, tmp_path: Path) -> None:
        plaid = pytest.importorskip("pylate.indexes").PLAID
        theirs = plaid(str(tmp_path / "theirs"), device="cpu", show_progress=False)
        ours = indexes.PLAID(str(tmp_path / "ours"))
        docs = documents(60, dim=128)
        names = [f"d{number}" for number in range(60)]
        queries = [rows[:8] for rows in docs[:20]]
        for index in (theirs, ours):
            index.add_documents(names, docs)
            index.remove_documents(["d1", "d30"])
            index.update_documents(["d2", "d30"], [docs[1], docs[30]])
        for number, (want, have) in enumerate(zip(theirs(queries, k=60), ours(queries, k=60))):
            assert {result["id"] for result in have} == {f"d{other}" for other in range(60)} - {"d1"}
            # The document of query 2 was replaced, so that its best results are near each other.
            assert number == 2 or have[0]["id"] == want[0]["id"]
            scores = {result["id"]: result["score"] for result in have}
            for result in want[:5]:
                assert scores[result["id"]] == pytest.approx(result["score"], abs=0.25)
