"""Encoders: texts to embeddings, one per token."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, overload

from . import _progress, _selvedge
from ._arguments import check_text, checked
from .errors import WrongType
from .results import Token

if TYPE_CHECKING:
    import numpy as np


@checked
class Encoder:
    """A late-interaction model: a text becomes an array (T, D) of float32 with rows of unit norm.

    It runs on the CPU, without torch, and is safe to share between threads.

    Args:
        model: A folder with a checkpoint of sentence-transformers, PyLate or Stanford ColBERT, the id of one on the
            Hugging Face hub, or "shipped": a small English model within this package.
        precision: "f32", or "int8", which is faster. Default: int8 for the shipped model, f32 for others.
        query_maxlen: Most tokens of a query. Default: 256, or the checkpoint's where it pads queries with [MASK].
        passage_maxlen: Most tokens of a passage; longer ones are cut. Default: the checkpoint's.

    Raises:
        ModelError: The model cannot be loaded; the message says why.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = "shipped",
        *,
        precision: str | None = None,
        query_maxlen: int | None = None,
        passage_maxlen: int | None = None,
    ) -> None:
        self._load = load_settings(precision, query_maxlen, passage_maxlen)
        self._encoder = _selvedge.Encoder(os.fspath(model), self._load)

    @classmethod
    def _of(cls, encoder: _selvedge.Encoder) -> Encoder:
        self = cls.__new__(cls)
        self._encoder = encoder
        self._load = load_settings(encoder.precision, encoder.query_maxlen, encoder.passage_maxlen)
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.model, self._load)

    def __repr__(self) -> str:
        return f"Encoder({self.model!r}, dim={self.dim}, precision={self.precision!r})"

    @property
    def dim(self) -> int:
        """Number of components of an embedding."""
        return self._encoder.dim

    @property
    def model(self) -> str:
        """Folder, hub id or "shipped"."""
        return self._encoder.model

    @property
    def fingerprint(self) -> str:
        """Hash of all that changes an embedding: an index accepts the model that made it by this."""
        return self._encoder.fingerprint

    @property
    def family(self) -> str:
        """Library whose format the checkpoint has."""
        return self._encoder.family

    @property
    def precision(self) -> str:
        """Number format of the layers: "f32" or "int8"."""
        return self._encoder.precision

    @property
    def query_maxlen(self) -> int:
        """Most tokens of a query."""
        return self._encoder.query_maxlen

    @property
    def passage_maxlen(self) -> int:
        """Most tokens of a passage."""
        return self._encoder.passage_maxlen

    @overload
    def encode_queries(  # type: ignore[overload-overlap]
        self, texts: str, *, progress: _progress.Progress = None
    ) -> np.ndarray: ...
    @overload
    def encode_queries(self, texts: Iterable[str], *, progress: _progress.Progress = None) -> list[np.ndarray]: ...
    def encode_queries(
        self, texts: str | Iterable[str], *, progress: _progress.Progress = None
    ) -> np.ndarray | list[np.ndarray]:
        """Return the embeddings of a query, (Q, D) float32, or a list of them for several."""
        return self._encode(texts, True, 1, progress)

    @overload
    def encode_passages(  # type: ignore[overload-overlap]
        self, texts: str, *, pool: int = 1, progress: _progress.Progress = None
    ) -> np.ndarray: ...
    @overload
    def encode_passages(
        self, texts: Iterable[str], *, pool: int = 1, progress: _progress.Progress = None
    ) -> list[np.ndarray]: ...
    def encode_passages(
        self, texts: str | Iterable[str], *, pool: int = 1, progress: _progress.Progress = None
    ) -> np.ndarray | list[np.ndarray]:
        """Return the embeddings of a passage, (T, D) float32, or a list of them for several.

        Args:
            pool: Number of tokens of a passage that become one, about; 1 keeps all.
        """
        return self._encode(texts, False, pool, progress)

    def _encode(
        self, texts: str | Iterable[str], is_query: bool, pool: int, progress: _progress.Progress
    ) -> np.ndarray | list[np.ndarray]:
        if isinstance(texts, str):
            return self._encoder.encode([texts], is_query, pool, None)[0]
        from ._arrays import split

        texts = list(texts)
        for number, text in enumerate(texts):
            if not isinstance(text, str):
                raise WrongType(f"text {number} is a {type(text).__name__}, not a str")
            check_text(f"text {number}", text)
        with _progress.shown(progress) as report:
            return split(*self._encoder.encode(texts, is_query, pool, report))

    def tokens(self, text: str, *, query: bool = False) -> list[Token]:
        """Return the tokens of a text, one per embedding, with their places."""
        return [Token(*token) for token in self._encoder.tokens(text, query)]

    def split(self, text: str, *, overlap: int | None = None) -> list[str]:
        """Return parts of a long text that each fit a passage.

        Args:
            overlap: Tokens that two consecutive parts share. Default: an eighth of a passage.
        """
        return self._encoder.split(text, overlap)


def load_settings(precision: str | None, query_maxlen: int | None, passage_maxlen: int | None) -> dict[str, Any]:
    """Return options of loading an encoder as the extension takes them."""
    return {"precision": precision, "query_maxlen": query_maxlen, "passage_maxlen": passage_maxlen}


def _again(model: str, load: dict[str, Any]) -> Encoder:
    return Encoder(model, **load)
