"""Indexes of other programs become indexes of this package; Index.export is the way back."""

from __future__ import annotations

import os
import warnings
from typing import Any

from . import _progress, _selvedge
from ._arguments import checked, count
from ._place import Place
from .errors import InvalidInput
from .index import MEMORY, Index


@checked
def import_index(
    source: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    collection: str | os.PathLike[str] | None = None,
    language: str | None = None,
    model: str | os.PathLike[str] | None = None,
    recode: bool = False,
    nbits: int | None = None,
    memory: int = MEMORY,
    overwrite: bool = False,
    progress: _progress.Progress = None,
) -> Index:
    """Import an index of PLAID (ColBERT), fast-plaid, next-plaid, WARP or xtr-warp-rs, and open it.

    The source is recognized by its files and only read; pickles in it are read as data. A part of it that is not
    read gives a warning.

    Args:
        source: Folder of the other program's index.
        path: Folder of the new index.
        collection: Documents of the passages, in the order in which the source was built: JSONL, TSV or a folder of
            BEIR. Default: ids are the source's numbers, and there are no texts.
        language: Language of the words of the collection's texts that are indexed for BM25; None for no words.
        model: Name of the model that made the embeddings, which is stored and not loaded. Default: as the source says.
        recode: Whether residuals are decoded and compressed anew by selvedge's codec; otherwise they stay as they are.
        nbits: Bits per component of a residual, with ``recode``: 0, 1, 2, 4 or 8. Default: as the source.
        memory: Bytes that the import may use.
        overwrite: Whether an index at ``path`` is replaced. It stays until the new one is complete.
        progress: As of :meth:`Index.create`.

    Raises:
        InvalidInput: There is no index that is known at ``source``, or an option or the collection does not fit it.
        CorruptIndex: A file of the source is damaged.
        IndexExists: There is something at ``path``.
    """
    if nbits is not None and not recode:
        raise InvalidInput("nbits goes with recode=True; as it is, the source keeps its bits")
    settings = {
        "collection": None if collection is None else os.fspath(collection),
        "language": language,
        "model": None if model is None else os.fspath(model),
        "recode": recode,
        "nbits": nbits,
        "memory": count("memory", memory),
    }
    with _progress.shown(progress) as report, Place(os.fspath(path), overwrite) as place:
        found = _selvedge.import_index(os.fspath(source), place, settings, report)
    for note in found["source"]["notes"]:
        warnings.warn(f"{os.fspath(source)}: {note}", stacklevel=3)
    return Index.open(path)


@checked
def describe_index(source: str | os.PathLike[str]) -> dict[str, Any]:
    """Say what an index of another program holds, as :func:`import_index` reads it; nothing is written.

    Returns:
        "format", "dim", "nbits", "centroids", "passages", "embeddings", "deleted", "checkpoint", "query_maxlen",
        "passage_maxlen", and "notes" on parts that are not read.
    """
    nothing = dict.fromkeys(("collection", "language", "model", "nbits"))
    settings = {**nothing, "recode": False, "memory": MEMORY}
    return _selvedge.import_index(os.fspath(source), None, settings, None)["source"]  # type: ignore[no-any-return]
