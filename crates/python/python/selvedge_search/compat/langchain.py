"""LangChain classes: `SelvedgeVectorStore`, `SelvedgeRetriever`, `SelvedgeReranker`. They need langchain-core.

A filter (`filter=`) is one of

- the text of a condition, as for `Index.search(where=...)`: `"year >= 2020 AND lang = 'en'"`;
- a dictionary: `{"lang": "en"}`, `{"lang": ["en", "de"]}` (one of them), `{"year": {"$gte": 2020}}`, with the operators
  `$eq`, `$ne`, `$gt`, `$gte`, `$lt`, `$lte`, `$in`, `$nin`, `$exists`, `$like`, and `$and`, `$or`, `$not` around
  dictionaries. `None` is a missing value. `$ne` and `$nin` hold for documents without the key;
- a function of a `Document`, which is called for every document of the index.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from os import PathLike
from typing import Any
from uuid import uuid4

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun, Callbacks
from langchain_core.documents import Document
from langchain_core.documents.compressor import BaseDocumentCompressor
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import VectorStore
from pydantic import Field, PrivateAttr, model_validator

from selvedge_search import Encoder, Index, maxsim, rerank
from selvedge_search.compat import _filters, _growth
from selvedge_search.errors import IndexNotFound, InvalidInput, WrongType

__all__ = ["SelvedgeReranker", "SelvedgeRetriever", "SelvedgeVectorStore"]

Filter = str | Mapping[str, Any] | Callable[[Document], bool]


class SelvedgeVectorStore(VectorStore):
    """Vector store that keeps one vector per token in a selvedge index, and brings its own model.

    `index` is an open `Index` or a path. Nothing need be there: the index is built of the first documents that are
    added, in a temporary folder without a path. The options of `Index.create` go along (`model`, `nbits`, ...).
    """

    def __init__(self, index: Index | str | PathLike[str] | None = None, **options: Any) -> None:
        self._index: Index | None = None
        self._options = options
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        if isinstance(index, (str, PathLike)):
            self._path = index
            with suppress(IndexNotFound):
                self._index = Index.open(index, **_open_options(options))
        elif index is None:
            self._folder = tempfile.TemporaryDirectory(prefix="selvedge-", ignore_cleanup_errors=True)
            self._path = f"{self._folder.name}/index"
        else:
            self._index, self._path = index, index.path

    @property
    def index(self) -> Index | None:
        """The index; `None` before the first document is added."""
        return self._index

    @classmethod
    def from_texts(
        cls,
        texts: Iterable[str],
        embedding: Embeddings | Encoder | str | None = None,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> SelvedgeVectorStore:
        """Store with these texts. `embedding` is a model for `Index.create(model=...)`; other options as in `__init__`.

        Raises `WrongType` for LangChain's `Embeddings`, which have one vector per text.
        """
        if isinstance(embedding, Embeddings):
            raise WrongType(
                f"{type(embedding).__name__} has one vector per text, late interaction needs one per token: leave "
                "`embedding` out, or pass an Encoder or the name of a model"
            )
        if embedding is not None:
            kwargs["model"] = embedding
        store = cls(**kwargs)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    @classmethod
    def from_documents(
        cls, documents: list[Document], embedding: Embeddings | Encoder | str | None = None, **kwargs: Any
    ) -> SelvedgeVectorStore:
        """Store with these documents: see `from_texts`."""
        kwargs.setdefault("ids", [document.id for document in documents])
        metadatas = [document.metadata for document in documents]
        return cls.from_texts([document.page_content for document in documents], embedding, metadatas, **kwargs)

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Adds texts, or replaces those whose id is there already, in one commit. Returns the ids.

        A text without an id gets a UUID. Raises `InvalidInput` (a `ValueError`) for lists of different lengths.
        """
        texts = list(texts)
        for name, values in (("metadatas", metadatas), ("ids", ids)):
            if values and len(values) != len(texts):
                raise InvalidInput(f"{name} must be as many as texts: {len(values)} of {len(texts)}")
        made = [id or str(uuid4()) for id in ids or [None] * len(texts)]
        last = dict(zip(made, zip(texts, metadatas or [{}] * len(texts))))  # of several with one id
        rows = [{"id": id, "text": text, "metadata": metadata} for id, (text, metadata) in last.items()]
        if rows and self._index is not None:
            _growth.add(self._index, rows, replace=True, **kwargs)
        elif rows:
            self._index = Index.create(self._path, rows, **self._options)
        return made

    def delete(self, ids: Sequence[str] | None = None, **kwargs: Any) -> bool:
        """Deletes documents, all of them without ids. Ids that are not there are ignored."""
        if self._index is not None and ids is None:
            self._index.delete(where="TRUE")
        elif self._index is not None and ids:
            self._index.delete(list(ids), ignore_missing=True)
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Documents of these ids, in their order, without those that are not there."""
        if self._index is None:
            return []
        return [_document(row) for row in self._index.get([id for id in ids if id in self._index])]

    def similarity_search_with_score(
        self, query: str, k: int = 4, filter: Filter | None = None, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """The best `k` documents with their scores: the sum of cosines over the query's tokens, the highest first.

        Other options are those of `Index.search`: `rank_by="hybrid"` mixes in the words, for example.
        """
        if self._index is None:
            return []
        return _scored(self._index.search(query, k, **self._restricted(filter), **kwargs))

    async def asimilarity_search_with_score(
        self, query: str, k: int = 4, filter: Filter | None = None, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """`similarity_search_with_score`, awaitable."""
        if self._index is None:
            return []
        return _scored(await self._index.asearch(query, k, **self._restricted(filter), **kwargs))

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """The best `k` documents: see `similarity_search_with_score`."""
        return [document for document, _ in self.similarity_search_with_score(query, k, **kwargs)]

    async def asimilarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """`similarity_search`, awaitable."""
        return [document for document, _ in await self.asimilarity_search_with_score(query, k, **kwargs)]

    def similarity_search_by_vector(
        self, embedding: Any, k: int = 4, filter: Filter | None = None, **kwargs: Any
    ) -> list[Document]:
        """The best `k` documents for a query's embeddings `(Q, D)`; one vector `(D,)` is a query of one token.

        Raises `DimensionMismatch` where the vectors are not of the index's model.
        """
        if self._index is None:
            return []
        found = self._index.search(_matrix(embedding), k, **self._restricted(filter), **kwargs)
        return [document for document, _ in _scored(found)]

    def _similarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Scores as the mean cosine over the query's tokens, at least 0 and at most 1."""
        if self._index is None:
            return []
        embeddings = self._index.encoder.encode_queries(query)
        found = self._index.search(embeddings, k, **self._restricted(kwargs.pop("filter", None)), **kwargs)
        return [(document, min(max(score / len(embeddings), 0.0), 1.0)) for document, score in _scored(found)]

    async def _asimilarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        from langchain_core.runnables.config import run_in_executor

        return await run_in_executor(None, self._similarity_search_with_relevance_scores, query, k, **kwargs)

    def max_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """`k` of the best `fetch_k` documents, chosen one by one to be relevant and unlike those chosen before.

        The similarity of two documents is the mean of their MaxSim in both directions, per token.
        """
        if self._index is None:
            return []
        embeddings = self._index.encoder.encode_queries(query)
        return self.max_marginal_relevance_search_by_vector(embeddings, k, fetch_k, lambda_mult, **kwargs)

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: Any,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Filter | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        """`max_marginal_relevance_search` for a query's embeddings `(Q, D)` or `(D,)`."""
        if self._index is None:
            return []
        query = _matrix(embedding)
        hits = self._index.search(query, fetch_k, **self._restricted(filter), **kwargs)
        if not hits:
            return []
        vectors = self._index.embeddings([hit.id for hit in hits])
        relevance = [hit.score / len(query) for hit in hits]
        return [_document(hits[number]) for number in _diverse(relevance, _similarities(vectors), k, lambda_mult)]

    def _restricted(self, filter: Filter | None) -> dict[str, Any]:
        """Options of `Index.search` for a filter."""
        if filter is None:
            return {}
        if callable(filter):
            assert self._index is not None
            rows = self._index.get(self._index.ids())
            return {"ids": [row["id"] for row in rows if filter(_document(row))]}
        return {"where": filter if isinstance(filter, str) else _filters.of_dictionary(filter)}


