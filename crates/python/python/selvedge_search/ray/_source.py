"""Rows of a source, in its order, in ranges that tasks read by themselves.

    files ──ranges──> pieces of files ──count──> split ──> parts: pieces with the rows that count ──> documents

Each task reads what it needs, where it runs, so that a source may be larger than all memory. Lines are parsed here:
Ray Data's and Arrow's readers of JSON take strings for dates and numbers where they look like them.
"""

from __future__ import annotations

import glob
import io
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import InvalidInput, NotFound, ReadError
from ._cluster import first_line

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

#: Bytes of a range of lines.
RANGE = 32 << 20
#: Bytes of a file, and rows of a table, that are read at a time.
BUFFER, ROWS = 1 << 20, 1024


@dataclass(frozen=True)
class Piece:
    """A range of a file."""

    #: Ending of the file's name, which tells its format.
    kind: str
    path: str
    #: Bytes of lines, row groups of Parquet, or rows of Lance.
    begin: int
    end: int

    def rows(self) -> Iterator[dict[str, Any]]:
        """Rows in order.

        Raises:
            InvalidInput: A row has a fault.
            ReadError: The file cannot be read.
        """
        try:
            if self.kind == ".lance":
                yield from self._rows_of_lance()
            elif self.kind == ".parquet":
                yield from self._rows_of_parquet()
            else:
                yield from map(self._parsed, self.lines())
        except (OSError, ValueError) as error:
            if isinstance(error, InvalidInput):
                raise
            raise ReadError(f"{self.path}: {first_line(error)}", path=self.path) from error

    def lines(self) -> Iterator[bytes]:
        """Lines that begin in a range of bytes, except empty ones."""
        files, place = _file_system(self.path)
        with io.BufferedReader(files.open_input_file(place), BUFFER) as file:
            if self.begin > 0:
                # The line of the byte before the range began before it.
                file.seek(self.begin - 1)
                file.readline()
            while file.tell() < self.end and (line := file.readline()):
                if line.strip():
                    yield line

    def _parsed(self, line: bytes) -> dict[str, Any]:
        try:
            row = json.loads(line)
        except ValueError as error:
            shown = line[:60].decode(errors="replace").strip()
            raise InvalidInput(f"{self.path}: not JSON: {error}: {shown}", path=self.path) from error
        if not isinstance(row, dict):
            raise InvalidInput(
                f"{self.path}: a JSON {type(row).__name__}, expected an object with fields", path=self.path
            )
        return row

    def _rows_of_parquet(self) -> Iterator[dict[str, Any]]:
        from pyarrow.parquet import ParquetFile

        files, place = _file_system(self.path)
        with ParquetFile(files.open_input_file(place)) as file:
            for batch in file.iter_batches(ROWS, row_groups=range(self.begin, self.end)):
                yield from batch.to_pylist()

    def _rows_of_lance(self) -> Iterator[dict[str, Any]]:
        import lance

        scanner = lance.dataset(self.path).scanner(offset=self.begin, limit=self.end - self.begin, batch_size=ROWS)
        for batch in scanner.to_batches():
            yield from batch.to_pylist()


@dataclass(frozen=True)
class Part:
    """A range of the rows of a source."""

    #: Number of the first row in the source.
    first: int
    #: Pieces, and of each the first row and the row after the last.
    pieces: tuple[tuple[Piece, int, int], ...]

    def rows(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Rows in order, with their numbers."""
        rows = (row for piece, begin, end in self.pieces for row in itertools.islice(piece.rows(), begin, end))
        return enumerate(rows, self.first)


def pieces_of(source: str | Sequence[str], size: int = RANGE) -> list[Piece]:
    """Pieces of files of Parquet, of JSON lines, or of a Lance dataset. A folder stands for its files, by name.

    Raises:
        NotFound: There is no file of a name.
        InvalidInput: A file of another kind.
        ReadError: A file cannot be read.
    """
    paths = [source] if isinstance(source, str) else list(source)
    return [piece for path in paths for file in _files(path) for piece in _pieces_of_file(file, size)]


def _files(path: str) -> list[str]:
    """Paths or URLs of files: of a local pattern, of a folder, or of a file or dataset itself."""
    from pyarrow.fs import FileSelector, FileType

    if "://" not in path and glob.has_magic(path):
        found = [file for match in sorted(glob.glob(path)) for file in _files(match)]
        if not found:
            raise NotFound(f"{path}: no file has this name", path=path)
        return found
    path = path if "://" in path else os.path.abspath(path)  # tasks have other working folders
    if path.rstrip("/").endswith(".lance"):
        return [path.rstrip("/")]
    try:
        files, place = _file_system(path)
        (info,) = files.get_file_info([place])
        within = [info]
        if info.type == FileType.Directory:
            within = sorted(files.get_file_info(FileSelector(place)), key=lambda file: str(file.path))
    except (OSError, ValueError) as error:
        raise ReadError(f"{path}: {first_line(error)}", path=path) from error
    if info.type == FileType.NotFound:
        raise NotFound(f"{path}: no file has this name", path=path)
    prefix = path[: len(path) - len(place)] if path.endswith(place) else ""
    return [
        prefix + file.path
        for file in within
        if file.type == FileType.File and not file.base_name.startswith((".", "_"))
    ]


def _pieces_of_file(path: str, size: int) -> list[Piece]:
    kind = os.path.splitext(path)[1]
    try:
        if kind == ".lance":
            import lance

            step, end = 1 << 16, lance.dataset(path).count_rows()
        elif kind == ".parquet":
            from pyarrow.parquet import ParquetFile

            files, place = _file_system(path)
            with ParquetFile(files.open_input_file(place)) as file:
                step, end = 1, file.metadata.num_row_groups
        elif kind in (".jsonl", ".ndjson", ".json"):
            files, place = _file_system(path)
            step, end = size, files.get_file_info([place])[0].size
        else:
            raise InvalidInput(f"{path}: expected .parquet, .jsonl, .ndjson, .json or .lance", path=path)
    except ImportError as error:
        raise InvalidInput(f"{path}: {error}; install pylance", path=path) from error
    except (OSError, ValueError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise ReadError(f"{path}: {first_line(error)}", path=path) from error
    return [Piece(kind, path, begin, min(begin + step, end)) for begin in range(0, end, step)]


def _file_system(path: str) -> tuple[FileSystem, str]:
    """File system of a path or a URL, and the place in it."""
    from pyarrow.fs import FileSystem, LocalFileSystem

    return FileSystem.from_uri(path) if "://" in path else (LocalFileSystem(), path)


def count(pieces: Sequence[Piece]) -> list[int]:
    """Numbers of rows of pieces."""
    return [sum(1 for _ in (piece.lines() if "json" in piece.kind else piece.rows())) for piece in pieces]


def split(pieces: Sequence[tuple[Piece, int]], parts: int) -> list[Part]:
    """Split pieces with their numbers of rows into parts whose sizes differ by at most one row."""
    total = sum(rows for _, rows in pieces)
    starts = [total * part // parts for part in range(parts + 1)]
    made = []
    for first, after in itertools.pairwise(starts):
        taken, passed = [], 0
        for piece, rows in pieces:
            begin, end = max(first - passed, 0), min(after - passed, rows)
            if begin < end:
                taken.append((piece, begin, end))
            passed += rows
        made.append(Part(first, tuple(taken)))
    return made
