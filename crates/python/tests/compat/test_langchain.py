"""LangChain classes: its standard tests, and the rest."""

import asyncio

import pytest

pytest.importorskip("langchain_core")

from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding

from selvedge_search import Encoder, Index
from selvedge_search.compat._filters import of_dictionary
from selvedge_search.compat.langchain import SelvedgeReranker, SelvedgeRetriever, SelvedgeVectorStore
from selvedge_search.errors import DimensionMismatch, InvalidInput

ROWS = [
    ("1", "The cat sleeps on the warm window sill.", {"topic": "animals", "year": 2019, "tags": ["pet", "home"]}),
    ("2", "A kitten is a young cat that plays all day.", {"topic": "animals", "year": 2021}),
    ("3", "The stock market fell sharply on Monday.", {"topic": "money", "year": 2021, "author": {"name": "O'Neil"}}),
    ("4", "Bread is baked from flour, water and yeast.", {"topic": "food"}),
]


@pytest.fixture
def store(tmp_path):
    documents = [Document(id=id, page_content=text, metadata=metadata) for id, text, metadata in ROWS]
    return SelvedgeVectorStore.from_documents(documents, index=tmp_path / "docs.index")


def found(documents):
    return sorted(document.id for document in documents)


def test_scores_descend_and_documents_come_back_whole(store):
    results = store.similarity_search_with_score("where does the cat sleep", k=2)
    assert results[0][0] == Document(id="1", page_content=ROWS[0][1], metadata=ROWS[0][2])
    assert results[0][1] > results[1][1]
    assert store.similarity_search("where does the cat sleep", k=2) == [document for document, _ in results]


def test_a_store_is_opened_again(store, tmp_path):
    again = SelvedgeVectorStore(tmp_path / "docs.index")
    again.add_texts(["A dog barks."], ids=["5"])
    store.index.refresh()
    assert store.get_by_ids(["5"])[0].page_content == "A dog barks."
    assert len(SelvedgeVectorStore(Index.open(tmp_path / "docs.index")).similarity_search("cat", k=10)) == 5


@pytest.mark.parametrize(
    ("filter", "ids"),
    [
        ("year >= 2020", ["2", "3"]),
        ({"topic": "animals"}, ["1", "2"]),
        ({"topic": "animals", "year": {"$lt": 2020}}, ["1"]),
        ({"topic": ["money", "food"]}, ["3", "4"]),
        ({"year": {"$gte": 2019, "$lte": 2020}}, ["1"]),
        ({"year": {"$ne": 2021}}, ["1", "4"]),
        ({"year": {"$nin": [2019, 2021]}}, ["4"]),
        ({"year": None}, ["4"]),
        ({"year": {"$exists": True}}, ["1", "2", "3"]),
        ({"tags": "pet"}, ["1"]),
        ({"author.name": "O'Neil"}, ["3"]),
        ({"topic": {"$like": "%o%"}}, ["3", "4"]),
        ({"$or": [{"topic": "food"}, {"year": 2019}]}, ["1", "4"]),
        ({"$and": [{"topic": "animals"}, {"$not": {"year": 2019}}]}, ["2"]),
        ({"topic": []}, []),
        ({}, ["1", "2", "3", "4"]),
        (lambda document: "cat" in document.page_content, ["1", "2"]),
        (lambda document: False, []),
    ],
)
def test_filters(store, filter, ids):
    assert found(store.similarity_search("cat", k=10, filter=filter)) == ids


def test_filters_that_are_not_valid(store):
    for filter in ({"year": {"$near": 1}}, {"$nor": []}, {"year": {"$gt": float("nan")}}, {"year": {"$gt": object()}}):
        with pytest.raises(InvalidInput):
            store.similarity_search("cat", filter=filter)
    assert of_dictionary({'a "b".c': True}) == '("a ""b"""."c" = TRUE)'


def test_vectors_of_a_query_give_its_results(store):
    query = "how is bread made"
    vectors = store.index.encoder.encode_queries(query)
    assert store.similarity_search_by_vector(vectors.tolist(), k=4) == store.similarity_search(query, k=4)
    assert len(store.similarity_search_by_vector(vectors[0].tolist(), k=2, filter={"topic": "animals"})) == 2
    with pytest.raises(DimensionMismatch):
        store.similarity_search_by_vector([0.5, 0.5])


def test_relevance_is_between_0_and_1_and_a_threshold_cuts(store):
    results = store.similarity_search_with_relevance_scores("where does the cat sleep", k=4)
    scores = [score for _, score in results]
    assert all(0 <= score <= 1 for score in scores) and scores == sorted(scores, reverse=True)
    retriever = store.as_retriever(
        search_type="similarity_score_threshold", search_kwargs={"score_threshold": float(scores[1]), "k": 4}
    )
    assert retriever.invoke("where does the cat sleep") == [document for document, _ in results[:2]]


