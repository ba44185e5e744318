"""Collections in shards. The tests of builds and servers need Ray, and are skipped without."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from selvedge_search import Index
from selvedge_search.errors import IndexExists, IndexNotFound, InvalidInput, NotFound, ReadError, SelvedgeError
from selvedge_search.ray import Collection, Shard, build, serve
from selvedge_search.ray._cli import main, parser
from selvedge_search.ray._cluster import check_nodes
from selvedge_search.ray._source import Piece, count, pieces_of, split
from selvedge_search.ray.build import _complete, _sampled
from selvedge_search.ray.collection import join, put_recipe
from selvedge_search.ray.serve import table_of, write

WORDS = ["heron", "otter", "owl", "bee", "ant", "cat", "log", "leaf", "river", "night", "honey", "snow", "elk", "sleep"]


def rows_of(number: int) -> list[dict[str, Any]]:
    """Return rows with words that differ."""
    text = [" ".join(WORDS[(at * step) % 14] for step in (1, 3, 5, 7)) for at in range(1, number + 1)]
    return [{"id": f"d{at:03}", "text": f"{found} {at}", "year": 2000 + at % 7} for at, found in enumerate(text)]


def files_of(folder: str | Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).iterdir() if not path.name.startswith(".")}


# Without Ray.


def test_parts_cover_the_rows_once_and_in_order() -> None:
    a, b, c = (Piece(".jsonl", name, 0, 9) for name in "abc")
    parts = split([(a, 3), (b, 0), (c, 5)], 3)
    assert [(part.first, part.pieces) for part in parts] == [
        (0, ((a, 0, 2),)),
        (2, ((a, 2, 3), (c, 0, 2))),
        (5, ((c, 2, 5),)),
    ]


def test_sample_is_that_of_the_seed() -> None:
    assert _sampled(100, 10, 1) == _sampled(100, 10, 1) != _sampled(100, 10, 2)
    assert _sampled(5, None, 1) == [0, 1, 2, 3, 4]


def test_recipe_is_kept(tmp_path: Path) -> None:
    put_recipe(str(tmp_path), {"nbits": 2, "shards": 4})
    put_recipe(str(tmp_path), {"shards": 4, "nbits": 2})
    with pytest.raises(IndexExists, match=r"other input: nbits 2, not 4; choose another folder"):
        put_recipe(str(tmp_path), {"nbits": 4, "shards": 4})


def test_collection_is_there_once_it_is_complete(tmp_path: Path) -> None:
    with pytest.raises(IndexNotFound, match="not ended"):
        Collection.open(str(tmp_path))
    made = Collection(str(tmp_path), (Shard("shards/0000-a", 1, 2, 30), Shard("shards/0001-a", 1, 3, 40)))
    made.commit()
    # Another build that was as far does not replace it.
    Collection(str(tmp_path), (Shard("shards/0000-a.1", 1, 5, 70),)).commit()
    opened = Collection.open(str(tmp_path))
    assert opened == made and (opened.passages, opened.tokens) == (5, 70)
    assert opened.index_of(1) == f"{tmp_path}/shards/0001-a"


def test_indexes_that_died_half_way_are_left_alone(tmp_path: Path) -> None:
    def make(folder: str) -> None:
        made.append(folder)
        Index.create(folder, ["a text"]).close()

    made: list[str] = []
    (tmp_path / "codec").mkdir()
    (tmp_path / "codec" / "texts-0001").write_text("half")
    (tmp_path / "codec.1").mkdir()
    (tmp_path / "codec.1" / ".selvedge.partial-texts-0001").write_text("less")
    for _ in range(2):
        assert _complete(str(tmp_path), "codec", make) == "codec.1"
    assert made == [join(str(tmp_path), "codec.1")]


def test_table_names_the_replicas_that_are_known(tmp_path: Path) -> None:
    found = Collection("u", (Shard("shards/0000-a", 1, 2, 30), Shard("shards/0001-a", 1, 3, 40)))
    table = table_of("c", found, [(0, 0), (1, 0), (0, 1), (1, 1)], ["http://a", None, "http://b", "http://c"], "KEY")
    assert table == {
        "name": "c",
        "key_env": "KEY",
        "shards": [
            {"index": "0000-a", "replicas": ["http://a", "http://b"]},
            {"index": "0001-a", "replicas": ["http://c"]},
        ],
    }
    write(str(tmp_path / "table.json"), table)
    assert json.loads((tmp_path / "table.json").read_text()) == table and len(os.listdir(tmp_path)) == 1
    with pytest.raises(ReadError, match="No such file"):
        write(str(tmp_path / "nowhere" / "table.json"), table)


def test_nodes_without_what_a_task_needs() -> None:
    nodes = [{"CPU": 2.0, "memory": 1e9}, {"CPU": 1.0, "GPU": 1.0}]
    check_nodes(nodes, 2, 0)
    check_nodes(nodes, 1, 1)
    with pytest.raises(InvalidInput, match=r"no node has 2 cores and 1 GPUs.*2 cores and 0 GPUs, 1 cores and 1 GPUs"):
        check_nodes(nodes, 2, 1)


def test_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    options = parser().parse_args(["build", "a.jsonl", "b.jsonl", "s3://b/c", "--shards", "3", "--text", "body"])
    assert (options.source, options.url) == (["a.jsonl", "b.jsonl"], "s3://b/c")
    assert (options.shards, options.text) == (3, "body")
    for wrong in (["build", "a.jsonl", "b"], ["serve", "b"], []):
        with pytest.raises(SystemExit, match="2"):
            main(wrong)
    assert main(["serve", "/nowhere/collection", "--table", "t.json"]) == 1
    assert capsys.readouterr().err.endswith(
        "selvedge_search.ray: /nowhere/collection: no collection, or one whose build has not ended\n"
    )


# On Ray.


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Start Ray on this machine, with two cores."""
    ray = pytest.importorskip("ray")
    pytest.importorskip("pyarrow")
    os.environ.pop("RAY_ADDRESS", None)
    ray.init(address="local", num_cpus=2, include_dashboard=False)
    yield ray
    ray.shutdown()


