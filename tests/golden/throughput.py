#!/usr/bin/env python3
"""Tokens per second of PyTorch, and of ONNX Runtime if it is installed, on a plain checkpoint.

    ./throughput.py MODEL [THREADS]

Prints JSON by engine and shape (texts x tokens). Only the forward pass is timed, on ready-made ids without padding.
`cargo bench --bench encode`, which has the same shapes, tokenizes and normalizes too. The shape "passages" is 128 texts
of 20 to 200 tokens, sorted by length, in batches of 32 padded to the longest, as sentence-transformers does it; padding
is not counted.

ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=AVX2 ONEDNN_MAX_CPU_ISA=AVX2 keep PyTorch to AVX2. onnx and onnxscript
are needed to make the models of ONNX Runtime, whose int8 is its dynamic quantization with weights per channel.
"""
import contextlib, json, os, statistics, sys, tempfile, time
import torch, transformers

SHAPES = [(16, 64), (16, 128), (32, 180), (1, 32)]
threads = int(sys.argv[2]) if len(sys.argv) > 2 else 1
torch.set_num_threads(threads)
model = transformers.AutoModel.from_pretrained(sys.argv[1]).eval()
generator = torch.Generator().manual_seed(0)


def batch(lens):
    longest = max(lens)
    ids = torch.randint(1000, 20000, (len(lens), longest), generator=generator)
    mask = torch.tensor([[1] * n + [0] * (longest - n) for n in lens])
    return ids * mask, mask


def batches():
    """Yields the name, batches and number of tokens of each shape."""
    for texts, tokens in SHAPES:
        yield f"{texts}x{tokens}", [batch([tokens] * texts)], texts * tokens
    lens = sorted((20 + (37 * at) % 181 for at in range(128)), reverse=True)
    yield "passages", [batch(lens[at : at + 32]) for at in range(0, 128, 32)], sum(lens)


def measure(run):
    rates = {}
    for name, all_batches, tokens in batches():
        seconds, start = [], time.perf_counter()
        while time.perf_counter() - start < 3 or len(seconds) < 3:
            began = time.perf_counter()
            for ids, mask in all_batches:
                run(ids, mask)
            seconds.append(time.perf_counter() - began)
        rates[name] = round(tokens / statistics.median(seconds))
    return rates


def onnx(path):
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    return lambda ids, mask: session.run(None, {"ids": ids.numpy(), "mask": mask.numpy()})


class Plain(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.model = model

    def forward(self, ids, mask):
        return self.model(input_ids=ids, attention_mask=mask).last_hidden_state


found = {}
with torch.inference_mode():
    found["torch f32"] = measure(lambda ids, mask: model(input_ids=ids, attention_mask=mask))
try:
    import onnxruntime
    from onnxruntime.quantization import quantize_dynamic
except ImportError:
    onnxruntime = None
if onnxruntime:
    with tempfile.TemporaryDirectory() as folder:
        exact, rounded = os.path.join(folder, "f32.onnx"), os.path.join(folder, "int8.onnx")
        free = {0: torch.export.Dim("texts"), 1: torch.export.Dim("tokens")}
        names = dict(input_names=["ids", "mask"], output_names=["hidden"], dynamic_shapes=(free, free))
        with contextlib.redirect_stdout(sys.stderr):
            torch.onnx.export(Plain(), batch([8, 8]), exact, dynamo=True, **names)
        quantize_dynamic(exact, rounded, per_channel=True)
        found["onnxruntime f32"] = measure(onnx(exact))
        found["onnxruntime int8"] = measure(onnx(rounded))
json.dump(found, sys.stdout, indent=1)
print()
