"""Arguments of ``python -m selvedge_search.ray``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from ..errors import SelvedgeError
from .build import build
from .serve import serve


def parser() -> argparse.ArgumentParser:
    """Make the parser."""
    parser = argparse.ArgumentParser(
        prog="python -m selvedge_search.ray",
        description="Build and serve collections in shards on a Ray cluster. RAY_ADDRESS names it; without it, Ray"
        " starts on this machine.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("build", help="build a collection, or go on with a build that was stopped")
    make.add_argument("source", nargs="+", help="files of Parquet or JSON lines, or a Lance dataset")
    make.add_argument("url", help="folder of the collection: a shared path, or s3://..., gs://..., az://...")
    make.add_argument("--shards", type=int, required=True, help="number of shards")
    make.add_argument("--text", default="text", help="column of the passages (text)")
    make.add_argument("--id", default="id", dest="id_column", help="column of the ids (id)")
    make.add_argument("--model", default="shipped", help="model of the embeddings (shipped)")
    make.add_argument("--nbits", type=int, default=2, help="bits per component: 1, 2, 4 or 8 (2)")
    make.add_argument("--centroids", type=int, help="number of centroids (by the number of tokens)")
    make.add_argument("--sample", type=int, help="passages that the codec is trained on (about 16 sqrt(120 P))")
    make.add_argument("--language", default="english", help="language of the words; none for no words (english)")
    make.add_argument("--seed", type=int, default=42, help="seed of random numbers (42)")
    make.add_argument("--memory", type=int, default=4 << 30, help="bytes of memory of a task (4 GiB)")
    make.add_argument("--cpus", type=float, default=1, dest="num_cpus", help="cores of a task (1)")
    make.add_argument("--gpus", type=float, default=0, dest="num_gpus", help="GPUs of a task (0)")
    run = commands.add_parser("serve", help="serve the shards of a collection, and write the router's table")
    run.add_argument("url", help="folder of the collection")
    run.add_argument("--table", required=True, help="file for `selvedge router --shards`")
    run.add_argument("--name", help="name of the collection (the last part of the URL)")
    run.add_argument("--replicas", type=int, default=1, help="servers of each shard (1)")
    run.add_argument("--cpus", type=float, default=1, dest="num_cpus", help="cores of a server (1)")
    run.add_argument("--gpus", type=float, default=0, dest="num_gpus", help="GPUs of a server (0)")
    run.add_argument("--key-env", help="environment variable from which the router takes a key of the servers")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code."""
    options = vars(parser().parse_args(arguments))
    command = options.pop("command")
    try:
        if command == "serve":
            serve(**options)
            return 0
        options["language"] = None if options["language"] == "none" else options["language"]
        made = build(options.pop("source"), options.pop("url"), progress=_show, **options)
        print(
            json.dumps({"url": made.url, "shards": len(made.shards), "passages": made.passages, "tokens": made.tokens})
        )
    except SelvedgeError as error:
        print(f"selvedge_search.ray: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _show(stage: str, done: int, total: int) -> None:
    print(f"{stage} {done}/{total}", file=sys.stderr, flush=True)
