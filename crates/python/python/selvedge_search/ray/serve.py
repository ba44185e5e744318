"""Servers of a collection, owned by actors on Ray.

    serve, the driver ──places, asks──> owner, an actor ──starts, watches──> selvedge serve SHARD <──queries── router
            └──────────────────────────── writes ──────────────────────────> table ────────────────reads─────────┘

An owner is an actor per replica of a shard. It starts `selvedge serve` beside itself, starts it again when it ends, and
knows its address; Ray starts the owner again, elsewhere if its node is gone. Owners outlive a driver that was killed,
and the next one finds them by their names. The table of all addresses is a file that `selvedge router --shards` reads,
and reads again when it changes.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

from ..errors import InvalidInput, ReadError
from . import _cluster
from ._owner import Owner
from .collection import Collection

#: Seconds between two looks at all owners.
PERIOD = 0.25
#: Seconds after which an owner that does not answer is worth a note.
PATIENCE = 10.0


def serve(
    url: str,
    table: str,
    *,
    name: str | None = None,
    replicas: int = 1,
    num_cpus: float = 1,
    num_gpus: float = 0,
    key_env: str | None = None,
    until: Callable[[], bool] | None = None,
) -> None:
    """Serve all shards of a collection, and keep the table of their addresses, until the process is stopped.

    Ctrl-C and SIGTERM end the servers. They go on when this process is killed; calling this again takes them over.

    Args:
        url: Folder of the collection.
        table: File that the addresses are written to, whole each time.
        name: Name of the collection in the table. Default: the last part of ``url``.
        replicas: Servers of each shard, on different nodes while there are enough.
        num_cpus: Cores of a server; it has at least one thread.
        num_gpus: GPUs of a server; above 0 it scores there.
        key_env: Environment variable from which the router takes a key of the servers. Their own keys are in the file
            that ``SELVEDGE_CONFIG`` names in the environment of Ray's nodes.
        until: Called again and again; true ends the servers and this call.

    Raises:
        IndexNotFound: There is no collection at ``url``, or it is not complete.
        InvalidInput: No node has the cores and GPUs of a server.
        ReadError: The table cannot be written.
    """
    if replicas < 1:
        raise InvalidInput(f"replicas is {replicas}, expected 1 or more", name="replicas", value=replicas)
    url = url if "://" in url else os.path.abspath(url)
    collection = Collection.open(url)
    name = name or url.rstrip("/").rsplit("/", 1)[-1]
    # Servers note every request; their notes are in Ray's log folder of each node.
    _cluster.join(num_cpus, num_gpus, logs=False)
    if threading.current_thread() is threading.main_thread():
        # Ray's handler ends the process at once, and the servers would stay.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    owners = Owners(name, collection, replicas, num_cpus, num_gpus)
    written = None
    try:
        while not (until and until()):
            owners.look()
            found = table_of(name, collection, owners.places, owners.addresses, key_env)
            if found != written and all(shard["replicas"] for shard in found["shards"]):
                write(table, found)
                written = found
            time.sleep(PERIOD)
    finally:
        owners.end()


class Owners:
    """All owners of a collection, and what they said last."""

    def __init__(self, name: str, collection: Collection, replicas: int, num_cpus: float, num_gpus: float) -> None:
        import ray

        self._collection, self._namespace = collection, f"selvedge:{name}"
        self._num_cpus, self._num_gpus = num_cpus, num_gpus
        #: Shard and replica of each owner.
        self.places = [(shard, replica) for shard in range(len(collection.shards)) for replica in range(replicas)]
        #: Base URL of each owner's server, None before the first start.
        self.addresses: list[str | None] = [None] * len(self.places)
        self._asked: dict[Any, int] = {}
        self._since = [time.monotonic()] * len(self.places)
        self._noted: list[str | None] = [None] * len(self.places)
        self._end_others()
        self._actor = ray.remote(Owner)
        self._owners = [self._place(at) for at in range(len(self.places))]

    def _named(self, at: int) -> str:
        """Name of an owner: equal if it would be the same with the options of this call."""
        shard, replica = self.places[at]
        index = self._collection.index_of(shard)
        return f"{index} replica {replica} with {self._num_cpus:g} cores, {self._num_gpus:g} GPUs"

    def _end_others(self) -> None:
        """End owners of earlier calls that had other options."""
        import ray

        names = {self._named(at) for at in range(len(self.places))}
        for found in ray.util.list_named_actors(all_namespaces=True):
            if found["namespace"] == self._namespace and found["name"] not in names:
                ray.kill(ray.get_actor(found["name"], namespace=self._namespace))

    def _place(self, at: int) -> Any:
        """Have Ray place an owner, or find the one that an earlier call placed."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        shard, replica = self.places[at]
        # Replicas of a shard are on different nodes. Ray places them elsewhere when their node is gone.
        nodes = _cluster.nodes_with(self._num_cpus, self._num_gpus)
        node = NodeAffinitySchedulingStrategy(nodes[(shard + replica) % len(nodes)], soft=True) if nodes else None
        options = self._actor.options(
            name=self._named(at),
            namespace=self._namespace,
            lifetime="detached",
            get_if_exists=True,
            num_cpus=self._num_cpus,
            num_gpus=self._num_gpus,
            max_restarts=-1,
            max_task_retries=0,
            scheduling_strategy=node,
        )
        device = "cuda" if self._num_gpus > 0 else "cpu"
        return options.remote(self._collection.index_of(shard), max(1, int(self._num_cpus)), device)

    def look(self) -> None:
        """Ask all owners for their addresses, except those that have not answered yet."""
        import ray

        for at in set(range(len(self._owners))) - set(self._asked.values()):
            self._asked[self._owners[at].state.remote()] = at
            self._since[at] = time.monotonic()
        answered, _ = ray.wait(list(self._asked), num_returns=len(self._asked), timeout=PERIOD)
        for answer in answered:
            at = self._asked.pop(answer)
            try:
                address, failure = ray.get(answer)
            except ray.exceptions.ActorUnavailableError:
                continue  # Ray starts it again
            except ray.exceptions.RayError as error:
                self._note(at, f"its owner ended, and gets another one: {_cluster.first_line(error)}")
                self._owners[at] = self._place(at)
                continue
            # While a server starts again, its last address stays: a router goes to other replicas by itself.
            self.addresses[at] = address or self.addresses[at]
            self._note(at, failure)
        for at in self._asked.values():
            if time.monotonic() - self._since[at] > PATIENCE:
                needs = f"{self._num_cpus:g} cores and {self._num_gpus:g} GPUs"
                self._note(at, f"no answer of its owner in {PATIENCE:g} s; it waits for a node with {needs} free")

    def _note(self, at: int, note: str | None) -> None:
        if note is not None and note != self._noted[at]:
            shard, replica = self.places[at]
            print(f"selvedge_search.ray: shard {shard}, replica {replica}: {note}", file=sys.stderr, flush=True)
        self._noted[at] = note

    def end(self) -> None:
        """End all owners, and so their servers."""
        import ray

        for owner in self._owners:
            ray.kill(owner)


def table_of(
    name: str,
    collection: Collection,
    places: list[tuple[int, int]],
    addresses: list[str | None],
    key_env: str | None = None,
) -> dict[str, Any]:
    """Make the router's table."""
    shards = []
    for shard, entry in enumerate(collection.shards):
        index = entry.folder.rsplit("/", 1)[-1]
        known = [at for (of, _), at in zip(places, addresses) if of == shard and at is not None]
        shards.append({"index": index, "replicas": known})
    return {"name": name, **({"key_env": key_env} if key_env else {}), "shards": shards}


def write(path: str, value: dict[str, Any]) -> None:
    """Replace a JSON file, in one step.

    Raises:
        ReadError: It cannot be written.
    """
    folder = os.path.dirname(os.path.abspath(path))
    try:
        handle, made = tempfile.mkstemp(dir=folder, prefix=f".{os.path.basename(path)}-")
        with os.fdopen(handle, "w") as file:
            json.dump(value, file, indent=1)
        os.chmod(made, 0o644)
        os.replace(made, path)
    except OSError as error:
        raise ReadError(f"{path}: {error.strerror}", path=path) from error
