"""fast-plaid's ``search.FastPlaid``, over an index of selvedge."""

from __future__ import annotations

import operator
import sys
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .._plaid import Array, Opened, bits, device_name, is_list, positive, rows, unless_default
from ._documents import FROZEN, Positions, to_metadata

if TYPE_CHECKING:
    from selvedge_search import Index, Results, Snapshot

__all__ = ["FastPlaid"]

#: Defaults of fast-plaid that stand for the defaults of the index.
_N_IVF_PROBE, _N_FULL_SCORES = 8, 4096

#: Bits per dimension of an index whose first documents come by `FastPlaid.update`.
_NBITS = 4


class FastPlaid:
    """Index of late-interaction embeddings with the members of fast-plaid's class.

    Args:
        index: path of the index, which other programs open by `selvedge_search.Index.open`.
        device: ``None`` or ``"cpu"``, or ``"cuda"``, ``"cuda:1"``; of several the first one is used.
        index_gpu_memory, index_memory_fraction, search_memory_fraction: checked and ignored.
        **kwargs: ignored, as by fast-plaid; ``low_memory`` with its `DeprecationWarning`.

    Raises:
        ValueError: a value is out of its range, or the device is unknown.
    """

    def __init__(
        self,
        index: str,
        device: str | list[str] | None = None,
        index_gpu_memory: str = "auto",
        index_memory_fraction: float = 0.7,
        search_memory_fraction: float = 0.5,
        **kwargs: Any,
    ) -> None:
        if "low_memory" in kwargs or isinstance(index_gpu_memory, bool):
            index_gpu_memory = "auto" if isinstance(index_gpu_memory, bool) else index_gpu_memory
            warnings.warn("low_memory is deprecated and ignored", DeprecationWarning, stacklevel=2)
        if index_gpu_memory not in ("auto", "low", "medium", "high"):
            raise ValueError(f"index_gpu_memory is {index_gpu_memory!r}: expected 'auto', 'low', 'medium' or 'high'")
        for name, value in (
            ("index_memory_fraction", index_memory_fraction),
            ("search_memory_fraction", search_memory_fraction),
        ):
            if not 0.0 < value <= 1.0:
                raise ValueError(f"{name} is {value}: expected more than 0 and at most 1")
        self.index = index
        self._opened = Opened(index, device_name(device))
        self.devices = [self._opened.device.replace("/", ":")]
        self._positions: Positions | None = None

    def create(
        self,
        documents_embeddings: Array | Iterable[Array],
        kmeans_niters: int = 4,
        max_points_per_centroid: int = 256,
        nbits: int = 4,
        n_samples_kmeans: int | None = None,
        batch_size: int = 25_000,
        seed: int = 42,
        use_triton_kmeans: bool | None = None,
        metadata: Sequence[dict[str, Any]] | None = None,
        start_from_scratch: int = 1000,
        compress_only: bool = False,
    ) -> FastPlaid:
        """Builds the index, which replaces one at its path.

        Args:
            documents_embeddings: arrays ``(T, D)``, or one ``(P, T, D)``.
            nbits: bits per dimension: 1, 2, 4 or 8.
            seed: seed of the random numbers of the build.
            metadata: a row for each document: see `filtering`.
            kmeans_niters, max_points_per_centroid, n_samples_kmeans, batch_size: checked and ignored.
            use_triton_kmeans, start_from_scratch, compress_only: ignored; the index can always be searched.

        Raises:
            ValueError: a number is out of its range, rows and documents differ in number, a column has no proper name,
                or an embedding is not finite.
        """
        _check_build(kmeans_niters, max_points_per_centroid, n_samples_kmeans, batch_size)
        embeddings = rows(documents_embeddings)
        values = _metadata(metadata, len(embeddings))
        self._opened.create(
            embeddings,
            ids=list(map(str, range(len(embeddings)))),
            metadata=values,
            nbits=bits(nbits),
            seed=operator.index(seed),
            overwrite=True,
        )
        self._positions = None
        self._frozen.unlink(missing_ok=True)
        return self

    def update(
        self,
        documents_embeddings: Array | Iterable[Array],
        metadata: Sequence[dict[str, Any]] | None = None,
        batch_size: int = 25_000,
        kmeans_niters: int = 4,
        max_points_per_centroid: int = 256,
        n_samples_kmeans: int | None = None,
        seed: int = 42,
        start_from_scratch: int = 999,
        buffer_size: int = 100,
        use_triton_kmeans: bool | None = False,
    ) -> FastPlaid:
        """Adds documents after those of the index, or builds the index of 4 bits where there is none.

        Arguments are those of `create`; ``start_from_scratch`` and ``buffer_size`` are ignored.

        Raises:
            RuntimeError: the index is frozen.
            ValueError: as `create`, or the embeddings are of another dimension than those of the index.
        """
        _check_build(kmeans_niters, max_points_per_centroid, n_samples_kmeans, batch_size)
        index = self._opened.current()
        if index is None:
            return self.create(documents_embeddings, nbits=_NBITS, seed=seed, metadata=metadata)
        self._check_mutable("update")
        embeddings = rows(documents_embeddings)
        values = _metadata(metadata, len(embeddings))
        if embeddings:
            first = self._positions_of(index).next_number()
            ids = list(map(str, range(first, first + len(embeddings))))
            index.add(embeddings=embeddings, ids=ids, metadata=values)
        return self

    def delete(self, subset: Sequence[int] | int) -> FastPlaid:
        """Deletes the documents at these positions, with their metadata; those that follow move up.

        Positions out of range are ignored.

        Raises:
            FileNotFoundError: there is no index.
            RuntimeError: the index is frozen.
        """
        index = self._existing()
        self._check_mutable("delete from")
        ids = self._positions_of(index).ids_at(_listed(subset))
        if ids:
            index.delete(list(dict.fromkeys(ids)))
        return self

    def search(
        self,
        queries_embeddings: Array | Iterable[Array],
        top_k: int = 10,
        batch_size: int | str = "auto",
        n_full_scores: int = _N_FULL_SCORES,
        n_ivf_probe: int = _N_IVF_PROBE,
        show_progress: bool = True,
        subset: Sequence[Sequence[int]] | Sequence[int] | int | None = None,
        n_processes: int | None = None,
    ) -> list[list[tuple[int, float]]]:
        """Returns the best documents for each query, best first, as positions and scores.

        Args:
            queries_embeddings: arrays ``(Q, D)``, or one ``(B, Q, D)``; ``(Q, D)`` for a single query.
            top_k: number of results per query.
            n_full_scores: candidates to score approximately. The default stands for the default of the index.
            n_ivf_probe: cells to probe for each query token. The default stands for the default of the index.
            subset: positions that may be found, or a list of them for each query. An empty list finds everything, an
                empty list for one query nothing.
            show_progress: whether a bar is shown where a person looks.
            batch_size, n_processes: checked and ignored.

        Raises:
            FileNotFoundError: there is no index.
            ValueError: a number is out of its range, or the lists and the queries differ in number.
        """
        given = (queries_embeddings, top_k, batch_size, n_full_scores, n_ivf_probe, show_progress, subset, n_processes)
        return [
            list(zip(positions, results.scores.tolist())) for positions, results in self._search(*given, explain=False)
        ]

    def search_token_scores(
        self,
        queries_embeddings: Array | Iterable[Array],
        top_k: int = 10,
        batch_size: int | str = "auto",
        n_full_scores: int = _N_FULL_SCORES,
        n_ivf_probe: int = _N_IVF_PROBE,
        show_progress: bool = True,
        subset: Sequence[Sequence[int]] | Sequence[int] | int | None = None,
        n_processes: int | None = None,
    ) -> list[list[tuple[int, float, Any]]]:
        """Returns what `search` returns, with the similarity of each query token and each token of the document.

        Similarities are ``(Q, T)`` f32, a tensor if torch is imported, else an array. They are those of the search,
        which rounds a query to int8: the sum of their maxima is the score.

        Arguments and errors are those of `search`.
        """
        given = (queries_embeddings, top_k, batch_size, n_full_scores, n_ivf_probe, show_progress, subset, n_processes)
        return [
            [
                (position, hit.score, _tensor(hit.explanation.similarities))
                for position, hit in zip(positions, results)
                if hit.explanation is not None
            ]
            for positions, results in self._search(*given, explain=True)
        ]

    def get_embeddings(self, subset: Sequence[int] | int) -> list[Any]:
        """Returns the decoded embeddings of the documents at these positions, ``(T, D)`` f32 each.

        They are tensors if torch is imported, else arrays.

        Raises:
            FileNotFoundError: there is no index.
            IndexError: a position is out of range.
        """
        positions = _listed(subset)
        if not positions:
            return []
        with self._existing().snapshot() as index:
            numbers = self._positions_of(index)
            for position in positions:
                if not 0 <= position < len(numbers):
                    raise IndexError(f"document {position} of an index of {len(numbers)} documents")
            return [_tensor(embeddings) for embeddings in index.embeddings(numbers.ids_at(positions))]

    def freeze(self) -> FastPlaid:
        """Makes `update` and `delete` fail, also in other processes, until `unfreeze`. `create` still replaces it.

        Raises:
            FileNotFoundError: there is no index.
        """
        self._existing()
        self._frozen.touch()
        return self

    def unfreeze(self) -> FastPlaid:
        """Allows changes again.

        Raises:
            FileNotFoundError: there is no index.
        """
        self._existing()
        self._frozen.unlink(missing_ok=True)
        return self

    def close(self) -> None:
        """Releases the files of the index; the next call opens it again."""
        self._opened.close()
        self._positions = None

    def __enter__(self) -> FastPlaid:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _frozen(self) -> Path:
        """File whose presence freezes the index."""
        return Path(self.index, FROZEN)

    def _existing(self) -> Index:
        index = self._opened.current()
        if index is None:
            raise FileNotFoundError(f"there is no index at {self.index!r}: create it first")
        return index

    def _positions_of(self, index: Index | Snapshot) -> Positions:
        """Positions of the documents in the generation of an index."""
        positions = self._positions
        if positions is None or positions.generation != index.generation:
            positions = self._positions = Positions(index)
        return positions

    def _check_mutable(self, operation: str) -> None:
        if self._frozen.exists():
            raise RuntimeError(f"Cannot {operation} a frozen index. Call unfreeze() first.")

    def _search(
        self,
        queries_embeddings: Array | Iterable[Array],
        top_k: int,
        batch_size: int | str,
        n_full_scores: int,
        n_ivf_probe: int,
        show_progress: bool,
        subset: Any,
        n_processes: int | None,
        explain: bool,
    ) -> list[tuple[list[int], Results]]:
        """Returns positions and results for each query."""
        if batch_size != "auto":
            positive("batch_size", batch_size)
        if n_processes is not None:
            positive("n_processes", n_processes)
        queries = rows(queries_embeddings)
        with self._existing().snapshot() as index:
            if not queries:
                return []
            positions = self._positions_of(index)
            found = index.search(
                queries,
                positive("top_k", top_k),
                nprobe=unless_default("n_ivf_probe", n_ivf_probe, _N_IVF_PROBE),
                ndocs=unless_default("n_full_scores", n_full_scores, _N_FULL_SCORES),
                ids=_ids(subset, positions, len(queries)),
                text=False,
                metadata=False,
                explain=explain,
                progress=None if show_progress else False,
            )
        return [(positions.of(results.ids), results) for results in found]


