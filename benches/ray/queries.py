"""Queries that go on during a fault, each answer of which is checked."""

import http.client
import json
import threading
import time
from collections import Counter
from pathlib import Path

K = 10
#: Depth to which the right ranking is known, so that it is known without some of the shards, too.
DEEP = 400
MODES = ("maxsim", "hybrid")


def ask(port: int, index: str, body: dict) -> tuple[int, dict]:
    """Return status and answer of a search."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        sent = json.dumps({"exact": True, **body})
        connection.request("POST", f"/v1/indexes/{index}/search", sent, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def hits(answer: dict) -> list[tuple[str, float]]:
    """Return ids and scores."""
    return [(hit["id"], hit["score"]) for hit in answer["hits"]]


class Truth:
    """Right rankings, of one index over all passages."""

    def __init__(self, port: int, index: str, queries: list[str], shard_of: dict[str, int]) -> None:
        self.shard_of = shard_of
        self.deep = {
            (query, mode): hits(ask(port, index, {"query": query, "mode": mode, "k": DEEP})[1])
            for query in queries
            for mode in MODES
        }

    def kind(self, query: str, mode: str, status: int, answer: dict) -> str:
        """Return what an answer is: right, partial, refused or wrong."""
        if status != 200:
            return "refused" if answer.get("code") in ("SHARDS_FAILED", "VERSION_GONE") else "wrong"
        failed = {shard["shard"] for shard in answer["shards"]["failed"]}
        found = hits(answer)
        if not failed:
            return "right" if found == self.deep[query, mode][:K] else "wrong"
        # Statistics of words are then other ones, and with them the ranking by both.
        if mode == "hybrid":
            return "partial" if all(self.shard_of[id] not in failed for id, _ in found) and len(found) == K else "wrong"
        left = [(id, score) for id, score in self.deep[query, mode] if self.shard_of[id] not in failed]
        return "partial" if found == left[:K] else "wrong"


class Client(threading.Thread):
    """A client that asks one query after the other, alternately allowing partial answers, until it is stopped."""

    def __init__(self, port: int, collection: str, truth: Truth) -> None:
        super().__init__(daemon=True)
        self._port, self._collection, self._truth = port, collection, truth
        self._stopped = threading.Event()
        #: Time at which each answer began and ended, and what it was.
        self.seen: list[tuple[float, float, str]] = []
        self.examples: list[str] = []

    def run(self) -> None:
        """Ask."""
        queries = list(self._truth.deep)
        for number in range(1 << 30):
            if self._stopped.is_set():
                return
            query, mode = queries[number % len(queries)]
            body = {"query": query, "mode": mode, "k": K, "partial": number // len(queries) % 2 == number % 2}
            begun = time.monotonic()
            try:
                status, answer = ask(self._port, self._collection, body)
                kind = self._truth.kind(query, mode, status, answer)
                if kind == "wrong":
                    self.examples.append(f"{status} {mode} {json.dumps(answer)[:600]}")
            except OSError as error:
                kind = f"unreachable: {error}"
                time.sleep(0.1)
            self.seen.append((begun, time.monotonic(), kind))

    def stop(self) -> None:
        """End the client after its answer."""
        self._stopped.set()
        self.join()

    def report(self, name: str, fault: float) -> None:
        """Print a row of what was answered since the time of a fault."""
        since = [answer for answer in self.seen if answer[1] >= fault]
        kinds = Counter(kind for _, _, kind in since)
        last = max((ended for _, ended, kind in since if kind != "right"), default=fault)
        longest = max((ended - begun for begun, ended, _ in since), default=0)
        shown = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        print(f"{name}: {shown}; the last that was not right after {last - fault:.1f} s; longest {longest:.2f} s")
        for example in self.examples[:3]:
            print(f"  wrong: {example}")


def wait_for(holds, what: str, seconds: float = 120) -> float:
    """Wait until something holds; return the seconds it took."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        if holds():
            return time.monotonic() - begun
        time.sleep(0.05)
    raise SystemExit(f"{what}: not within {seconds} s")


def read_table(path: Path) -> dict:
    """Return the router's table, {} before there is one."""
    return json.loads(path.read_text()) if path.exists() else {}