@pytest.fixture(scope="module")
def jsonl(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows_of(60)))
    return str(path)


@pytest.fixture(scope="module")
def made(cluster: Any, jsonl: str, tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """Build a collection of three shards."""
    return build(jsonl, str(tmp_path_factory.mktemp("made") / "animals"), shards=3)


def test_shards_are_those_of_local_builds(made: Collection, tmp_path: Path) -> None:
    assert [shard.passages for shard in made.shards] == [20, 20, 20]
    for number in range(3):
        rows = rows_of(60)[20 * number : 20 * number + 20]
        Index.create(tmp_path / str(number), rows, codec_from=join(made.url, "codec")).close()
        assert files_of(tmp_path / str(number)) == files_of(made.index_of(number))


def test_pieces_of_lines_are_ranges_of_bytes(jsonl: str, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "a.jsonl").write_text('{"text": "a\u2028b"}\n\n{"text": "c"}')
    (tmp_path / "b.jsonl").write_text("")
    whole = Path(jsonl).read_bytes().split()
    for size in (1, 7, 64, 1 << 20):
        found = [row for piece in pieces_of(str(tmp_path), size) for row in piece.rows()]
        assert found == [{"text": "a\u2028b"}, {"text": "c"}]
        assert b"".join(line for piece in pieces_of(jsonl, size) for line in piece.lines()).split() == whole


def test_parquet_and_lines_are_one_source(made: Collection, tmp_path: Path) -> None:
    table = pytest.importorskip("pyarrow").Table.from_pylist
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = rows_of(60)
    for number in range(4):
        name = tmp_path / f"rows-{number}.parquet"
        parquet.write_table(table(rows[15 * number : 15 * number + 15]), name, row_group_size=4)
    # It is complete: the recipe agrees, and nothing is made.
    assert build(str(tmp_path / "*.parquet"), made.url, shards=3) == made
    parquet.write_table(table(rows[::-1]), tmp_path / "other.parquet")
    with pytest.raises(IndexExists, match=r"other input: source '\w+', not '\w+'"):
        build(str(tmp_path / "other.parquet"), made.url, shards=3)
    with pytest.raises(IndexExists, match="other input: nbits 2, not 4; choose another folder"):
        build(str(tmp_path / "rows-*.parquet"), made.url, shards=3, nbits=4)


def test_rows_of_lance(tmp_path: Path) -> None:
    lance = pytest.importorskip("lance")
    table = pytest.importorskip("pyarrow").Table.from_pylist
    rows = rows_of(70_000)
    lance.write_dataset(table(rows), str(tmp_path / "rows.lance"))
    pieces = pieces_of(str(tmp_path / "rows.lance"))
    parts = split(list(zip(pieces, count(pieces))), 3)
    assert len(pieces) == 2
    assert [found for part in parts for found in part.rows()] == list(enumerate(rows))


def test_metadata_and_ids_of_parquet(cluster: Any, tmp_path: Path) -> None:
    import datetime

    table = pytest.importorskip("pyarrow").Table.from_pylist
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [
        {"body": "an otter", "tags": ["a", "b"], "of": {"year": 2001}, "day": datetime.date(2024, 5, 1), "void": None},
        {"body": "a heron", "tags": [], "of": {"year": 2002}, "day": None, "void": None},
    ]
    parquet.write_table(table(rows), tmp_path / "rows.parquet")
    found = build(str(tmp_path / "rows.parquet"), str(tmp_path / "c"), shards=5, text="body", language=None)
    assert len(found.shards) == 2
    with Index.open(found.index_of(0)) as index:
        (first,) = index.get(["0"])
        assert first["text"] == "an otter" and first["metadata"]["tags"] == ["a", "b"]
        assert first["metadata"]["of"] == {"year": 2001} and "void" not in first["metadata"]
    with Index.open(found.index_of(1)) as index:
        assert index.get(["1"])[0]["text"] == "a heron"


@pytest.mark.parametrize(
    ("contents", "options", "error", "message"),
    [
        ('{"body": "a"}\n', {}, InvalidInput, r"row 0: no column 'text'; name the one of the texts \(--text\): body$"),
        ('{"text": "a"}\n{"text": null}\n', {}, InvalidInput, "row 1: the column 'text' is empty, expected a text"),
        ('{"text": "a"}\n{"text": 7}\n', {}, InvalidInput, "row 1: the column 'text' is of type int, expected a text"),
        ('{"text": "a"}\n{"text": ', {}, InvalidInput, "rows.jsonl: not JSON: Expecting value"),
        ('{"text": "a"}\n[]\n', {}, InvalidInput, "rows.jsonl: a JSON list, expected an object"),
        ('{"id": 1, "text": "a"}\n{"id": "1", "text": "b"}\n', {}, InvalidInput, "1"),
        ("\n", {}, InvalidInput, "no rows"),
        ('{"text": "a"}\n', {"shards": 0}, InvalidInput, "shards is 0, expected 1 or more"),
        ('{"text": "a"}\n', {"sample": 0}, InvalidInput, "sample is 0, expected 1 or more"),
        ('{"text": "a"}\n', {"num_gpus": 1}, InvalidInput, "no node has 1 cores and 1 GPUs"),
        ('{"text": "a"}\n', {"num_cpus": 64}, InvalidInput, "no node has 64 cores and 0 GPUs"),
        ('{"text": "a"}\n', {"nbits": 3}, InvalidInput, "nbits"),
        ('{"text": "a"}\n', {"model": "/nowhere"}, SelvedgeError, "/nowhere"),
    ],
)
def test_errors_are_one_line(
    cluster: Any, tmp_path: Path, contents: str, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    (tmp_path / "rows.jsonl").write_text(contents)
    with pytest.raises(error, match=message) as raised:
        build(str(tmp_path / "rows.jsonl"), str(tmp_path / "c"), **{"shards": 1, **options})
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "c" / "collection").exists()


def test_sources_that_are_not_there(cluster: Any, tmp_path: Path) -> None:
    (tmp_path / "bad.parquet").write_text("not Parquet")
    (tmp_path / "rows.txt").write_text("a text\n")
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "rows.jsonl").write_text('{"text": "a"}\n')
    with pytest.raises(NotFound, match=r"none\*.jsonl: no file has this name"):
        build(str(tmp_path / "none*.jsonl"), str(tmp_path / "c"), shards=1)
    with pytest.raises(InvalidInput, match=r"rows.txt: expected .parquet"):
        build(str(tmp_path / "rows.txt"), str(tmp_path / "c"), shards=1)
    with pytest.raises(ReadError, match=r"bad\.parquet"):
        build(str(tmp_path / "bad.parquet"), str(tmp_path / "c"), shards=1)
    with pytest.raises(ReadError, match="file"):
        build(str(tmp_path / "rows.jsonl"), str(tmp_path / "file"), shards=1)


