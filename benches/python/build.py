"""Builds from Python beside builds by the program `selvedge`, and the memory of a build from a generator.

    python benches/python/build.py SELVEDGE FOLDER [PASSAGES]

SELVEDGE is the native program. FOLDER gets about 2 GB for 100,000 passages of 40 random embeddings of 128 components
(clustered, f16). Rounds alternate; the ratio is of medians. The interpreter has the wheel `selvedge-search` of the same
sources, and numpy.
"""

import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from selvedge_search import Index

program, folder = sys.argv[1], Path(sys.argv[2])
passages = int(sys.argv[3]) if len(sys.argv) > 3 else 100_000
TOKENS, DIM, ROUNDS, BUDGET = 40, 128, 3, 1 << 30
folder.mkdir(parents=True, exist_ok=True)
generator = np.random.default_rng(5)
centers = generator.normal(size=(4096, DIM)).astype(np.float32)


def passage(number: int) -> np.ndarray:
    """Return the embeddings of a passage, (TOKENS, DIM) float32 of unit norm."""
    drawn = np.random.default_rng(number)
    rows = centers[drawn.integers(0, len(centers), TOKENS)] + drawn.normal(size=(TOKENS, DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def rss() -> int:
    """Return the largest resident memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


before = rss()
shutil.rmtree(folder / "generator.index", ignore_errors=True)
started = time.perf_counter()
Index.create(
    folder / "generator.index",
    embeddings=(passage(number) for number in range(passages)),
    memory=BUDGET,
    progress=False,
).close()
print(f"a generator of {passages} passages, memory={BUDGET >> 20} MiB: {time.perf_counter() - started:.1f} s,")
print(f"  {rss() - before} MiB of resident memory above the {before} MiB before")

rows_path, lens_path = folder / "docs.npy", folder / "lens.npy"
if not rows_path.exists():
    rows = np.lib.format.open_memmap(rows_path, "w+", np.float16, (passages * TOKENS, DIM))
    for number in range(passages):
        rows[number * TOKENS : (number + 1) * TOKENS] = passage(number)
    rows.flush()
    np.save(lens_path, np.full(passages, TOKENS, np.int32))


def by_program() -> float:
    """Return the seconds of a build by the program."""
    shutil.rmtree(folder / "program.index", ignore_errors=True)
    started = time.perf_counter()
    arrays = ["--embeddings", rows_path, "--doclens", lens_path]
    subprocess.run([program, "index", "-q", *arrays, folder / "program.index"], check=True)
    return time.perf_counter() - started


def by_python(rows: np.ndarray, lens: np.ndarray) -> float:
    """Return the seconds of a build of arrays in memory."""
    shutil.rmtree(folder / "python.index", ignore_errors=True)
    started = time.perf_counter()
    Index.create(folder / "python.index", embeddings=rows, lens=lens, progress=False).close()
    return time.perf_counter() - started


rows, lens = np.load(rows_path), np.load(lens_path)
times = [(by_program(), by_python(rows, lens)) for _ in range(ROUNDS)]
of_program, of_python = (statistics.median(side) for side in zip(*times))
print(f"arrays: the program {of_program:.1f} s, Python {of_python:.1f} s, ratio {of_python / of_program:.3f}")
