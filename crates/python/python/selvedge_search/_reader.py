"""What an index and a snapshot of it have in common: all that does not change it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

from . import _progress, _selvedge
from ._arguments import (
    Where,
    check_text,
    checked,
    condition,
    count,
    is_one,
    judgments_of,
    named,
    per_query,
    queries_of,
    strings,
)
from .errors import InvalidInput, WrongType
from .results import Batch, Explanation, Results

if TYPE_CHECKING:
    import numpy as np

Self = TypeVar("Self", bound="Reader")


@checked
class Reader:
    """An index as one generation of it shows it."""

    _engine: _selvedge.Engine

    @property
    def path(self) -> str:
        """Folder of the index."""
        return os.fspath(self._engine.path)

    @property
    def generation(self) -> int:
        """Number of the generation that answers; it grows with each change."""
        return self._engine.generation

    @property
    def dim(self) -> int:
        """Number of components of an embedding."""
        return self._engine.dim

    @property
    def num_passages(self) -> int:
        """Number of passages."""
        return self._engine.num_passages

    @property
    def num_tokens(self) -> int:
        """Number of embeddings."""
        return self._engine.num_tokens

    @property
    def model(self) -> str | None:
        """Name of the model that made the index; None for an index of embeddings."""
        return self._engine.model

    @property
    def closed(self) -> bool:
        """Whether the index was closed."""
        return self._engine.closed

    def close(self) -> None:
        """Forget the index; every later call raises IndexClosed."""
        self._engine.close()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return self._engine.num_passages

    def __bool__(self) -> bool:
        return True

    def __contains__(self, id: object) -> bool:
        return is_one(id) and self._engine.contains(id)

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids())

    def ids(self, where: Where | None = None) -> list[str]:
        """Return the ids of all passages, or of those for which a condition on their metadata is true.

        Raises:
            InvalidInput: The condition has a fault.
        """
        return self._engine.ids() if where is None else self._engine.matching(condition(where))

    def search(
        self,
        query: Any,
        k: int = 10,
        *,
        rank_by: str = "maxsim",
        alpha: float | None = None,
        first: int | None = None,
        exact: bool = False,
        nprobe: int | None = None,
        ndocs: int | None = None,
        num_rescored: int | None = None,
        where: Where | None = None,
        ids: Iterable[Any] | None = None,
        text: bool = True,
        metadata: bool = True,
        snippet: int | None = None,
        explain: bool = False,
        facets: Sequence[str] = (),
        progress: _progress.Progress = None,
    ) -> Any:
        """Return the best passages for a query, or for each of several.

        Args:
            query: A text, or embeddings (Q, D) of float32 or float16: one query, answered by :class:`Results`. A list
                of texts, a list of arrays, or an array (B, Q, D): several, answered by a :class:`Batch`.
            k: Number of passages.
            rank_by: "maxsim"; "lexical" (BM25 of the words), "hybrid" (both, fused) or "lexical-first" (MaxSim of the
                best passages by words) need the query's text.
            alpha: Weight of MaxSim in a hybrid ranking, from 0 to 1. Default: by reciprocal ranks.
            first: Number of the best passages by words that "lexical-first" scores. Default: 1,000.
            exact: Whether every passage is scored, instead of candidates.
            nprobe: Cells that are looked into per query token. Default: as tuned, else by the size of the index.
            ndocs: Candidates that are ranked by their centroids. Default: as for nprobe.
            num_rescored: Candidates that are scored with their residuals. Default: as for nprobe.
            where: Condition on metadata, such as ``"year >= 2020 AND lang = 'en'"``. It has ``=``, ``!=``, ``<``,
                ``<=``, ``>``, ``>=``, ``IN (1, 2)``, ``BETWEEN 1 AND 2``, ``LIKE 'a%'``, ``IS NULL``, ``IS NOT NULL``,
                ``AND``, ``OR``, ``NOT`` and parentheses; texts in single quotes (``'it''s'``), keys of other signs in
                double quotes, keys of nested objects with dots. A list fits if one of its values does. A date is a
                text such as ``'2024-05-01'``, or with a time and a zone. Values of another type are not compared.
                Values of the program are given beside the condition, one for each ``?``, and never read as part of it:
                ``("year >= ? AND lang IN ?", [2020, ["en", "de"]])``. They are texts, numbers, bools, dates, or lists.
            ids: Passages that may be found; unknown ones are ignored. For several queries, a list of lists gives each
                its own.
            text: Whether hits carry their text.
            metadata: Whether hits carry their metadata.
            snippet: Characters of the part of the text that matched best. Default: no such part.
            explain: Whether hits carry an :class:`Explanation`.
            facets: Keys of metadata whose values are counted among the best passages.
            progress: See :meth:`Index.create`.

        Raises:
            DimensionMismatch: The embeddings are of another model.
            InvalidInput: An option, an array or the filter has a fault.
            ModelError: The query is a text, and its model cannot be loaded.
            IndexClosed: The index was closed.
        """
        settings = {
            "k": count("k", k),
            "rank_by": rank_by,
            "alpha": alpha,
            "first": first,
            "exact": exact,
            "nprobe": None if nprobe is None else count("nprobe", nprobe),
            "ndocs": None if ndocs is None else count("ndocs", ndocs),
            "num_rescored": None if num_rescored is None else count("num_rescored", num_rescored),
            "where": None if where is None else condition(where),
            "ids": ids,
            "text": text,
            "metadata": metadata,
            "snippet": snippet,
            "explain": explain,
            "facets": strings("facets", facets),
        }
        if isinstance(query, str) or getattr(query, "ndim", 0) == 2:
            return Results(self._engine.search([query], settings, None)[0])
        return Batch(self._search_all(queries_of(query), settings, progress))

    def _search_all(
        self, queries: list[Any], settings: dict[str, Any], progress: _progress.Progress = False
    ) -> list[Results]:
        """Answer several queries; ids may be a list for each."""
        of_each = per_query(settings["ids"], len(queries))
        if of_each is not None:
            each = zip(queries, of_each)
            return [Results(self._engine.search([one], {**settings, "ids": ids}, None)[0]) for one, ids in each]
        with _progress.shown(progress) as report:
            return [Results(found) for found in self._engine.search(queries, settings, report)]

    def explain(self, query: Any, id: Any) -> Explanation:
        """Return the reasons for the score of a passage: which of its tokens each query token matched, and how well.

        Args:
            query: A text, or embeddings (Q, D).
            id: The passage.

        Raises:
            UnknownIds: The index does not have the passage.
        """
        return Explanation._of(self._engine.explain(query, id))

    @overload
    def get(self, ids: str | int) -> dict[str, Any]: ...
    @overload
    def get(self, ids: Iterable[Any]) -> list[dict[str, Any]]: ...
    def get(self, ids: Any) -> dict[str, Any] | list[dict[str, Any]]:
        """Return a passage as a dictionary of id, text and metadata, or a list of them for a list of ids.

        Raises:
            UnknownIds: The index does not have one of them.
        """
        found = self._engine.documents(ids)
        return found[0] if is_one(ids) else found

    @overload
    def embeddings(self, ids: str | int) -> np.ndarray: ...
    @overload
    def embeddings(self, ids: Iterable[Any]) -> list[np.ndarray]: ...
    def embeddings(self, ids: Any) -> np.ndarray | list[np.ndarray]:
        """Return the embeddings of a passage, (T, D) float32, decoded from the bytes of the index; a list for a list.

        Raises:
            UnknownIds: The index does not have one of them.
        """
        found = self._engine.embeddings(ids)
        return found[0] if is_one(ids) else found

    def info(self) -> dict[str, Any]:
        """Return what the index is made of: counts, the codec, the model, segments, columns of metadata, bytes."""
        return named(self._engine.info())  # type: ignore[no-any-return]

    def eval(
        self,
        queries: Mapping[Any, Any],
        qrels: Mapping[Any, Mapping[Any, int]] | str | os.PathLike[str],
        *,
        k: int = 100,
        exact: bool = False,
        nprobe: int | None = None,
        ndocs: int | None = None,
        num_rescored: int | None = None,
        where: Where | None = None,
        dense: bool = False,
        compare: Sequence[str] = (),
        alpha: float | None = None,
        progress: _progress.Progress = None,
    ) -> dict[str, Any]:
        """Measure the quality of searches, their recall against exact search, and their speed.

        Args:
            queries: Texts, or embeddings (Q, D), by their ids. Texts are encoded in each call.
            qrels: Grades by passage, by query: ``{"q1": {"d7": 1}}``; or the path of a file of TREC's or BEIR's.
            k: Depth of the ranking that is measured, at least 100.
            exact, nprobe, ndocs, num_rescored, where, progress: See :meth:`search`.
            dense: Whether a single vector per passage of the same model is measured, too.
            compare: Other rankings to measure beside MaxSim: "lexical", "hybrid", "dense" or "maxsim", if the queries
                are texts.
            alpha: Weight of MaxSim in the hybrid ranking, as of :meth:`search`.

        Returns:
            "ndcg@10", "mrr@10", "recall@100" and others; "recall_vs_exact@10", the share of the exact top 10 of
            uncompressed embeddings that is found (the texts are encoded again for it, which takes as long as a build);
            "funnel_vs_exhaustive@10", the share that the approximate search keeps; "latency_ms", "queries_per_second";
            "compared", a dictionary for each ranking of ``compare``: "ranking", its quality, "p50_ms".

        Raises:
            InvalidInput: No query is judged, or the index has no judged passage.
        """
        settings = {
            **dict.fromkeys(("first", "ids", "snippet")),
            "alpha": alpha,
            **{"rank_by": "maxsim", "text": False, "metadata": False, "explain": False, "facets": ()},
            "k": count("k", k),
            "exact": exact,
            "nprobe": None if nprobe is None else count("nprobe", nprobe),
            "ndocs": None if ndocs is None else count("ndocs", ndocs),
            "num_rescored": None if num_rescored is None else count("num_rescored", num_rescored),
            "where": None if where is None else condition(where),
        }
        if not isinstance(queries, Mapping):
            raise WrongType(f"queries is a {type(queries).__name__}; give a dictionary of ids and queries")
        ids = [str(id_) for id_ in queries]
        for id_ in ids:
            check_text("queries", id_)
        judgments, path = judgments_of(qrels)
        rankings = strings("compare", compare)
        with _progress.shown(progress) as report:
            given = list(queries.values())
            found = self._engine.eval(ids, given, judgments, path, settings, dense, rankings, report)
        return named(found)  # type: ignore[no-any-return]

    def export(
        self, path: str | os.PathLike[str], *, format: str, nbits: int = 4, progress: _progress.Progress = None
    ) -> dict[str, Any]:
        """Write this generation as an index that another program opens; :func:`import_index` is the way back.

        Args:
            path: Folder of the exported index, which must not exist. Its ``documents.jsonl`` has the ids, texts and
                metadata of the passages, which are numbered from 0.
            format: "plaid", "fast-plaid" or "next-plaid".
            nbits: Bits per component of residuals that are coded anew: 1, 2, 4 or 8. An index of the codec "colbertv2",
                such as an imported one, keeps its codes.

        Returns:
            "format", "passages", "tokens", "centroids", "nbits", and "as_is": whether the codes are the index's own.

        Raises:
            IndexExists: There is something at ``path``.
        """
        if nbits not in (1, 2, 4, 8):
            raise InvalidInput(f"nbits is {nbits!r}; expected 1, 2, 4 or 8")
        with _progress.shown(progress) as report:
            return self._engine.export(os.fspath(path), format, nbits, report)


class Snapshot(Reader):
    """One generation of an index, which stays as it is while the index changes. Made by :meth:`Index.snapshot`."""

    def __init__(self, engine: _selvedge.Engine) -> None:
        self._engine = engine

    def __reduce__(self) -> Any:
        raise WrongType("a snapshot belongs to its process; open the index in the other one")

    def __repr__(self) -> str:
        if self.closed:
            return f"Snapshot({self.path!r}, closed)"
        return f"Snapshot({self.path!r}, generation={self.generation})"