def ask(base: str, index: str) -> list[str]:
    """Return the ids of a search of one server."""
    body = json.dumps({"query": "otter", "k": 3, "exact": True}).encode()
    request = urllib.request.Request(f"{base}/v1/indexes/{index}/search", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return [hit["id"] for hit in json.load(answer)["hits"]]


def eventually(holds: Callable[[], Any]) -> Any:
    """Return the first value that is true, within a minute."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if found := holds():
                return found
        time.sleep(0.1)
    raise AssertionError("not within a minute")


def test_servers_that_are_killed_start_again(cluster: Any, made: Collection, tmp_path: Path) -> None:
    table, over = tmp_path / "table.json", threading.Event()
    options = {"replicas": 1, "num_cpus": 0.5, "until": over.is_set}
    running = threading.Thread(target=serve, args=(made.url, str(table)), kwargs=options)
    running.start()
    try:
        shards = eventually(lambda: table.exists() and json.loads(table.read_text())["shards"])
        expected = [ask(shard["replicas"][0], shard["index"]) for shard in shards]
        names = [found for found in cluster.util.list_named_actors(True) if found["namespace"] == "selvedge:animals"]
        owner = cluster.get_actor(names[0]["name"], namespace="selvedge:animals")
        of_owner, of_server = eventually(lambda: all(found := cluster.get(owner.pids.remote())) and found)
        for pid in (of_server, of_owner):
            before = json.loads(table.read_text())
            os.kill(pid, signal.SIGKILL)
            after = eventually(lambda: (now := json.loads(table.read_text())) != before and now)  # noqa: B023
            found = [ask(shard["replicas"][0], shard["index"]) for shard in after["shards"]]
            assert found == expected and len(after["shards"]) == 3
    finally:
        over.set()
        running.join()
    with pytest.raises(OSError):  # noqa: PT011
        ask(after["shards"][0]["replicas"][0], after["shards"][0]["index"])
