"""MTEB's `SearchProtocol` by a selvedge index: benchmarks of a model, its codec and the search together.

Example:
    mteb.evaluate(SelvedgeSearch("shipped"), mteb.get_tasks(["NanoSciFactRetrieval"]))
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from typing import Any

from mteb.models.model_meta import ModelMeta

from selvedge_search import Encoder, Index, maxsim

__all__ = ["SelvedgeSearch"]


class SelvedgeSearch:
    """Model and index behind MTEB's interface of searching models.

    The index of each task is built in a temporary folder, `index_options` being options of `Index.create`, and
    searched with `search_options`, options of `Index.search`. Where a task brings the documents to rank
    (`top_ranked`), they are ranked by exact MaxSim, without the codec, if `exact_rerank` is set, and from the index
    otherwise.
    """

    def __init__(
        self,
        model: str | Encoder = "shipped",
        revision: str | None = None,
        *,
        device: str | None = None,
        index_options: dict[str, Any] | None = None,
        search_options: dict[str, Any] | None = None,
        exact_rerank: bool = False,
        **kwargs: Any,
    ) -> None:
        self.encoder = model if not isinstance(model, str) else Encoder(model, **kwargs)
        self.device = device or "cpu"
        self.index_options = index_options or {}
        self.search_options = search_options or {}
        self.exact_rerank = exact_rerank
        self._revision = revision
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._index: Index | None = None

    def index(
        self,
        corpus: Any,
        *,
        task_metadata: Any = None,
        hf_split: str = "test",
        hf_subset: str = "default",
        encode_kwargs: Mapping[str, Any] | None = None,
        num_proc: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Builds the index of a corpus, rows with `id`, `text` and perhaps `title`, and drops the one before."""
        if self._index is not None:
            self._index.close()
        self._folder = tempfile.TemporaryDirectory(prefix="selvedge-", ignore_cleanup_errors=True)
        options = {"model": self.encoder, "device": self.device, **self.index_options}
        self._index = Index.create(f"{self._folder.name}/index", map(_passage, corpus), **options)

    def search(
        self,
        queries: Any,
        *,
        task_metadata: Any = None,
        hf_split: str = "test",
        hf_subset: str = "default",
        top_k: int = 1000,
        encode_kwargs: Mapping[str, Any] | None = None,
        top_ranked: Mapping[str, list[str]] | None = None,
        num_proc: int | None = None,
        **kwargs: Any,
    ) -> dict[str, dict[str, float]]:
        """Scores of the best `top_k` documents of each query, those of `top_ranked` alone where it is given.

        Queries are rows with `id`, `text` and perhaps `instruction`. A query that `top_ranked` leaves out finds
        nothing. Raises `RuntimeError` before `index`.
        """
        if self._index is None:
            raise RuntimeError("call index before search")
        rows = [(row["id"], _query(row)) for row in queries]
        if top_ranked is not None:
            unranked: dict[str, dict[str, float]] = {id: {} for id, _ in rows}
            rows = [(id, text) for id, text in rows if top_ranked.get(id)]
            return unranked | self._ranked(self._index, rows, top_ranked, top_k)
        if not rows:
            return {}
        found = self._index.search([text for _, text in rows], top_k, text=False, metadata=False, **self.search_options)
        return {id: _scores(results) for (id, _), results in zip(rows, found)}

    def _ranked(
        self, index: Index, rows: list[tuple[str, str]], top_ranked: Mapping[str, list[str]], top_k: int
    ) -> dict[str, dict[str, float]]:
        if not rows:
            return {}
        queries = [text for _, text in rows]
        if not self.exact_rerank:
            options = {**self.search_options, "exact": True, "text": False, "metadata": False}
            found = index.search(queries, top_k, ids=[top_ranked[id] for id, _ in rows], **options)
            return {id: _scores(results) for (id, _), results in zip(rows, found)}
        ranked = {}
        for (id, _), query in zip(rows, self.encoder.encode_queries(queries)):
            ids = top_ranked[id]
            scores = maxsim(query, self.encoder.encode_passages([row["text"] for row in index.get(ids)]))
            best = (-scores).argsort(kind="stable")[:top_k].tolist()
            ranked[id] = {ids[number]: float(scores[number]) for number in best}
        return ranked

    @property
    def mteb_model_meta(self) -> ModelMeta:
        """Name, dimension and lengths of the model; what its checkpoint does not say is `None`."""
        name = str(self.encoder.model or "model").rstrip("/")
        return ModelMeta(
            loader=None,
            name=name if name.count("/") == 1 and not name.startswith((".", "/")) else f"selvedge/{_last(name)}",
            revision=self._revision or str(self.encoder.fingerprint),
            release_date=None,
            languages=None,
            n_parameters=None,
            memory_usage_mb=None,
            max_tokens=self.encoder.passage_maxlen,
            embed_dim=self.encoder.dim,
            license=None,
            open_weights=True,
            public_training_code=None,
            public_training_data=None,
            framework=[],
            similarity_fn_name="MaxSim",
            use_instructions=False,
            training_datasets=None,
            model_type=["late-interaction"],
        )


def _last(name: str) -> str:
    return name.rsplit("/", 1)[-1] or "model"


def _passage(row: Mapping[str, Any]) -> dict[str, str]:
    """Title and text, joined as MTEB does for models that take one text."""
    return {"id": str(row["id"]), "text": f"{row.get('title') or ''} {row['text']}".strip()}


def _query(row: Mapping[str, Any]) -> str:
    """Text and instruction of a query, or instruction and turns of a conversation, as MTEB joins them."""
    text, instruction = row["text"], row.get("instruction") or ""
    if isinstance(text, str):
        return f"{text} {instruction}".strip()
    turns = [turn if isinstance(turn, str) else f"{turn['role']}: {turn['content']}" for turn in text]
    return f"{instruction} {'; '.join(turns)}".strip()


def _scores(results: Any) -> dict[str, float]:
    return {hit.id: float(hit.score) for hit in results}
