"""Arrays of embeddings in the form that the engine reads: numpy, contiguous, float32 or float16."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import InvalidInput, WrongType

#: Types of components that are read as they are.
FLOATS = (np.dtype(np.float32), np.dtype(np.float16))


def to_numpy(array: Any) -> np.ndarray:
    """Return an array of numpy: without a copy where the memory is the host's.

    Tensors of torch, jax and cupy come by DLPack, from a GPU by a copy. Lists of numbers are no arrays.
    """
    if isinstance(array, np.ndarray):
        return array
    if hasattr(array, "detach"):  # A tensor of torch that requires a gradient does not export its memory.
        array = array.detach()
    if hasattr(array, "__dlpack_device__") and int(array.__dlpack_device__()[0]) != 1:
        array = _on_host(array)
    if isinstance(array, np.ndarray):
        return array
    if hasattr(array, "__dlpack__"):
        try:
            return np.from_dlpack(array)
        except (BufferError, RuntimeError, TypeError) as error:
            found = getattr(array, "dtype", "unknown")
            raise WrongType(
                f"embeddings of type {found} cannot be read ({error}); give float32 or float16, such as x.float()"
            ) from None
    if hasattr(array, "__array__"):
        return np.asarray(array)
    raise WrongType(
        f"expected an array of embeddings, found a {type(array).__name__}; such as np.asarray(x, np.float32)"
    )


def _on_host(array: Any) -> Any:
    """Copy an array of a GPU to the host."""
    if hasattr(array, "cpu"):
        return array.cpu()
    if hasattr(array, "get"):
        return array.get()
    return np.asarray(array)


def floats(array: Any) -> np.ndarray:
    """Return a contiguous array of float32 or float16, of any shape."""
    array = to_numpy(array)
    if array.dtype not in FLOATS:
        raise WrongType(f"embeddings are {array.dtype}; give float32 or float16, such as x.astype(np.float32)")
    return np.ascontiguousarray(array)


def matrix(array: Any) -> np.ndarray:
    """Return the embeddings of one text as an array (T, D)."""
    rows = floats(array)
    if rows.ndim != 2:
        raise InvalidInput(f"embeddings of one text have the shape {rows.shape}; expected (T, D)")
    return rows


def flat(embeddings: Any, lens: Any, mask: Any) -> tuple[np.ndarray, np.ndarray] | None:
    """Return all embeddings (N, D) and the number of rows of each text, if they came as one array; None otherwise.

    An array (N, D) needs ``lens``, an array (P, T, D) may have a ``mask`` (P, T) of the rows that count.
    """
    if not _is_array(embeddings):
        if lens is not None or mask is not None:
            raise InvalidInput("lens and mask go with one array of all embeddings, not with an iterable")
        return None
    array = floats(embeddings)
    if array.ndim == 2:
        if mask is not None:
            raise InvalidInput("mask goes with a padded array (P, T, D); give the lens of an array (N, D)")
        if lens is None:
            raise InvalidInput(f"an array of the shape {array.shape} holds the rows of all passages: give their lens")
        return array, _lens(lens)
    if array.ndim != 3:
        raise InvalidInput(f"embeddings have the shape {array.shape}; expected (N, D) with lens, or (P, T, D)")
    passages, tokens, dim = array.shape
    if lens is not None and mask is not None:
        raise InvalidInput("a padded array takes lens or a mask, not both")
    if lens is not None:
        lens = _lens(lens)
        if lens.shape != (passages,) or (lens < 0).any() or (lens > tokens).any():
            raise InvalidInput(f"lens has to have {passages} numbers from 0 to {tokens}")
        mask = np.arange(tokens) < lens[:, None]
    elif mask is None:
        return array.reshape(-1, dim), np.full(passages, tokens, np.int64)
    else:
        mask = (to_numpy(mask) if _is_array(mask) else np.array(mask)).astype(bool)
        if mask.shape != (passages, tokens):
            raise InvalidInput(f"mask has the shape {mask.shape}; expected {(passages, tokens)}")
    return array[mask], mask.sum(axis=1, dtype=np.int64)


def _is_array(value: Any) -> bool:
    """Whether a value is an array, rather than an iterable of arrays."""
    return hasattr(value, "ndim") or hasattr(value, "__dlpack__")


def _lens(lens: Any) -> np.ndarray:
    """Return numbers of rows as int64."""
    array = to_numpy(lens) if _is_array(lens) else np.array(list(lens))
    if array.ndim != 1 or (array.dtype.kind not in "iu" and array.size > 0):
        raise InvalidInput(f"lens has the shape {array.shape} and the type {array.dtype}; expected (P,) integers")
    return np.ascontiguousarray(array, np.int64)


def ragged(texts: Any, lens: Any = None, mask: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the embeddings of several texts as one array (N, D) of float32, and the number of rows of each."""
    together = flat(texts, lens, mask)
    if together is not None:
        return np.ascontiguousarray(together[0], np.float32), together[1]
    parts = [matrix(text) for text in texts]
    for number, part in enumerate(parts):
        if part.shape[1] != parts[0].shape[1]:
            found, expected = part.shape[1], parts[0].shape[1]
            raise InvalidInput(f"embeddings of text {number} have dimension {found}, those before {expected}")
    lens = np.array([len(part) for part in parts], np.int64)
    if not parts:
        return np.zeros((0, 0), np.float32), lens
    return np.ascontiguousarray(np.concatenate(parts), np.float32), lens


def split(rows: np.ndarray, lens: np.ndarray) -> list[np.ndarray]:
    """Return the rows of each text."""
    ends = np.cumsum(lens)
    return [rows[end - len_ : end] for end, len_ in zip(ends, lens)]
