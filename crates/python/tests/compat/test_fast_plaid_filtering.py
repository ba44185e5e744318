"""`selvedge_search.compat.fast_plaid.filtering`, compared with SQLite, which the library itself asks."""

from __future__ import annotations

import sqlite3
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pytest

from selvedge_search.compat.fast_plaid import filtering, search

ROWS = [
    {"name": "Alice", "age": 30, "height": 5.5, "joined": date(2020, 5, 17), "active": True},
    {"name": "Bob", "age": 25, "height": 6.0, "joined": date(2021, 6, 21), "active": False, "town": "New York"},
    {"name": "bob", "age": 35, "height": 5.0, "joined": date(2019, 3, 15), "active": True, "town": "York"},
    {"name": "O'Hara", "age": -4, "height": 5.25, "joined": None, "active": True, "town": "100% new_town"},
    {"name": "Ärger", "age": None, "height": 0.1, "joined": date(2023, 1, 1), "active": False, "town": ""},
    {"name": "a%b_c", "age": 30, "active": None},
    {},
]

#: Conditions and parameters, with the same answer in SQLite.
SAME = [
    ("age > ?", (28,)),
    ("age < ? AND height >= ? AND joined > ?", (28, 6.0, "2021-01-01")),
    ("age = 30", ()),
    ("age == 30 or AGE = 25", ()),
    ("30 <= age", ()),
    ("? > age", (30,)),
    ("age != ?", (30,)),
    ("NOT age <> 30", ()),
    ("NOT (age = 30 OR town = 'York')", ()),
    ("age > 20 AND NOT age >= 30 OR name = 'Alice'", ()),
    ("(age > 20 AND (NOT age >= 30)) OR (name = 'Alice')", ()),
    ("age > -5 AND age < +0", ()),
    ("age = -4.0", ()),
    ("height >= 5.25", ()),
    ("height > 5", ()),
    ("height = 1e-1", ()),
    ("age BETWEEN 25 AND 30", ()),
    ("age NOT BETWEEN ? AND ? AND age > 0", (25, 30)),
    ("NOT age BETWEEN 25 AND 30", ()),
    ("height BETWEEN 5 AND 5.5", ()),
    ("age IN (25, ?, 36)", (35,)),
    ("age NOT IN (25, 35)", ()),
    ("NOT age IN (25, 35)", ()),
    ("age IN ()", ()),
    ("age NOT IN ()", ()),
    ("name IN ('Alice', 'bob')", ()),
    ("name = ?", ("O'Hara",)),
    ("name = 'O''Hara'", ()),
    ("\"name\" = 'Bob' OR [name] = 'Alice' OR `name` = 'bob'", ()),
    ("name > 'B'", ()),
    ("name LIKE 'b%'", ()),
    ("name LIKE 'BOB'", ()),
    ("name NOT LIKE 'b%'", ()),
    ("NOT name LIKE 'b%'", ()),
    ("name LIKE 'ä%'", ()),
    ("name LIKE '_li_e'", ()),
    ("town LIKE '%york'", ()),
    ("town LIKE '%new%' AND age > 0", ()),
    ("town LIKE ?", ("%",)),
    ("town LIKE 'nothing'", ()),
    ("NOT town LIKE 'nothing'", ()),
    ("town NOT LIKE '%'", ()),
    ("NOT town NOT LIKE '%'", ()),
    ("town LIKE '100\\%%' ESCAPE '\\'", ()),
    ("name LIKE 'a\\%b\\_c' ESCAPE '\\'", ()),
    ("joined LIKE '202_-%'", ()),
    ("age LIKE '3%'", ()),
    ("town = ''", ()),
    ("town IS NULL", ()),
    ("town IS NOT NULL", ()),
    ("town ISNULL AND age NOTNULL", ()),
    ("town NOT NULL", ()),
    ("town IS ?", (None,)),
    ("town IS NOT ?", (None,)),
    ("town IS 'York'", ()),
    ("NOT town IS 'York'", ()),
    ("town IS NOT 'York'", ()),
    ("NOT town IS NOT 'York'", ()),
    ("joined >= ?", (date(2020, 5, 17),)),
    ("joined < '2021-01-01'", ()),
    ("joined != '2020-05-17'", ()),
    ("active = ?", (True,)),
    ("active = 1", ()),
    ("active", ()),
    ("NOT active", ()),
    ("active = FALSE", ()),
    ("1 = 1", ()),
    ("1", ()),
    ("0 OR age = 25", ()),
    ("TRUE AND age = 25", ()),
    ("'a' < 'b' AND age = 25", ()),
    ("1 > 2", ()),
    ("age = ? AND (town IS NULL OR town = ?) AND height > ?", (30, "x", 1)),
    ("age=30 AND\n\tname='Alice'", ()),
]


