#!/usr/bin/env python3
"""Tokens per second of PyTorch on a plain checkpoint, as JSON: ./throughput.py MODEL [THREADS]

The forward pass alone, on ready-made ids without padding; ours, beside it, tokenizes and normalizes too.
"""
import json, statistics, sys, time
import torch, transformers

torch.set_num_threads(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
model = transformers.AutoModel.from_pretrained(sys.argv[1]).eval()
rates = {}
with torch.inference_mode():
    for texts, tokens in [(16, 64), (16, 128), (32, 180), (1, 32)]:
        ids = torch.randint(1000, 20000, (texts, tokens), generator=torch.Generator().manual_seed(0))
        mask = torch.ones_like(ids)
        model(input_ids=ids, attention_mask=mask)
        seconds, start = [], time.perf_counter()
        while time.perf_counter() - start < 4:
            run = time.perf_counter()
            model(input_ids=ids, attention_mask=mask)
            seconds.append(time.perf_counter() - run)
        rates[f"{texts}x{tokens}"] = texts * tokens / statistics.median(seconds)
json.dump(rates, sys.stdout)
