#!/usr/bin/env python3
"""Makes plain_bert/steps.safetensors: the weights of the checkpoint plain_bert after three steps of AdamW in PyTorch.

    ./make_steps.py        # with torch 2.11, tokenizers 0.23, safetensors; nothing is downloaded

Two queries with two passages each. The loss is the divergence from fixed teacher scores over a query's own passages,
plus the cross entropy of its first passage among all four at temperature 0.5. Gradients are clipped to norm 1. The
learning rate is 0.01 times 1, 2/3 and 1/3. Weight decay is 0.01 for matrices and 0 for vectors. BERT is written out
here, so that transformers is not needed.
"""
import pathlib
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

FOLDER = pathlib.Path(__file__).parent / "plain_bert"
QUERIES = ["what keeps a cloth from fraying", "one vector per token"]
PASSAGES = [
    "a selvedge is the self finished edge of a fabric, which keeps it from unravelling and fraying.",
    "the shuttle runs.",
    "late interaction keeps one vector per token! does it pay?",
    "weaving, weaving, weaving: line by line",
]
TEACHER = torch.tensor([[2.0, 1.0], [0.5, 0.25]])
HEADS, LAYERS, EPS = 3, 2, 1e-12

tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
weights = {name: tensor.float().requires_grad_() for name, tensor in load_file(str(FOLDER / "model.safetensors")).items()}


def linear(x, name):
    return x @ weights[name + ".weight"].T + weights[name + ".bias"]


def norm(x, name):
    return torch.nn.functional.layer_norm(x, x.shape[-1:], weights[name + ".weight"], weights[name + ".bias"], EPS)


def encode(text, most):
    """Unit rows (T, H) of one text: no padding is needed."""
    encoding = tokenizer.encode(text)
    encoding.truncate(most) if len(encoding.ids) > most else None
    ids = encoding.ids
    assert len(ids) <= most
    table = lambda name: weights[f"embeddings.{name}_embeddings.weight"]
    x = norm(table("word")[ids] + table("position")[: len(ids)] + table("token_type")[0], "embeddings.LayerNorm")
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}."
        heads = lambda y: y.view(len(ids), HEADS, -1).transpose(0, 1)
        q, k, v = (heads(linear(x, at + "attention.self." + part)) for part in ("query", "key", "value"))
        context = torch.softmax(q @ k.transpose(1, 2) / q.shape[-1] ** 0.5, -1) @ v
        context = context.transpose(0, 1).reshape(len(ids), -1)
        y = norm(linear(context, at + "attention.output.dense") + x, at + "attention.output.LayerNorm")
        up = torch.nn.functional.gelu(linear(y, at + "intermediate.dense"))
        x = norm(linear(up, at + "output.dense") + y, at + "output.LayerNorm")
    return x / x.norm(dim=-1, keepdim=True)


def loss():
    queries, passages = [encode(q, 12) for q in QUERIES], [encode(p, 40) for p in PASSAGES]
    scores = torch.stack([torch.stack([(q @ p.T).max(1).values.sum() for p in passages]) for q in queries])
    own = torch.stack([scores[0, :2], scores[1, 2:]])
    divergence = torch.nn.functional.kl_div(own.log_softmax(-1), TEACHER.softmax(-1), reduction="batchmean")
    return divergence + torch.nn.functional.cross_entropy(scores / 0.5, torch.tensor([0, 2]))


matrices = [w for w in weights.values() if w.dim() > 1]
vectors = [w for w in weights.values() if w.dim() == 1]
# With the default eps, parameters whose gradient is only rounding noise (biases of keys) would move by the full rate.
groups = [{"params": matrices, "weight_decay": 0.01}, {"params": vectors, "weight_decay": 0.0}]
optimizer = torch.optim.AdamW(groups, eps=1e-4)
for share in (1, 2 / 3, 1 / 3):
    for group in optimizer.param_groups:
        group["lr"] = 0.01 * share
    optimizer.zero_grad()
    value = loss()
    value.backward()
    torch.nn.utils.clip_grad_norm_(weights.values(), 1.0)
    optimizer.step()
    print(value.item())
save_file({name: w.detach().contiguous() for name, w in weights.items()}, str(FOLDER / "steps.safetensors"))
