"""next-plaid-client against a server: `python plaid_sdk.py URL`. Ends with 1 if a result is not as expected."""

import asyncio
import random
import sys
import time

import next_plaid_client as plaid
from next_plaid_client import IndexConfig, NextPlaidClient, SearchParams

TEXTS = [
    "Linen is woven from the fibres of the flax plant.",
    "The capital of France is Paris, on the Seine.",
    "A selvedge keeps the edge of a cloth from fraying.",
    "Sourdough bread rises with wild yeast.",
    "Denim jeans are made of cotton twill.",
]
METADATA = [
    {"topic": "cloth", "year": 2001, "open": True},
    {"topic": "cities", "year": 2012, "open": False},
    {"topic": "cloth", "year": 2020, "open": True},
    {"topic": "food", "year": 2015, "open": False},
    {"topic": "cloth", "year": 1999, "note": "it's blue"},
]


def until(what, seconds=60):
    """Waits until a call returns something true; what it returns."""
    end = time.time() + seconds
    while time.time() < end:
        try:
            found = what()
            if found:
                return found
        except plaid.IndexNotFoundError:
            pass
        time.sleep(0.05)
    raise AssertionError("nothing came")


def raises(error, what):
    try:
        what()
    except error as raised:
        return raised
    raise AssertionError(f"{error.__name__} was not raised")


def unit_rows(seed, rows, dim=128):
    source = random.Random(seed)
    made = [[source.gauss(0, 1) for _ in range(dim)] for _ in range(rows)]
    return [[x / sum(y * y for y in row) ** 0.5 for x in row] for row in made]


def check_texts(client):
    created = client.create_index("texts", IndexConfig(nbits=4))
    assert created["name"] == "texts" and created["config"]["nbits"] == 4, created
    assert "declared" in created["message"].lower(), created
    assert "texts" not in client.list_indices(), "an index is listed from its first document on"
    raises(plaid.IndexExistsError, lambda: client.create_index("texts"))
    raises(plaid.IndexNotFoundError, lambda: client.get_index("texts"))
    assert "queued" in client.add("texts", TEXTS[:3], metadata=METADATA[:3]).lower()
    client.add("texts", TEXTS[3:], metadata=METADATA[3:])
    info = until(lambda: (found := client.get_index("texts")).num_documents == 5 and found)
    assert (info.has_metadata, info.metadata_count, info.dimension % 8) == (True, 5, 0), info
    assert "texts" in client.list_indices()

    found = client.search("texts", ["edge of a fabric"], params=SearchParams(top_k=3)).results[0]
    assert found.document_ids[0] == 2 and len(found.document_ids) == 3, found
    assert found.scores == sorted(found.scores, reverse=True), found
    assert found.metadata[0]["year"] == 2020 and found.metadata[0]["_subset_"] == 2, found
    several = client.search("texts", ["bread", "the Seine"], params=SearchParams(top_k=1))
    assert several.num_queries == 2
    assert [(r.query_id, r.document_ids) for r in several.results] == [(0, [3]), (1, [1])], several
    subset = client.search("texts", ["edge of a fabric"], subset=[0, 3]).results[0]
    assert sorted(subset.document_ids) == [0, 3], subset

    for fusion in ["rrf", "relative_score", None]:
        hybrid = client.search("texts", ["fabric"], text_query=["yeast cotton"], alpha=0.1, fusion=fusion).results[0]
        assert hybrid.document_ids[0] in (3, 4), (fusion, hybrid)
    assert client.keyword_search("texts", "yeast").results[0].document_ids == [3]