def embeddings(num: int, seed: int = 0) -> list[np.ndarray]:
    """Random embeddings of unit length, four for each document."""
    rng = np.random.default_rng(seed)
    made = rng.standard_normal((num, 4, 32), dtype=np.float32)
    return list(made / np.linalg.norm(made, axis=2, keepdims=True))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("filtering") / "index")
    search.FastPlaid(path).create(embeddings(len(ROWS)), metadata=ROWS)
    return path


@pytest.fixture(scope="module")
def table() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.execute(
        "CREATE TABLE METADATA (_subset_ INTEGER, name TEXT, age INTEGER, height REAL, joined TEXT, active INTEGER, "
        "town TEXT)"
    )
    for number, row in enumerate(ROWS):
        joined = row["joined"].isoformat() if row.get("joined") else None
        values = [row.get("name"), row.get("age"), row.get("height"), joined, row.get("active"), row.get("town")]
        connection.execute("INSERT INTO METADATA VALUES (?, ?, ?, ?, ?, ?, ?)", [number, *values])
    return connection


@pytest.mark.parametrize(("condition", "parameters"), SAME)
def test_conditions_mean_what_they_mean_in_sqlite(
    path: str, table: sqlite3.Connection, condition: str, parameters: tuple
) -> None:
    known = [value.isoformat() if isinstance(value, date) else value for value in parameters]
    want = [row[0] for row in table.execute(f"SELECT _subset_ FROM METADATA WHERE {condition} ORDER BY 1", known)]
    assert filtering.where(path, condition, parameters) == want


