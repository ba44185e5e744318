"""Cohere's SDK, both versions of its API, against a server: `python cohere_sdk.py URL`.

Ends with 1 if a result is not as expected.
"""

import sys

import cohere

QUERY = "what keeps the edge of a cloth"
TEXTS = [
    "Paris is the capital of France.",
    "Ünlike a raw edge, a selvedge keeps the cloth from fraying.",
    "Sourdough rises with wild yeast.",
    "",
]


def main(url):
    second = cohere.ClientV2(api_key="none", base_url=url)
    answer = second.rerank(model="rerank-v3.5", query=QUERY, documents=TEXTS, top_n=3)
    assert answer.id and answer.meta.api_version.version == "2", answer
    assert [r.index for r in answer.results][0] == 1 and len(answer.results) == 3, answer
    scores = [r.relevance_score for r in answer.results]
    assert scores == sorted(scores, reverse=True) and all(0 <= s <= 1 for s in scores), scores
    assert all(r.relevant_spans is None for r in answer.results), answer

    spans = cohere.RerankRelevantSpans(mode="enabled", threshold=0.3, max_spans=2)
    answer = second.rerank(model="rerank-v3.5", query=QUERY, documents=TEXTS, relevant_spans=spans)
    assert len(answer.results) == 4
    best = answer.results[0]
    assert 1 <= len(best.relevant_spans) <= 2, best
    found = [TEXTS[best.index][span.start : span.end] for span in best.relevant_spans]
    assert any("edge" in text or "keeps" in text or "cloth" in text for text in found), found
    assert all(text == text.strip() for text in found), found
    assert all(0.3 <= span.score <= 1 for span in best.relevant_spans), best
    empty = [r for r in answer.results if r.index == 3][0]
    assert (empty.relevance_score, empty.relevant_spans) == (0, []), empty

    first = cohere.Client(api_key="none", base_url=url)
    old = first.rerank(model="rerank-english-v3.0", query=QUERY, documents=TEXTS, return_documents=True)
    assert [r.index for r in old.results] == [r.index for r in answer.results], old
    assert old.results[0].document.text == TEXTS[1], old
    assert old.results[0].relevance_score > 1, "MaxSim itself"
    mean = first.rerank(
        query=QUERY, documents=TEXTS, request_options={"additional_body_parameters": {"score": "mean"}}
    )
    assert abs(mean.results[0].relevance_score - best.relevance_score) < 1e-6, mean
    fields = [{"title": "Bread", "text": "yeast"}, {"title": "Cloth", "text": "the edge"}]
    assert first.rerank(query=QUERY, documents=fields).results[0].index == 1
    ranked = first.rerank(query="bread", documents=fields, rank_fields=["title", "text"])
    assert ranked.results[0].index == 0, ranked

    for bad in [{"query": "", "documents": TEXTS}, {"query": QUERY, "documents": []}]:
        try:
            second.rerank(model="rerank-v3.5", **bad)
        except cohere.BadRequestError:
            continue
        raise AssertionError(f"{bad} was answered")


if __name__ == "__main__":
    main(sys.argv[1])
