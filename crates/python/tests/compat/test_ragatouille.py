"""The program of RAGatouille's README and its own test cases, with one import changed."""

import inspect

import pytest

from selvedge_search import Index
from selvedge_search.compat import _ragatouille_documents as documents
from selvedge_search.compat.ragatouille import RAGPretrainedModel
from selvedge_search.errors import IndexExists, IndexNotFound

MIYAZAKI = (
    "Hayao Miyazaki, born January 5, 1941, is a Japanese animator, filmmaker, and manga artist. "
    "A co-founder of Studio Ghibli, he is widely regarded as one of the most accomplished filmmakers in animation. "
    "Born in Tokyo City, Miyazaki expressed interest in manga and animation from an early age. "
    "He joined Toei Animation in 1963, where he worked as an in-between artist."
)
GHIBLI = (
    "Studio Ghibli is a Japanese animation studio based in Koganei, Tokyo. "
    "Its mascot, the character Totoro, is a giant spirit inspired by raccoon dogs and cats. "
    "The studio was founded on June 15, 1985, after acquiring the assets of Topcraft."
)
MONONOKE = "Princess Mononoke is a 1997 epic fantasy film set in the late Muromachi period of Japan."
COLLECTION, IDS = [MIYAZAKI, GHIBLI], ["miyazaki", "ghibli"]
METADATAS = [{"entity": "person", "source": "wikipedia"}, {"entity": "organisation", "source": "wikipedia"}]


@pytest.fixture
def rag(tmp_path):
    return RAGPretrainedModel.from_pretrained("shipped", index_root=str(tmp_path), verbose=0)


@pytest.fixture
def indexed(rag):
    rag.index(COLLECTION, document_ids=IDS, document_metadatas=METADATAS, index_name="films", split_documents=False)
    return rag


def test_an_index_lies_where_ragatouille_puts_it(rag, tmp_path):
    path = rag.index(COLLECTION, index_name="films")
    assert path == str(tmp_path / "colbert" / "indexes" / "films")
    with Index.open(path) as index:
        assert len(index) >= 2


def test_the_default_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = RAGPretrainedModel.from_pretrained("shipped", verbose=0).index(COLLECTION)
    assert path == ".ragatouille/colbert/indexes/shippednew_index"
    assert (tmp_path / path).exists()


def test_results_have_the_keys_of_ragatouille(indexed):
    results = indexed.search("When was Miyazaki born?", k=2)
    assert [result["rank"] for result in results] == [1, 2]
    assert results[0]["document_id"] == "miyazaki" and results[0]["passage_id"] == 0
    assert results[0]["content"] == MIYAZAKI
    assert results[0]["document_metadata"] == METADATAS[0]
    assert list(results[0]) == ["content", "score", "rank", "document_id", "passage_id", "document_metadata"]
    assert type(results[0]["score"]) is float and results[0]["score"] > results[1]["score"]


def test_results_without_metadata_have_no_such_key(rag):
    rag.index(COLLECTION, index_name="films", split_documents=False)
    results = rag.search("animation studio")
    assert all("document_metadata" not in result for result in results)
    assert len({result["document_id"] for result in results}) == 2  # UUIDs


def test_ranks_may_start_at_zero(indexed):
    assert [result["rank"] for result in indexed.search("Totoro", zero_index_ranks=True)] == [0, 1]


def test_k_is_lowered_to_the_size_of_the_index(indexed):
    assert len(indexed.search("Totoro", k=50)) == 2


def test_several_queries_give_lists_and_one_in_a_list_gives_its_own(indexed):
    both = indexed.search(["When was Miyazaki born?", "mascot of the studio"], k=1)
    assert [results[0]["document_id"] for results in both] == ["miyazaki", "ghibli"]
    assert indexed.search(["mascot of the studio"], k=1) == both[1]


def test_a_search_within_documents(indexed):
    results = indexed.search("When was Miyazaki born?", doc_ids=["ghibli", "unknown"])
    assert [result["document_id"] for result in results] == ["ghibli"]
    assert indexed.search("anything", doc_ids=["unknown"]) == []


def test_a_search_with_a_condition(indexed):
    results = indexed.search("animation", where="entity = 'person'")
    assert [result["document_id"] for result in results] == ["miyazaki"]


def test_without_an_index_a_search_returns_none_and_an_unknown_one_raises(rag, capsys):
    assert rag.search("anything") is None
    rag.verbose = 1
    assert rag.search("anything") is None
    assert "Cannot search without an index_name" in capsys.readouterr().out
    with pytest.raises(IndexNotFound):
        rag.search("anything", index_name="none")


