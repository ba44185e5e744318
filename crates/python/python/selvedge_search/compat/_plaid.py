"""Arguments that PyLate and fast-plaid share, as those of an index."""

from __future__ import annotations

import operator
import os
import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selvedge_search import Index

#: Array of any library: NumPy, torch, JAX, CuPy.
Array = Any

#: Bits per dimension that an index may have.
NBITS = (1, 2, 4, 8)


class Opened:
    """An index at a path, opened when it is needed and followed to its newest generation."""

    def __init__(self, path: str | os.PathLike[str], device: str = "cpu") -> None:
        self.path = os.fspath(path)
        self.device = device
        self._index: Index | None = None
        # File number of the folder, by which an index is known that took the place of another.
        self._folder = 0

    def current(self) -> Index | None:
        """Returns the index, or ``None`` where there is none."""
        from selvedge_search import Index
        from selvedge_search.errors import IndexNotFound

        folder = os.stat(self.path).st_ino if os.path.isdir(self.path) else 0
        if self._index is not None and folder == self._folder:
            self._index.refresh()
            return self._index
        self.close()
        try:
            self._index = Index.open(self.path, device=self.device)
        except IndexNotFound:
            return None
        self._folder = folder
        return self._index

    def create(self, embeddings: list[Array], **options: Any) -> None:
        """Builds the index of embeddings and opens it; the options are those of `Index.create`."""
        from selvedge_search import Index

        os.makedirs(os.path.dirname(os.path.abspath(self.path)), exist_ok=True)
        index = Index.create(self.path, embeddings=embeddings, device=self.device, **options)
        self.close()
        self._index, self._folder = index, os.stat(self.path).st_ino

    def close(self) -> None:
        """Releases the files of the index."""
        if self._index is not None:
            self._index.close()
        self._index = None


def device_name(device: Any) -> str:
    """Returns the device of an index: ``"cpu"``, ``"cuda"`` or ``"cuda/1"`` for torch's ``"cuda:1"``.

    ``None`` is the CPU. Of a list of devices the first one is used, with a warning.

    Raises:
        ValueError: the device is neither a CPU nor a GPU of NVIDIA.
    """
    if isinstance(device, (list, tuple)):
        if not device:
            raise ValueError("the list of devices is empty")
        if len(device) > 1:
            warnings.warn(f"an index uses one device: {device[0]} of {list(device)}", UserWarning, stacklevel=4)
        device = device[0]
    name = "cpu" if device is None else str(device)
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (":" in name and not number.isdecimal()):
        raise ValueError(f"device {name!r}: expected 'cpu', 'cuda' or 'cuda:N'")
    return f"cuda/{number}" if kind == "cuda" and number else kind


def positive(name: str, value: Any) -> int:
    """Returns a whole number above zero.

    Raises:
        TypeError: the value is no whole number.
        ValueError: it is zero or less.
    """
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is {value!r}: expected a whole number") from None
    if number <= 0:
        raise ValueError(f"{name} is {number}: expected at least 1")
    return number


def bits(nbits: Any) -> int:
    """Returns a number of bits per dimension.

    Raises:
        TypeError: the value is no whole number.
        ValueError: it is none of ``NBITS``.
    """
    number = positive("nbits", nbits)
    if number not in NBITS:
        raise ValueError(f"nbits is {number}: expected 1, 2, 4 or 8")
    return number


def unless_default(name: str, value: Any, default: int) -> int | None:
    """Returns a number that differs from the other library's default, and ``None`` for this default.

    The defaults of an index come from measurements of its own search, so that the other library's defaults stand for
    those. Raises as `positive`.
    """
    number = positive(name, value)
    return None if number == default else number


def rows(embeddings: Array | Iterable[Array]) -> list[Array]:
    """Returns the embeddings of each document or query, each ``(T, D)``.

    ``embeddings`` is ``(T, D)`` for a single one, ``(P, T, D)``, or an iterable of ``(T, D)`` or ``(1, T, D)``. Rows of
    zeros at the end of an item of ``(P, T, D)`` are padding and left out, but for the first row.
    """
    ndim = getattr(embeddings, "ndim", None)
    if ndim == 2:
        return [_floats(embeddings)]
    if ndim == 3:
        return [_without_padding(_floats(item)) for item in embeddings]
    items = [item[0] if getattr(item, "ndim", None) == 3 and len(item) == 1 else item for item in embeddings]
    return [_floats(item) for item in items]


def _floats(item: Array) -> Array:
    """Returns an array of f64 or bfloat16 as f32, which an index reads, and any other value as it is."""
    dtype = str(getattr(item, "dtype", "")).removeprefix("torch.")
    if dtype not in ("float64", "bfloat16"):
        return item
    return item.float() if hasattr(item, "float") else item.astype("float32")


def _without_padding(item: Array) -> Array:
    """Returns an array ``(T, D)`` without the rows of zeros at its end, but with one row at least."""
    is_row = (item != 0).any(-1).tolist()
    length = len(is_row)
    while length > 1 and not is_row[length - 1]:
        length -= 1
    return item[:length]


def is_list(value: Any) -> bool:
    """Whether a value is a sequence, a set or an array ``(n,)`` of ids, not a single id."""
    if isinstance(value, (str, bytes)):
        return False
    return isinstance(value, (Sequence, set, frozenset)) or getattr(value, "ndim", 0) == 1
