"""Documents of the RAGatouille replacement: splitting, preprocessing, ids of passages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

from selvedge_search import Encoder
from selvedge_search.errors import InvalidInput


def llama_index_sentence_splitter(
    documents: list[str], document_ids: list[str], chunk_size: int = 256
) -> list[dict[str, str]]:
    """Splits documents at sentences with LlamaIndex, into parts of at most `chunk_size` of its tokens.

    Returns a dictionary with `document_id` and `content` for each part, in order. Raises `ImportError` without
    llama-index-core.
    """
    from llama_index.core.node_parser import SentenceSplitter

    splitter = SentenceSplitter(chunk_size=chunk_size, chunk_overlap=min(chunk_size // 4, 64))
    return [
        {"document_id": document_id, "content": part}
        for document_id, document in zip(document_ids, documents)
        for part in splitter.split_text(document)
    ]


class CorpusProcessor:
    """Splitter and preprocessing functions, applied to documents in this order."""

    def __init__(
        self,
        document_splitter_fn: Callable[..., list[Any]] | None = llama_index_sentence_splitter,
        preprocessing_fn: Callable[..., list[Any]] | list[Callable[..., list[Any]]] | None = None,
    ) -> None:
        self.document_splitter_fn = document_splitter_fn
        self.preprocessing_fn = preprocessing_fn

    def process_corpus(
        self, documents: list[str], document_ids: list[str] | None = None, **splitter_kwargs: Any
    ) -> list[Any]:
        """Returns what the last function returned: dictionaries with `document_id` and `content`, as a rule."""
        ids = [str(uuid4()) for _ in documents] if document_ids is None else document_ids
        processed: list[Any] = documents
        if self.document_splitter_fn is not None:
            processed = self.document_splitter_fn(processed, ids, **splitter_kwargs)
        functions = self.preprocessing_fn or []
        for function in functions if isinstance(functions, list) else [functions]:
            processed = function(processed, ids)
        return processed


def process(
    collection: list[str],
    document_ids: list[str] | None,
    metadatas: list[dict[str, Any]] | None,
    processor: CorpusProcessor,
    encoder: Encoder,
) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """Returns the parts of the documents, and the metadata of each document that has some.

    The default splitter needs llama-index-core; without it the encoder splits. Raises `InvalidInput` for ids that do
    not fit.
    """
    if document_ids is None:
        document_ids = [str(uuid4()) for _ in collection]
    _check_ids(document_ids, collection, metadatas)
    if processor.document_splitter_fn is llama_index_sentence_splitter and not _has_llama_index():
        processor = CorpusProcessor(_encoder_splitter(encoder), processor.preprocessing_fn)
    options = {} if processor.document_splitter_fn is None else {"chunk_size": encoder.passage_maxlen}
    parts = processor.process_corpus(collection, document_ids, **options)
    if len(parts) == len(document_ids) and all(isinstance(part, str) for part in parts):
        parts = [{"document_id": document_id, "content": part} for document_id, part in zip(document_ids, parts)]
    return parts, dict(zip(document_ids, metadatas or []))


def _check_ids(document_ids: list[str], collection: list[str], metadatas: list[dict[str, Any]] | None) -> None:
    if len(document_ids) != len(collection):
        raise InvalidInput("document_ids must be the same length as collection")
    if not all(isinstance(document_id, str) for document_id in document_ids):
        raise InvalidInput("All document_ids must be strings")
    if len(document_ids) != len(set(document_ids)):
        raise InvalidInput("document_ids must be unique")
    if any(not document_id.strip() for document_id in document_ids):
        raise InvalidInput("document_ids must not contain empty strings")
    if metadatas is not None and len(metadatas) != len(collection):
        raise InvalidInput("document_metadatas must be the same length as collection")


def numbered(parts: list[dict[str, Any]], metadatas: dict[str, dict[str, Any]], first: int) -> Iterator[dict[str, Any]]:
    """Yields the passages of parts: `<number>:<document_id>` is the id, and the document's metadata is theirs."""
    for number, part in enumerate(parts, start=first):
        document_id = part["document_id"]
        yield {
            "id": f"{number}:{document_id}",
            "text": part["content"],
            "metadata": metadatas.get(document_id) or {},
        }


def number_of(passage: str) -> int:
    """Number at the start of a passage's id."""
    return int(passage.partition(":")[0])


def _has_llama_index() -> bool:
    from importlib.util import find_spec

    return find_spec("llama_index") is not None and find_spec("llama_index.core") is not None


def _encoder_splitter(encoder: Encoder) -> Callable[..., list[dict[str, Any]]]:
    def split(documents: list[str], document_ids: list[str], chunk_size: int) -> list[dict[str, Any]]:
        return [
            {"document_id": document_id, "content": part}
            for document_id, document in zip(document_ids, documents)
            for part in encoder.split(document)
        ]

    return split
