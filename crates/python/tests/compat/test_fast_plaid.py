"""`selvedge_search.compat.fast_plaid`: the class, its numbers of documents, and signatures of the library itself."""

from __future__ import annotations

import inspect
import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from selvedge_search import Index
from selvedge_search.compat.fast_plaid import filtering, search

DIM = 64


def documents(num: int, seed: int = 0) -> list[np.ndarray]:
    """Random embeddings of unit length, 8 to 15 for each document."""
    rng = np.random.default_rng(seed)
    made = [rng.standard_normal((8 + number % 8, DIM), dtype=np.float32) for number in range(num)]
    return [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in made]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "index")


@pytest.fixture
def index(path: str) -> search.FastPlaid:
    made = search.FastPlaid(path)
    assert made.create(documents(20)) is made
    return made


def best(index: search.FastPlaid, queries: list[np.ndarray]) -> list[int]:
    return [found[0][0] for found in index.search(queries, top_k=3)]


def test_documents_have_consecutive_numbers(index: search.FastPlaid) -> None:
    docs = documents(20)
    results = index.search(docs[:4], top_k=30)
    assert [found[0][0] for found in results] == [0, 1, 2, 3]
    assert all(sorted(number for number, _ in found) == list(range(20)) for found in results)
    number, score = results[0][0]
    assert type(number) is int and type(score) is float
    assert all(a[1] >= b[1] for found in results for a, b in itertools.pairwise(found))


def test_numbers_close_up_after_a_deletion(index: search.FastPlaid) -> None:
    docs = documents(20)
    assert index.delete([1, 3, 99, -1]) is index
    assert best(index, [docs[0], docs[2], docs[4], docs[19]]) == [0, 1, 2, 17]
    index.update(documents(2, seed=5))
    assert best(index, documents(2, seed=5)) == [18, 19]
    index.delete([19])
    index.delete(0)
    assert best(index, [docs[2], documents(2, seed=5)[0]]) == [0, 17]
    index.delete([])
    index.update(documents(1, seed=6))
    assert best(index, documents(1, seed=6)) == [18]
    assert all(number < 19 for number, _ in index.search(docs[:1], top_k=50)[0])


def test_an_index_is_read_again(index: search.FastPlaid, path: str) -> None:
    docs = documents(20)
    other = search.FastPlaid(path)
    index.delete([0])
    assert best(other, docs[1:3]) == [0, 1]
    other.update(documents(1, seed=5))
    assert best(index, documents(1, seed=5)) == [19]
    assert len(Index.open(path)) == 20


def test_create_replaces(index: search.FastPlaid, path: str) -> None:
    other = search.FastPlaid(path)
    assert best(other, documents(1)) == [0]
    index.create(documents(3, seed=5), nbits=2)
    assert len(index.search(documents(1), top_k=50)[0]) == 3
    assert len(other.search(documents(1), top_k=50)[0]) == 3


def test_update_without_an_index_creates_it(path: str) -> None:
    index = search.FastPlaid(path)
    index.update(documents(5), metadata=[{"n": number} for number in range(5)])
    assert best(index, documents(5)[2:3]) == [2]
    assert filtering.where(path, "n > 2") == [3, 4]


def test_subsets(index: search.FastPlaid) -> None:
    docs = documents(20)
    numbers = [{number for number, _ in found} for found in index.search(docs[:2], top_k=9, subset=[4, 6, 99])]
    assert numbers == [{4, 6}, {4, 6}]
    numbers = [{number for number, _ in found} for found in index.search(docs[:2], top_k=9, subset=[[4], [5, 7]])]
    assert numbers == [{4}, {5, 7}]
    assert [len(found) for found in index.search(docs[:2], top_k=9, subset=[[4], []])] == [1, 0]
    assert [found[0][0] for found in index.search(docs[:2], subset=3)] == [3, 3]
    assert [len(found) for found in index.search(docs[:2], top_k=50, subset=[])] == [20, 20]
    index.delete([0])
    assert {number for number, _ in index.search(docs[:1], top_k=9, subset=[0, 1])[0]} == {0, 1}
    with pytest.raises(ValueError, match="3 lists for 2 queries"):
        index.search(docs[:2], subset=[[0], [1], [2]])


def test_forms_of_embeddings(index: search.FastPlaid, path: str) -> None:
    docs = documents(20)
    assert index.search(docs[3])[0][0][0] == 3
    assert index.search(docs[3][None]) == index.search(docs[3]) == index.search([docs[3][None]])
    assert index.search([]) == []
    array = np.stack([rows[:8] for rows in docs])
    assert best(search.FastPlaid(path).create(array), list(array[:5])) == [0, 1, 2, 3, 4]


def test_token_scores(index: search.FastPlaid) -> None:
    queries = [rows[:8] for rows in documents(20)[:3]]
    plain = index.search(queries, top_k=4)
    for want, have in zip(plain, index.search_token_scores(queries, top_k=4)):
        assert [(number, score) for number, score, _ in have] == want
        for number, score, similarities in have:
            similarities = np.asarray(similarities)
            assert similarities.shape == (8, 8 + number % 8) and similarities.dtype == np.float32
            assert similarities.max(1).sum() == pytest.approx(score, abs=1e-4)
    assert index.search_token_scores(queries[:1], subset=[[]]) == [[]]