def test_documents_are_split_at_sentences(rag):
    pytest.importorskip("llama_index.core")
    rag.index(
        [MIYAZAKI * 3, GHIBLI], document_ids=IDS, document_metadatas=METADATAS, index_name="s", max_document_length=64
    )
    results = rag.search("raccoon dogs and cats", k=10)
    assert results[0]["document_id"] == "ghibli"
    parts = [result for result in results if result["document_id"] == "miyazaki"]
    assert len(parts) > 2
    assert all(result["document_metadata"] == METADATAS[0] for result in parts)
    assert len({result["passage_id"] for result in results}) == len(results)


def test_the_model_splits_without_llama_index(rag, monkeypatch):
    monkeypatch.setattr(documents, "_has_llama_index", lambda: False)
    rag.index([MIYAZAKI * 3, GHIBLI], document_ids=IDS, index_name="s", max_document_length=48)
    found = [result["document_id"] for result in rag.search("Toei Animation", k=20)]
    assert found.count("miyazaki") > 2 and found.count("ghibli") >= 1


def test_own_splitters_and_preprocessing_functions_run_in_order(rag):
    def split(texts, ids, chunk_size):
        assert chunk_size == 200
        return [{"document_id": id, "content": part} for id, text in zip(ids, texts) for part in text.split(". ")]

    def shout(parts, ids):
        return [{**part, "content": part["content"].upper()} for part in parts]

    rag.index(
        COLLECTION,
        document_ids=IDS,
        index_name="s",
        max_document_length=200,
        document_splitter_fn=split,
        preprocessing_fn=[shout, lambda parts, ids: parts[1:]],
    )
    results = rag.search("mascot", k=20)
    assert len(results) == len(MIYAZAKI.split(". ")) + len(GHIBLI.split(". ")) - 1
    assert all(result["content"].isupper() for result in results)


def test_documents_are_added_and_known_ids_are_left_out(indexed):
    indexed.add_to_index([MONONOKE, "another text"], ["mononoke", "ghibli"], [{"entity": "film"}, {}])
    results = indexed.search("Princess Mononoke")
    assert results[0]["document_id"] == "mononoke" and results[0]["document_metadata"] == {"entity": "film"}
    assert results[0]["passage_id"] == 2
    assert len(results) == 3


def test_documents_are_deleted_and_numbers_are_not_used_again(indexed):
    indexed.delete_from_index(["miyazaki", "unknown"])
    assert [result["document_id"] for result in indexed.search("Miyazaki")] == ["ghibli"]
    indexed.add_to_index([MONONOKE], ["mononoke"])
    assert {result["passage_id"] for result in indexed.search("Miyazaki")} == {1, 2}
    indexed.delete_from_index("mononoke")
    assert len(indexed.search("Miyazaki")) == 1


def test_an_index_is_opened_again_and_changed(indexed):
    again = RAGPretrainedModel.from_index(indexed.index_path, verbose=0)
    assert again.search("When was Miyazaki born?") == indexed.search("When was Miyazaki born?")
    again.add_to_index([MONONOKE], ["mononoke"], index_name="films")
    assert again.search("Muromachi period", k=1)[0]["document_id"] == "mononoke"
    assert again.rerank("Muromachi period", [GHIBLI, MONONOKE], k=1)[0]["result_index"] == 1


def test_the_length_of_documents_stays_with_the_index(rag):
    path = rag.index([MIYAZAKI * 3], document_ids=["a"], index_name="s", max_document_length=32)
    again = RAGPretrainedModel.from_index(path, verbose=0)
    before = len(again.search("Toei Animation", k=100))
    again.add_to_index([MIYAZAKI * 3], ["b"])
    assert len(again.search("Toei Animation", k=100)) == 2 * before
    with Index.open(path) as index:
        assert index.encoder.passage_maxlen == 32


def test_a_second_index_is_chosen_by_name(indexed):
    indexed.index([MONONOKE], document_ids=["mononoke"], index_name="other")
    assert indexed.search("animation", k=1)[0]["document_id"] == "mononoke"
    assert indexed.search("mascot", index_name="films", k=1)[0]["document_id"] == "ghibli"
    assert indexed.search("mascot", k=1)[0]["document_id"] == "ghibli"


def test_an_index_is_replaced_reused_or_kept(indexed):
    with pytest.raises(IndexExists):
        indexed.index([MONONOKE], index_name="films", overwrite_index=False)
    indexed.index([MONONOKE], index_name="films", overwrite_index="reuse")
    assert len(indexed.search("animation")) == 2
    indexed.index([MONONOKE], index_name="films")
    assert len(indexed.search("animation")) == 1