def check_conditions(client):
    def ids(condition, parameters=None):
        found = client.search("texts", ["cloth"], filter_condition=condition, filter_parameters=parameters).results[0]
        queried = client.query_metadata("texts", condition, parameters)
        assert sorted(found.document_ids) == queried["document_ids"], (condition, found, queried)
        assert queried["count"] == len(queried["document_ids"])
        return queried["document_ids"]

    assert ids("topic = ?", ["cloth"]) == [0, 2, 4]
    assert ids("topic = ? AND year > ?", ["cloth", 2000]) == [0, 2]
    assert ids("year BETWEEN ? AND ?", [2000, 2015]) == [0, 1, 3]
    assert ids("topic IN (?, ?) OR year < ?", ["food", "cities", 2000]) == [1, 3, 4]
    assert ids("topic LIKE ?", ["c%"]) == [0, 1, 2, 4]
    assert ids("NOT topic LIKE ?", ["c%"]) == [3]
    assert ids("note IS NOT NULL") == [4]
    assert ids("note = ?", ["it's blue"]) == [4]
    assert ids("open = ?", [True]) == ids("open = ?", [1]) == [0, 2]
    assert ids("open != ?", [1]) == [1, 3]
    assert ids("topic = ?", ["' OR TRUE OR topic = '"]) == []
    raises(plaid.ValidationError, lambda: ids("topic = ? AND", ["cloth"]))
    raises(plaid.ValidationError, lambda: ids("topic = ?", ["cloth", 1]))
    raises(plaid.ValidationError, lambda: ids("1; DROP TABLE documents"))


def check_metadata(client):
    everything = client.get_metadata("texts")
    assert everything.count == 5 and [m["_subset_"] for m in everything.metadata] == [0, 1, 2, 3, 4], everything
    assert client.get_metadata_count("texts") == {"count": 5, "has_metadata": True}
    checked = client.check_metadata("texts", [0, 4, 99])
    assert (checked.existing_ids, checked.missing_ids) == ([0, 4], [99]), checked
    some = client.get_metadata_by_ids("texts", document_ids=[4, 0])
    assert [m["year"] for m in some.metadata] == [2001, 1999], some
    one = client.get_metadata_by_ids("texts", condition="topic = ?", parameters=["cloth"], limit=1)
    assert (one.count, one.metadata[0]["_subset_"]) == (1, 0), one

    updated = client.update_metadata("texts", "topic = ?", {"topic": "fabric", "note": None}, parameters=["cloth"])
    assert updated == {"updated": 3}, updated
    assert client.query_metadata("texts", "topic = ?", ["fabric"])["document_ids"] == [0, 2, 4]
    assert client.query_metadata("texts", "note IS NOT NULL")["document_ids"] == []
    assert client.search("texts", ["edge of a fabric"]).results[0].document_ids[0] == 2, "numbers stay"
    assert client.update_metadata("texts", "topic = ?", {"x": 1}, parameters=["none"]) == {"updated": 0}


def check_deletion(client):
    assert "queued" in client.delete("texts", "year < ?", [2001]).lower()
    until(lambda: client.get_index("texts").num_documents == 4)
    client.add("texts", ["Wool comes from sheep."], metadata=[{"topic": "wool"}])
    until(lambda: client.get_index("texts").num_documents == 5)
    assert client.query_metadata("texts", "topic = ?", ["wool"])["document_ids"] in ([4], [5])
    assert client.search("texts", ["sheep"]).results[0].metadata[0]["topic"] == "wool"
    assert client.delete_index("texts") == {"deleted": True, "name": "texts"}
    raises(plaid.IndexNotFoundError, lambda: client.get_index("texts"))
    raises(plaid.IndexNotFoundError, lambda: client.search("texts", ["sheep"]))


