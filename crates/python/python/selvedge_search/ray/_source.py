"""Rows of a source, read by Ray Data, and ranges of them as documents, in the order of the source."""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import InvalidInput, NotFound
from ._cluster import first_line
from ._lines import LINE, lines, ranges

if TYPE_CHECKING:
    from ray.data import Dataset

#: Rows that become Python objects at a time.
ROWS = 1024


@dataclass(frozen=True)
class Part:
    """A range of the rows of a source."""

    #: Number of the first row in the source.
    first: int
    #: References of Arrow tables in Ray's object store, and of each the first row and the row after the last.
    pieces: tuple[tuple[Any, int, int], ...]

    def rows(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Rows in order, with their numbers; one table at a time is mapped."""
        import ray

        number = self.first
        for table, begin, end in self.pieces:
            for batch in ray.get(table).slice(begin, end - begin).to_batches(max_chunksize=ROWS):
                is_json = batch.schema.names == [LINE]
                for row in batch.to_pylist():
                    yield number, _parsed(row[LINE], number) if is_json else row
                    number += 1


def split(tables: Sequence[tuple[Any, int]], parts: int) -> list[Part]:
    """Split tables, references with numbers of rows, into parts whose sizes differ by at most one row."""
    total = sum(rows for _, rows in tables)
    starts = [total * part // parts for part in range(parts + 1)]
    made = []
    for first, after in itertools.pairwise(starts):
        pieces, passed = [], 0
        for table, rows in tables:
            begin, end = max(first - passed, 0), min(after - passed, rows)
            if begin < end:
                pieces.append((table, begin, end))
            passed += rows
        made.append(Part(first, tuple(pieces)))
    return made


def read(source: str | Sequence[str]) -> Dataset:
    """Read Parquet, JSON lines or Lance, by the ends of the names.

    Raises:
        NotFound: There is no file of a name.
        InvalidInput: Files of another kind, or with a fault.
    """
    import ray

    paths = [source] if isinstance(source, str) else list(source)
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    files = _files(paths)
    ends = {os.path.splitext(path.rstrip("/*"))[1] or _end_of_files(path) for path in files}
    try:
        if ends == {".lance"} and len(files) == 1:
            return ray.data.read_lance(files[0]).materialize()
        if ends == {".parquet"}:
            return ray.data.read_parquet(files).materialize()
        if ends and ends <= {".jsonl", ".ndjson", ".json"}:
            return _read_lines(files).materialize()
    except Exception as error:  # of Ray, of Arrow, or of the system, as it happens
        raise InvalidInput(f"{', '.join(paths)}: {_reason(error)}") from error
    raise InvalidInput(f"{', '.join(paths)}: expected files of .parquet, .jsonl, .ndjson or .json, or one .lance")


def _reason(error: BaseException) -> str:
    """First line of the innermost reason."""
    while True:
        inner = getattr(error, "cause", None) or error.__cause__
        if not isinstance(inner, BaseException):
            break
        error = inner
    return first_line(error) or type(error).__name__


def _files(paths: Sequence[str]) -> list[str]:
    """Files that local patterns name, in the order of their names; URLs are left to Ray."""
    import glob

    found = []
    for path in paths:
        if "://" in path:
            found.append(path)
            continue
        # Ray's workers have other working folders.
        files = sorted(glob.glob(path)) if glob.has_magic(path) else [path] * os.path.exists(path)
        if not files:
            raise NotFound(f"{path}: no file has this name", path=path)
        found.extend(os.path.abspath(file) for file in files)
    return found


def _end_of_files(folder: str) -> str:
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return os.path.splitext(names[0])[1] if names else ""


def _read_lines(files: Sequence[str]) -> Dataset:
    import ray

    found = ranges(files)
    return ray.data.from_items(found, override_num_blocks=max(1, len(found))).flat_map(lines)


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


def _parsed(line: bytes, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise InvalidInput(f"row {number}: not JSON: {error}") from error
    if not isinstance(row, dict):
        raise InvalidInput(f"row {number}: a JSON {type(row).__name__}, expected an object with fields")
    return row


def _text(row: dict[str, Any], number: int, column: str) -> str:
    found = row.get(column)
    if isinstance(found, str):
        return found
    if column not in row:
        have = ", ".join(row) or "none"
        raise InvalidInput(f"row {number}: no column {column!r}; name the one of the texts (--text): {have}")
    shown = "empty" if found is None else f"a {type(found).__name__}"
    raise InvalidInput(f"row {number}: the column {column!r} is {shown}, expected a text; leave out the row")
