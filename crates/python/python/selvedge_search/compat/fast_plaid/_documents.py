"""Documents by position, as fast-plaid numbers them, and their metadata as rows of a table.

The id of a document in the index is the number under which it was added, and never changes. Its position is the number
of documents that were added before it and are not deleted.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from selvedge_search import Index, Snapshot

#: Name of the column with the position of a document.
SUBSET = "_subset_"

#: File within an index that is frozen.
FROZEN = "frozen"

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Positions:
    """Ids of the documents of one generation of an index, by position."""

    def __init__(self, index: Index | Snapshot) -> None:
        """Reads the ids of an index.

        Raises:
            ValueError: an id is no number: the index was not made by `FastPlaid`.
        """
        import numpy as np

        ids = index.ids()
        if not all(id.isdecimal() for id in ids):
            other = next(id for id in ids if not id.isdecimal())
            raise ValueError(f"the index has a document {other!r}: fast-plaid's documents are numbers")
        self.generation: int = index.generation
        self._numbers: np.ndarray = np.sort(np.fromiter(map(int, ids), dtype=np.int64, count=len(ids)))

    def __len__(self) -> int:
        return len(self._numbers)

    def next_number(self) -> int:
        """Number of the next document."""
        return int(self._numbers[-1]) + 1 if len(self) else 0

    def ids(self) -> list[str]:
        """Ids of all documents, by position."""
        return list(map(str, self._numbers.tolist()))

    def ids_at(self, positions: Iterable[Any]) -> list[str]:
        """Ids at positions; those out of range are left out.

        Raises:
            TypeError: a position is no whole number.
        """
        numbers = [operator.index(position) for position in positions]
        return [str(self._numbers[number]) for number in numbers if 0 <= number < len(self)]

    def of(self, ids: Sequence[str]) -> list[int]:
        """Positions of ids."""
        import numpy as np

        numbers = np.fromiter(map(int, ids), dtype=np.int64, count=len(ids))
        return np.searchsorted(self._numbers, numbers).tolist()


def to_metadata(row: dict[str, Any]) -> dict[str, Any]:
    """Returns a row as metadata of an index: bools become 0 and 1 as in SQLite, dates and times become texts.

    A time without a zone is one of UTC. Values that are ``None`` are left out.

    Raises:
        ValueError: a name is none of a column.
        TypeError: a value is neither a number, a text, a date nor ``None``.
    """
    for name in row:
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name.lower() == SUBSET:
            raise ValueError(
                f"Invalid column name {name!r}: expected a letter or underscore, followed by letters, digits or "
                f"underscores, and not {SUBSET}"
            )
    return {name: to_value(value) for name, value in row.items() if value is not None}


def to_value(value: Any) -> int | float | str:
    """Returns a value as that of an index: see `to_metadata`."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, (int, float, str)):
        return value
    if isinstance(value, datetime):
        zoned = value if value.tzinfo else value.replace(tzinfo=timezone.utc)
        return zoned.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return to_value(value.item())
    raise TypeError(f"{value!r} is neither a number, a text, a date nor None")


def to_rows(
    positions: Sequence[int], metadata: Sequence[dict[str, Any] | None], columns: Iterable[str]
) -> list[dict[str, Any]]:
    """Returns rows of a table: the position and a value, or ``None``, for every column."""
    names = list(columns)
    return [
        {SUBSET: position, **{name: (values or {}).get(name) for name in names}}
        for position, values in zip(positions, metadata)
    ]
