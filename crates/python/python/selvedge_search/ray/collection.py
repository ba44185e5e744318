"""The files of a collection beside its shards, each written once.

    URL/recipe            JSON: what the collection is built of
    URL/codec/            an index of a sample: its codec is that of all shards
    URL/shards/0003/      an index: passages of a range of the source, in its order
    URL/collection        JSON: the shards; written last, so that there is a collection once it is complete

A folder whose uploads stopped half way stays as it is, and another one is made beside it: ``codec.1``.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from .. import _selvedge
from ..errors import IndexExists, IndexNotFound

#: Version of both JSON files.
VERSION = 1


@dataclass(frozen=True)
class Shard:
    """An index of a collection."""

    #: Folder of the index, below the collection's.
    folder: str
    generation: int
    passages: int
    tokens: int


@dataclass(frozen=True)
class Collection:
    """A complete collection."""

    url: str
    shards: tuple[Shard, ...]

    @classmethod
    def open(cls, url: str) -> Collection:
        """Read what a collection is made of.

        Raises:
            IndexNotFound: There is no collection at ``url``, or it is not complete.
        """
        found = _selvedge.read_file(url, "collection")
        if found is None:
            raise IndexNotFound(f"{url}: no collection, or one whose build has not ended", path=url)
        read = json.loads(found)
        if read["version"] != VERSION:
            raise IndexExists(f"{url}: a collection of version {read['version']}, expected {VERSION}", path=url)
        return cls(url, tuple(Shard(**shard) for shard in read["shards"]))

    @property
    def passages(self) -> int:
        """Number of passages of all shards."""
        return sum(shard.passages for shard in self.shards)

    @property
    def tokens(self) -> int:
        """Number of embeddings of all shards."""
        return sum(shard.tokens for shard in self.shards)

    def index_of(self, shard: int) -> str:
        """Path or URL of the index of a shard."""
        return join(self.url, self.shards[shard].folder)

    def commit(self) -> None:
        """Make the collection complete, unless it is already: another build of the same recipe made the same."""
        value = {"version": VERSION, "shards": [asdict(shard) for shard in self.shards]}
        _selvedge.put_new(self.url, "collection", _bytes_of(value))


def join(url: str, *names: str) -> str:
    """Path or URL of a folder below another."""
    return "/".join([url.rstrip("/"), *names])


def put_recipe(url: str, recipe: dict[str, Any]) -> None:
    """Write what a collection is built of, or check that it is there and the same.

    Raises:
        IndexExists: Something else is built at ``url``.
    """
    if _selvedge.put_new(url, "recipe", _bytes_of(recipe)):
        return
    before = json.loads(_selvedge.read_file(url, "recipe") or b"{}")
    differ = [key for key in sorted(recipe.keys() | before.keys()) if recipe.get(key) != before.get(key)]
    if differ:
        shown = ", ".join(f"{key} {before.get(key)!r}, not {recipe.get(key)!r}" for key in differ)
        raise IndexExists(f"{url}: a collection is built here of other input: {shown}; choose another folder", path=url)


def _bytes_of(value: dict[str, Any]) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True).encode()
