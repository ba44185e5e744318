"""Documents of rows, and what a build has to know of all rows before it begins."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

from ..errors import InvalidInput
from ._source import Part


def documents(part: Part, text: str, id_column: str) -> Iterator[dict[str, Any]]:
    """Documents of a part.

    Columns other than ``text`` and ``id_column`` are metadata; a row without an id has its number in the source.
    """
    for number, row in part.rows():
        document = {key: value for key, value in row.items() if value is not None and key not in (text, id_column)}
        found = row.get(id_column)
        document["text"], document["id"] = _text(row, number, text), str(number if found is None else found)
        yield document


def look(part: Part, numbers: Sequence[int], text: str) -> tuple[int, list[str]]:
    """Sum of the hashes of all rows of a part with their numbers, and the texts of the rows that ``numbers`` has."""
    total, chosen, texts = 0, set(numbers), []
    for number, row in part.rows():
        found = _text(row, number, text)
        written = json.dumps([number, row], sort_keys=True, default=repr).encode()
        total += int.from_bytes(hashlib.blake2b(written, digest_size=16).digest(), "little")
        if number in chosen:
            texts.append(found)
    return total, texts


def _text(row: dict[str, Any], number: int, column: str) -> str:
    found = row.get(column)
    if isinstance(found, str):
        return found
    if column not in row:
        have = ", ".join(row) or "none"
        raise InvalidInput(f"row {number}: no column {column!r}; name the one of the texts (--text): {have}")
    shown = "empty" if found is None else f"of type {type(found).__name__}"
    raise InvalidInput(f"row {number}: the column {column!r} is {shown}, expected a text; leave out the row")
