"""Lines of files, read in ranges of bytes, and kept as they are: Ray's readers of JSON guess types of strings."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

#: Bytes of a range.
RANGE = 32 << 20
#: Bytes that are read at a time.
BUFFER = 1 << 20
#: Column of the lines.
LINE = "line"


def ranges(paths: Sequence[str], size: int = RANGE) -> list[dict[str, Any]]:
    """Ranges of the files at some paths or URLs, in order. A folder stands for its files, by name.

    Raises:
        OSError: A file cannot be read.
    """
    from pyarrow.fs import FileSelector, FileType

    made = []
    for path in paths:
        files, place = file_system(path)
        (found,) = files.get_file_info([place])
        if found.type == FileType.NotFound:
            raise FileNotFoundError(f"{path}: no file has this name")
        within = [found]
        if found.type == FileType.Directory:
            within = sorted(files.get_file_info(FileSelector(place)), key=lambda file: str(file.path))
        prefix = path[: -len(place)] if "://" in path else ""
        for file in within:
            if file.type == FileType.File and not file.base_name.startswith((".", "_")):
                begins = range(0, file.size, size)
                made += [{"path": prefix + file.path, "begin": b, "end": min(b + size, file.size)} for b in begins]
    return made


def lines(part: dict[str, Any]) -> Iterator[dict[str, bytes]]:
    """Rows of the lines that begin in a range; empty ones are left out."""
    files, place = file_system(part["path"])
    with io.BufferedReader(files.open_input_file(place), BUFFER) as file:
        if part["begin"] > 0:
            # The line of the byte before the range began before it.
            file.seek(part["begin"] - 1)
            file.readline()
        while file.tell() < part["end"] and (line := file.readline()):
            if line.strip():
                yield {LINE: line.strip()}


def file_system(path: str) -> tuple[FileSystem, str]:
    """File system of a path or a URL, and the place in it."""
    from pyarrow.fs import FileSystem, LocalFileSystem

    return FileSystem.from_uri(path) if "://" in path else (LocalFileSystem(), path)
