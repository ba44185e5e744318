"""LangChain classes of the RAGatouille replacement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun, Callbacks
from langchain_core.documents import Document
from langchain_core.documents.compressor import BaseDocumentCompressor
from langchain_core.retrievers import BaseRetriever
from pydantic import Field


class RAGatouilleLangChainRetriever(BaseRetriever):
    """Retriever that answers by `RAGPretrainedModel.search`."""

    model: Any
    kwargs: dict[str, Any] = Field(default_factory=dict)

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        results = self.model.search(query, **self.kwargs) or []
        return [
            Document(page_content=result["content"], metadata=result.get("document_metadata", {})) for result in results
        ]


class RAGatouilleLangChainCompressor(BaseDocumentCompressor):
    """Compressor that ranks by `RAGPretrainedModel.rerank` and writes `relevance_score` into the metadata."""

    model: Any
    kwargs: dict[str, Any] = Field(default_factory=dict)
    k: int = 5

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks = None, **kwargs: Any
    ) -> list[Document]:
        """Returns the best `k` documents, the best first: the objects that were passed."""
        texts = [document.page_content for document in documents]
        if not texts:
            return []
        ranked = []
        for result in self.model.rerank(query=query, documents=texts, k=kwargs.get("k", self.k), **self.kwargs):
            document = documents[result["result_index"]]
            document.metadata["relevance_score"] = result["score"]
            ranked.append(document)
        return ranked
