"""MTEB's protocol, and a task of MTEB evaluated by it."""

import pytest

pytest.importorskip("mteb")
pytest.importorskip("datasets")

import datasets
import mteb
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.models import SearchProtocol

from selvedge_search import Encoder
from selvedge_search.compat.mteb import SelvedgeSearch

CORPUS = {
    "d1": {"title": "Cats", "text": "They sleep on the warm window sill."},
    "d2": {"title": "", "text": "A kitten is a young cat that plays all day."},
    "d3": {"title": "Money", "text": "The stock market fell sharply on Monday."},
    "d4": {"title": None, "text": "Bread is baked from flour, water and yeast."},
}
QUERIES = {"q1": "how is bread baked", "q2": "what happened to the stock market"}


def rows(texts):
    return datasets.Dataset.from_list(
        [{"id": id, **(row if isinstance(row, dict) else {"text": row})} for id, row in texts.items()]
    )


@pytest.fixture(scope="module")
def encoder():
    return Encoder("shipped")


@pytest.fixture
def model(encoder):
    model = SelvedgeSearch(encoder)
    model.index(rows(CORPUS), encode_kwargs={"batch_size": 8}, num_proc=1)
    return model


def test_it_is_a_model_that_searches(model):
    assert isinstance(model, SearchProtocol)
    meta = model.mteb_model_meta
    assert meta.model_type == ["late-interaction"] and meta.embed_dim == model.encoder.dim
    assert meta.name.count("/") == 1


def test_scores_of_the_best_documents(model):
    found = model.search(rows(QUERIES), top_k=2, encode_kwargs={}, num_proc=None)
    assert [max(found[query], key=found[query].get) for query in ("q1", "q2")] == ["d4", "d3"]
    assert all(len(scores) == 2 for scores in found.values())
    assert model.search(rows(QUERIES).select([]), top_k=2) == {}


@pytest.mark.parametrize("exact", [False, True])
def test_ranked_documents_alone_are_scored(encoder, exact):
    model = SelvedgeSearch(encoder, exact_rerank=exact)
    model.index(rows(CORPUS))
    queries = rows({**QUERIES, "q3": "cats", "q4": "cats"})
    ranked = {"q1": ["d1", "d4", "d2"], "q2": ["d1"], "q3": []}
    found = model.search(queries, top_k=2, top_ranked=ranked)
    assert next(iter(found["q1"])) == "d4" and len(found["q1"]) == 2
    assert list(found["q2"]) == ["d1"] and found["q3"] == {} and found["q4"] == {}


def test_the_title_is_part_of_a_passage_and_the_instruction_of_a_query(model):
    found = model.search(rows({"q": "cats"}), top_k=4)["q"]
    assert {"d1", "d2"} == set(list(found)[:2])
    with_instruction = datasets.Dataset.from_list([{"id": "q", "text": "what", "instruction": "about the market"}])
    assert next(iter(model.search(with_instruction, top_k=1)["q"])) == "d3"
    turns = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "about yeast and flour"}]
    assert next(iter(model.search([{"id": "q", "text": turns}], top_k=1)["q"])) == "d4"


def test_a_search_needs_an_index(encoder):
    with pytest.raises(RuntimeError, match="index"):
        SelvedgeSearch(encoder).search(rows(QUERIES), top_k=1)


class SmallTask(AbsTaskRetrieval):
    metadata = TaskMetadata(
        name="SelvedgeSmallRetrieval",
        description="Four documents and two queries.",
        reference=None,
        dataset={"path": "none/none", "revision": "none"},
        type="Retrieval",
        category="t2t",
        modalities=["text"],
        eval_splits=["test"],
        eval_langs=["eng-Latn"],
        main_score="ndcg_at_10",
        date=None,
        domains=None,
        task_subtypes=None,
        license=None,
        annotations_creators=None,
        dialect=None,
        sample_creation=None,
        bibtex_citation="",
    )

    def load_data(self, **kwargs):
        self.corpus = {"test": rows({id: {**row, "title": row["title"] or ""} for id, row in CORPUS.items()})}
        self.queries = {"test": rows(QUERIES)}
        self.relevant_docs = {"test": {"q1": {"d4": 1}, "q2": {"d3": 1}}}
        self.data_loaded = True


def test_mteb_evaluates_a_task(encoder):
    result = mteb.evaluate(SelvedgeSearch(encoder), SmallTask(), cache=None, show_progress_bar=False)
    assert result.task_results[0].get_score() == 1.0
