"""Requests as vLLM's and Jina's clients send them: `python vllm_jina.py URL`.

Ends with 1 if a result is not as expected.
"""

import base64
import struct
import sys

import requests

TEXTS = ["Paris is the capital of France.", "A selvedge keeps cloth from fraying.", "Sourdough rises with yeast."]
QUERY = "edge of a fabric"


def main(url):
    def post(path, **body):
        answer = requests.post(url + path, json=body)
        assert answer.status_code == 200, (path, answer.status_code, answer.text)
        return answer.json()

    raw = {}
    for path in ["/rerank", "/v1/rerank", "/v2/rerank"]:
        answer = post(path, model="any", query=QUERY, documents=TEXTS, truncate_prompt_tokens=100)
        assert answer["results"][0]["index"] == 1 and len(answer["results"]) == 3, answer
        assert answer["usage"]["total_tokens"] > 10 and answer["model"], answer
        raw[path] = {r["index"]: r["relevance_score"] for r in answer["results"]}
        top = post(path, model="any", query=QUERY, documents=TEXTS, top_n=2, return_documents=True)
        assert [r["document"] for r in top["results"]] == [{"text": TEXTS[r["index"]]} for r in top["results"]], top
        assert len(top["results"]) == 2 and len(post(path, query=QUERY, documents=TEXTS, top_n=0)["results"]) == 3
    assert raw["/rerank"] == raw["/v1/rerank"] and max(raw["/rerank"].values()) > 1, raw
    assert all(0 <= score <= 1 for score in raw["/v2/rerank"].values()), raw
    bare = post("/v1/rerank", query=QUERY, documents=TEXTS, return_documents=False)
    assert all("document" not in r for r in bare["results"]), bare

    one = post("/score", model="any", text_1=QUERY, text_2=TEXTS)
    assert [d["index"] for d in one["data"]] == [0, 1, 2] and one["object"] == "list", one
    scores = [d["score"] for d in one["data"]]
    assert all(abs(score - raw["/rerank"][at]) < 1e-4 for at, score in enumerate(scores)), (scores, raw)
    for names in [("queries", "documents"), ("queries", "items"), ("data_1", "data_2")]:
        same = post("/v1/score", **{names[0]: [QUERY] * 3, names[1]: TEXTS})
        assert all(abs(d["score"] - score) < 1e-4 for d, score in zip(same["data"], scores)), same
    assert requests.post(url + "/score", json={"text_1": ["a", "b"], "text_2": TEXTS}).status_code == 400

    pooled = post("/pooling", model="any", input=TEXTS)
    assert [d["index"] for d in pooled["data"]] == [0, 1, 2] and pooled["data"][0]["object"] == "pooling", pooled
    rows = pooled["data"][1]["data"]
    packed = post("/pooling", input=TEXTS[1], encoding_format="base64", task="token_embed")["data"][0]
    assert packed["shape"] == [len(rows), len(rows[0])], packed["shape"]
    numbers = struct.unpack(f"<{len(rows) * len(rows[0])}f", base64.b64decode(packed["data"]))
    assert all(abs(a - b) < 1e-5 for a, b in zip(numbers, (x for row in rows for x in row)))
    query = post("/pooling", input=[QUERY], input_type="query")["data"][0]["data"]
    similarities = [[sum(x * y for x, y in zip(a, b)) for b in rows] for a in query]
    assert abs(sum(map(max, similarities)) - scores[1]) < 1e-3, "the score is MaxSim of these"

    many = [f"text number {n}" for n in range(600)]
    assert len(post("/rerank", query="number 7", documents=many)["results"]) == 600, "more than may wait at a time"
    bad = requests.post(url + "/rerank", json={"query": QUERY})
    assert bad.status_code == 400 and bad.json()["code"] == "BAD_REQUEST", bad.text


if __name__ == "__main__":
    main(sys.argv[1])
