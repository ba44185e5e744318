"""PyLate's ``indexes.PLAID``, over an index of selvedge."""

from __future__ import annotations

import operator
import os
import shutil
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._plaid import Array, Opened, bits, device_name, is_list, positive, rows, unless_default

if TYPE_CHECKING:
    import numpy as np

    from selvedge_search import Index

__all__ = ["PLAID"]

#: Metadata key of the documents that were added with an integer as their id, which results give back.
INTEGER = "pylate_integer"

#: Files by which an index that PyLate wrote is known.
_OF_PYLATE = ("fast_plaid_index", "documents_ids_to_plaid_ids.pkl")

#: Defaults of PyLate that stand for the defaults of the index.
_N_IVF_PROBE, _N_FULL_SCORES = 8, 8192


class PLAID:
    """Index of late-interaction embeddings with the members of PyLate's ``indexes.PLAID``.

    Args:
        index_folder: folder of the indexes.
        index_name: name of the folder within it that is the index; other programs open it by
            `selvedge_search.Index.open`.
        override: whether an index of that name is replaced, when the first documents are added.
        nbits: bits per dimension: 1, 2, 4 or 8.
        seed: seed of the random numbers of a build.
        n_ivf_probe: cells to probe for each query token. The default stands for the default of the index.
        n_full_scores: candidates to score approximately. The default stands for the default of the index.
        show_progress: whether a bar is shown where a person looks.
        device: ``None`` or ``"cpu"``, or ``"cuda"``, ``"cuda:1"``; of several the first one is used.
        use_fast, kmeans_niters, max_points_per_centroid, n_samples_kmeans, use_triton, batch_size, num_threads,
        low_memory: checked and ignored; an index chooses these by itself.
        **kwargs: ignored with a warning, as PyLate ignores parameters of its other backend.

    Raises:
        ValueError: a number is out of its range, the device is unknown, or the folder is an index that PyLate wrote
            and ``override`` is false.
    """

    is_end_to_end_index = True

    def __init__(
        self,
        index_folder: str | os.PathLike[str] = "indexes",
        index_name: str = "colbert",
        override: bool = False,
        use_fast: bool = True,
        nbits: int = 4,
        kmeans_niters: int = 4,
        max_points_per_centroid: int = 256,
        n_samples_kmeans: int | None = None,
        seed: int = 42,
        use_triton: bool | None = None,
        n_ivf_probe: int = _N_IVF_PROBE,
        n_full_scores: int = _N_FULL_SCORES,
        batch_size: int = 1 << 18,
        num_threads: int | None = None,
        show_progress: bool = True,
        device: str | list[str] | None = None,
        low_memory: bool = False,
        **kwargs: Any,
    ) -> None:
        if kwargs:
            warnings.warn(f"ignored by this index: {', '.join(sorted(kwargs))}", FutureWarning, stacklevel=2)
        positive("kmeans_niters", kmeans_niters)
        positive("max_points_per_centroid", max_points_per_centroid)
        positive("batch_size", batch_size)
        if n_samples_kmeans is not None:
            positive("n_samples_kmeans", n_samples_kmeans)
        if num_threads is not None:
            positive("num_threads", num_threads)
        self.index_folder = index_folder
        self.index_name = index_name
        self.use_fast = use_fast
        self.nbits = bits(nbits)
        self.seed = operator.index(seed)
        self.n_ivf_probe = n_ivf_probe
        self.n_full_scores = n_full_scores
        self.show_progress = show_progress
        self.device = device
        self._nprobe = unless_default("n_ivf_probe", n_ivf_probe, _N_IVF_PROBE)
        self._ndocs = unless_default("n_full_scores", n_full_scores, _N_FULL_SCORES)
        path = Path(index_folder, index_name)
        self._opened = Opened(path, device_name(device))
        # `None` is a bar where a person looks.
        self._progress = None if show_progress else False
        self._is_replaced = bool(override)
        # Generation, and whether one of its documents was added with an integer as its id.
        self._integers: tuple[int, bool] | None = None
        if any((path / name).exists() for name in _OF_PYLATE):
            if not override:
                raise ValueError(f"{path} is an index that PyLate wrote: build it anew with override=True")
            shutil.rmtree(path)
        self._current()

    @property
    def index(self) -> Index:
        """The index itself, for what PyLate's class does not offer: filters, explanations, words, snapshots.

        Raises:
            ValueError: no documents were added yet.
        """
        index = self._current()
        if index is None:
            raise ValueError(f"the index {self._opened.path} is empty: add documents first")
        return index

    def add_documents(
        self,
        documents_ids: str | int | Iterable[str | int],
        documents_embeddings: Array | Iterable[Array],
        **kwargs: Any,
    ) -> PLAID:
        """Adds documents; one whose id is in the index already replaces it.

        Args:
            documents_ids: a str or an int for each document, or a single one. Results give an int back as an int.
            documents_embeddings: as many arrays ``(T, D)``, or one ``(P, T, D)``; ``(T, D)`` for a single document.
            **kwargs: ignored, as by PyLate.

        Raises:
            TypeError: an id is neither a str nor an int.
            ValueError: ids and embeddings differ in number, an id is repeated, or an embedding is not finite or of
                another dimension than those of the index.
        """
        ids = _listed(documents_ids)
        embeddings = rows(documents_embeddings)
        if len(ids) != len(embeddings):
            raise ValueError(f"{len(ids)} ids were given with the embeddings of {len(embeddings)} documents")
        if not ids:
            return self
        texts = [_text(id) for id in ids]
        # An id that is given twice would be a document that replaces the one before.
        if len(set(texts)) < len(texts):
            repeated = next(text for number, text in enumerate(texts) if text in texts[:number])
            raise ValueError(f"the id {repeated!r} is given twice")
        are_integers = any(not isinstance(id, str) for id in ids)
        metadata = [None if isinstance(id, str) else {INTEGER: True} for id in ids] if are_integers else None
        index = self._current()
        if index is None:
            self._opened.create(
                embeddings,
                ids=texts,
                metadata=metadata,
                nbits=self.nbits,
                seed=self.seed,
                overwrite=self._is_replaced,
                progress=self._progress,
            )
            self._is_replaced = False
        else:
            index.update(embeddings=embeddings, ids=texts, metadata=metadata, progress=self._progress)
        return self

    def update_documents(
        self, documents_ids: str | int | Iterable[str | int], documents_embeddings: Array | Iterable[Array]
    ) -> PLAID:
        """Replaces the embeddings of documents, and adds those that are not in the index.

        Arguments and errors are those of `add_documents`.
        """
        return self.add_documents(documents_ids, documents_embeddings)

    def remove_documents(self, documents_ids: str | int | Iterable[str | int]) -> PLAID:
        """Removes documents; ids that are not in the index are ignored.

        Raises:
            ValueError: no documents were added yet.
        """
        ids = _listed(documents_ids)
        index = self.index
        if ids:
            index.delete([_text(id) for id in ids], ignore_missing=True)
        return self

    def __call__(
        self,
        queries_embeddings: Array | Iterable[Array],
        k: int = 10,
        subset: Sequence[str | int] | Sequence[Sequence[str | int]] | None = None,
    ) -> list[list[dict[str, Any]]]:
        """Returns the best ``k`` documents for each query, best first, each as ``{"id": ..., "score": ...}``.

        Args:
            queries_embeddings: arrays ``(Q, D)``, or one ``(B, Q, D)``; ``(Q, D)`` for a single query.
            k: number of results per query.
            subset: ids that may be found, or a list of ids for each query. Ids that are not in the index are ignored;
                an empty list finds nothing.

        Raises:
            ValueError: no documents were added yet, an embedding is not finite or of another dimension, or the number
                of lists differs from that of the queries.
        """
        index = self.index
        queries = rows(queries_embeddings)
        if not queries:
            return []
        ids = None if subset is None else _ids(subset, len(queries))
        has_integers = self._has_integers(index)
        found = index.search(
            queries,
            positive("k", k),
            nprobe=self._nprobe,
            ndocs=self._ndocs,
            ids=ids,
            text=False,
            metadata=has_integers,
            progress=self._progress,
        )
        if not has_integers:
            return [
                [{"id": id, "score": score} for id, score in zip(results.ids, results.scores.tolist())]
                for results in found
            ]
        return [
            [
                {"id": int(hit.id) if (hit.metadata or {}).get(INTEGER) else hit.id, "score": float(hit.score)}
                for hit in results
            ]
            for results in found
        ]

    def get_documents_embeddings(self, document_ids: Sequence[Sequence[str | int]]) -> list[list[np.ndarray]]:
        """Returns the embeddings of documents, ``(T, D)`` f32 each, a list for each list of ids.

        They are decoded from the compressed bytes, so that they differ from those that were added.

        Raises:
            KeyError: an id is not in the index.
            ValueError: no documents were added yet.
        """
        index = self.index
        lists = [[_text(id) for id in ids] for ids in document_ids]
        different = list(dict.fromkeys(id for ids in lists for id in ids))
        embeddings = dict(zip(different, index.embeddings(different))) if different else {}
        return [[embeddings[id] for id in ids] for ids in lists]

    def _current(self) -> Index | None:
        """Returns the index in its newest generation, or ``None`` before the first documents."""
        return None if self._is_replaced else self._opened.current()

    def _has_integers(self, index: Index) -> bool:
        """Whether a document was added with an integer as its id."""
        if self._integers is None or self._integers[0] != index.generation:
            columns = index.info()["columns"]
            self._integers = index.generation, any(column["key"] == INTEGER for column in columns)
        return self._integers[1]


def _text(id: Any) -> str:
    """Returns an id as the index stores it."""
    if isinstance(id, str):
        return id
    try:
        return str(operator.index(id))
    except TypeError:
        raise TypeError(f"the id {id!r} is neither a str nor an int") from None


def _listed(ids: Any) -> list[Any]:
    """Returns ids as a list, also a single one."""
    return [ids] if isinstance(ids, str) or not hasattr(ids, "__iter__") else list(ids)


def _ids(subset: Any, num_queries: int) -> list[str] | list[list[str]]:
    """Returns the ids of a subset: one list for all queries, or one for each."""
    items = list(subset)
    if not any(is_list(item) for item in items):
        return [_text(id) for id in items]
    if len(items) != num_queries:
        raise ValueError(f"subset has {len(items)} lists for {num_queries} queries")
    return [[_text(id) for id in ids] for ids in items]
