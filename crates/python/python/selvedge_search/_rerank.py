"""Scores of documents without an index."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from . import _selvedge
from ._arguments import checked, count
from .encoder import Encoder
from .errors import InvalidInput, WrongType
from .results import Hit

if TYPE_CHECKING:
    import numpy as np

#: Number of names whose encoders stay in memory.
ENCODERS = 2


@dataclass(frozen=True, eq=False)
class Reranked:
    """A document with its place in the list that was given, its score, and its id if ids were given."""

    index: int
    score: float
    document: Any
    id: str | None = None


@checked
def maxsim(query: Any, documents: Any, *, lens: Any = None, mask: Any = None) -> np.ndarray:
    """Return the exact MaxSim, in float32, of queries and documents that are given as embeddings.

    Args:
        query: An array (Q, D), or several: a list of them or an array (B, Q, D).
        documents: A list of arrays (T, D), an array (N, D) with ``lens``, or an array (P, T, D), with a ``mask`` (P, T)
            if it is padded.
        lens: Number of rows of each document.
        mask: Rows that count.

    Returns:
        Scores (P,) of one query, (B, P) of several. A document without rows scores minus infinity.

    Raises:
        InvalidInput: A shape does not fit, or a component is not finite.
        WrongType: An array is neither float32 nor float16.
    """
    import numpy as np

    from . import _arrays

    is_one = getattr(query, "ndim", 0) == 2
    queries, query_lens = _arrays.ragged([query] if is_one else query)
    rows, row_lens = _arrays.ragged(documents, lens, mask)
    if len(row_lens) == 0 or len(query_lens) == 0:
        scores = np.zeros((len(query_lens), len(row_lens)), np.float32)
    else:
        scores = _selvedge.maxsim(queries, query_lens, rows, row_lens)
    return scores[0] if is_one else scores


@checked
def rerank(
    query: Any,
    documents: Iterable[Any],
    *,
    model: str | os.PathLike[str] | Encoder = "shipped",
    k: int | None = None,
    ids: Sequence[Any] | None = None,
) -> list[Reranked]:
    """Order documents by their exact MaxSim with a query, best first.

    Args:
        query: A text, or embeddings (Q, D).
        documents: Texts, or hits of a search with their texts, if the query is a text, else arrays (T, D).
        model: The encoder of texts, or its name. Encoders of the last two names stay in memory.
        k: Most documents to return. Default: all.
        ids: Ids of the documents, which are returned with them.

    Raises:
        InvalidInput: ``ids`` has another length than ``documents``, or see :func:`maxsim`.
    """
    if isinstance(documents, (str, bytes)):
        raise WrongType("documents is one text; give a list of them")
    documents = list(documents)
    texts: list[Any] = [document.text if isinstance(document, Hit) else document for document in documents]
    ids = None if ids is None else list(ids)
    if ids is not None and len(ids) != len(documents):
        raise InvalidInput(f"ids has {len(ids)} entries for {len(documents)} documents")
    k = None if k is None else count("k", k)
    if isinstance(query, str):
        for number, text in enumerate(texts):
            if not isinstance(text, str):
                raise WrongType(f"document {number} is a {type(text).__name__}, not a str as the query is")
        encoder = _encoder_of(model)
        scores = maxsim(encoder.encode_queries(query), encoder.encode_passages(texts, progress=False))
    elif isinstance(query, (list, tuple)):
        raise WrongType("rerank takes one query: a text, or an array (Q, D)")
    else:
        scores = maxsim(query, documents)
    order = sorted(range(len(documents)), key=lambda at: (-scores[at], at))[:k]
    return [Reranked(at, float(scores[at]), documents[at], None if ids is None else str(ids[at])) for at in order]


def _encoder_of(model: str | os.PathLike[str] | Encoder) -> Encoder:
    return model if isinstance(model, Encoder) else _loaded(os.fspath(model))


@lru_cache(maxsize=ENCODERS)
def _loaded(model: str) -> Encoder:
    return Encoder(model)
