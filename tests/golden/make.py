#!/usr/bin/env python3
"""Makes the golden checkpoints and the vectors that the reference libraries compute from them.

    ./make.py pylate plain             # with pylate 1.6, sentence-transformers 5.3, transformers 5.3, torch 2.10
    ./make.py sentence_transformers    # with sentence-transformers 6.2
    ./make.py stanford                 # with colbert-ai 0.2.22, transformers 4.49

Each case is a folder: a tiny random checkpoint (seeded), and `golden.json` + `golden.safetensors` with the texts and,
per text number i, `query.i` and `passage.i` (tokens, D), unit rows; plain cases also have `dense.i` (1, H). Texts that
are empty or all whitespace are listed but not encoded: the references return markers for them, we return nothing.
Nothing is downloaded. The numbers were made on a CPU in f32; the tests compare to 1e-4.
"""
import json, pathlib, shutil, sys
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
import transformers
from transformers import PreTrainedTokenizerFast

HERE = pathlib.Path(__file__).parent
TEXTS = [
    "the woven edge keeps a cloth from fraying",
    "",
    "   \t ",
    ", . ! ? ( )",
    "~ ^ | ` unknown symbols ~",
    "a",
    "  leading and trailing blanks  ",
    "Crème brûlée, naïve café — déjà vu",
    "東京タワー 🧵🪡 x",
    "A.B.C. (1999): 3.14, 50%! \"quoted\" it's",
    "tab\tand\nnewline\r\nand zero\u200bwidth",
    "[MASK] literal [PAD] special [SEP] tokens <mask> <pad>",
    "[Q] [D] [unused0] markers in the text",
    "weaving, " * 24,
    "supercalifragilisticexpialidocious pneumonoultramicroscopicsilicovolcanoconiosis",
    "warp and weft, line by line: the loom holds the threads; the shuttle runs. " * 2,
]
# Training text of the vocabularies. Without the symbols ~ ^ | `, whose entries in a skiplist become the unknown token.
CORPUS = TEXTS[:1] + TEXTS[6:8] + TEXTS[9:11] + TEXTS[13:] + [
    "a selvedge is the self finished edge of a fabric, which keeps it from unravelling and fraying.",
    "late interaction keeps one vector per token! does it pay? yes: (mostly) it does, says the paper.",
    "\" # $ % & ' ( ) * + , - . / : ; < = > ? @ [ \\ ] _ { } !",
]


# ---- tokenizers -------------------------------------------------------------------------------------------------

def word_piece(out):
    special = ["[PAD]", "[unused0]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer(lowercase=True)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=220, special_tokens=special, show_progress=False))
    # [unused0] and [unused1] are words of the vocabulary, not added tokens, as in BERT's own.
    spec = json.loads(t.to_str())
    spec["added_tokens"] = [a for a in spec["added_tokens"] if not a["content"].startswith("[unused")]
    t = Tokenizer.from_str(json.dumps(spec))
    t.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[
        ("[CLS]", t.token_to_id("[CLS]")), ("[SEP]", t.token_to_id("[SEP]"))])
    return wrap(out, t, cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]", unk_token="[UNK]", mask_token="[MASK]")


def unigram(out):
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Strip()])
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    t.decoder = decoders.Metaspace()
    t.train_from_iterator(CORPUS, trainers.UnigramTrainer(
        vocab_size=200, special_tokens=special, unk_token="<unk>", show_progress=False))
    t.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return wrap(out, t, bos_token="<s>", cls_token="<s>", eos_token="</s>", sep_token="</s>", pad_token="<pad>",
                unk_token="<unk>", mask_token="<mask>")


def byte_pairs(out):
    special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=320, special_tokens=special, show_progress=False,
                          initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    t.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)])
    return wrap(out, t, cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]", unk_token="[UNK]", mask_token="[MASK]")


def wrap(out, tokenizer, **special):
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=44, **special)
    fast.model_input_names = ["input_ids", "attention_mask"]
    fast.save_pretrained(out)
    return fast


# ---- transformers -----------------------------------------------------------------------------------------------

def config(kind, tokenizer):
    v, pad = len(tokenizer), tokenizer.pad_token_id
    if kind == "bert":
        return transformers.BertConfig(vocab_size=v, hidden_size=24, num_hidden_layers=2, num_attention_heads=3,
            intermediate_size=32, max_position_embeddings=52, pad_token_id=pad)
    if kind == "distilbert":
        return transformers.DistilBertConfig(vocab_size=v, dim=24, n_layers=2, n_heads=2, hidden_dim=32,
            max_position_embeddings=52, pad_token_id=pad)
    if kind == "xlm_roberta":
        return transformers.XLMRobertaConfig(vocab_size=v, hidden_size=24, num_hidden_layers=2, num_attention_heads=3,
            intermediate_size=32, max_position_embeddings=54, type_vocab_size=1, layer_norm_eps=1e-5, pad_token_id=pad,
            bos_token_id=0, eos_token_id=2)
    # Window of 4 on each side, so that texts are much longer than it; the layer in the middle is local.
    return transformers.ModernBertConfig(vocab_size=v, hidden_size=24, num_hidden_layers=3, num_attention_heads=2,
        intermediate_size=24, max_position_embeddings=52, local_attention=8, global_attn_every_n_layers=2,
        pad_token_id=pad, cls_token_id=1, sep_token_id=2, bos_token_id=1, eos_token_id=2, attn_implementation="eager")