@pytest.mark.parametrize(
    ("condition", "parameters", "reason"),
    [
        ("age >", (), "expected a value"),
        ("age > ?", (), "0 parameters are too few"),
        ("age > 1", (2,), "0 '\\?' in .* but 1 parameters"),
        ("agee > 1", (), "no such column: agee; the columns are active, age"),
        ("age > 1 ORDER BY age", (), "column 9 .* found 'ORDER'"),
        ("age > 1; DROP TABLE METADATA", (), "column 8 .*'; DROP TABLE METADAT'"),
        ("age > (SELECT 1)", (), "expected a value"),
        ("length(name) > 3", (), "no functions"),
        ("name GLOB 'A*'", (), "expected AND, OR or the end, found 'GLOB'"),
        ("age + 1 > 3", (), "found '\\+'"),
        ("age = height", (), "compares a column with a value"),
        ("age = NULL", (), "use IS NULL"),
        ("age = ?", (None,), "use IS NULL"),
        ("age IN (1, NULL)", (), "use IS NULL"),
        ("_subset_ = 1", (), "give them as 'subset'"),
        ("(age > 1", (), "expected \\)"),
        ("age > 1)", (), "expected AND, OR or the end"),
        ("age NOT 3", (), "expected IN, BETWEEN, LIKE or NULL"),
        ("name LIKE 'a' ESCAPE 'ab'", (), "a single character"),
        ("age > ?", (float("nan"),), "nan"),
        ("age = 0x10", (), "is not translated"),
        ("name = 'open", (), "is not translated"),
        ("1 = 'a'", (), "one type"),
        ("", (), "found 'the end'"),
    ],
)
def test_other_conditions_are_refused(path: str, condition: str, parameters: tuple, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        filtering.where(path, condition, parameters)


def test_rows(path: str) -> None:
    rows = filtering.get(path)
    assert [row["_subset_"] for row in rows] == list(range(len(ROWS)))
    assert rows[0] == {
        "_subset_": 0,
        "name": "Alice",
        "age": 30,
        "height": 5.5,
        "joined": "2020-05-17",
        "active": 1,
        "town": None,
    }
    assert all(value is None for name, value in rows[6].items() if name != "_subset_")
    assert [row["name"] for row in filtering.get(path, "age > ?", (28,))] == ["Alice", "bob", "a%b_c"]
    assert [row["name"] for row in filtering.get(path, subset=[2, 0, 99, 2])] == ["bob", "Alice", "bob"]
    assert filtering.get(path, subset=[]) == []
    with pytest.raises(ValueError, match="not both"):
        filtering.get(path, "age > 1", subset=[1])


def test_rows_follow_their_documents(tmp_path: Path) -> None:
    path = str(tmp_path / "index")
    index = search.FastPlaid(path)
    index.create(embeddings(4), metadata=[{"n": number, "kind": "old"} for number in range(4)])
    index.update(embeddings(2, seed=1), metadata=[{"n": 4, "new": 1.5}, {"n": 5}])
    index.update(embeddings(1, seed=2))
    assert filtering.where(path, "n >= 3 OR kind IS NULL") == [3, 4, 5, 6]
    assert filtering.get(path, subset=[4]) == [{"_subset_": 4, "n": 4, "kind": None, "new": 1.5}]
    index.delete([1, 4])
    assert [row["n"] for row in filtering.get(path)] == [0, 2, 3, 5, None]
    assert filtering.where(path, "n > ?", (1,)) == [1, 2, 3]
    within = index.search(embeddings(4)[:1], top_k=9, subset=filtering.where(path, "n > 1"))
    assert {number for number, _ in within[0]} == {1, 2, 3}


def test_times_are_those_of_utc(tmp_path: Path) -> None:
    path = str(tmp_path / "index")
    times = [datetime(2020, 5, 17, 10), datetime(2020, 5, 18)]
    search.FastPlaid(path).create(embeddings(2), metadata=[{"at": time} for time in times])
    assert filtering.where(path, "at > ?", (datetime(2020, 5, 17, 11),)) == [1]
    assert filtering.where(path, "at > ?", (date(2020, 5, 17),)) == [0, 1]
    assert filtering.where(path, "at < '2020-05-18'") == [0]
    assert filtering.get(path, subset=[0])[0]["at"] == "2020-05-17T10:00:00Z"


def test_metadata_is_given_later(tmp_path: Path) -> None:
    path = str(tmp_path / "index")
    index = search.FastPlaid(path).create(embeddings(5))
    with pytest.raises(FileNotFoundError, match="no metadata"):
        filtering.where(path, "n > 1")
    before = index.search(embeddings(5), top_k=5)
    filtering.create(path, [{"n": number} for number in range(5)])
    assert filtering.where(path, "n > 2") == [3, 4]
    for want, have in zip(before, index.search(embeddings(5), top_k=5)):
        assert [number for number, _ in have][:1] == [number for number, _ in want][:1]
        assert sorted(score for _, score in have) == pytest.approx(sorted(score for _, score in want), abs=0.05)
    index.update(embeddings(2, seed=1))
    filtering.update(path, [{"n": 5}, {"n": 6, "new": "x"}])
    assert filtering.where(path, "n > 3") == [4, 5, 6]
    with pytest.raises(ValueError, match="1 rows for the 0 documents"):
        filtering.update(path, [{"n": 7}])
    with pytest.raises(ValueError, match="must match the number of documents"):
        filtering.create(path, [{"n": 7}])
    with pytest.raises(NotImplementedError, match="deletes both"):
        filtering.delete(path, [0])


@pytest.mark.parametrize(
    ("row", "error"),
    [({"a b": 1}, ValueError), ({"_subset_": 1}, ValueError), ({"a": [1]}, TypeError), ({"a": b""}, TypeError)],
)
def test_bad_rows(tmp_path: Path, row: dict, error: type[Exception]) -> None:
    index = search.FastPlaid(str(tmp_path / "index"))
    with pytest.raises(error):
        index.create(embeddings(1), metadata=[row])
