"""The side of Python in `cargo bench --bench python`: answers the words of standard input with numbers."""

import sys
import threading
import time

import numpy as np
from selvedge_search import Index

index = Index.open(sys.argv[1])
queries = list(np.load(sys.argv[2]))


def search() -> list[float]:
    """Time of each query in microseconds."""
    times = []
    for query in queries:
        started = time.perf_counter()
        hits = index.search(query)
        times.append((time.perf_counter() - started) * 1e6)
        assert len(hits) == 10 and hits[0].metadata is not None
    return times


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
    numbers = search() if word.strip() == "search" else [rate(1), rate(8)]
    print(*numbers, flush=True)