class SelvedgeRetriever(BaseRetriever):
    """Retriever over an index, which exists already or is built by `from_texts` or `from_documents`."""

    index: Any
    """An open `Index`, or the path of one."""
    k: int = 4
    """Number of documents."""
    filter: Any = None
    """Restricts every search: see the module's docs."""
    search_kwargs: dict[str, Any] = Field(default_factory=dict[str, Any])
    """Other options of `Index.search`, such as `rank_by`."""

    # Keeps a temporary folder.
    _store: SelvedgeVectorStore | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _open(self) -> SelvedgeRetriever:
        if isinstance(self.index, (str, PathLike)):
            self.index = Index.open(self.index)
        return self

    @classmethod
    def from_texts(
        cls,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        ids: list[str] | None = None,
        *,
        path: str | PathLike[str] | None = None,
        model: Any = "shipped",
        **kwargs: Any,
    ) -> SelvedgeRetriever:
        """Retriever over a new index of these texts, in a temporary folder without a path."""
        store = SelvedgeVectorStore.from_texts(texts, model, metadatas, ids=ids, index=path)
        retriever = cls(index=store.index, **kwargs)
        retriever._store = store
        return retriever

    @classmethod
    def from_documents(cls, documents: Iterable[Document], **kwargs: Any) -> SelvedgeRetriever:
        """Retriever over a new index of these documents: see `from_texts`."""
        rows = [(document.page_content, document.metadata, document.id or str(uuid4())) for document in documents]
        texts, metadatas, ids = zip(*rows) if rows else ((), (), ())
        return cls.from_texts(list(texts), list(metadatas), list(ids), **kwargs)

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, k: int | None = None, **kwargs: Any
    ) -> list[Document]:
        options = {"filter": self.filter} | self.search_kwargs | kwargs
        return SelvedgeVectorStore(self.index).similarity_search(query, self.k if k is None else k, **options)

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, k: int | None = None, **kwargs: Any
    ) -> list[Document]:
        options = {"filter": self.filter} | self.search_kwargs | kwargs
        return await SelvedgeVectorStore(self.index).asimilarity_search(query, self.k if k is None else k, **options)


