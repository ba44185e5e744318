"""Exceptions of selvedge_search. Each carries the values that caused it as attributes."""

from __future__ import annotations

from typing import Any


class SelvedgeError(Exception):
    """Base of all exceptions of this package.

    Values, such as a path or an id, are attributes: those that an exception may have stand in its class.
    """

    def __init__(self, message: str = "", **values: Any) -> None:
        super().__init__(message)
        for name, value in values.items():
            setattr(self, name, value)

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class InvalidInput(SelvedgeError, ValueError):
    """A value that is not allowed: an option, a shape, a filter, NaN.

    Attributes, where they apply: ``name`` and ``value`` of an option, ``id`` of a passage, ``column`` of a mistake in a
    filter, ``path`` and ``line`` of a file.
    """


class WrongType(SelvedgeError, TypeError):
    """A value of a type that is not allowed."""


class DimensionMismatch(InvalidInput):
    """Embeddings of another dimension: ``expected``, ``found``."""

    expected: int
    found: int


class IndexNotFound(SelvedgeError, FileNotFoundError):
    """There is no index at ``path``."""

    path: str


class IndexExists(SelvedgeError, FileExistsError):
    """There is something at the ``path`` of a new index."""

    path: str


class IndexLocked(SelvedgeError):
    """Another writer changes the index at ``path``, or has changed it meanwhile; nothing was changed: try again.

    ``pid`` is the process, if it is known. In an object store, where writers of several machines do not wait for each
    other, the slower one of two gets this when it commits.
    """

    path: str
    pid: int | None = None


class IndexClosed(SelvedgeError, ValueError):
    """The index was closed."""

    path: str


class CorruptIndex(SelvedgeError):
    """A file of the index is damaged or missing."""


class UnknownIds(SelvedgeError, KeyError):
    """The index does not have these ``ids``: the first of ``total``."""

    ids: list[str]
    total: int


class IdExists(InvalidInput):
    """The index has a passage of this ``id`` already, or the id is given twice."""

    id: str


class NotFound(SelvedgeError, FileNotFoundError):
    """There is no file or folder at ``path``."""

    path: str


class ReadError(SelvedgeError, OSError):
    """The file or folder at ``path`` cannot be read or written."""

    path: str


class ModelError(SelvedgeError):
    """A model that does not load, or is not the one that made the index."""


class DeviceError(SelvedgeError):
    """The device is not available."""


class NotFollowed(SelvedgeError):
    """A change is committed as ``generation``, but the index could not be opened anew."""

    generation: int


class Cancelled(SelvedgeError):
    """Work that was stopped by another thread, such as one that closed what it needs."""