def randomize(module, seed):
    """Weights large enough that every part of the model shows in its output."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in module.named_parameters():
            noise = torch.randn(p.shape, generator=g)
            if "norm" in name.lower() and name.endswith("weight"):
                p.copy_(1 + 0.2 * noise)
            else:
                p.copy_(noise * (0.2 if p.dim() > 1 else 0.1))


def fresh(case):
    out = HERE / case
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    return out


def backbone(out, kind, seed):
    tokenizer = {"xlm_roberta": unigram, "modernbert": byte_pairs}.get(kind, word_piece)(out)
    model = transformers.AutoModel.from_config(config(kind, tokenizer))
    randomize(model, seed)
    return model.eval(), tokenizer


def texts():
    return [(i, t) for i, t in enumerate(TEXTS) if t.strip()]


def finish(out, vectors):
    for name in ["README.md", "special_tokens_map.json"]:
        (out / name).unlink(missing_ok=True)
    save_file({k: v.detach().float().contiguous().clone() for k, v in vectors.items()}, out / "golden.safetensors")
    (out / "golden.json").write_text(json.dumps({"texts": TEXTS}, ensure_ascii=True, indent=1) + "\n")
    print(out.name, sum(f.stat().st_size for f in out.rglob("*") if f.is_file()) // 1024, "KiB")


def dump(path, value):
    path.write_text(json.dumps(value, indent=1) + "\n")


# ---- families ---------------------------------------------------------------------------------------------------

def plain_case(kind, seed):
    out = fresh(f"plain_{kind}")
    model, tokenizer = backbone(out, kind, seed)
    model.save_pretrained(out)
    vectors = {}
    for i, text in texts():
        for side, length in [("query", 12), ("passage", 40)]:
            batch = tokenizer([text], truncation=True, max_length=length, return_tensors="pt")
            hidden = model(**batch).last_hidden_state[0]
            vectors[f"{side}.{i}"] = torch.nn.functional.normalize(hidden, dim=-1)
            if side == "passage":
                vectors[f"dense.{i}"] = torch.nn.functional.normalize(hidden.mean(0, keepdim=True), dim=-1)
    finish(out, vectors)


def plain():
    for seed, kind in enumerate(["bert", "distilbert", "xlm_roberta", "modernbert"]):
        plain_case(kind, 10 + seed)


def pylate_case(case, kind, seed, dense, prefixes=("[Q] ", "[D] "), **settings):
    from pylate import models as pm
    from sentence_transformers.models import Transformer
    out = fresh(case)
    model, tokenizer = backbone(out, kind, seed)
    if prefixes[0]:
        tokenizer.add_tokens(list(prefixes))
        model.resize_token_embeddings(len(tokenizer))
        randomize(model, seed)
        tokenizer.save_pretrained(out)
    model.save_pretrained(out)
    chain = []
    for n, kw in enumerate(dense):
        chain.append(pm.Dense(**kw))
        randomize(chain[-1], seed + 100 + n)
    encoder = pm.ColBERT(modules=[Transformer(str(out)), *chain], device="cpu", query_prefix=prefixes[0],
                         document_prefix=prefixes[1], **settings)
    encoder.save(str(out), create_model_card=False)
    encoder = pm.ColBERT(str(out), device="cpu")  # what was saved is what is encoded
    vectors = {}
    for side in ["query", "passage"]:
        some = texts()
        for (i, _), v in zip(some, encoder.encode([t for _, t in some], is_query=side == "query", batch_size=4,
                                                  convert_to_numpy=False, show_progress_bar=False)):
            vectors[f"{side}.{i}"] = v
    finish(out, vectors)


def pylate():
    nn = torch.nn
    pylate_case("pylate_bert", "bert", 20, query_length=14, document_length=28, attend_to_expansion_tokens=False, dense=[
        dict(in_features=24, out_features=32, bias=True, activation_function=nn.Tanh(), use_residual=True),
        dict(in_features=32, out_features=16, bias=False)])
    pylate_case("pylate_modernbert", "modernbert", 21, query_length=20, document_length=50,
                attend_to_expansion_tokens=True, skiplist_words=[",", ".", "~", "the"], dense=[
        dict(in_features=24, out_features=24, bias=True, activation_function=nn.GELU(), use_residual=True),
        dict(in_features=24, out_features=8, bias=False)])
    pylate_case("pylate_distilbert", "distilbert", 22, prefixes=("", ""), query_length=16, document_length=40,
                do_query_expansion=False, skiplist_words=[], dense=[dict(in_features=24, out_features=24, bias=False)])
    pylate_case("pylate_xlm_roberta", "xlm_roberta", 23, query_length=18, document_length=40,
                attend_to_expansion_tokens=False, dense=[dict(in_features=24, out_features=16, bias=False)])


def sentence_transformers_case(case, kind, seed, transformer, dense, mask, prompts):
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
    out = fresh(case)
    model, _ = backbone(out, kind, seed)
    model.save_pretrained(out)
    modules = [Transformer(str(out), **transformer)]
    for n, kw in enumerate(dense):
        modules.append(Dense(module_input_name="token_embeddings", **kw))
        randomize(modules[-1], seed + 100 + n)
    modules += [MultiVectorMask(**mask), Normalize(module_input_name="token_embeddings")]
    MultiVectorEncoder(modules=modules, prompts=prompts, device="cpu").save_pretrained(str(out))
    encoder = MultiVectorEncoder(str(out), device="cpu")
    vectors = {}
    some = texts()
    for side, encode in [("query", encoder.encode_query), ("passage", encoder.encode_document)]:
        for (i, _), v in zip(some, encode([t for _, t in some], batch_size=4, show_progress_bar=False)):
            vectors[f"{side}.{i}"] = v
    finish(out, vectors)


def sentence_transformers():
    nn = torch.nn
    punctuation = [c for c in map(chr, range(33, 127)) if not c.isalnum()]
    sentence_transformers_case("sentence_transformers_bert", "bert", 30,
        dict(query_length=26, document_length=34, query_expansion={"strategy": "min", "attend": True, "length": 12}),
        [dict(in_features=24, out_features=16, bias=True, activation_function=nn.Tanh())],
        dict(skiplist_words=punctuation), {"query": "asked: ", "document": "[unused1] "})
    sentence_transformers_case("sentence_transformers_modernbert", "modernbert", 31,
        dict(query_expansion={"strategy": "fixed", "attend": False, "length": 20, "token": "[SEP]"}),
        [dict(in_features=24, out_features=24, bias=False, activation_function=nn.Identity()),
         dict(in_features=24, out_features=24, bias=True, activation_function=nn.SiLU(), use_residual=True)],
        dict(skiplist_words=[",", "a", "zzz"], skiplist_tasks=["query", "document"], keep_only_token_ids=list(range(60))), {})


def stanford_case(case, kind, seed, dim, metadata):
    from colbert.infra import ColBERTConfig
    from colbert.modeling.colbert import ColBERT
    from colbert.modeling.tokenization import DocTokenizer, QueryTokenizer
    ColBERT.loaded_extensions = True  # it would compile a C++ scoring kernel that encoding does not touch
    out = fresh(case)
    model, tokenizer = backbone(out, kind, seed)
    prefix = model.base_model_prefix
    g = torch.Generator().manual_seed(seed + 100)
    tensors = {f"{prefix}.{k}": v for k, v in model.state_dict().items()}
    tensors["linear.weight"] = torch.randn(dim, 24, generator=g) * 0.2
    model.config.architectures = ["HF_ColBERT"]
    model.config.save_pretrained(out)
    save_file({k: v.contiguous() for k, v in tensors.items()}, out / "model.safetensors", metadata={"format": "pt"})
    dump(out / "artifact.metadata", metadata)
    settings = ColBERTConfig.from_existing(ColBERTConfig.load_from_checkpoint(str(out)),
                                           ColBERTConfig(checkpoint=str(out)))
    colbert = ColBERT(str(out), colbert_config=settings).eval()
    loaded = colbert.state_dict()
    assert torch.equal(loaded["model.linear.weight"], tensors["linear.weight"]), "reference kept its random projection"
    queries, docs = QueryTokenizer(settings, verbose=0), DocTokenizer(settings)
    some = texts()
    words = [t for _, t in some]
    vectors = {}
    with torch.no_grad():
        encoded = colbert.query(*queries.tensorize(words))
        for (i, _), v in zip(some, encoded):
            vectors[f"query.{i}"] = v
        for (i, _), v in zip(some, colbert.doc(*docs.tensorize(words), keep_dims=False)):
            vectors[f"passage.{i}"] = v
    finish(out, vectors)


def stanford():
    stanford_case("stanford_bert", "bert", 40, 16, dict(query_token_id="[unused0]", doc_token_id="[unused1]",
        query_token="[Q]", doc_token="[D]", query_maxlen=14, doc_maxlen=30, dim=16, mask_punctuation=True,
        attend_to_mask_tokens=False, similarity="cosine"))
    stanford_case("stanford_xlm_roberta", "xlm_roberta", 41, 24, dict(query_token_id="[unused0]",
        doc_token_id="[unused1]", query_maxlen=24, doc_maxlen=50, dim=24, mask_punctuation=True,
        attend_to_mask_tokens=True))


if __name__ == "__main__":
    torch.set_num_threads(1)
    for family in sys.argv[1:]:
        globals()[family]()
