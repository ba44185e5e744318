"""The same work by PyTorch, as lines of JSON: a copy, int8 products, and decompress + einsum + max of one query.

Embeddings are of 128 components, at 2 bits; a passage has 68 tokens, a query 32. Decompression looks a byte of codes up
in a table of four levels and adds the centroid, as Stanford's ColBERT does. There are no lines where torch or a GPU is
missing.
"""

import json
import sys
import time

DIM, TOKENS, QUERY = 128, 68, 32
PASSAGES, CENTROIDS = 100_000, 1 << 18


def median(call, synchronize, rounds=20):
    """Median time of a call in seconds."""
    times = []
    for round_ in range(rounds + 3):
        synchronize()
        started = time.perf_counter()
        call()
        synchronize()
        if round_ >= 3:
            times.append(time.perf_counter() - started)
    return sorted(times)[len(times) // 2]


def report(what, seconds, **rates):
    print(json.dumps({"what": what, "ms": seconds * 1e3, **rates}), flush=True)


def copy(torch, device, wait):
    source = torch.empty(1 << 31, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    seconds = median(lambda: target.copy_(source), wait)
    report("copy", seconds, gigabytes_per_second=2 * source.numel() / seconds / 1e9)


def products(torch, device, wait):
    left = torch.randint(-127, 128, (8192, 8192), dtype=torch.int8, device=device)
    right = torch.randint(-127, 128, (8192, 8192), dtype=torch.int8, device=device).t()
    seconds = median(lambda: torch._int_mm(left, right), wait)
    report("int_mm", seconds, tera_products_per_second=left.shape[0] ** 3 / seconds / 1e12)


def search(torch, device, wait):
    rows = PASSAGES * TOKENS
    packed = torch.randint(0, 256, (rows, DIM // 4), dtype=torch.uint8, device=device)
    codes = torch.randint(0, CENTROIDS, (rows,), dtype=torch.int32, device=device)
    centroids = torch.nn.functional.normalize(torch.randn(CENTROIDS, DIM, device=device), dim=1).half()
    query = torch.nn.functional.normalize(torch.randn(QUERY, DIM, device=device), dim=1).half()
    levels = torch.tensor([-0.06, -0.02, 0.02, 0.06], dtype=torch.half, device=device)
    shifts = torch.tensor([0, 2, 4, 6], device=device)
    of_byte = levels[(torch.arange(256, device=device)[:, None] >> shifts) & 3]

    def all_passages():
        best = []
        for first in range(0, rows, TOKENS << 14):  # 1.1 M tokens at a time
            here = slice(first, first + (TOKENS << 14))
            decoded = of_byte[packed[here].long()].reshape(-1, DIM) + centroids[codes[here].long()]
            scores = torch.einsum("qd,ntd->nqt", query, decoded.reshape(-1, TOKENS, DIM))
            best.append(scores.amax(2).sum(1))
        return torch.cat(best).topk(10)

    seconds = median(all_passages, wait)
    report("decompress_and_einsum", seconds, passages=PASSAGES, tokens=rows, tokens_per_second=rows / seconds)


def main():
    try:
        import torch
    except ImportError:
        print("no torch", file=sys.stderr)
        return
    if not torch.cuda.is_available():
        print("torch sees no GPU", file=sys.stderr)
        return
    print(json.dumps({"torch": torch.__version__, "device": torch.cuda.get_device_name()}))
    for measure in (copy, products, search):
        measure(torch, torch.device("cuda"), torch.cuda.synchronize)


main()