def check_embeddings(client):
    documents = [{"embeddings": unit_rows(seed, 6)} for seed in range(12)]
    missing = raises(plaid.NextPlaidError, lambda: client.add("rows", documents))
    assert (missing.code, missing.status_code) == ("INDEX_NOT_DECLARED", 404), missing
    client.create_index("rows", IndexConfig(nbits=4, max_documents=10))
    client.add("rows", documents[:8], metadata=[{"n": n} for n in range(8)])
    info = until(lambda: (found := client.get_index("rows")).num_documents == 8 and found)
    assert (info.dimension, info.num_embeddings, info.avg_doclen, info.max_documents) == (128, 48, 6.0, 10), info
    for n in range(8):
        found = client.search("rows", [unit_rows(n, 6)], params=SearchParams(top_k=8)).results[0]
        assert found.document_ids[0] == n and len(found.document_ids) == 8, found
        assert abs(found.scores[0] - 6) < 0.5, found
    filtered = client.search("rows", [unit_rows(3, 6)], filter_condition="n >= ?", filter_parameters=[5]).results[0]
    assert sorted(filtered.document_ids) == [5, 6, 7], filtered
    raises(plaid.ValidationError, lambda: client.search("rows", [unit_rows(0, 2, dim=64)]))
    raises(plaid.ValidationError, lambda: client.add("rows", [{"embeddings": unit_rows(0, 2, dim=64)}]))
    raises(plaid.ValidationError, lambda: client.update_metadata("rows", "n = ?", {"n": 1}, parameters=[0]))

    client.add("rows", documents[8:], metadata=[{"n": n} for n in range(8, 12)])
    until(lambda: client.query_metadata("rows", "n >= ?", [0])["document_ids"] == list(range(2, 12)))
    changed = client.update_index_config("rows", max_documents=None)
    assert changed["config"]["max_documents"] is None, changed
    assert client.get_index("rows").max_documents is None
    client.delete_index("rows")


def check_model(client):
    queries = client.encode(["a cloth"], input_type="query")
    passages = client.encode(TEXTS)
    assert (queries.num_texts, passages.num_texts) == (1, 5)
    assert abs(sum(x * x for x in passages.embeddings[2][0]) - 1) < 1e-3
    by_text = client.rerank("edge of a fabric", TEXTS)
    assert by_text.num_documents == 5 and by_text.results[0].index == 2, by_text
    query = client.encode(["edge of a fabric"], input_type="query").embeddings[0]
    by_rows = client.rerank(query, [{"embeddings": rows} for rows in passages.embeddings])
    assert [r.index for r in by_rows.results] == [r.index for r in by_text.results]
    assert all(abs(a.score - b.score) < 1e-3 for a, b in zip(by_rows.results, by_text.results))
    pairs = [[sum(x * y for x, y in zip(a, b)) for b in passages.embeddings[2]] for a in query]
    assert abs(sum(map(max, pairs)) - by_rows.results[0].score) < 1e-3
    raises(plaid.ValidationError, lambda: client.rerank("", TEXTS))
    raises(plaid.ValidationError, lambda: client.rerank("a", []))
    assert client.rerank("edge of a fabric", TEXTS, pool_factor=2).results == by_text.results
    whole, pooled = (client.encode(TEXTS, pool_factor=factor).embeddings for factor in (1, 2))
    assert [len(rows) for rows in pooled] == [(len(rows) + 1) // 2 for rows in whole], pooled

    # Texts and embeddings in one index.
    client.create_index("both")
    client.add("both", [{"embeddings": rows} for rows in passages.embeddings[:2]])
    client.add("both", TEXTS[2:])
    until(lambda: client.get_index("both").num_documents == 5)
    assert client.search("both", ["edge of a fabric"]).results[0].document_ids[0] == 2
    client.delete_index("both")


async def check_async(url):
    async with plaid.AsyncNextPlaidClient(url) as client:
        assert (await client.health()).status == "healthy"
        assert (await client.rerank("bread", TEXTS)).results[0].index == 3


def main(url):
    with NextPlaidClient(url, timeout=120) as client:
        health = client.health()
        assert health.status == "healthy" and health.memory_usage_bytes >= 0, health
        check_texts(client)
        check_conditions(client)
        check_metadata(client)
        assert [i.num_documents for i in client.health().indices if i.name == "texts"] == [5]
        check_deletion(client)
        check_embeddings(client)
        check_model(client)
    asyncio.run(check_async(url))


if __name__ == "__main__":
    main(sys.argv[1])
