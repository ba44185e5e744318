"""Haystack classes: its tests of document stores, and pipelines."""

import asyncio
from dataclasses import replace

import pytest

pytest.importorskip("haystack")

from haystack import Document, Pipeline
from haystack.components.writers import DocumentWriter
from haystack.dataclasses import ByteStream
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy, FilterPolicy
from haystack.testing.document_store import DocumentStoreBaseTests
from haystack.utils.filters import document_matches_filter

from selvedge_search import Encoder
from selvedge_search.compat.haystack import (
    SelvedgeDocumentStore,
    SelvedgeMultiVectorRetriever,
    SelvedgeRanker,
    SelvedgeRetriever,
)
from selvedge_search.errors import DimensionMismatch

DOCUMENTS = [
    Document(id="1", content="The cat sleeps on the warm window sill.", meta={"topic": "animals", "year": 2019}),
    Document(id="2", content="A kitten is a young cat that plays all day.", meta={"topic": "animals", "year": 2021}),
    Document(id="3", content="The stock market fell sharply.", meta={"topic": "money", "by": {"name": "O'Neil"}}),
    Document(id="4", content="Bread is baked from flour, water and yeast.", meta={"topic": "food", "on": "2024-02-29"}),
]


class TestDocumentStore(DocumentStoreBaseTests):
    @pytest.fixture
    def document_store(self, tmp_path):
        return SelvedgeDocumentStore(str(tmp_path / "docs.index"))

    @staticmethod
    def assert_documents_are_equal(received, expected):
        """Compares without embeddings, which the store does not keep, and without order."""
        expected = [replace(document, embedding=None) for document in expected]
        assert sorted(received, key=lambda document: document.id) == sorted(expected, key=lambda document: document.id)

    def test_write_documents(self, document_store):
        document = Document(content="test doc")
        assert document_store.write_documents([document]) == 1
        with pytest.raises(DuplicateDocumentError):
            document_store.write_documents([document])
        self.assert_documents_are_equal(document_store.filter_documents(), [document])


@pytest.fixture
def store(tmp_path):
    store = SelvedgeDocumentStore(str(tmp_path / "docs.index"))
    store.write_documents(DOCUMENTS)
    return store


def loaded(pipeline):
    """The pipeline, written as YAML and read again."""
    return Pipeline.loads(pipeline.dumps(), allowed_modules=["selvedge_search.compat.haystack"])


def comparison(field, operator, value):
    return {"field": field, "operator": operator, "value": value}


def logic(operator, *conditions):
    return {"operator": operator, "conditions": list(conditions)}


@pytest.mark.parametrize(
    "filters",
    [
        comparison("meta.topic", "==", "animals"),
        comparison("meta.topic", "!=", "animals"),
        comparison("meta.year", "!=", 2019),
        comparison("meta.year", ">=", 2020),
        comparison("meta.year", "<", 2020),
        comparison("meta.year", "==", None),
        comparison("meta.year", "!=", None),
        comparison("meta.year", "in", [2019, 2020]),
        comparison("meta.year", "not in", [2019, 2020]),
        comparison("meta.topic", "in", []),
        comparison("meta.by.name", "==", "O'Neil"),
        comparison("meta.on", ">", "2024-01-01"),
        comparison("topic", "==", "food"),
        comparison("id", "==", "3"),
        logic("AND", comparison("meta.topic", "==", "animals"), comparison("meta.year", ">", 2020)),
        logic("OR", comparison("meta.topic", "==", "food"), comparison("meta.year", ">", 2020)),
        logic("NOT", comparison("meta.topic", "==", "animals"), comparison("meta.year", ">", 2020)),
        logic("NOT", comparison("meta.year", ">", 2020)),
        logic("AND", comparison("id", "!=", "1"), logic("NOT", comparison("meta.topic", "==", "food"))),
        None,
        {},
    ],
)
def test_a_search_filters_as_haystack_does(store, filters):
    found = store.search("cat", 10, filters)
    expected = [document.id for document in DOCUMENTS if not filters or document_matches_filter(filters, document)]
    assert sorted(document.id for document in found) == expected
    assert sorted(document.id for document in store.filter_documents(filters)) == expected


def test_documents_come_back_whole(store):
    blob = ByteStream(data=b"\x00\x01", meta={"a": 1}, mime_type="application/octet-stream")
    odd = [Document(id="5", content=None, blob=blob), Document(id="6", content="", meta={"deep": {"list": [1, None]}})]
    store.write_documents(odd)
    again = SelvedgeDocumentStore(store.path)
    assert again.count_documents() == 6
    assert {document.id: document for document in again.filter_documents()} == {
        document.id: document for document in [*DOCUMENTS, *odd]
    }
    assert again.search("cat", 0) == []
    again.delete_all_documents()
    assert again.count_documents() == 0 and again.search("cat") == []


