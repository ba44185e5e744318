"""Collections in shards: built on Ray, served by owners on Ray.

    >>> from selvedge_search import ray
    >>> ray.build("passages/*.parquet", "s3://bucket/collection", shards=8)
    >>> ray.serve("s3://bucket/collection", table="shards.json")

or ``python -m selvedge_search.ray build SOURCE URL --shards 8``, and ``serve``. Then
``selvedge router --shards shards.json`` answers queries; Ray is in the path of no query.

All shards have one codec, so the ranking of an exact search is that of one index, whatever the number of shards.
"""

from .build import build
from .collection import Collection, Shard
from .serve import serve

__all__ = ["Collection", "Shard", "build", "serve"]