class SelvedgeReranker(BaseDocumentCompressor):
    """Compressor that ranks documents by exact MaxSim and writes `relevance_score` into their metadata."""

    model: Any = "shipped"
    """An `Encoder`, or the folder or hub id of a model."""
    top_n: int | None = 3
    """Number of documents that are kept; `None` keeps all."""

    _encoder: Any = PrivateAttr(default=None)

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks = None
    ) -> list[Document]:
        """Copies of the best `top_n` documents, the best first."""
        documents = list(documents)
        if not documents:
            return []
        if self._encoder is None:
            self._encoder = Encoder(str(self.model)) if isinstance(self.model, (str, PathLike)) else self.model
        texts = [document.page_content for document in documents]
        ranked = []
        for found in rerank(query, texts, model=self._encoder, k=self.top_n):
            document = documents[found.index]
            metadata = {**document.metadata, "relevance_score": float(found.score)}
            ranked.append(document.model_copy(update={"metadata": metadata}))
        return ranked


def _open_options(options: dict[str, Any]) -> dict[str, Any]:
    """Those options of `Index.create` that `Index.open` has too."""
    names = ("model", "precision", "query_maxlen", "passage_maxlen", "device")
    return {name: value for name, value in options.items() if name in names}


def _document(row: Any) -> Document:
    if isinstance(row, dict):
        return Document(id=row["id"], page_content=row["text"] or "", metadata=row["metadata"] or {})
    return Document(id=row.id, page_content=row.text or "", metadata=row.metadata or {})


def _scored(hits: Iterable[Any]) -> list[tuple[Document, float]]:
    return [(_document(hit), float(hit.score)) for hit in hits]


def _matrix(embedding: Any) -> Any:
    import numpy as np

    matrix = np.asarray(embedding, dtype=np.float32)
    return matrix[None] if matrix.ndim == 1 else matrix


def _similarities(vectors: list[Any]) -> Any:
    """Similarities (P, P) of documents: the mean of both directions of MaxSim, each per token."""
    import numpy as np

    lens = np.array([len(vector) for vector in vectors], dtype=np.float32)
    scores = maxsim(vectors, vectors) / lens[:, None]
    return (scores + scores.T) / 2


def _diverse(relevance: list[float], similarities: Any, k: int, lambda_mult: float) -> list[int]:
    """Numbers chosen by maximal marginal relevance (Carbonell and Goldstein, 1998)."""
    chosen: list[int] = []
    left = list(range(len(relevance)))
    while left and len(chosen) < k:

        def gain(number: int) -> float:
            likeness = max((similarities[number][other] for other in chosen), default=0.0)
            return lambda_mult * relevance[number] - (1 - lambda_mult) * likeness

        best = max(left, key=gain)
        left.remove(best)
        chosen.append(best)
    return chosen