@pytest.mark.parametrize("ids", [["a"], ["a", "a"], ["a", " "], ["a", 1]])
def test_ids_that_do_not_fit_are_errors(rag, ids):
    with pytest.raises(ValueError, match="document_ids"):
        rag.index(COLLECTION, document_ids=ids, index_name="films")


def test_metadata_that_does_not_fit_is_an_error(rag):
    with pytest.raises(ValueError, match="document_metadatas"):
        rag.index(COLLECTION, document_metadatas=[{}], index_name="films")


def test_documents_are_reranked(rag):
    results = rag.rerank("Who founded the studio?", [MONONOKE, GHIBLI, MIYAZAKI], k=2)
    assert [list(result) for result in results] == [["content", "score", "rank", "result_index"]] * 2
    assert [result["rank"] for result in results] == [0, 1]
    assert results[0]["result_index"] == 1 and results[0]["content"] == GHIBLI
    many = rag.rerank(["Who founded the studio?", "epic fantasy film"], [MONONOKE, GHIBLI, MIYAZAKI])
    assert many[0][:2] == results and many[1][0]["result_index"] == 0 and len(many[1]) == 3
    assert rag.rerank("anything", []) == []


def test_long_texts_and_queries_are_read_whole(rag):
    filler = "and then nothing of interest happened for a long time " * 20
    long, tail = filler + MONONOKE, "epic fantasy film set in the Muromachi period"
    assert rag.rerank(tail, [filler, long], k=1)[0]["result_index"] == 1
    short = "what is there to say of this and that " * 6
    assert rag.rerank(short + tail, [GHIBLI, MONONOKE], k=1)[0]["result_index"] == 1


def test_documents_in_memory(rag, capsys):
    rag.encode(COLLECTION, verbose=False)
    assert "document_metadata" not in rag.search_encoded_docs("mascot", k=1)[0]
    rag.encode([MONONOKE], document_metadatas=[{"entity": "film"}])
    assert "Encoding 1 documents" in capsys.readouterr().out
    results = rag.search_encoded_docs("epic fantasy film", k=3)
    assert results[0]["result_index"] == 2 and results[0]["document_metadata"] == {"entity": "film"}
    assert results[1]["document_metadata"] is None
    assert len(rag.search_encoded_docs(["mascot", "fantasy"], k=2)) == 2
    rag.clear_encoded_docs(force=True)
    with pytest.raises(ValueError, match="encode"):
        rag.search_encoded_docs("mascot")


def test_langchain_retriever_and_compressor(indexed):
    core = pytest.importorskip("langchain_core.documents")
    found = indexed.as_langchain_retriever(k=1).invoke("mascot")
    assert found == [core.Document(page_content=GHIBLI, metadata=METADATAS[1])]
    compressor = indexed.as_langchain_document_compressor(k=2)
    texts = [core.Document(page_content=text) for text in (MONONOKE, MIYAZAKI, GHIBLI)]
    ranked = compressor.compress_documents(documents=texts, query="mascot of the studio")
    assert ranked[0].page_content == GHIBLI and len(ranked) == 2
    assert ranked[0].metadata["relevance_score"] > ranked[1].metadata["relevance_score"]


def test_signatures_accept_what_ragatouille_accepts():
    expected = {
        "from_pretrained": ["pretrained_model_name_or_path", "n_gpu", "verbose", "index_root"],
        "from_index": ["index_path", "n_gpu", "verbose"],
        "index": [
            "collection",
            "document_ids",
            "document_metadatas",
            "index_name",
            "overwrite_index",
            "max_document_length",
            "split_documents",
            "document_splitter_fn",
            "preprocessing_fn",
            "bsize",
            "use_faiss",
        ],
        "add_to_index": [
            "new_collection",
            "new_document_ids",
            "new_document_metadatas",
            "index_name",
            "split_documents",
            "document_splitter_fn",
            "preprocessing_fn",
            "bsize",
            "use_faiss",
        ],
        "delete_from_index": ["document_ids", "index_name"],
        "search": ["query", "index_name", "k", "force_fast", "zero_index_ranks", "doc_ids"],
        "rerank": ["query", "documents", "k", "zero_index_ranks", "bsize"],
        "encode": ["documents", "bsize", "document_metadatas", "verbose", "max_document_length"],
        "search_encoded_docs": ["query", "k", "bsize"],
        "clear_encoded_docs": ["force"],
    }
    for name, parameters in expected.items():
        found = [
            parameter
            for parameter in inspect.signature(getattr(RAGPretrainedModel, name)).parameters
            if parameter != "self"
        ]
        assert found[: len(parameters)] == parameters, name
