"""ColBERTv2 late-interaction retrieval: index, search, rerank and explain.

    >>> from selvedge_search import Index
    >>> index = Index.create("notes.index", ["the first note", "another one"])
    >>> index.search("which note is first", k=1)[0].id
    '0'

The distribution is called ``selvedge-search``, this module ``selvedge_search``: ``selvedge`` on PyPI is another
project. ``pip install selvedge-search`` also gives the program ``selvedge``.
"""

from __future__ import annotations

import atexit
import os

from . import errors
from ._selvedge import __version__, after_fork, set_threads, stop_all
from .encoder import Encoder
from .errors import (
    Cancelled,
    CorruptIndex,
    DeviceError,
    DimensionMismatch,
    IdExists,
    IndexClosed,
    IndexExists,
    IndexLocked,
    IndexNotFound,
    InvalidInput,
    ModelError,
    NotFollowed,
    NotFound,
    ReadError,
    SelvedgeError,
    UnknownIds,
    WrongType,
)
from .index import Index, Snapshot
from .rerank import Reranked, maxsim, rerank
from .results import Batch, Explanation, Hit, Match, MatchedWord, Results, Snippet, Token

# Threads that are at work when the interpreter ends come back before it is gone.
atexit.register(stop_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=after_fork)

__all__ = [
    "Batch",
    "Cancelled",
    "CorruptIndex",
    "DeviceError",
    "DimensionMismatch",
    "Encoder",
    "Explanation",
    "Hit",
    "IdExists",
    "Index",
    "IndexClosed",
    "IndexExists",
    "IndexLocked",
    "IndexNotFound",
    "InvalidInput",
    "Match",
    "MatchedWord",
    "ModelError",
    "NotFollowed",
    "NotFound",
    "ReadError",
    "Reranked",
    "Results",
    "SelvedgeError",
    "Snapshot",
    "Snippet",
    "Token",
    "UnknownIds",
    "WrongType",
    "__version__",
    "errors",
    "maxsim",
    "rerank",
    "set_threads",
]