def test_marginal_relevance_spreads_the_results(store):
    store.add_texts([ROWS[0][1] + " Indeed."], ids=["5"])
    query = "where does the cat sleep"
    assert found(store.similarity_search(query, k=2)) == ["1", "5"]
    spread = store.max_marginal_relevance_search(query, k=2, lambda_mult=0.1)
    assert spread[0].id in ("1", "5") and spread[1].id not in ("1", "5")
    same = store.max_marginal_relevance_search(query, k=4, lambda_mult=1.0)
    assert same == store.similarity_search(query, k=4)
    assert found(store.max_marginal_relevance_search(query, k=9, filter={"topic": "animals"})) == ["1", "2"]
    retriever = store.as_retriever(search_type="mmr", search_kwargs={"k": 2, "fetch_k": 5, "lambda_mult": 0.1})
    assert retriever.invoke(query) == spread


def test_async_methods_give_the_same(store):
    query = "what is a kitten"

    async def ask():
        return (
            await store.asimilarity_search_with_score(query, k=3),
            await store.amax_marginal_relevance_search(query, k=2),
            await store.asimilarity_search_with_relevance_scores(query),
            await store.as_retriever(search_kwargs={"k": 1}).ainvoke(query),
            await SelvedgeRetriever(index=store.index, k=2).ainvoke(query),
        )

    scored, spread, relevant, one, two = asyncio.run(ask())
    assert scored == store.similarity_search_with_score(query, k=3)
    assert spread == store.max_marginal_relevance_search(query, k=2)
    assert relevant == store.similarity_search_with_relevance_scores(query)
    assert one == store.similarity_search(query, k=1) and two == store.similarity_search(query, k=2)


def test_all_documents_are_deleted_and_others_added(store):
    assert store.delete() is True
    assert store.similarity_search("cat") == []
    store.add_texts(["A cat."], [{"year": 1}], ids=["9"])
    assert found(store.similarity_search("cat")) == ["9"]


def test_embeddings_of_one_vector_are_refused():
    with pytest.raises(TypeError, match="one per token"):
        SelvedgeVectorStore.from_texts(["a"], DeterministicFakeEmbedding(size=6))
    with pytest.raises(ValueError, match="metadatas"):
        SelvedgeVectorStore.from_texts(["a"], metadatas=[{}, {}])


def test_an_encoder_is_shared():
    encoder = Encoder("shipped")
    store = SelvedgeVectorStore.from_texts([text for _, text, _ in ROWS], encoder)
    assert store.similarity_search("bread", k=1)[0].page_content == ROWS[3][1]


def test_of_texts_with_one_id_the_last_stays():
    store = SelvedgeVectorStore.from_texts(["old cat", "new cat"], ids=["1", "1"])
    assert [document.page_content for document in store.similarity_search("cat")] == ["new cat"]


def test_a_store_that_began_with_one_text_finds_what_it_would_have_found():
    animals, places = ("cat", "dog", "horse", "fish", "bird"), ("house", "river", "city", "forest", "market", "school")
    texts = [f"The {animal} went to the {place} by itself." for animal in animals for place in places]
    ids = [str(number) for number in range(len(texts))]
    grown = SelvedgeVectorStore.from_texts(texts[:1], ids=ids[:1])
    for number in range(1, len(texts), 5):
        grown.add_texts(texts[number : number + 5], ids=ids[number : number + 5])
    build = grown.index.info()["build"]
    assert build["sample_tokens"] * 4 > grown.index.num_tokens
    assert sum(grown.similarity_search(text, k=1)[0].id == id for id, text in zip(ids, texts)) >= len(texts) - 2


def test_retriever_over_a_path_and_over_texts(store, tmp_path):
    retriever = SelvedgeRetriever(index=tmp_path / "docs.index", k=1, filter={"topic": "animals"})
    assert retriever.invoke("the stock market")[0].metadata["topic"] == "animals"
    assert len(retriever.invoke("the stock market", k=3)) == 2
    assert [len(documents) for documents in retriever.batch(["cat", "bread"])] == [1, 1]
    words = SelvedgeRetriever(index=store.index, search_kwargs={"rank_by": "lexical"})
    assert found(words.invoke("yeast")) == ["4"]
    made = SelvedgeRetriever.from_documents([Document(page_content=text) for _, text, _ in ROWS], k=2)
    assert made.invoke("yeast")[0].page_content == ROWS[3][1]


def test_reranker_copies_the_best_documents():
    documents = [Document(id=id, page_content=text, metadata=metadata) for id, text, metadata in ROWS]
    ranked = SelvedgeReranker(top_n=2).compress_documents(documents, "baking bread")
    assert ranked[0].id == "4" and len(ranked) == 2
    assert ranked[0].metadata["relevance_score"] > ranked[1].metadata["relevance_score"]
    assert "relevance_score" not in documents[3].metadata
    assert SelvedgeReranker().compress_documents([], "anything") == []
    assert len(SelvedgeReranker(top_n=None).compress_documents(documents, "cat")) == 4