def test_embeddings(index: search.FastPlaid) -> None:
    docs = documents(20)
    index.delete([0])
    found = [np.asarray(rows) for rows in index.get_embeddings([4, 0, 4])]
    assert [rows.shape for rows in found] == [(13, DIM), (9, DIM), (13, DIM)]
    assert (found[0] * docs[5]).sum(1).min() > 0.9
    assert index.get_embeddings([]) == []
    with pytest.raises(IndexError, match="document 19 of an index of 19"):
        index.get_embeddings([19])


def test_tensors_come_back_where_torch_is_used(index: search.FastPlaid) -> None:
    torch = pytest.importorskip("torch")
    tensors = [torch.from_numpy(rows) for rows in documents(20)]
    assert index.search(torch.stack([rows[:8] for rows in tensors[:2]]))[1][0][0] == 1
    assert isinstance(index.get_embeddings([0])[0], torch.Tensor)
    assert isinstance(index.search_token_scores(tensors[:1])[0][0][2], torch.Tensor)
    assert index.search_token_scores([tensors[0].to(torch.bfloat16)])[0][0][0] == 0


def test_frozen_indexes_do_not_change(index: search.FastPlaid, path: str) -> None:
    assert index.freeze() is index
    for frozen in (index, search.FastPlaid(path)):
        assert best(frozen, documents(1)) == [0]
        with pytest.raises(RuntimeError, match="Cannot update a frozen index"):
            frozen.update(documents(1))
        with pytest.raises(RuntimeError, match="Cannot delete from a frozen index"):
            frozen.delete([0])
    assert Index.open(path).verify()
    assert search.FastPlaid(path).unfreeze().delete([0]) is not None
    index.unfreeze().freeze()
    index.create(documents(3)).update(documents(1))
    assert len(index.search(documents(1), top_k=9)[0]) == 4


def test_a_closed_index_opens_again(path: str) -> None:
    with search.FastPlaid(path) as index:
        index.create(documents(3))
    index.close()
    assert best(index, documents(3)) == [0, 1, 2]


def test_without_an_index(path: str) -> None:
    index = search.FastPlaid(path)
    for use in (
        lambda: index.search(documents(1)),
        lambda: index.search_token_scores(documents(1)),
        lambda: index.delete([0]),
        lambda: index.get_embeddings([0]),
        index.freeze,
        index.unfreeze,
        lambda: filtering.where(path, "n > 2"),
        lambda: filtering.get(path),
    ):
        with pytest.raises(FileNotFoundError):
            use()
    index.close()


def test_mistakes(index: search.FastPlaid, path: str, tmp_path: Path) -> None:
    for parameters in (
        {"index_gpu_memory": "huge"},
        {"index_memory_fraction": 0},
        {"search_memory_fraction": 1.5},
        {"device": "mps"},
    ):
        with pytest.raises(ValueError, match="expected"):
            search.FastPlaid(path, **parameters)
    with pytest.warns(DeprecationWarning, match="low_memory"):
        search.FastPlaid(path, low_memory=True)
    with pytest.warns(DeprecationWarning, match="low_memory"):
        search.FastPlaid(path, None, True)
    for parameters in ({"top_k": 0}, {"batch_size": 0}, {"n_ivf_probe": 0}, {"n_full_scores": 0}, {"n_processes": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(parameters))} is 0"):
            index.search(documents(1), **parameters)
    for parameters, reason in (
        ({"nbits": 3}, "nbits is 3"),
        ({"kmeans_niters": 0}, "kmeans_niters is 0"),
        ({"metadata": [{"a": 1}]}, "length of metadata"),
        ({"metadata": [{"a b": 1}] * 20}, "'a b'"),
    ):
        with pytest.raises(ValueError, match=reason):
            index.create(documents(20), **parameters)
    assert len(index.search(documents(1), top_k=50)[0]) == 20
    with pytest.raises(ValueError, match="128"):
        index.update([np.ones((3, 2 * DIM), dtype=np.float32)])
    other = Index.create(tmp_path / "other", embeddings=documents(2), ids=["a", "b"])
    other.close()
    with pytest.raises(ValueError, match="'a'"):
        search.FastPlaid(str(tmp_path / "other")).search(documents(1))


def test_nothing_of_torch_is_imported() -> None:
    code = (
        "import sys; from selvedge_search.compat.fast_plaid import filtering, search; "
        "from selvedge_search.compat.pylate import indexes; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'pylate', 'fast_plaid')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_signatures() -> None:
    pytest.importorskip("fast_plaid")
    from fast_plaid import filtering as their_filtering
    from fast_plaid.search import FastPlaid as Theirs

    pairs = [(getattr(their_filtering, name), getattr(filtering, name)) for name in filtering.__all__]
    pairs += [
        (getattr(Theirs, name), getattr(search.FastPlaid, name))
        for name in ("create", "update", "delete", "search", "search_token_scores", "get_embeddings", "close")
    ]
    for theirs, ours in pairs:
        want = [name for name in inspect.signature(theirs).parameters if not name.startswith("_")]
        assert list(inspect.signature(ours).parameters) == want, theirs
