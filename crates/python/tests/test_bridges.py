"""Indexes of other programs, in and out."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from selvedge_search import CorruptIndex, Index, IndexExists, InvalidInput, describe_index, import_index

FIXTURES = Path(__file__).parents[2] / "bridges" / "tests" / "fixtures"


def query() -> np.ndarray:
    """Return the first query of the fixtures, (8, 32)."""
    return np.load(FIXTURES / "queries.npy").reshape(-1, 8, 32)[0]


def test_an_index_of_plaid_with_its_texts(tmp_path: Path) -> None:
    """Codes, texts, words and the name of the model come along."""
    texts = [f'{{"id": "p{n}", "text": "passage number {n}", "n": {n}}}\n' for n in range(60)]
    (tmp_path / "texts.jsonl").write_text("".join(texts))
    steps = []
    index = import_index(
        FIXTURES / "plaid-2",
        tmp_path / "i",
        collection=tmp_path / "texts.jsonl",
        language="english",
        progress=lambda *step: steps.append(step),
    )
    with index:
        assert (len(index), index.num_tokens, index.model) == (60, 772, "colbert-ir/colbertv2.0")
        expected = np.load(FIXTURES / "plaid-2" / "expected-scores.npy").reshape(-1, 60)[0]
        assert index.search(query(), k=1, exact=True)[0].id == f"p{expected.argmax()}"
        assert index.search("passage 7", k=1, rank_by="lexical")[0].id == "p7"
        assert steps[-1] == ("import", 60, 60, "passages")
    with pytest.raises(IndexExists):
        import_index(FIXTURES / "plaid-2", tmp_path / "i")
    with import_index(FIXTURES / "warp-2", tmp_path / "i", recode=True, nbits=4, overwrite=True) as index:
        assert (index.info()["codec"], index.info()["nbits"]) == ("selvedge", 4)


def test_what_is_exported_is_imported_again(tmp_path: Path) -> None:
    """The codes of an imported index stay as they are; a snapshot exports, too."""
    with import_index(FIXTURES / "fast-plaid-4", tmp_path / "i") as index:
        counts = index.export(tmp_path / "out", format="next-plaid")
        assert (counts["as_is"], counts["passages"], counts["format"]) == (True, 60, "next-plaid")
        with import_index(tmp_path / "out", tmp_path / "back") as back:
            hits, again = (one.search(query(), k=10, exact=True) for one in (index, back))
            assert hits.ids == again.ids
        with index.snapshot() as snapshot:
            assert snapshot.export(tmp_path / "plaid", format="plaid")["nbits"] == 4
        with pytest.raises(IndexExists):
            index.export(tmp_path / "out", format="plaid")
        for wrong in ({"format": "faiss"}, {"format": "plaid", "nbits": 3}):
            with pytest.raises(InvalidInput):
                index.export(tmp_path / "other", **wrong)
    assert not (tmp_path / "other").exists()


def test_what_is_wrong_is_said_and_nothing_is_left(tmp_path: Path) -> None:
    """Folders that are no index, damage, a collection that does not fit, options that contradict each other."""
    made = tmp_path / "i"
    plaid = FIXTURES / "plaid-2"
    (tmp_path / "texts.jsonl").write_text('{"id": "a", "text": "one"}\n')
    wrong = (
        ((tmp_path,), {}, "known are PLAID"),
        ((plaid,), {"collection": tmp_path / "texts.jsonl"}, "has 1 documents, expected 60"),
        ((plaid,), {"language": "english"}, "no texts to make words of"),
        ((plaid,), {"nbits": 2}, "recode=True"),
        ((plaid,), {"recode": True, "nbits": 3}, "3"),
    )
    for args, options, said in wrong:
        with pytest.raises(InvalidInput, match=said):
            import_index(*args, made, **options)
        assert not made.exists()
    spoiled = tmp_path / "spoiled"
    shutil.copytree(plaid, spoiled)
    (spoiled / "centroids.pt").write_bytes(b"PK")
    with pytest.raises(CorruptIndex) as raised:
        import_index(spoiled, made)
    assert raised.value.path == str(spoiled / "centroids.pt")
    assert not made.exists()


def test_parts_that_are_not_read_are_said(tmp_path: Path) -> None:
    """A database that is not read gives a warning, and stands in the description."""
    source = tmp_path / "source"
    shutil.copytree(FIXTURES / "xtr-warp-4", source)
    (source / "metadata.duckdb").write_bytes(b"")
    found = describe_index(source)
    assert (found["format"], found["deleted"], len(found["notes"])) == ("xtr-warp", 3, 1)
    with pytest.warns(UserWarning, match=r"metadata\.duckdb is not read"):
        import_index(source, tmp_path / "i").close()
    with Index.open(tmp_path / "i") as index:
        assert len(index) == 57
