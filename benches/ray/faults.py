"""Faults of a collection on two local nodes of Ray: what each costs in seconds, and every answer meanwhile, checked.

    python benches/ray/faults.py build SOURCE.jsonl FOLDER      kills a task, the driver and a node during a build
    python benches/ray/faults.py same COLLECTION SOURCE.jsonl ONE   compares each shard, and ONE, with local builds
    python benches/ray/faults.py serve COLLECTION ONE QUERIES.tsv REPLICAS     kills servers, owners, drivers, nodes

The interpreter has the wheel `selvedge-search` of the same sources, and its extra `ray`. ONE is an index over the whole
collection with its codec, which `same` makes; its answers are the right ones. Linux; two cores and 8 GiB.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from cluster import Cluster
from queries import Client, Truth, read_table, wait_for
from selvedge_search import Index
from selvedge_search.ray import Collection

SHARDS, QUERIES = 4, 12
PROGRAM = [sys.executable, "-m", "selvedge_search"]
ON_RAY = [sys.executable, "-m", "selvedge_search.ray"]


def rows(source: str, first: int = 0, after: int | None = None):
    """Yield rows of the source."""
    with open(source) as file:
        yield from map(json.loads, islice(file, first, after))


def files(folder: str) -> dict[str, bytes]:
    """Return the files of an index."""
    return {path.name: path.read_bytes() for path in Path(folder).iterdir() if not path.name.startswith(".")}


def check_same(one: Collection, other: Collection) -> None:
    """Stop unless two collections have the same bytes."""
    for shard in range(len(one.shards)):
        if files(one.index_of(shard)) != files(other.index_of(shard)):
            raise SystemExit(f"{other.url}: shard {shard} differs")


class Build:
    """A build in a process of its own."""

    def __init__(self, source: str, url: Path, *options: str) -> None:
        command = [*ON_RAY, "build", source, str(url), "--shards", str(SHARDS), *options]
        self.url, self._begun = url, time.monotonic()
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def until(self, line: str) -> None:
        """Read its notes until a line."""
        for found in self.process.stderr:
            if found.strip() == line:
                return
        raise SystemExit(f"the build ended before {line!r}")

    def end(self) -> float:
        """Wait for its end, and return its seconds."""
        notes = self.process.communicate()[1]
        if self.process.returncode:
            raise SystemExit(f"the build failed: {notes}")
        return time.monotonic() - self._begun


def faults_of_build(source: str, folder: Path) -> None:
    """Build undisturbed, and with each fault; compare the bytes."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    cluster = Cluster(folder / "ray.log")
    try:
        print(f"undisturbed: {Build(source, folder / 'undisturbed').end():.1f} s", flush=True)
        right = Collection.open(str(folder / "undisturbed"))

        def check(name: str, seconds: float) -> None:
            made = Collection.open(str(folder / name))
            check_same(right, made)
            ids = [id for shard in range(SHARDS) for id in Index.open(made.index_of(shard)).ids()]
            assert len(ids) == len(set(ids)) == made.passages
            print(f"{name}: {seconds:.1f} s in all; {made.passages} passages, the same bytes", flush=True)

        build = Build(source, folder / "task")
        build.until(f"shards 1/{SHARDS}")
        wait_for(lambda: cluster.processes("ray::_shard"), "a task")
        killed = cluster.processes("ray::_shard")
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        print(f"{len(killed)} tasks killed")
        check("task", build.end())

        build = Build(source, folder / "driver")
        build.until(f"shards 1/{SHARDS}")
        build.process.kill()
        build.process.wait()
        check("driver", Build(source, folder / "driver").end())

        build = Build(source, folder / "node")
        build.until(f"shards 1/{SHARDS}")
        cluster.kill_node()
        check("node", build.end())
    finally:
        cluster.end()


