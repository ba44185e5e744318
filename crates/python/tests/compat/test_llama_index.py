"""LlamaIndex classes: retriever and postprocessor."""

import asyncio

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.schema import IndexNode, NodeRelationship, NodeWithScore, QueryBundle, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import FilterOperator, MetadataFilter, MetadataFilters

from selvedge_search import Index
from selvedge_search.compat.llama_index import SelvedgeRerank, SelvedgeRetriever

ROWS = [
    ("1", "The cat sleeps on the warm window sill.", {"topic": "animals", "year": 2019, "tags": ["pet", "home"]}),
    ("2", "A kitten is a young cat that plays all day.", {"topic": "animals", "year": 2021, "tags": ["pet"]}),
    ("3", "The stock market fell sharply on Monday.", {"topic": "money", "year": 2021, "note": ""}),
    ("4", "Bread is baked from flour, water and yeast.", {"topic": "food"}),
]


def node(id, text, metadata):
    source = RelatedNodeInfo(node_id=f"doc-{metadata['topic']}")
    return TextNode(id_=id, text=text, metadata=metadata, relationships={NodeRelationship.SOURCE: source})


@pytest.fixture
def nodes():
    return [node(*row) for row in ROWS]


@pytest.fixture
def retriever(nodes, tmp_path):
    return SelvedgeRetriever.from_defaults(nodes, path=tmp_path / "nodes.index", similarity_top_k=4)


def found(nodes):
    return sorted(node.node.node_id for node in nodes)


def test_nodes_come_back_whole(retriever, nodes):
    assert isinstance(retriever, BaseRetriever)
    results = retriever.retrieve("where does the cat sleep")
    assert results[0].node == nodes[0] and len(results) == 4
    assert results[0].node.ref_doc_id == "doc-animals"
    assert [node.score for node in results] == sorted((node.score for node in results), reverse=True)
    assert asyncio.run(retriever.aretrieve(QueryBundle("where does the cat sleep"))) == results


def test_the_default_is_two_nodes_in_a_temporary_folder(nodes):
    assert len(SelvedgeRetriever.from_defaults(nodes).retrieve("cat")) == 2
    with pytest.raises(ValueError, match="nodes"):
        SelvedgeRetriever.from_defaults([])


def test_an_index_of_any_documents(tmp_path):
    Index.create(tmp_path / "docs.index", [{"id": "a", "text": "A cat.", "metadata": {"year": 1}}]).close()
    results = SelvedgeRetriever(tmp_path / "docs.index").retrieve("cat")
    assert results[0].node == TextNode(id_="a", text="A cat.", metadata={"year": 1})


def test_nodes_are_added_replaced_and_deleted(retriever):
    retriever.add_nodes([node("5", "A dog barks.", {"topic": "animals"}), node("4", "Rye.", {"topic": "food"})])
    texts = {result.node.node_id: result.node.text for result in retriever.retrieve("dog")}
    assert texts["5"] == "A dog barks."
    retriever.similarity_top_k = 10
    assert {result.node.node_id: result.node.text for result in retriever.retrieve("rye")}["4"] == "Rye."
    retriever.delete_nodes(["4", "unknown"])
    assert found(retriever.retrieve("dog")) == ["1", "2", "3", "5"]
    retriever.delete_ref_doc("doc-animals")
    assert found(retriever.retrieve("dog")) == ["3"]


def one(key, value, operator="=="):
    return MetadataFilter(key=key, value=value, operator=FilterOperator(operator))


@pytest.mark.parametrize(
    ("filters", "condition", "ids"),
    [
        ([one("topic", "animals")], "and", ["1", "2"]),
        ([one("topic", "animals"), one("year", 2020, ">")], "and", ["2"]),
        ([one("topic", "food"), one("year", 2020, "<=")], "or", ["1", "4"]),
        ([one("year", 2021, "!=")], "and", ["1", "4"]),
        ([one("year", [2019, 2021], "in")], "and", ["1", "2", "3"]),
        ([one("year", [2019], "nin")], "and", ["2", "3", "4"]),
        ([one("tags", "home", "contains")], "and", ["1"]),
        ([one("tags", ["home", "none"], "any")], "and", ["1"]),
        ([one("tags", ["home", "pet"], "all")], "and", ["1"]),
        ([one("topic", "oo", "text_match")], "and", ["4"]),
        ([one("note", None, "is_empty")], "and", ["1", "2", "3", "4"]),
        ([one("year", None, "is_empty")], "and", ["4"]),
        ([one("year", 2019, ">="), one("topic", "food")], "not", []),
        ([one("year", 2020, ">"), one("topic", "food")], "not", ["1"]),
        ([MetadataFilters(filters=[one("year", 2021)]), one("topic", "money")], "and", ["3"]),
        ([], "and", ["1", "2", "3", "4"]),
    ],
)
def test_filters(retriever, filters, condition, ids):
    retriever.filters = MetadataFilters(filters=filters, condition=condition)
    assert found(retriever.retrieve("cat")) == ids


def test_filters_as_text_and_those_without_a_counterpart(retriever):
    retriever.filters = "year >= 2020"
    assert found(retriever.retrieve("cat")) == ["2", "3"]
    retriever.filters = MetadataFilters(filters=[one("topic", "OO", "text_match_insensitive")])
    with pytest.raises(ValueError, match="text_match_insensitive"):
        retriever.retrieve("cat")


def test_index_nodes_lead_to_their_objects(tmp_path):
    target = TextNode(text="The whole table of animals.")
    retriever = SelvedgeRetriever.from_defaults(
        [IndexNode(text="Summary of a table of animals.", index_id="table")],
        path=tmp_path / "nodes.index",
        objects=[IndexNode(text="", index_id="table", obj=target)],
    )
    assert retriever.retrieve("animals")[0].node == target


def test_rerank_sorts_and_cuts(nodes):
    scored = [NodeWithScore(node=node, score=0.1) for node in nodes]
    rerank = SelvedgeRerank(top_n=2, keep_retrieval_score=True)
    ranked = rerank.postprocess_nodes(scored, query_str="baking bread")
    assert ranked[0].node.node_id == "4" and len(ranked) == 2 and ranked[0].score > ranked[1].score
    assert ranked[0].node.metadata["retrieval_score"] == 0.1
    assert rerank.postprocess_nodes([], query_str="anything") == []
    assert asyncio.run(rerank.apostprocess_nodes(scored, QueryBundle("baking bread")))[0].node.node_id == "4"
    with pytest.raises(ValueError, match="query"):
        rerank.postprocess_nodes(scored)


def test_rerank_reads_the_metadata_and_is_serialized():
    rerank = SelvedgeRerank(top_n=1)
    nodes = [
        TextNode(text="It rose.", metadata={"about": "the weather"}),
        TextNode(text="It rose.", metadata={"about": "the price of bread"}),
    ]
    scored = [NodeWithScore(node=node) for node in nodes]
    assert rerank.postprocess_nodes(scored, query_str="price of bread")[0].node is nodes[1]
    assert SelvedgeRerank.from_dict(rerank.to_dict()).top_n == 1
