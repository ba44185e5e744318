"""langchain-plaid against a server: `python langchain_store.py URL`. Ends with 1 if a result is not as expected."""

import sys
import time

import requests
from langchain_plaid import NextPlaidVectorStore

TEXTS = ["Linen is woven from flax.", "Paris is the capital of France.", "Sourdough rises with wild yeast."]


class Embeddings:
    """Embeddings of the server's own model."""

    def __init__(self, url):
        self.url = url

    def encode(self, texts, kind):
        answer = requests.post(f"{self.url}/encode", json={"texts": texts, "input_type": kind})
        answer.raise_for_status()
        return answer.json()["embeddings"]

    def embed_documents(self, texts):
        return self.encode(texts, "document")

    def embed_query(self, text):
        return self.encode([text], "query")[0]


def main(url):
    def store(**options):
        return NextPlaidVectorStore(url=url, index_name="langchain", embedding=Embeddings(url), **options)

    waiting = store(write_timeout=30.0)
    assert waiting.similarity_search("flax") == [], "an index without documents finds nothing"
    assert waiting.get_by_ids(["a"]) == []
    metadatas = [{"kind": "cloth", "year": 1}, {"kind": "city", "year": 2}, {"kind": "food", "year": 3}]
    assert waiting.add_texts(TEXTS, metadatas=metadatas, ids=["a", "b", "c"]) == ["a", "b", "c"]
    found = waiting.similarity_search_with_score("bread", k=2)
    assert [doc.id for doc, _ in found][0] == "c" and len(found) == 2, found
    assert found[0][1] > found[1][1], found
    document = found[0][0]
    assert (document.page_content, document.metadata) == (TEXTS[2], {"kind": "food", "year": 3}), document
    assert [doc.id for doc in waiting.similarity_search("bread", filter={"kind": "city", "year": 2})] == ["b"]
    assert [doc.page_content for doc in waiting.get_by_ids(["a", "none"])] == [TEXTS[0]]

    # The same ids again replace their documents.
    waiting.add_texts(["Rye bread is dense."], metadatas=[{"kind": "food"}], ids=["c"])
    assert [doc.page_content for doc in waiting.get_by_ids(["c"])] == ["Rye bread is dense."]
    assert requests.get(f"{url}/indices/langchain").json()["num_documents"] == 3
    waiting.delete(["a"])
    assert {doc.id for doc in waiting.similarity_search("flax", k=9)} == {"b", "c"}

    # Without a wait, what is written is found a moment later, and writes keep their order.
    eager = store()
    for text in ["first", "second", "third"]:
        eager.add_texts([text], ids=["d"])
    end = time.time() + 60
    while [doc.page_content for doc in eager.get_by_ids(["d"])] != ["third"]:
        assert time.time() < end, eager.get_by_ids(["d"])
        time.sleep(0.05)
    assert requests.delete(f"{url}/indices/langchain").status_code == 200


if __name__ == "__main__":
    main(sys.argv[1])