def same(url: str, source: str, one: str) -> None:
    """Compare each shard with a local build of its range, and make one index of all."""
    collection, first = Collection.open(url), 0
    for number, shard in enumerate(collection.shards):
        after = first + shard.passages
        local = f"{one}.{number}"
        Index.create(
            local, rows(source, first, after), codec_from=f"{url}/codec", overwrite=True, progress=False
        ).close()
        found, expected = files(collection.index_of(number)), files(local)
        assert found == expected, sorted(
            name for name in found.keys() | expected if found.get(name) != expected.get(name)
        )
        print(f"shard {number}: rows {first} to {after - 1}: {len(found)} files, the same bytes", flush=True)
        shutil.rmtree(local)
        first = after
    Index.create(one, rows(source), codec_from=f"{url}/codec", overwrite=True, progress=False).close()


class Served:
    """A program that listens at a port."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    def port(self) -> int:
        """Port that it listens at."""
        for line in self.process.stderr:
            if "listening on " in line:
                # The rest is read and dropped, so that it never waits.
                threading.Thread(target=self.process.stderr.read, daemon=True).start()
                return int(line.split("listening on ")[1].split()[0].rsplit(":", 1)[1])
        raise SystemExit("no server")


def faults_of_servers(url: str, one: str, queries: str, replicas: int) -> None:
    """Compare the ranking of the shards with that of one index, undisturbed and during each fault."""
    collection = Collection.open(url)
    asked = [line.split("\t")[1] for line in Path(queries).read_text().splitlines()[:QUERIES]]
    shard_of = {}
    for shard in range(len(collection.shards)):
        with Index.open(collection.index_of(shard)) as index:
            shard_of.update(dict.fromkeys(index.ids(), shard))
    whole = Served([*PROGRAM, "serve", one, "--listen", "127.0.0.1:0", "--threads", "2"])
    truth = Truth(whole.port(), Path(one).name, asked, shard_of)
    whole.process.kill()

    folder = Path(url).parent
    table = folder / "table.json"
    table.unlink(missing_ok=True)
    # All owners fit on one node.
    cores = str(1 / SHARDS / replicas)
    own = [*ON_RAY, "serve", url, "--table", str(table), "--name", "all", "--replicas", str(replicas), "--cpus", cores]
    cluster = Cluster(folder / "ray.log")
    driver, router = subprocess.Popen(own), None
    try:
        print(f"all servers: {wait_for(lambda: all_answer(table), 'all servers', 300):.1f} s", flush=True)
        router = Served([*PROGRAM, "router", "--shards", str(table), "--listen", "127.0.0.1:0"])
        port = router.port()

        def during(name: str, fault: Callable[[], None], changes: bool = True) -> None:
            """Ask before, during and after a fault."""
            client = Client(port, "all", truth)
            client.start()
            wait_for(lambda: len(client.seen) >= 4, "answers")
            before, at = read_table(table), time.monotonic()
            fault()
            if changes:
                wait_for(lambda: read_table(table) != before and all_answer(table), name)
                print(f"{name}: all servers answer after {time.monotonic() - at:.1f} s", flush=True)
            time.sleep(10)
            client.stop()
            client.report(name, at)

        def restart_driver() -> None:
            nonlocal driver
            driver.kill()
            driver.wait()
            time.sleep(5)
            driver = subprocess.Popen(own)

        during("undisturbed", lambda: None, changes=False)
        during("a server killed", lambda: os.kill(cluster.processes(" serve ")[0], signal.SIGKILL))
        during("an owner killed", lambda: os.kill(cluster.processes("ray::Owner")[0], signal.SIGKILL))
        during("the driver killed, and started after 5 s", restart_driver, changes=False)
        during("a node killed", cluster.kill_node)
        during("the node started again", cluster.start_node, changes=False)
    finally:
        driver.send_signal(signal.SIGTERM)
        driver.wait()
        if router:
            router.process.kill()
        cluster.end()


def all_answer(table: Path) -> bool:
    """Whether all servers of the table are ready."""
    addresses = [base for shard in read_table(table).get("shards", []) for base in shard["replicas"]]
    try:
        return bool(addresses) and all(urllib.request.urlopen(f"{base}/health/ready", timeout=5) for base in addresses)
    except OSError:
        return False


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["build", source, folder]:
            faults_of_build(source, Path(folder))
        case ["same", url, source, one]:
            same(url, source, one)
        case ["serve", url, one, queries, replicas]:
            faults_of_servers(url, one, queries, int(replicas))
        case _:
            raise SystemExit(__doc__)
