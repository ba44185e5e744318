"""fast-plaid's ``filtering``, over the metadata of an index.

The rows of fast-plaid's table are the documents of the index: a document has a position, ``_subset_``, and the values
of its metadata. Conditions of SQL are translated to filters of the index (see `_sql`). Where SQLite compares values of
different types, these filters find nothing. A text that is a date, such as ``'2024-02-29'``, is of another type than
other texts.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from .._plaid import Opened
from ._documents import Positions, to_metadata, to_rows
from ._sql import translate

if TYPE_CHECKING:
    from selvedge_search import Index

__all__ = ["create", "delete", "get", "update", "where"]


def create(index: str, metadata: Sequence[dict[str, Any]]) -> None:
    """Gives every document of an index a row, in place of the one it has.

    Their embeddings are decoded and compressed anew; `FastPlaid.create` and `FastPlaid.update` take rows without that.

    Args:
        index: path of the index.
        metadata: a row for each document.

    Raises:
        FileNotFoundError: there is no index.
        ValueError: rows and documents differ in number, or a column has no proper name.
        TypeError: a value is neither a number, a text, a date nor ``None``.
    """
    with _open(index) as opened:
        ids = Positions(opened).ids()
        if len(metadata) != len(ids):
            raise ValueError(f"{len(metadata)} rows of metadata must match the number of documents, {len(ids)}")
        _give(opened, ids, metadata)


def update(index: str, metadata: Sequence[dict[str, Any]]) -> None:
    """Gives rows to the last documents, which have none.

    Their embeddings are decoded and compressed anew; `FastPlaid.update` takes rows without that.

    Args:
        index: path of the index.
        metadata: a row for each document after the last one that has a row.

    Raises:
        FileNotFoundError: there is no index.
        ValueError: rows and documents without rows differ in number, or a column has no proper name.
        TypeError: a value is neither a number, a text, a date nor ``None``.
    """
    with _open(index) as opened:
        ids = Positions(opened).ids()
        have = [bool(values) for values in _metadata(opened, ids)]
        first = len(ids) - (have[::-1].index(True) if True in have else len(ids))
        if len(metadata) != len(ids) - first:
            raise ValueError(
                f"{len(metadata)} rows for the {len(ids) - first} documents that follow the last one with a row: "
                "FastPlaid.update(embeddings, metadata) adds documents with their rows"
            )
        _give(opened, ids[first:], metadata)


def delete(index: str, subset: Sequence[int] | int) -> None:
    """Refuses: a row is a document here, and `FastPlaid.delete` deletes both.

    Raises:
        NotImplementedError: always.
    """
    raise NotImplementedError("a row belongs to its document: FastPlaid.delete(subset) deletes both")


def get(
    index: str,
    condition: str | None = None,
    parameters: Sequence[Any] = (),
    subset: Sequence[int] | None = None,
) -> list[dict[str, Any]]:
    """Returns rows, each with its position as ``_subset_`` and a value or ``None`` for every column.

    Args:
        index: path of the index.
        condition: SQL with ``?`` for parameters; the rows come by position.
        parameters: values for ``?``.
        subset: positions; the rows come in this order, and those out of range are left out.

    Raises:
        FileNotFoundError: there is no index, or its documents have no metadata.
        ValueError: the condition has a mistake or cannot be translated, or is given together with ``subset``.
    """
    if condition is not None and subset is not None:
        raise ValueError("Please provide either a 'condition' or a 'subset', not both.")
    with _open(index) as opened:
        positions = Positions(opened)
        columns = _columns(opened)
        if condition is not None:
            found = _where(opened, positions, columns, condition, parameters)
        elif subset is not None:
            found = [operator.index(position) for position in subset if 0 <= position < len(positions)]
        else:
            found = list(range(len(positions)))
        return to_rows(found, _metadata(opened, positions.ids_at(found)), columns)


def where(index: str, condition: str, parameters: Sequence[Any] = ()) -> list[int]:
    """Returns the positions of the documents for which a condition is true, ascending.

    Args:
        index: path of the index.
        condition: SQL with ``?`` for parameters.
        parameters: values for ``?``.

    Raises:
        FileNotFoundError: there is no index, or its documents have no metadata.
        ValueError: the condition has a mistake or cannot be translated.
    """
    with _open(index) as opened:
        return _where(opened, Positions(opened), _columns(opened), condition, parameters)


def _where(
    index: Index, positions: Positions, columns: Sequence[str], condition: str, parameters: Sequence[Any]
) -> list[int]:
    def values(column: str) -> Iterable[Any]:
        return (row[column] for row in _metadata(index, positions.ids()) if column in row)

    text = translate(condition, parameters, columns, values)
    return sorted(positions.of(index.ids(where=text)))


def _open(path: str) -> Index:
    index = Opened(path).current()
    if index is None:
        raise FileNotFoundError(f"there is no index at {path!r}: rows belong to documents, so create it first")
    return index


def _metadata(index: Index, ids: Sequence[str]) -> list[dict[str, Any]]:
    """Returns the metadata of documents."""
    return [document["metadata"] or {} for document in index.get(ids)] if ids else []


def _columns(index: Index) -> list[str]:
    """Returns the names of all columns, ascending."""
    columns = list(dict.fromkeys(column["key"] for column in index.info()["columns"]))
    if not columns:
        raise FileNotFoundError(f"the documents of {index.path!r} have no metadata: give it to create or update")
    return columns


def _give(index: Index, ids: Sequence[str], metadata: Sequence[dict[str, Any]]) -> None:
    """Gives documents new metadata."""
    if ids:
        values = [to_metadata(row) for row in metadata]
        index.update(embeddings=index.embeddings(ids), ids=ids, metadata=values)
