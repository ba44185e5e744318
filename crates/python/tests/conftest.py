"""What several tests need."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import selvedge_search
from selvedge_search import Index

# Other interpreters import what these tests do.
os.environ["PYTHONPATH"] = str(Path(selvedge_search.__file__).parents[1])

TEXTS = [
    ("cats", "Cats sleep for most of the day and hunt at night.", {"legs": 4, "kind": "mammal"}),
    ("ants", "Ants live in colonies and carry leaves.", {"legs": 6, "kind": "insect"}),
    ("logs", "Old log files are rotated and compressed every week.", {"legs": 0, "kind": "file"}),
    ("bees", "Bees make honey and dance to show where flowers are.", {"legs": 6, "kind": "insect"}),
]


def unit_rows(rows: int, dim: int = 64, seed: int = 0) -> np.ndarray:
    """Return random rows of unit norm, (rows, dim) float32."""
    drawn = np.random.default_rng(seed).normal(size=(rows, dim)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


@pytest.fixture(scope="session")
def texts_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the path of an index of texts, which tests do not change."""
    path = str(tmp_path_factory.mktemp("texts") / "index")
    Index.create(path, TEXTS).close()
    return path


@pytest.fixture
def texts(texts_path: str):
    """Open the index of texts."""
    with Index.open(texts_path) as index:
        yield index


@pytest.fixture
def rows_path(tmp_path) -> str:
    """Return the path of an index of 100 passages of 5 embeddings, "p0" to "p99"."""
    path = str(tmp_path / "rows")
    ids = [f"p{number}" for number in range(100)]
    metadata = [{"n": number} for number in range(100)]
    Index.create(path, embeddings=unit_rows(500), lens=[5] * 100, ids=ids, metadata=metadata).close()
    return path
