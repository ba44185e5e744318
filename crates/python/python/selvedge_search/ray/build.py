"""Build of a collection on Ray.

    source --sample--> codec --of all shards--> a task per shard: encode, compress, write --> collection

Every step is kept once it is done, so a build that was killed goes on where it was: the recipe, the codec, each shard.
The same source, options and seed give the same bytes.
"""

from __future__ import annotations

import itertools
import os
import random
import time
from collections.abc import Callable, Sequence
from typing import Any

from .. import _selvedge
from ..encoder import Encoder
from ..errors import IndexExists, IndexLocked, InvalidInput, ReadError
from ..index import Index
from . import _cluster
from ._documents import documents, look
from ._source import Part, count, pieces_of, split
from .collection import VERSION, Collection, Shard, join, put_recipe

#: Passages whose lengths tell how many centroids the collection has.
MEASURED = 512
#: Most times that a task begins again after its process or its node died.
TRIES = 4
#: Pieces of files whose rows a task counts.
PIECES = 16
#: Seconds between two looks at an index that another task writes.
PAUSE = 1.0


def build(
    source: str | Sequence[str],
    url: str,
    *,
    shards: int,
    text: str = "text",
    id_column: str = "id",
    model: str = "shipped",
    nbits: int = 2,
    centroids: int | None = None,
    sample: int | None = None,
    language: str | None = "english",
    seed: int = 42,
    memory: int = 4 << 30,
    num_cpus: float = 1,
    num_gpus: float = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> Collection:
    """Build a collection of shards, or go on with a build that was stopped.

    Args:
        source: Files of Parquet or JSON lines, or a Lance dataset: a path, a pattern, a folder, a URL that Arrow or
            Lance reads, or several. All nodes read them. Rows keep their order.
        url: Folder of the collection: a path that all nodes share, or the URL of an object store.
        shards: Number of shards; each has a range of the source.
        text: Column of the passages.
        id_column: Column of the ids. Rows without it have their numbers. Other columns are metadata.
        model, nbits, language, seed, memory: As those of :meth:`Index.create`; memory is that of a task.
        centroids: Number of centroids. Default: by the number of tokens of the collection.
        sample: Number of passages that the codec is trained on. Default: as for one index, about 16 sqrt(120 P) of P.
        num_cpus: Cores of a task, which are its threads.
        num_gpus: GPUs of a task; above 0, the codec is trained and passages are compressed there.
        progress: Called with (stage, done, total).

    Raises:
        IndexExists: There is a collection at ``url``, or the beginning of one, of another source or other options.
        NotFound: There is no such source.
        InvalidInput: The source has no rows, or one without a text; no node has the cores and GPUs of a task.
    """
    import ray

    for name, value in (("shards", shards), ("sample", sample), ("centroids", centroids)):
        if value is not None and value < 1:
            raise InvalidInput(f"{name} is {value}, expected 1 or more", name=name, value=value)
    report = progress or (lambda stage, done, total: None)
    url = url if "://" in url else os.path.abspath(url)  # Ray's workers have other working folders
    _cluster.join(num_cpus, num_gpus)
    reader = ray.remote(num_cpus=num_cpus, max_retries=TRIES)
    remote = ray.remote(num_cpus=num_cpus, num_gpus=num_gpus, max_retries=TRIES)

    report("source", 0, 1)
    pieces = pieces_of(source)
    counts = [reader(count).remote(pieces[begin : begin + PIECES]) for begin in range(0, len(pieces), PIECES)]
    lens = [rows for found in counts for rows in _cluster.result(found)]
    total = sum(lens)
    if total == 0:
        raise InvalidInput(f"{source}: no rows")
    parts = split(list(zip(pieces, lens)), min(shards, total))
    sampled = _sampled(total, sample, seed)
    looked = [reader(look).options(num_returns=2).remote(part, sampled, text) for part in parts]
    recipe = {
        "version": VERSION,
        "source": f"{sum(_cluster.result(hashed) for hashed, _ in looked) % (1 << 128):032x}",
        "passages": total,
        "shards": len(parts),
        "text": text,
        "id": id_column,
        "model": model,
        "nbits": nbits,
        "centroids": centroids,
        "sample": sample,
        "language": language,
        "seed": seed,
    }
    _make_folder(url)
    put_recipe(url, recipe)
    report("source", 1, 1)

    device = "cuda" if num_gpus > 0 else "cpu"
    common = {**recipe, "url": url, "memory": memory, "device": device, "threads": max(1, int(num_cpus))}
    report("codec", 0, 1)
    codec = _cluster.result(remote(_train).remote(common, [texts for _, texts in looked]))
    report("codec", 1, 1)
    tasks = [remote(_shard).remote(common, shard, part, codec) for shard, part in enumerate(parts)]
    made = _cluster.results(tasks, lambda done: report("shards", done, len(tasks)))
    Collection(url, tuple(Shard(**shard) for shard in made)).commit()
    return Collection.open(url)


def _make_folder(path: str) -> None:
    """Make a local folder; an object store has none.

    Raises:
        ReadError: It cannot be made.
    """
    if "://" not in path:
        try:
            os.makedirs(path, exist_ok=True)
        except OSError as error:
            raise ReadError(f"{path}: {error.strerror}", path=path) from error


def _sampled(total: int, sample: int | None, seed: int) -> list[int]:
    """Numbers of the sampled rows, ascending. By default, their number is that of ColBERTv2."""
    number = min(total, sample or int(1 + 16 * (120 * total) ** 0.5))
    return sorted(random.Random(seed).sample(range(total), number))


def _train(recipe: dict[str, Any], picked: list[Any]) -> str:
    """Train the codec on sampled texts, unless it is there; return the name of its index."""
    import ray

    def make(folder: str) -> None:
        texts = [text for found in ray.get(picked) for text in found]
        encoder = Encoder(recipe["model"])
        centroids = recipe["centroids"]
        if centroids is None:
            measured = texts[:: max(1, len(texts) // MEASURED)]
            tokens = sum(len(rows) for rows in encoder.encode_passages(measured))
            centroids = _selvedge.num_centroids(tokens * recipe["passages"] // len(measured))
        Index.create(folder, texts, model=encoder, centroids=centroids, **_options(recipe)).close()

    _selvedge.set_threads(recipe["threads"])
    return _complete(recipe["url"], "codec", make)


def _shard(recipe: dict[str, Any], shard: int, part: Part, codec: str) -> dict[str, Any]:
    """Write the index of a shard, unless it is there; return the fields of its :class:`Shard`."""

    def make(folder: str) -> None:
        rows = documents(part, recipe["text"], recipe["id"])
        model, codec_from = Encoder(recipe["model"]), join(recipe["url"], codec)
        Index.create(folder, rows, model=model, codec_from=codec_from, **_options(recipe)).close()

    _selvedge.set_threads(recipe["threads"])
    _make_folder(join(recipe["url"], "shards"))
    name = _complete(recipe["url"], f"shards/{shard:04}", make)
    with Index.open(join(recipe["url"], name)) as index:
        info = index.info()
        return {"folder": name, "generation": info["generation"], "passages": len(index), "tokens": info["tokens"]}


def _options(recipe: dict[str, Any]) -> dict[str, Any]:
    kept = {key: recipe[key] for key in ("nbits", "language", "seed", "memory", "device")}
    return {**kept, "progress": False}


def _complete(url: str, name: str, make: Callable[[str], None]) -> str:
    """Name of an index below ``url``, which ``make`` makes in its folder unless it is complete.

    Another task may be at it: one of another driver, or of a node that Ray took for dead. Its index is taken.
    """
    for attempt in itertools.count():
        tried = f"{name}.{attempt}" if attempt else name
        folder = join(url, tried)
        while not _selvedge.is_index(folder):
            # Files without a manifest are uploads of a task that died, or that goes on: they are left alone.
            if any(not file.startswith(".") for file in _selvedge.list_files(folder)):
                break
            try:
                make(folder)
            except (IndexExists, IndexLocked):
                time.sleep(PAUSE)
        else:
            return tried
    raise AssertionError("counting has no end")
