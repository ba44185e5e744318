"""What a search returns: passages with their scores, as light objects, arrays or tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from . import _selvedge


@dataclass(frozen=True)
class Token:
    """Token of a text with its place: ``text[start:end]`` if its ``kind`` is "text".

    Other kinds are "prompt", "marker" (the prefix of a query or a passage), "special" and "expansion" (a mask that
    lengthens a query).
    """

    token: str
    kind: str
    start: int
    end: int


@dataclass(frozen=True)
class Match:
    """Best match of a query token: the number of the passage token, their similarity, and its part of the score."""

    passage_token: int
    similarity: float
    part: float
    share: float


@dataclass(frozen=True)
class MatchedWord:
    """Word of a passage, ``text[start:end]``, that query tokens matched best, and its part of the score."""

    start: int
    end: int
    part: float
    share: float


@dataclass(frozen=True, eq=False)
class Explanation:
    """Reasons for the score of a passage.

    The score is the sum of the parts of ``matches``, one for each query token. ``query`` and ``passage`` are the
    tokens; they are empty where embeddings cannot be paired with tokens (a query given as embeddings, an index of
    embeddings, a pooled index). ``similarities`` is an array (Q, T) of float32: a heat map, which ``print`` shows.
    """

    score: float
    query: list[Token]
    passage: list[Token]
    matches: list[Match]
    words: list[MatchedWord]
    similarities: np.ndarray

    def __str__(self) -> str:
        from ._heatmap import drawn

        return drawn(self)

    @classmethod
    def _of(cls, found: dict[str, Any]) -> Explanation:
        import numpy as np

        rows = np.array(found.get("similarities", []), np.float32)
        return cls(
            score=found["score"],
            query=[Token(**token) for token in found["query"]],
            passage=[Token(**token) for token in found["passage"]],
            matches=[Match(**match) for match in found["matches"]],
            words=[MatchedWord(**word) for word in found["words"]],
            similarities=rows if rows.ndim == 2 else rows.reshape(0, 0),
        )


@dataclass(frozen=True)
class Snippet:
    """Part of a text that a query matched best, and whether the text goes on after it."""

    text: str
    is_cut: bool


@dataclass(frozen=True)
class Hit:
    """A passage that a query found. ``text`` and ``metadata`` are None where it has none, or none was requested."""

    id: str
    score: float
    text: str | None = None
    metadata: dict[str, Any] | None = None
    snippet: Snippet | None = None
    explanation: Explanation | None = field(default=None, compare=False)


class Results(Sequence[Hit]):
    """Passages that one query found, best first: a sequence of :class:`Hit`."""

    __slots__ = ("_found",)

    def __init__(self, found: _selvedge.Results | _Plain) -> None:
        self._found = found

    @property
    def ids(self) -> list[str]:
        """Ids of the passages."""
        return self._found.ids()

    @property
    def scores(self) -> np.ndarray:
        """Scores of the passages, an array (n,) of float32."""
        return self._found.scores()

    @property
    def texts(self) -> list[str | None]:
        """Texts of the passages, as far as they were requested."""
        return self._found.texts()

    @property
    def num_scored(self) -> int:
        """Number of passages whose residuals were read."""
        return self._found.num_scored

    @property
    def stages_us(self) -> dict[str, float]:
        """Time of each stage in microseconds, without the encoding of the query and ``output_us``."""
        return self._found.stages_us

    @property
    def output_us(self) -> float:
        """Time of reading ids, texts and metadata, of snippets, explanations and facets, in microseconds."""
        return self._found.output_us

    @property
    def facets(self) -> dict[str, list[tuple[Any, int]]]:
        """Values of each requested key with the numbers of the best passages that have them, most first."""
        return {
            facet["key"]: [(count["value"], count["passages"]) for count in facet["counts"]]
            for facet in self._found.facets
        }

    def __reduce__(self) -> tuple[Any, ...]:
        return Results, (_Plain(self._found),)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Results) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self._found)

    @overload
    def __getitem__(self, number: int) -> Hit: ...
    @overload
    def __getitem__(self, number: slice) -> list[Hit]: ...
    def __getitem__(self, number: int | slice) -> Hit | list[Hit]:
        if isinstance(number, slice):
            return [self[at] for at in range(*number.indices(len(self)))]
        at = number + len(self) if number < 0 else number
        if not 0 <= at < len(self):
            raise IndexError(f"hit {number} of {len(self)}")
        id_, score, text, metadata, snippet, explanation = self._found.hit(at)
        return Hit(
            id_,
            score,
            text,
            metadata,
            Snippet(snippet["text"], snippet["is_cut"]) if snippet else None,
            Explanation._of(explanation) if explanation else None,
        )

    def __iter__(self) -> Iterator[Hit]:
        return (self[at] for at in range(len(self)))

    def __repr__(self) -> str:
        shown = ", ".join(f"{id_}: {score:.3f}" for id_, score in zip(self.ids[:5], self.scores))
        return f"<Results {len(self)}: {shown}{', ...' if len(self) > 5 else ''}>"

    def to_arrow(self) -> pa.Table:
        """Return a table of pyarrow with the columns rank, id, score, text and metadata (JSON)."""
        return _table([self])

    def to_pandas(self) -> pd.DataFrame:
        """Return a frame of pandas with the columns rank, id, score, text and metadata."""
        return _frame([self])


class _Plain:
    """What the extension found, as plain values, for another process."""

    def __init__(self, found: Any) -> None:
        self._hits = [found.hit(at) for at in range(len(found))]
        self.num_scored, self.facets = found.num_scored, found.facets
        self.stages_us, self.output_us = found.stages_us, found.output_us

    def __len__(self) -> int:
        return len(self._hits)

    def hit(self, number: int) -> Any:
        return self._hits[number]

    def ids(self) -> list[str]:
        return [hit[0] for hit in self._hits]

    def scores(self) -> np.ndarray:
        import numpy as np

        return np.array([hit[1] for hit in self._hits], np.float32)

    def texts(self) -> list[str | None]:
        return [hit[2] for hit in self._hits]


class Batch(Sequence[Results]):
    """Answers to several queries, in their order: a sequence of :class:`Results`."""

    __slots__ = ("_all",)

    def __init__(self, found: list[Results]) -> None:
        self._all = found

    @overload
    def __getitem__(self, number: int) -> Results: ...
    @overload
    def __getitem__(self, number: slice) -> list[Results]: ...
    def __getitem__(self, number: int | slice) -> Results | list[Results]:
        return self._all[number]

    @property
    def ids(self) -> list[list[str]]:
        """Ids of the passages that each query found: lists of different lengths where some found less."""
        return [results.ids for results in self._all]

    @property
    def scores(self) -> list[np.ndarray]:
        """Scores of the passages that each query found, arrays (n,) of float32, as long as the lists of ids."""
        return [results.scores for results in self._all]

    @property
    def texts(self) -> list[list[str | None]]:
        """Texts of the passages that each query found, as far as they were requested."""
        return [results.texts for results in self._all]

    def __len__(self) -> int:
        return len(self._all)

    def __repr__(self) -> str:
        return f"<Batch of {len(self)} answers>"

    def to_arrow(self) -> pa.Table:
        """Return a table of pyarrow with the columns query (its number), rank, id, score, text and metadata (JSON)."""
        return _table(self._all, with_query=True)

    def to_pandas(self) -> pd.DataFrame:
        """Return a frame of pandas with the columns query (its number), rank, id, score, text and metadata."""
        return _frame(self._all, with_query=True)


def _columns(answers: list[Results], with_query: bool) -> dict[str, list[Any]]:
    lens = [len(answer) for answer in answers]
    columns: dict[str, list[Any]] = {}
    if with_query:
        columns["query"] = [number for number, n in enumerate(lens) for _ in range(n)]
    columns["rank"] = [rank for n in lens for rank in range(1, n + 1)]
    columns["id"] = [id_ for answer in answers for id_ in answer.ids]
    columns["score"] = [float(score) for answer in answers for score in answer.scores]
    columns["text"] = [text for answer in answers for text in answer.texts]
    columns["metadata"] = [hit.metadata for answer in answers for hit in answer]
    return columns


def _table(answers: list[Results], with_query: bool = False) -> pa.Table:
    import json

    import pyarrow as pa

    columns = _columns(answers, with_query)
    columns["metadata"] = [None if one is None else json.dumps(one) for one in columns["metadata"]]
    types = {"query": pa.int64(), "rank": pa.int64(), "score": pa.float32()}
    return pa.table({name: pa.array(column, types.get(name, pa.string())) for name, column in columns.items()})


def _frame(answers: list[Results], with_query: bool = False) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(_columns(answers, with_query))