def test_an_empty_store_finds_nothing(tmp_path):
    store = SelvedgeDocumentStore(str(tmp_path / "docs.index"))
    assert SelvedgeRetriever(store).run(query="cat") == {"documents": []}
    assert store.write_documents([]) == 0 and store.index is None
    store.delete_all_documents()


def test_nothing_is_written_where_one_document_exists(store):
    with pytest.raises(DuplicateDocumentError):
        store.write_documents([Document(id="7", content="new"), Document(id="1", content="old")], DuplicatePolicy.FAIL)
    assert store.count_documents() == 4


def test_retrievers_answer_in_pipelines_and_come_back_from_yaml(tmp_path):
    store = SelvedgeDocumentStore(str(tmp_path / "docs.index"))
    writing = Pipeline()
    writing.add_component("writer", DocumentWriter(store, policy=DuplicatePolicy.OVERWRITE))
    assert writing.run({"writer": {"documents": DOCUMENTS}})["writer"]["documents_written"] == 4
    pipeline = Pipeline()
    pipeline.add_component("retriever", SelvedgeRetriever(store, top_k=3))
    pipeline.add_component("ranker", SelvedgeRanker(top_k=1))
    pipeline.connect("retriever.documents", "ranker.documents")
    question = {"retriever": {"query": "how is bread baked"}, "ranker": {"query": "how is bread baked"}}
    found = pipeline.run(question)["ranker"]["documents"]
    assert [document.id for document in found] == ["4"] and found[0].score > 0
    assert loaded(pipeline).run(question) == {"ranker": {"documents": found}}


def test_multivector_retriever(store):
    retriever = SelvedgeMultiVectorRetriever(store, top_k=2, filters=comparison("meta.year", ">", 0))
    vectors = Encoder("shipped").encode_queries("what is a kitten").tolist()
    found = retriever.run(query_multivector_embedding=vectors)["documents"]
    assert [document.id for document in found] == ["2", "1"]
    assert found == SelvedgeRetriever(store, filters=retriever.filters).run("what is a kitten")["documents"]
    pipeline = Pipeline()
    pipeline.add_component("retriever", retriever)
    assert loaded(pipeline).run({"retriever": {"query_multivector_embedding": vectors}}) == {
        "retriever": {"documents": found}
    }
    with pytest.raises(DimensionMismatch):
        retriever.run(query_multivector_embedding=[[0.5, 0.5]])


def test_filters_of_a_run_replace_or_join(store):
    animals, late = comparison("meta.topic", "==", "animals"), comparison("meta.year", ">", 2020)
    replacing = SelvedgeRetriever(store, filters=animals)
    merging = SelvedgeRetriever(store, filters=animals, filter_policy=FilterPolicy.MERGE)
    food = comparison("meta.topic", "!=", "food")
    assert len(replacing.run("cat")["documents"]) == 2
    assert len(replacing.run("cat", filters=food)["documents"]) == 3
    assert [document.id for document in merging.run("cat", filters=late)["documents"]] == ["2"]
    assert len(replacing.run("cat", filters=food, top_k=1)["documents"]) == 1
    assert SelvedgeRetriever.from_dict(merging.to_dict()).filter_policy == FilterPolicy.MERGE


def test_async_and_search_options(store):
    words = SelvedgeRetriever(store, search_options={"rank_by": "lexical"})
    assert [document.id for document in words.run("yeast")["documents"]] == ["4"]
    assert asyncio.run(words.run_async(query="yeast")) == words.run(query="yeast")


def test_ranker(store):
    ranker = SelvedgeRanker(top_k=2)
    ranked = ranker.run(query="how is bread baked", documents=DOCUMENTS)["documents"]
    assert ranked[0].id == "4" and len(ranked) == 2 and DOCUMENTS[3].score is None
    cut = ranker.run(query="how is bread baked", documents=DOCUMENTS, score_threshold=ranked[0].score)
    assert cut["documents"] == ranked[:1]
    assert ranker.run(query="anything", documents=[]) == {"documents": []}
    same = [Document(content="It rose.", meta={"about": about}) for about in ("weather", "bread")]
    titled = SelvedgeRanker.from_dict(SelvedgeRanker(meta_fields_to_embed=["about"]).to_dict())
    assert titled.run(query="bread", documents=same)["documents"][0].meta == {"about": "bread"}


def test_options_that_do_not_fit(store):
    for wrong in (lambda: SelvedgeRetriever(store, top_k=0), lambda: SelvedgeRanker(top_k=0)):
        with pytest.raises(ValueError, match="top_k"):
            wrong()
    with pytest.raises(TypeError, match="document_store"):
        SelvedgeRetriever("docs.index")
