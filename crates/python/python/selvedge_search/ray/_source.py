"""Rows of a source, read by Ray Data, as documents in the order of the source."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import InvalidInput

if TYPE_CHECKING:
    from ray.data import Dataset


def read(source: str | Sequence[str]) -> Dataset:
    """Read Parquet, JSON lines or Lance, by the ends of the names."""
    import ray

    paths = [source] if isinstance(source, str) else list(source)
    ray.data.DataContext.get_current().execution_options.preserve_order = True
    ends = {os.path.splitext(path.rstrip("/*"))[1] or _end_of_files(path) for path in paths}
    if ends == {".lance"} and len(paths) == 1:
        return ray.data.read_lance(paths[0])
    if ends == {".parquet"}:
        return ray.data.read_parquet(_files(paths))
    if ends <= {".jsonl", ".ndjson", ".json"} and ends:
        return ray.data.read_json(_files(paths), lines=True)
    raise InvalidInput(f"{', '.join(paths)}: expected files of .parquet, .jsonl, .ndjson or .json, or one .lance")


def _files(paths: Sequence[str]) -> list[str]:
    """Files that local patterns name, in the order of their names; URLs are left to Ray."""
    import glob

    found = []
    for path in paths:
        if "://" in path or not glob.has_magic(path):
            found.append(path)
            continue
        files = sorted(glob.glob(path))
        if not files:
            raise InvalidInput(f"{path}: no file has this name")
        found.extend(files)
    return found


def _end_of_files(folder: str) -> str:
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return os.path.splitext(names[0])[1] if names else ""


def documents(rows: Dataset, first: int, text: str, id_column: str) -> Iterator[dict[str, Any]]:
    """Documents of some rows, the first of which has the number ``first`` in the source.

    Columns other than ``text`` and ``id_column`` are metadata; a row without an id has its number.
    """
    number = first
    for row in rows.iter_rows():
        document = {key: value for key, value in row.items() if value is not None and key not in (text, id_column)}
        if not isinstance(row.get(text), str):
            raise InvalidInput(f"row {number}: the column {text!r} is {row.get(text)!r}, expected a text")
        found = row.get(id_column)
        document["text"], document["id"] = row[text], str(number if found is None else found)
        yield document
        number += 1


def chosen(rows: Dataset, first: int, numbers: Sequence[int], text: str) -> list[str]:
    """Texts of the rows that have these ascending numbers in the source."""
    wanted = set(numbers)
    texts = (row.get(text) for number, row in enumerate(rows.iter_rows(), first) if number in wanted)
    return [found for found in texts if isinstance(found, str)]
