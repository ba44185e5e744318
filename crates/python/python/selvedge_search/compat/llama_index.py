"""LlamaIndex classes: `SelvedgeRetriever` and `SelvedgeRerank`. They need llama-index-core."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from os import PathLike
from typing import Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import BaseNode, MetadataMode, NodeWithScore, QueryBundle, TextNode
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)
from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict

from selvedge_search import Encoder, Index, rerank
from selvedge_search.compat import _filters, _growth
from selvedge_search.errors import InvalidInput

__all__ = ["SelvedgeRerank", "SelvedgeRetriever"]

COMPARISONS = {
    FilterOperator.EQ: "=",
    FilterOperator.CONTAINS: "=",
    FilterOperator.GT: ">",
    FilterOperator.GTE: ">=",
    FilterOperator.LT: "<",
    FilterOperator.LTE: "<=",
}


class SelvedgeRetriever(BaseRetriever):
    """Retriever over an index: of nodes (`from_defaults`), or of any documents.

    `index` is an open `Index` or the path of one. `filters` are LlamaIndex's, or the text of a condition as for
    `Index.search(where=...)`; `search_options` are other options of `Index.search`.
    """

    def __init__(
        self,
        index: Index | str | PathLike[str],
        similarity_top_k: int = 2,
        *,
        filters: MetadataFilters | str | None = None,
        search_options: dict[str, Any] | None = None,
        callback_manager: CallbackManager | None = None,
        object_map: dict[str, Any] | None = None,
        objects: list[Any] | None = None,
        verbose: bool = False,
    ) -> None:
        self.index = Index.open(index) if isinstance(index, (str, PathLike)) else index
        self.similarity_top_k = similarity_top_k
        self.filters = filters
        self.search_options = search_options or {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        super().__init__(callback_manager, object_map, objects, verbose)

    @classmethod
    def from_defaults(
        cls,
        nodes: Sequence[BaseNode],
        *,
        path: str | PathLike[str] | None = None,
        model: Any = "shipped",
        similarity_top_k: int = 2,
        filters: MetadataFilters | str | None = None,
        search_options: dict[str, Any] | None = None,
        index_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> SelvedgeRetriever:
        """Builds an index of nodes, in a temporary folder without a path. Other options are those of `__init__`.

        `index_options` are options of `Index.create`. The text of a node without its metadata is encoded, and the
        whole node comes back from a search. Raises `InvalidInput` without nodes.
        """
        if not nodes:
            raise InvalidInput("an index needs nodes")
        folder = None
        if path is None:
            folder = tempfile.TemporaryDirectory(prefix="selvedge-", ignore_cleanup_errors=True)
            path = f"{folder.name}/index"
        index = Index.create(path, _rows(nodes), model=model, **index_options or {})
        retriever = cls(index, similarity_top_k, filters=filters, search_options=search_options, **kwargs)
        retriever._folder = folder
        return retriever

    def add_nodes(self, nodes: Iterable[BaseNode]) -> None:
        """Adds nodes, or replaces those whose id is there already, in one commit."""
        _growth.add(self.index, _rows(nodes), replace=True)

    def delete_nodes(self, node_ids: Sequence[str]) -> None:
        """Deletes nodes by their ids. Ids that are not there are ignored."""
        if node_ids:
            self.index.delete(list(node_ids), ignore_missing=True)

    def delete_ref_doc(self, ref_doc_id: str) -> None:
        """Deletes the nodes of a document."""
        self.index.delete(where=_filters.compare("ref_doc_id", "=", ref_doc_id))

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return _nodes(self.index.search(query_bundle.query_str, self.similarity_top_k, **self._options()))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return _nodes(await self.index.asearch(query_bundle.query_str, self.similarity_top_k, **self._options()))

    def _options(self) -> dict[str, Any]:
        if self.filters is None:
            return self.search_options
        where = self.filters if isinstance(self.filters, str) else _where(self.filters)
        return {**self.search_options, "where": where}


class SelvedgeRerank(BaseNodePostprocessor):
    """Postprocessor that ranks nodes by exact MaxSim, with their metadata as LlamaIndex embeds it."""

    model: Any = Field(default="shipped", description="Encoder, or the folder or hub id of a model.")
    top_n: int = Field(default=5, description="Number of nodes that are kept.")
    keep_retrieval_score: bool = Field(
        default=False, description="Whether the score before is kept as metadata, `retrieval_score`."
    )

    _encoder: Any = PrivateAttr(default=None)

    @classmethod
    def class_name(cls) -> str:
        """Name of the class in serialized data."""
        return "SelvedgeRerank"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if query_bundle is None:
            raise InvalidInput("nodes are ranked for a query: pass query_bundle or query_str")
        if not nodes:
            return []
        if self._encoder is None:
            self._encoder = Encoder(str(self.model)) if isinstance(self.model, (str, PathLike)) else self.model
        texts = [node.node.get_content(metadata_mode=MetadataMode.EMBED) for node in nodes]
        payload: dict[str, Any] = {
            EventPayload.NODES: nodes,
            EventPayload.TOP_K: self.top_n,
            EventPayload.QUERY_STR: query_bundle.query_str,
        }
        with self.callback_manager.event(CBEventType.RERANKING, payload=payload) as event:
            ranked = []
            for found in rerank(query_bundle.query_str, texts, model=self._encoder, k=self.top_n):
                node = nodes[found.index]
                if self.keep_retrieval_score:
                    node.node.metadata["retrieval_score"] = node.score
                node.score = float(found.score)
                ranked.append(node)
            event.on_end(payload={EventPayload.NODES: ranked})
        return ranked


def _rows(nodes: Iterable[BaseNode]) -> Iterable[dict[str, Any]]:
    for node in nodes:
        yield {
            "id": node.node_id,
            "text": node.get_content(metadata_mode=MetadataMode.NONE),
            "metadata": node_to_metadata_dict(node, remove_text=True),
        }


def _nodes(hits: Iterable[Any]) -> list[NodeWithScore]:
    nodes = []
    for hit in hits:
        metadata = hit.metadata or {}
        if "_node_content" in metadata:
            node = metadata_dict_to_node(metadata, text=hit.text)
        else:
            node = TextNode(id_=hit.id, text=hit.text or "", metadata=metadata)
        nodes.append(NodeWithScore(node=node, score=float(hit.score)))
    return nodes


def _where(filters: MetadataFilters) -> str:
    """Text of LlamaIndex's filters. Raises `InvalidInput` for operators without a counterpart."""
    conditions = [_where(one) if isinstance(one, MetadataFilters) else _condition(one) for one in filters.filters]
    if filters.condition == FilterCondition.OR:
        return _filters.any_of(conditions)
    if filters.condition == FilterCondition.NOT:
        return f"NOT ({_filters.any_of(conditions)})"
    return _filters.all_of(conditions)


def _condition(filter: MetadataFilter) -> str:
    key, value, operator = filter.key, filter.value, filter.operator
    values = value if isinstance(value, list) else [value]
    if operator in COMPARISONS:
        return _filters.definite(key, _filters.compare(key, COMPARISONS[operator], value))
    if operator == FilterOperator.NE:
        return _filters.differs(key, _filters.compare(key, "=", value))
    if operator in (FilterOperator.IN, FilterOperator.ANY):
        return _filters.definite(key, _filters.is_in(key, values))
    if operator == FilterOperator.NIN:
        return _filters.differs(key, _filters.is_in(key, values))
    if operator == FilterOperator.ALL:
        return _filters.definite(key, _filters.all_of(_filters.compare(key, "=", one) for one in values))
    if operator == FilterOperator.IS_EMPTY:
        return _filters.any_of([_filters.is_null(key), _filters.definite(key, _filters.compare(key, "=", ""))])
    if operator == FilterOperator.TEXT_MATCH and isinstance(value, str) and not set(value) & {"%", "_"}:
        return _filters.definite(key, _filters.compare(key, "LIKE", f"%{value}%"))
    raise InvalidInput(f"the filter {operator.value!r} of {value!r} is not supported")
