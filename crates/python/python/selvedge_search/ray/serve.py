"""Servers of a collection, owned by actors on Ray.

An owner is an actor per replica of a shard. It starts `selvedge serve` beside itself, starts it again when it ends, and
knows its address; Ray starts the owner again, elsewhere if its node is gone. The table of all addresses is a file that
`selvedge router --shards` reads, and reads again when it changes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

from ..errors import InvalidInput
from .collection import Collection

#: Seconds between two looks at all owners.
PERIOD = 0.25
#: Seconds after which an owner that has not answered is asked anew; Ray may be starting it again.
PATIENCE = 1.0


def serve(
    url: str,
    table: str,
    *,
    name: str | None = None,
    replicas: int = 1,
    num_cpus: float = 1,
    num_gpus: float = 0,
    until: Callable[[], bool] | None = None,
) -> None:
    """Serve all shards of a collection, and keep the table of their addresses, until the process is stopped.

    Args:
        url: Folder of the collection.
        table: File that the addresses are written to, whole each time.
        name: Name of the collection in the table. Default: the last part of ``url``.
        replicas: Servers of each shard, on different nodes where there are enough.
        num_cpus: Cores of a server.
        num_gpus: GPUs of a server; above 0 it scores there.
        until: Called again and again; true ends the servers and this call.
    """
    import ray

    if replicas < 1:
        raise InvalidInput(f"replicas is {replicas}, expected 1 or more")
    collection = Collection.open(url)
    name = name or url.rstrip("/").rsplit("/", 1)[-1]
    remote = ray.remote(Owner).options(
        num_cpus=num_cpus, num_gpus=num_gpus, max_restarts=-1, max_task_retries=-1, scheduling_strategy="SPREAD"
    )
    device = "cuda" if num_gpus > 0 else "cpu"
    shards = range(len(collection.shards))
    places = [(shard, replica) for replica in range(replicas) for shard in shards]
    owners = [remote.remote(collection.index_of(shard), max(1, int(num_cpus)), device) for shard, _ in places]
    addresses: list[str | None] = [None] * len(owners)
    asked: dict[Any, tuple[int, float]] = {}
    written = None
    try:
        while not (until and until()):
            idle = set(range(len(owners))) - {at for at, _ in asked.values()}
            asked.update({owners[at].address.remote(): (at, time.monotonic()) for at in idle})
            answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=PERIOD)
            for answer in answered:
                at, _ = asked.pop(answer)
                try:
                    # While a server starts again, its last address stays: a router goes to other replicas by itself.
                    addresses[at] = ray.get(answer) or addresses[at]
                except ray.exceptions.RayError as error:
                    print(f"selvedge_search.ray: owner of shard {places[at][0]}: {error}", file=sys.stderr)
            asked = {ref: (at, since) for ref, (at, since) in asked.items() if time.monotonic() - since < PATIENCE}
            found = table_of(name, collection, places, addresses)
            if found != written and all(shard["replicas"] for shard in found["shards"]):
                write(table, found)
                written = found
            time.sleep(PERIOD)
    finally:
        for owner in owners:
            ray.kill(owner)


def table_of(
    name: str, collection: Collection, places: list[tuple[int, int]], addresses: list[str | None]
) -> dict[str, Any]:
    """Make the router's table."""
    shards = []
    for shard, entry in enumerate(collection.shards):
        index = entry.folder.rsplit("/", 1)[-1]
        known = [at for (of, _), at in zip(places, addresses) if of == shard and at is not None]
        shards.append({"index": index, "replicas": known})
    return {"name": name, "shards": shards}


def write(path: str, value: dict[str, Any]) -> None:
    """Replace a JSON file, in one step."""
    folder = os.path.dirname(os.path.abspath(path))
    handle, made = tempfile.mkstemp(dir=folder, prefix=f".{os.path.basename(path)}-")
    with os.fdopen(handle, "w") as file:
        json.dump(value, file, indent=1)
    os.chmod(made, 0o644)
    os.replace(made, path)


class Owner:
    """Actor that owns a server."""

    def __init__(self, index: str, threads: int, device: str) -> None:
        import ray

        self._host = ray.util.get_node_ip_address()
        self._command = [sys.executable, "-m", "selvedge_search", "serve", index, "--listen", f"{self._host}:0"]
        self._command += ["--threads", str(threads), "--device", device]
        self._lock = threading.Lock()
        self._server: subprocess.Popen[str] | None = None
        self._address: str | None = None
        self._start()
        threading.Thread(target=self._watch, daemon=True).start()

    def address(self) -> str | None:
        """Base URL of the server; None while it starts."""
        with self._lock:
            return self._address

    def pids(self) -> tuple[int, int]:
        """Numbers of this process and of the server's."""
        with self._lock:
            return os.getpid(), self._server.pid if self._server else 0

    def _start(self) -> None:
        server = subprocess.Popen(self._command, stderr=subprocess.PIPE, text=True, preexec_fn=_end_with_parent)
        address = None
        for line in server.stderr or ():
            sys.stderr.write(line)
            if "listening on " in line:
                address = line.split("listening on ", 1)[1].split()[0]
                break
        threading.Thread(target=_drain, args=(server,), daemon=True).start()
        with self._lock:
            self._server, self._address = server, address

    def _watch(self) -> None:
        pause = PERIOD
        while True:
            server = self._server
            started = time.monotonic()
            if server is not None:
                server.wait()
            # One that ends as soon as it starts is not started too often.
            pause = PERIOD if time.monotonic() - started > 10 else min(2 * pause, 30)
            with self._lock:
                self._address = None
            time.sleep(pause)
            self._start()


def _drain(server: subprocess.Popen[str]) -> None:
    for line in server.stderr or ():
        sys.stderr.write(line)


def _end_with_parent() -> None:
    """Have Linux end this process when its parent ends, however that ends."""
    import ctypes
    import signal

    set_parent_death_signal = 1
    ctypes.CDLL(None, use_errno=True).prctl(set_parent_death_signal, signal.SIGKILL)
