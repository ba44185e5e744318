"""Replacement of RAGatouille's `RAGPretrainedModel`.

A program changes one import:

    from selvedge_search.compat.ragatouille import RAGPretrainedModel

An index is a folder `<index_root>/colbert/indexes/<index_name>` as in RAGatouille, and holds a selvedge index. The id
of its passage number 7 of the document `doc` is `7:doc`. `compat-ragatouille.md` lists the differences.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selvedge_search import Encoder, Index, maxsim
from selvedge_search.compat import _growth
from selvedge_search.compat._ragatouille_documents import (
    CorpusProcessor,
    llama_index_sentence_splitter,
    number_of,
    numbered,
    process,
)
from selvedge_search.errors import IndexNotFound, InvalidInput, ModelError, WrongType

if TYPE_CHECKING:
    from langchain_core.documents.compressor import BaseDocumentCompressor
    from langchain_core.retrievers import BaseRetriever

__all__ = ["CorpusProcessor", "RAGPretrainedModel", "llama_index_sentence_splitter"]

# RAGatouille reads texts of up to 510 - 2 tokens where no index sets a length: BERT's 512 positions less 4.
LONGEST = 508
# RAGatouille takes a word for this many tokens.
TOKENS_PER_WORD = 1.35


class RAGPretrainedModel:
    """Checkpoint, with an index that it built or opened, or with documents in memory."""

    def __init__(self) -> None:
        self.corpus_processor: CorpusProcessor | None = None
        self.index_name: str | None = None
        self.index_path: str | None = None
        self.verbose = 1
        self._device = "cpu"
        self._root = Path(".ragatouille/colbert/indexes")
        self._model = ""
        self._encoders: dict[tuple[int, int], Encoder] = {}
        self._default: Encoder | None = None
        self._index: Index | None = None
        self._known: tuple[int, dict[str, list[str]]] | None = None
        self._encoded: list[tuple[str, Any, dict[str, Any] | None]] = []

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        n_gpu: int = -1,
        verbose: int = 1,
        index_root: str | None = None,
        *,
        device: str = "cpu",
    ) -> RAGPretrainedModel:
        """Opens a checkpoint: a folder, a hub id, or `"shipped"` for the model inside the package.

        `n_gpu` is accepted and not used: `device` (`"cpu"`, `"cuda"`) says where an index is searched. Nothing is
        printed where `verbose` is 0. Raises `ModelError`.
        """
        rag = cls()
        rag.verbose, rag._device = verbose, device
        rag._root = Path(".ragatouille/" if index_root is None else index_root) / "colbert" / "indexes"
        rag._use(Encoder(str(pretrained_model_name_or_path)), str(pretrained_model_name_or_path))
        return rag

    @classmethod
    def from_index(
        cls, index_path: str | Path, n_gpu: int = -1, verbose: int = 1, *, device: str = "cpu"
    ) -> RAGPretrainedModel:
        """Opens an index and the model that it was built with. Raises `IndexNotFound`, `ModelError`."""
        rag = cls()
        rag.verbose, rag._device, rag._root = verbose, device, Path(index_path).parent
        rag._open(Path(index_path).name)
        return rag

    def index(
        self,
        collection: list[str],
        document_ids: list[str] | None = None,
        document_metadatas: list[dict[str, Any]] | None = None,
        index_name: str | None = None,
        overwrite_index: bool | str = True,
        max_document_length: int = 256,
        split_documents: bool = True,
        document_splitter_fn: Callable[..., list[Any]] | None = llama_index_sentence_splitter,
        preprocessing_fn: Callable[..., list[Any]] | list[Callable[..., list[Any]]] | None = None,
        bsize: int = 32,
        use_faiss: bool = False,
    ) -> str:
        """Builds an index and returns its path.

        `document_ids` are new UUIDs by default. Documents are split into parts of `max_document_length` tokens, which
        is also the length that the model reads of each. An index of the same name is replaced where `overwrite_index`
        is true, opened as it is where it is `"reuse"` or `"resume"`, and raises `IndexExists` where it is false.
        `bsize` and `use_faiss` are not used. Raises `ValueError` for lists of different lengths and ids that are
        empty or occur twice.
        """
        if isinstance(collection, str):
            raise WrongType("collection is one text; give a list of them")
        encoder = self._encoder(passage_maxlen=max_document_length)
        if index_name is None:
            index_name = f"{Path(self._model).name if Path(self._model).is_absolute() else self._model}new_index"
            self._say(f"No index_name received! Using default index_name ({index_name})")
        path = self._root / index_name
        if overwrite_index in ("reuse", "resume") and path.exists():
            self._open(index_name)
            return str(path)
        self.corpus_processor = CorpusProcessor(document_splitter_fn if split_documents else None, preprocessing_fn)
        parts, metadatas = process(collection, document_ids, document_metadatas, self.corpus_processor, encoder)
        self._close()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._index = Index.create(
            path,
            numbered(parts, metadatas, 0),
            model=encoder,
            nbits=4 if len(parts) < 10_000 else 2,
            overwrite=bool(overwrite_index),
            device=self._device,
            progress=self._progress,
        )
        self.index_name, self.index_path = index_name, str(path)
        self._say("Done indexing!")
        return str(path)

    def add_to_index(
        self,
        new_collection: list[str],
        new_document_ids: list[str] | None = None,
        new_document_metadatas: list[dict[str, Any]] | None = None,
        index_name: str | None = None,
        split_documents: bool = True,
        document_splitter_fn: Callable[..., list[Any]] | None = llama_index_sentence_splitter,
        preprocessing_fn: Callable[..., list[Any]] | list[Callable[..., list[Any]]] | None = None,
        bsize: int = 32,
        use_faiss: bool = False,
    ) -> None:
        """Adds documents to an index, split as the index's were. Documents whose id it has already are left out."""
        index = self._opened(index_name, "add to index")
        if index is None:
            return
        processor = CorpusProcessor(document_splitter_fn if split_documents else None, preprocessing_fn)
        self.corpus_processor = processor
        parts, metadatas = process(new_collection, new_document_ids, new_document_metadatas, processor, index.encoder)
        known = self._passages(index)
        parts = [part for part in parts if part["document_id"] not in known]
        first = 1 + max((number_of(passage) for ids in known.values() for passage in ids), default=-1)
        if parts:
            _growth.add(index, numbered(parts, metadatas, first), progress=self._progress)
        self._say(f"Successfully updated index with {len(parts)} new documents!\n New index size: {len(index)}")

    def delete_from_index(self, document_ids: str | list[str], index_name: str | None = None) -> None:
        """Deletes all passages of documents. Ids that the index does not have are ignored."""
        index = self._opened(index_name, "delete from index")
        if index is None:
            return
        document_ids = [document_ids] if isinstance(document_ids, str) else document_ids
        known = self._passages(index)
        passages = [passage for document_id in document_ids for passage in known.get(document_id, [])]
        if passages:
            index.delete(passages)
        self._say(f"Successfully deleted documents with these IDs: {document_ids}")

    def search(
        self,
        query: str | list[str],
        index_name: str | None = None,
        k: int = 10,
        force_fast: bool = False,
        zero_index_ranks: bool = False,
        doc_ids: list[str] | None = None,
        **kwargs: Any,
    ) -> list[dict[str, Any]] | list[list[dict[str, Any]]] | None:
        """Searches an index: the last one used, or the one of this name.

        Returns a list of dictionaries with `content`, `score`, `rank` (from 1), `document_id`, `passage_id` and, where
        the document has metadata, `document_metadata`; for several queries a list of such lists. `doc_ids` restricts
        the search to passages of these documents. Other options are those of `Index.search`. Returns `None`, and says
        so, without an index. `force_fast` is not used.
        """
        index = self._opened(index_name, "search")
        if index is None:
            return None
        if doc_ids is not None:
            known = self._passages(index)
            kwargs["ids"] = [passage for document_id in doc_ids for passage in known.get(document_id, [])]
        arrays = self._encode_queries([query] if isinstance(query, str) else query)
        if not arrays or (doc_ids is not None and not kwargs["ids"]):
            return _flat([[] for _ in arrays])
        first = 0 if zero_index_ranks else 1
        found = index.search(arrays, max(1, min(k, len(index))), **kwargs)
        return _flat([[_result(hit, rank) for rank, hit in enumerate(results, start=first)] for results in found])

    def rerank(
        self,
        query: str | list[str],
        documents: list[str],
        k: int = 10,
        zero_index_ranks: bool = False,
        bsize: int | str = "auto",
    ) -> list[dict[str, Any]] | list[list[dict[str, Any]]]:
        """Ranks documents by exact MaxSim.

        Returns a list of dictionaries with `content`, `score`, `rank` (from 0, as RAGatouille does) and `result_index`,
        the document's place in `documents`; for several queries a list of such lists.
        """
        arrays = self._encode_passages(documents, "auto")
        return self._rank(query, [(text, array, None) for text, array in zip(documents, arrays)], k)

    def encode(
        self,
        documents: list[str],
        bsize: int | str = "auto",
        document_metadatas: list[dict[str, Any]] | None = None,
        verbose: bool = True,
        max_document_length: int | str = "auto",
    ) -> None:
        """Encodes documents and keeps them in memory, after those that are there, for `search_encoded_docs`."""
        if document_metadatas is not None and len(document_metadatas) != len(documents):
            raise InvalidInput("document_metadatas must be the same length as documents")
        if verbose:
            print(f"Encoding {len(documents)} documents...")
        arrays = self._encode_passages(documents, max_document_length)
        metadatas = document_metadatas or itertools.repeat(None)
        self._encoded += zip(documents, arrays, metadatas)
        if verbose:
            print("Documents encoded!")

    def search_encoded_docs(
        self, query: str | list[str], k: int = 10, bsize: int = 32
    ) -> list[dict[str, Any]] | list[list[dict[str, Any]]]:
        """Ranks the documents in memory by exact MaxSim.

        Returns dictionaries as `rerank` does, with `document_metadata` where metadata was given for any document.
        Raises `InvalidInput` where nothing is encoded.
        """
        if not self._encoded:
            raise InvalidInput("no documents are encoded: call encode first")
        return self._rank(query, self._encoded, k)

    def clear_encoded_docs(self, force: bool = False) -> None:
        """Drops the documents in memory, at once whether `force` is set or not."""
        self._encoded = []

    def as_langchain_retriever(self, **kwargs: Any) -> BaseRetriever:
        """LangChain retriever that calls `search` with these options. Needs langchain-core."""
        from selvedge_search.compat._ragatouille_langchain import RAGatouilleLangChainRetriever

        return RAGatouilleLangChainRetriever(model=self, kwargs=kwargs)

    def as_langchain_document_compressor(self, k: int = 5, **kwargs: Any) -> BaseDocumentCompressor:
        """LangChain compressor that calls `rerank` with these options. Needs langchain-core."""
        from selvedge_search.compat._ragatouille_langchain import RAGatouilleLangChainCompressor

        return RAGatouilleLangChainCompressor(model=self, k=k, kwargs=kwargs)

    @property
    def _progress(self) -> bool | None:
        """Progress of long work: a bar where a person looks, or nothing."""
        return None if self.verbose else False

    def _say(self, text: str) -> None:
        if self.verbose:
            print(text)

    def _use(self, encoder: Encoder, model: str) -> None:
        self._model, self._default = model, encoder
        self._encoders = {(encoder.query_maxlen, encoder.passage_maxlen): encoder}

    def _encoder(self, *, query_maxlen: int | None = None, passage_maxlen: int | None = None) -> Encoder:
        """Encoder of these lengths, the checkpoint's by default. Each pair of lengths is loaded once."""
        default = self._default
        assert default is not None
        lens = (query_maxlen or default.query_maxlen, passage_maxlen or default.passage_maxlen)
        if lens not in self._encoders:
            self._encoders[lens] = Encoder(
                self._model, precision=default.precision, query_maxlen=lens[0], passage_maxlen=lens[1]
            )
        return self._encoders[lens]

    def _encode_queries(self, queries: Sequence[str]) -> list[Any]:
        """Embeddings (Q, D) of each query, by an encoder that reads the longest one whole if the model can."""
        if not queries:
            return []
        encoder = self._encoder()
        needed = min(max(_tokens(query) for query in queries), LONGEST)
        if needed > encoder.query_maxlen:
            with suppress(ModelError):  # the model has fewer positions
                encoder = self._encoder(query_maxlen=min(LONGEST, 1 << (needed - 1).bit_length()))
        return encoder.encode_queries(list(queries), progress=False)

    def _encode_passages(self, documents: list[str], max_length: int | str) -> list[Any]:
        """Embeddings (T, D) of each document. `"auto"` reads up to 508 tokens of it, if the model can."""
        encoder = self._encoder()
        if max_length != "auto":
            encoder = self._encoder(passage_maxlen=min(int(max_length), LONGEST))
        elif max(map(_tokens, documents), default=0) > encoder.passage_maxlen:
            with suppress(ModelError):  # the model has fewer positions
                encoder = self._encoder(passage_maxlen=LONGEST)
        return encoder.encode_passages(documents, progress=self._progress)

    def _rank(
        self, query: str | list[str], documents: list[tuple[str, Any, dict[str, Any] | None]], k: int
    ) -> list[dict[str, Any]] | list[list[dict[str, Any]]]:
        queries = self._encode_queries([query] if isinstance(query, str) else query)
        if not queries or not documents:
            return _flat([[] for _ in queries])
        has_metadata = any(metadata is not None for _, _, metadata in documents)
        ranked = []
        for scores in maxsim(queries, [array for _, array, _ in documents]):
            results = []
            for rank, number in enumerate((-scores).argsort(kind="stable")[: max(0, k)].tolist()):
                text, _, metadata = documents[number]
                result = {"content": text, "score": float(scores[number]), "rank": rank, "result_index": number}
                results.append({**result, "document_metadata": metadata} if has_metadata else result)
            ranked.append(results)
        return _flat(ranked)

    def _close(self) -> None:
        if self._index is not None:
            self._index.close()
        self._index = self._known = None

    def _open(self, name: str) -> Index:
        index = Index.open(self._root / name, device=self._device)
        self._close()
        self._index, self.index_name, self.index_path = index, name, str(self._root / name)
        if self._default is None:
            self._use(index.encoder, index.model or "")
        return index

    def _opened(self, name: str | None, purpose: str) -> Index | None:
        """The open index, or the one of this name. None, and a message, where there is no name."""
        if self._index is not None and name in (None, self.index_name):
            return self._index
        if name is None:
            self._say(f"Cannot {purpose} without an index_name! Please provide one. Returning empty results.")
            return None
        if not (self._root / name).exists():
            raise IndexNotFound(f"{self._root / name}: there is no index")
        return self._open(name)

    def _passages(self, index: Index) -> dict[str, list[str]]:
        """Ids of the passages of each document."""
        if self._known is None or self._known[0] != index.generation:
            documents: dict[str, list[str]] = {}
            for passage in index.ids():
                documents.setdefault(passage.partition(":")[2], []).append(passage)
            self._known = (index.generation, documents)
        return self._known[1]


def _result(hit: Any, rank: int) -> dict[str, Any]:
    result = {
        "content": hit.text,
        "score": float(hit.score),
        "rank": rank,
        "document_id": hit.id.partition(":")[2],
        "passage_id": number_of(hit.id),
    }
    return {**result, "document_metadata": hit.metadata} if hit.metadata else result


def _flat(results: list[list[dict[str, Any]]]) -> list[dict[str, Any]] | list[list[dict[str, Any]]]:
    """RAGatouille answers a list of one query as it answers the query."""
    return results[0] if len(results) == 1 else results


def _tokens(text: str) -> int:
    return int(len(text.split(" ")) * TOKENS_PER_WORD)
