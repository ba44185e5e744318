"""Build of a collection on Ray.

    source --sample--> codec --of all shards--> a task per shard: encode, compress, write --> collection

Every step is kept once it is done, so a build that was killed goes on where it was: the recipe, the codec, each shard.
The same source, options and seed give the same bytes.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .. import _selvedge
from ..encoder import Encoder
from ..errors import IndexExists, IndexLocked, InvalidInput
from ..index import Index
from ._source import chosen, documents, read
from .collection import VERSION, Collection, Shard, join, put

if TYPE_CHECKING:
    from ray.data import Dataset

#: Passages whose lengths tell how many centroids the collection has.
MEASURED = 512
#: Most times that a shard is begun anew after its task died.
TRIES = 4


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
        source: Files of Parquet or JSON lines, or a Lance dataset: a path, a pattern, a URL that Ray Data reads, or
            several. Rows keep their order.
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
        IndexExists: There is a collection at ``url`` that is built of other options.
        InvalidInput: The source has no rows, or one without a text.
    """
    import ray

    if shards < 1:
        raise InvalidInput(f"shards is {shards}, expected 1 or more")
    report = progress or (lambda stage, done, total: None)
    rows = read(source).materialize()
    total = rows.count()
    if total == 0:
        raise InvalidInput(f"{source}: no rows")
    shards = min(shards, total)
    recipe = {
        "version": VERSION,
        "passages": total,
        "shards": shards,
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
    put(url, "recipe", recipe)
    starts = [total * shard // shards for shard in range(shards + 1)]
    parts = rows.split_at_indices(starts[1:-1]) if shards > 1 else [rows]
    device = "cuda" if num_gpus > 0 else "cpu"
    common = {**recipe, "url": url, "memory": memory, "device": device, "threads": max(1, int(num_cpus))}
    remote = ray.remote(num_cpus=num_cpus, num_gpus=num_gpus, max_retries=TRIES)
    numbers = _sampled(total, sample, seed)
    picked = [
        remote(_texts).remote(part, first, [n for n in numbers if first <= n < end], text)
        for part, first, end in zip(parts, starts, starts[1:])
    ]
    report("codec", 0, 1)
    ray.get(remote(_train).remote(common, picked))
    report("codec", 1, 1)
    tasks = [remote(_shard).remote(common, shard, parts[shard], starts[shard]) for shard in range(shards)]
    waiting = list(tasks)
    while waiting:
        report("shards", shards - len(waiting), shards)
        _, waiting = ray.wait(waiting, num_returns=1)
    collection = Collection(url, tuple(Shard(**found) for found in ray.get(tasks)))
    collection.commit()
    report("shards", shards, shards)
    return collection


def _make_folder(path: str) -> None:
    """Make a local folder; an object store has none."""
    if "://" not in path:
        os.makedirs(path, exist_ok=True)


def _sampled(total: int, sample: int | None, seed: int) -> list[int]:
    """Numbers of the sampled rows, ascending. By default, their number is that of ColBERTv2."""
    number = min(total, sample or int(1 + 16 * (120 * total) ** 0.5))
    return sorted(random.Random(seed).sample(range(total), number))


def _texts(part: Dataset, first: int, numbers: Sequence[int], text: str) -> list[str]:
    return chosen(part, first, numbers, text)


def _train(recipe: dict[str, Any], picked: list[Any]) -> None:
    """Train the codec on sampled texts, unless it is there."""
    import ray

    folder = join(recipe["url"], "codec")
    if _selvedge.is_index(folder):
        return
    texts = [text for found in ray.get(picked) for text in found]
    encoder = Encoder(recipe["model"])
    centroids = recipe["centroids"]
    if centroids is None:
        measured = texts[:: max(1, len(texts) // MEASURED)]
        tokens = sum(len(rows) for rows in encoder.encode_passages(measured))
        centroids = _selvedge.num_centroids(tokens * recipe["passages"] // len(measured))
    _selvedge.set_threads(recipe["threads"])
    _created(folder, recipe, texts, encoder, centroids=centroids)


def _shard(recipe: dict[str, Any], shard: int, part: Dataset, first: int) -> dict[str, Any]:
    """Write the index of a shard, unless it is there."""
    _selvedge.set_threads(recipe["threads"])
    for attempt in range(TRIES + 1):
        # Uploads of a task that died half way have no manifest, and their folder is not used again.
        name = f"shards/{shard:04}" + (f".{attempt}" if attempt else "")
        folder = join(recipe["url"], name)
        if not _selvedge.is_index(folder):
            if any(not file.startswith(".") for file in _selvedge.list_files(folder)):
                continue
            rows = documents(part, first, recipe["text"], recipe["id"])
            _make_folder(os.path.dirname(folder))
            _created(folder, recipe, rows, Encoder(recipe["model"]), codec_from=join(recipe["url"], "codec"))
        with Index.open(folder) as index:
            info = index.info()
            return {"folder": name, "generation": info["generation"], "passages": len(index), "tokens": info["tokens"]}
    raise IndexExists(f"{join(recipe['url'], 'shards')}: shard {shard} was begun {TRIES + 1} times and never completed")


def _created(folder: str, recipe: dict[str, Any], texts: Any, encoder: Encoder, **options: Any) -> None:
    """Make an index. Where another task was faster, its index is taken."""
    kept = {key: recipe[key] for key in ("nbits", "language", "seed", "memory", "device")}
    try:
        Index.create(folder, texts, model=encoder, progress=False, **kept, **options).close()
    except (IndexExists, IndexLocked):
        if not _selvedge.is_index(folder):
            raise
