"""The side of Python in `cargo bench --bench python`: answers the words of standard input with numbers."""

import sys
import threading
import time

import numpy as np
from selvedge_search import Index

index = Index.open(sys.argv[1])
queries = list(np.load(sys.argv[2]))


OPTIONS = {
    "fast": {"nprobe": 4, "ndocs": 64, "num_rescored": 16, "text": False, "metadata": False},
    "default": {},
}


def search(options: dict) -> list[float]:
    """Time of each call in microseconds, then each without the engine's own time."""
    whole, own = [], []
    for query in queries:
        started = time.perf_counter()
        hits = index.search(query, **options)
        whole.append((time.perf_counter() - started) * 1e6)
        own.append(whole[-1] - sum(hits.stages_us.values()) - hits.output_us)
        assert len(hits) == 10
    return whole + own


def rate(threads: int) -> float:
    """Queries per second of this many threads, for a second."""
    ends = time.perf_counter() + 1
    counts = [0] * threads

    def ask(thread: int) -> None:
        while time.perf_counter() < ends:
            for query in queries[thread::threads]:
                index.search(query)
                counts[thread] += 1

    all_threads = [threading.Thread(target=ask, args=(thread,)) for thread in range(threads)]
    started = time.perf_counter()
    for thread in all_threads:
        thread.start()
    for thread in all_threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - started)


for word in sys.stdin:
    options = OPTIONS.get(word.strip())
    numbers = [rate(1), rate(8)] if options is None else search(options)
    print(*numbers, flush=True)