def _check_build(
    kmeans_niters: int, max_points_per_centroid: int, n_samples_kmeans: int | None, batch_size: int
) -> None:
    positive("kmeans_niters", kmeans_niters)
    positive("max_points_per_centroid", max_points_per_centroid)
    positive("batch_size", batch_size)
    if n_samples_kmeans is not None:
        positive("n_samples_kmeans", n_samples_kmeans)


def _metadata(metadata: Sequence[dict[str, Any]] | None, num_documents: int) -> list[dict[str, Any]] | None:
    """Returns the rows as metadata of an index."""
    if metadata is None:
        return None
    if len(metadata) != num_documents:
        raise ValueError(
            f"The length of metadata ({len(metadata)}) must match the number of documents_embeddings ({num_documents})"
        )
    return [to_metadata(row) for row in metadata]


def _listed(subset: Any) -> list[int]:
    """Returns positions, or a single one, as a list of ints."""
    return [operator.index(item) for item in (subset if is_list(subset) else [subset])]


def _ids(subset: Any, positions: Positions, num_queries: int) -> list[str] | list[list[str]] | None:
    """Returns the ids of a subset: ``None`` for all documents, one list for all queries, or one for each."""
    if subset is None or (is_list(subset) and len(subset) == 0):
        return None
    items = list(subset) if hasattr(subset, "__iter__") else [subset]
    if not any(is_list(item) for item in items):
        return positions.ids_at(items)
    if len(items) != num_queries:
        raise ValueError(f"Subset length must match number of queries: {len(items)} lists for {num_queries} queries")
    return [positions.ids_at(item) for item in items]


def _tensor(array: Any) -> Any:
    """Returns a tensor if the program uses torch, else the array."""
    torch = sys.modules.get("torch")
    return array if torch is None else torch.from_numpy(array)
