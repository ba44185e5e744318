"""Haystack classes: a document store over an index, retrievers and a ranker. They need haystack-ai.

Example:
    store = SelvedgeDocumentStore("docs.index")
    DocumentWriter(store).run(documents)
    SelvedgeRetriever(store).run(query="how is a score computed")
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from haystack import Document, component, default_from_dict, default_to_dict
from haystack.dataclasses import ByteStream
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy, FilterPolicy, apply_filter_policy
from haystack.utils.filters import document_matches_filter

from selvedge_search import Encoder, Index, rerank
from selvedge_search.compat import _filters, _growth
from selvedge_search.errors import IndexNotFound, InvalidInput

__all__ = ["SelvedgeDocumentStore", "SelvedgeMultiVectorRetriever", "SelvedgeRanker", "SelvedgeRetriever"]

COMPARISONS = {"==": "=", ">": ">", ">=": ">=", "<": "<", "<=": "<="}


class SelvedgeDocumentStore:
    """Document store that keeps one vector per token in a selvedge index, and brings its own model.

    Nothing need be at `path`: the index is built of the first documents that are written, with `index_options`, which
    are options of `Index.create`. The texts of documents are encoded; `embedding` and `sparse_embedding` of documents
    are not stored.
    """

    def __init__(
        self, path: str, model: str = "shipped", device: str = "cpu", index_options: dict[str, Any] | None = None
    ) -> None:
        self.path = path
        self.model = model
        self.device = device
        self.index_options = index_options or {}
        self._index: Index | None = None

    @property
    def index(self) -> Index | None:
        """The index, opened by the first use; `None` before the first document is written."""
        if self._index is None and Path(self.path).exists():
            with suppress(IndexNotFound):
                self._index = Index.open(self.path, device=self.device)
        return self._index

    def to_dict(self) -> dict[str, Any]:
        """The store's options; the documents stay in the index."""
        return default_to_dict(
            self, path=self.path, model=self.model, device=self.device, index_options=self.index_options
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "SelvedgeDocumentStore":
        """Store with the options that `to_dict` wrote."""
        return default_from_dict(cls, data)

    def count_documents(self) -> int:
        """Number of documents."""
        return 0 if self.index is None else len(self.index)

    def write_documents(self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE) -> int:
        """Writes documents in one commit and returns their number; `NONE` is `FAIL`.

        Raises `ValueError` for anything but documents, and `DuplicateDocumentError` where an id is there already, or
        twice among the documents, and the policy is `FAIL`: nothing is written then.
        """
        if not isinstance(documents, list) or not all(isinstance(document, Document) for document in documents):
            raise ValueError("write_documents expects a list of Documents")
        index = self.index
        rows: dict[str, dict[str, Any]] = {}
        for document in documents:
            known = document.id in rows or (index is not None and document.id in index)
            if known and policy in (DuplicatePolicy.NONE, DuplicatePolicy.FAIL):
                raise DuplicateDocumentError(f"the document {document.id!r} exists already")
            if not known or policy == DuplicatePolicy.OVERWRITE:
                rows[document.id] = _row(document)
        if rows and index is not None:
            _growth.add(index, rows.values(), replace=True)
        elif rows:
            options = {"model": self.model, "device": self.device, **self.index_options}
            self._index = Index.create(self.path, rows.values(), **options)
        return len(documents) if policy == DuplicatePolicy.OVERWRITE else len(rows)

    def delete_documents(self, document_ids: list[str]) -> None:
        """Deletes documents. Ids that are not there are ignored."""
        if self.index is not None and document_ids:
            self.index.delete(list(document_ids), ignore_missing=True)

    def delete_all_documents(self) -> None:
        """Deletes all documents."""
        if self.index is not None:
            self.index.delete(where="TRUE")

    def filter_documents(self, filters: dict[str, Any] | None = None) -> list[Document]:
        """All documents that match Haystack's filters, in no order, by Haystack's own comparison.

        Every document is read. Raises `FilterError` for filters that are not valid.
        """
        if self.index is None:
            return []
        documents = [_document(row) for row in self.index.get(self.index.ids())]
        return [document for document in documents if not filters or document_matches_filter(filters, document)]

    def search(
        self, query: Any, top_k: int = 10, filters: dict[str, Any] | None = None, **options: Any
    ) -> list[Document]:
        """The best `top_k` documents for a text or embeddings `(Q, D)`. `options` are those of `Index.search`.

        Filters on metadata (`meta.*`) are evaluated by the index, others by `filter_documents`. A comparison with a
        value of another type holds for no document.
        """
        if self.index is None or top_k == 0:
            return []
        if filters:
            try:
                options["where"] = _where(filters)
            except InvalidInput:
                options["ids"] = [document.id for document in self.filter_documents(filters)]
        return [_document(hit) for hit in self.index.search(query, top_k, **options)]


class _Retriever:
    """Options, filters and serialization that both retrievers have."""

    def __init__(
        self,
        document_store: SelvedgeDocumentStore,
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        filter_policy: str | FilterPolicy = FilterPolicy.REPLACE,
        search_options: dict[str, Any] | None = None,
    ) -> None:
        if not isinstance(document_store, SelvedgeDocumentStore):
            raise TypeError("document_store must be a SelvedgeDocumentStore")
        if top_k <= 0:
            raise ValueError(f"top_k must be greater than 0, but got {top_k}")
        self.document_store = document_store
        self.filters = filters
        self.top_k = top_k
        policy = filter_policy if isinstance(filter_policy, FilterPolicy) else FilterPolicy.from_str(filter_policy)
        self.filter_policy = policy
        self.search_options = search_options or {}

    def to_dict(self) -> dict[str, Any]:
        """The component's options, with the store's."""
        return default_to_dict(
            self,
            document_store=self.document_store.to_dict(),
            filters=self.filters,
            top_k=self.top_k,
            filter_policy=self.filter_policy.value,
            search_options=self.search_options,
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Any:
        """Component with the options that `to_dict` wrote."""
        options = dict(data["init_parameters"])
        if isinstance(options.get("document_store"), dict):
            options["document_store"] = SelvedgeDocumentStore.from_dict(options["document_store"])
        return default_from_dict(cls, {**data, "init_parameters": options})

    def _search(self, query: Any, filters: dict[str, Any] | None, top_k: int | None) -> dict[str, list[Document]]:
        filters = apply_filter_policy(self.filter_policy, self.filters, filters)
        top_k = self.top_k if top_k is None else top_k
        return {"documents": self.document_store.search(query, top_k, filters, **self.search_options)}


@component
class SelvedgeRetriever(_Retriever):
    """Retriever for a query as text. `search_options` are options of `Index.search`, such as `rank_by`."""

    @component.output_types(documents=list[Document])
    def run(
        self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """The best `top_k` documents, with the sum of cosines over the query's tokens as their score."""
        return self._search(query, filters, top_k)

    @component.output_types(documents=list[Document])
    async def run_async(
        self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """`run`, awaitable."""
        return await asyncio.to_thread(self._search, query, filters, top_k)


@component
class SelvedgeMultiVectorRetriever(_Retriever):
    """Retriever for the embeddings of a query's tokens."""

    @component.output_types(documents=list[Document])
    def run(
        self,
        query_multivector_embedding: list[list[float]],
        filters: dict[str, Any] | None = None,
        top_k: int | None = None,
    ) -> dict[str, list[Document]]:
        """The best `top_k` documents for embeddings `(Q, D)` of the index's model.

        Raises `DimensionMismatch` for vectors of another length.
        """
        import numpy as np

        return self._search(np.asarray(query_multivector_embedding, dtype=np.float32), filters, top_k)


@component
class SelvedgeRanker:
    """Ranker by exact MaxSim. `meta_fields_to_embed` are put in front of each document's text, one per line."""

    def __init__(
        self,
        model: str = "shipped",
        top_k: int = 10,
        score_threshold: float | None = None,
        meta_fields_to_embed: list[str] | None = None,
    ) -> None:
        if top_k <= 0:
            raise ValueError(f"top_k must be greater than 0, but got {top_k}")
        self.model = model
        self.top_k = top_k
        self.score_threshold = score_threshold
        self.meta_fields_to_embed = meta_fields_to_embed or []
        self._encoder: Encoder | None = None

    def to_dict(self) -> dict[str, Any]:
        """The component's options."""
        return default_to_dict(
            self,
            model=self.model,
            top_k=self.top_k,
            score_threshold=self.score_threshold,
            meta_fields_to_embed=self.meta_fields_to_embed,
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "SelvedgeRanker":
        """Component with the options that `to_dict` wrote."""
        return default_from_dict(cls, data)

    def warm_up(self) -> None:
        """Loads the model."""
        if self._encoder is None:
            self._encoder = Encoder(self.model)

    @component.output_types(documents=list[Document])
    def run(
        self,
        query: str,
        documents: list[Document],
        top_k: int | None = None,
        score_threshold: float | None = None,
    ) -> dict[str, list[Document]]:
        """Copies of the best `top_k` documents with their scores, those below `score_threshold` left out."""
        if not documents:
            return {"documents": []}
        self.warm_up()
        assert self._encoder is not None
        texts = ["\n".join([*self._metadata(document), document.content or ""]) for document in documents]
        threshold = self.score_threshold if score_threshold is None else score_threshold
        ranked = []
        for found in rerank(query, texts, model=self._encoder, k=self.top_k if top_k is None else top_k):
            if threshold is None or found.score >= threshold:
                ranked.append(_copy(documents[found.index], float(found.score)))
        return {"documents": ranked}

    def _metadata(self, document: Document) -> Iterable[str]:
        return (str(document.meta[name]) for name in self.meta_fields_to_embed if document.meta.get(name))


def _copy(document: Document, score: float) -> Document:
    from dataclasses import replace

    return replace(document, score=score)


def _row(document: Document) -> dict[str, Any]:
    """Document of an index: `meta` lies under a key of this name, so that filters find `meta.year`."""
    metadata: dict[str, Any] = {"meta": document.meta}
    if document.content is None:
        metadata["has_no_content"] = True
    if document.blob is not None:
        metadata["blob"] = document.blob.to_dict()
    return {"id": document.id, "text": document.content or "", "metadata": metadata}


def _document(found: Any) -> Document:
    """Document of a hit, with its score, or of a row of `Index.get`."""
    if isinstance(found, dict):
        id, text, stored, score = found["id"], found["text"], found["metadata"] or {}, None
    else:
        id, text, stored, score = found.id, found.text, found.metadata or {}, float(found.score)
    blob = stored.get("blob")
    return Document(
        id=id,
        content=None if stored.get("has_no_content") else text,
        blob=None if blob is None else ByteStream.from_dict(blob),
        meta=stored.get("meta") or {},
        score=score,
    )


def _where(filters: dict[str, Any]) -> str:
    """Text of Haystack's filters. Raises `InvalidInput` for those that the index cannot evaluate."""
    operator = filters.get("operator")
    if "field" not in filters:
        conditions = [_where(one) for one in filters.get("conditions", [])]
        if operator == "OR":
            return _filters.any_of(conditions)
        if operator in ("AND", "NOT"):
            return f"{'NOT ' if operator == 'NOT' else ''}({_filters.all_of(conditions)})"
        raise InvalidInput(f"{operator!r} is not one of AND, OR and NOT")
    key, value = filters["field"], filters.get("value")
    if not key.startswith("meta."):
        raise InvalidInput(f"{key!r} is not metadata")
    if operator in ("==", "!=") and value is None:
        return _filters.is_null(key) if operator == "==" else _filters.is_not_null(key)
    if operator == "!=":
        return _filters.differs(key, _filters.compare(key, "=", value))
    if operator in ("in", "not in") and isinstance(value, list) and None not in value:
        is_in = _filters.is_in(key, value)
        return _filters.definite(key, is_in) if operator == "in" else _filters.differs(key, is_in)
    if operator in COMPARISONS and (operator == "==" or not isinstance(value, str)):
        return _filters.definite(key, _filters.compare(key, COMPARISONS[operator], value))
    raise InvalidInput(f"the filter {filters!r} is left to Haystack")
