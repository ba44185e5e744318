"""Arguments of wrong types and values, values of metadata and of filters."""

from __future__ import annotations

import datetime as dt
import inspect

import numpy as np
import pytest
from conftest import TEXTS, unit_rows

import selvedge_search
from selvedge_search import Encoder, Index, Snapshot, errors, maxsim, rerank, set_threads
from selvedge_search._arguments import KINDS
from selvedge_search.compat import _filters

#: Parameters whose types are checked where they are used.
OTHERS = {
    *("documents", "embeddings", "lens", "mask", "ids", "texts", "metadata", "progress", "query", "queries", "qrels"),
    *("id", "where", "options", "self", "cls", "engine"),
}


def public(owner: type):
    """Yield the public functions of a class."""
    for name, member in inspect.getmembers(owner, callable):
        if not name.startswith("_"):
            yield member


def test_every_argument_of_another_type_is_refused_by_its_name(texts):
    encoder = Encoder()
    functions = [*public(Index), *public(Snapshot), *public(Encoder), Encoder, maxsim, rerank]
    checked, unchecked = set(), set()
    for function in functions:
        if inspect.iscoroutinefunction(function):
            continue
        for name, parameter in inspect.signature(function).parameters.items():
            if not all(part in KINDS for part in str(parameter.annotation).split(" | ")):
                unchecked.add(name)
                continue
            checked.add(name)
            bound = getattr(encoder if hasattr(Encoder, function.__name__) else texts, function.__name__, function)
            with pytest.raises(errors.WrongType, match=rf"^{name} is a (object|NoneType); give ") as caught:
                bound(**{name: object()})
            assert "\n" not in str(caught.value)
    assert unchecked - OTHERS == {"k"}  # of tune, a number or a list
    assert {"path", "model", "device", "any_model", "nbits", "overlap", "recall", "facets", "rank_by"} <= checked


@pytest.mark.parametrize(
    ("name", "call", "error"),
    [
        ("device", lambda index: Index.open(index.path, device=3), errors.WrongType),
        ("any_model", lambda index: Index.open(index.path, any_model="x"), errors.WrongType),
        ("path", lambda index: Index.open("\ud800"), errors.InvalidInput),
        ("documents", lambda index: Index.create("/nowhere/at/all", "\ud800"), errors.InvalidInput),
        ("folder", lambda index: index.update_folder("\ud800"), errors.InvalidInput),
        ("overlap", lambda index: index.encoder.split("text", overlap=1.5), errors.WrongType),
        ("overlap", lambda index: index.encoder.split("text", overlap=-1), errors.InvalidInput),
        ("text", lambda index: index.encoder.split("\ud800"), errors.InvalidInput),
        ("texts", lambda index: index.encoder.encode_queries("\ud800"), errors.InvalidInput),
        ("text 1", lambda index: index.encoder.encode_passages(["a", "\ud800"]), errors.InvalidInput),
        ("texts", lambda index: index.encoder.encode_passages(7), errors.WrongType),
        ("pool", lambda index: index.encoder.encode_passages("a", pool=1 << 64), errors.InvalidInput),
        ("model", lambda index: Encoder(3), errors.WrongType),
        ("model", lambda index: Encoder("\ud800"), errors.InvalidInput),
        ("memory", lambda index: index.update_folder("folder", memory=-1), errors.InvalidInput),
        ("include", lambda index: index.update_folder("folder", include=["a", "\ud800"]), errors.InvalidInput),
        ("facets", lambda index: index.search("a", facets=5), errors.WrongType),
        ("rank_by", lambda index: index.search("a", rank_by="\ud800"), errors.InvalidInput),
        ("the query", lambda index: index.search("\ud800"), errors.InvalidInput),
        ("query 1", lambda index: index.search(["a", "\ud800"]), errors.InvalidInput),
        ("the query", lambda index: index.explain("\ud800", "cats"), errors.InvalidInput),
        ("document 1", lambda index: index.add(["a", "\ud800"]), errors.InvalidInput),
        ("the text of document", lambda index: index.add([("a", "\ud800")]), errors.InvalidInput),
        ("k", lambda index: index.search("a", k="5"), errors.WrongType),
        ("alpha", lambda index: index.search("a", rank_by="hybrid", alpha="5"), errors.WrongType),
        ("snippet", lambda index: index.search("a", snippet=-5), errors.InvalidInput),
        ("where", lambda index: index.search("a", where="\ud800"), errors.InvalidInput),
        ("where", lambda index: index.search("a", where=("legs = ?", 4)), errors.WrongType),
        ("where", lambda index: index.search("a", where=()), errors.WrongType),
        ("where", lambda index: index.search("a", where=("legs = ?", [4], [5])), errors.WrongType),
        ("k", lambda index: index.search("a", k=np.array(1.5)), errors.WrongType),
        ("k", lambda index: index.search("a", k=-1), errors.InvalidInput),
        ("where", lambda index: index.delete(where=5), errors.WrongType),
        ("where", lambda index: index.tune(["a"], where=5), errors.WrongType),
        ("k", lambda index: index.tune(["a"], k=1.5), errors.WrongType),
        ("k", lambda index: index.tune(["a"], k=[10, -1]), errors.InvalidInput),
        ("recall", lambda index: index.tune(["a"], recall="1"), errors.WrongType),
        ("retrain", lambda index: index.compact(retrain=3), errors.WrongType),
        ("qrels", lambda index: index.eval({"q": "a"}, {"q": {"cats": "x"}}), errors.InvalidInput),
        ("qrels", lambda index: index.eval({"q": "a"}, {"q": {"\ud800": 1}}), errors.InvalidInput),
        ("queries", lambda index: index.eval({"\ud800": "a"}, {"q": {"cats": 1}}), errors.InvalidInput),
        ("compare", lambda index: index.eval({"q": "a"}, {"q": {"cats": 1}}, compare="bm25"), errors.InvalidInput),
        ("n", lambda index: set_threads("two"), errors.WrongType),
        ("k", lambda index: rerank("a", ["b"], k=1.5), errors.WrongType),
    ],
)
def test_an_argument_with_a_fault_is_named_in_one_line(texts, name, call, error):
    with pytest.raises(error, match=rf"^{name}\b") as caught:
        call(texts)
    assert "\n" not in str(caught.value)


def test_types_that_act_as_those_of_the_annotations_are_accepted(texts, tmp_path):
    found = texts.search("honey", np.int64(2), exact=np.bool_(True), facets=np.array(["kind"]), snippet=np.uint8(9))
    assert len(found) == 2 and len(found.facets["kind"]) == 3
    assert texts.search("honey", rank_by="hybrid", alpha=np.float32(0.5)).ids[0] == "bees"
    odd = tmp_path / "in\udcffdex"  # A name that is not UTF-8, as Python writes it.
    with Index.create(odd, TEXTS[:1]) as index:
        assert index.path == str(odd) and len(Index.open(str(odd))) == 1


DAY, TIME = dt.date(2024, 5, 1), dt.datetime(2024, 5, 1, 12, 30)


def test_dates_of_metadata_are_dates(tmp_path):
    east = dt.timezone(dt.timedelta(hours=2))
    values = {
        "day": DAY,
        "naive": TIME,
        "aware": TIME.replace(tzinfo=east),
        "numpy": np.datetime64("2024-05-01T12:30:00.5", "ns"),
        "days": np.datetime64("2024-05-01"),
        "several": np.array(["2024-05-01", "2024-05-02"], "datetime64[ns]"),
        "hour": dt.time(12, 30),
        "nested": {"list": [DAY, np.float32(0.5)], "array": np.array([1, 2])},
    }
    with Index.create(tmp_path / "index", [("a", "text", values), ("b", "text", {"other": 1})]) as index:
        assert index.get("a")["metadata"] == {
            "day": "2024-05-01",
            "naive": "2024-05-01T12:30:00Z",
            "aware": "2024-05-01T12:30:00+02:00",
            "numpy": "2024-05-01T12:30:00.500000Z",
            "days": "2024-05-01T00:00:00Z",
            "several": ["2024-05-01T00:00:00Z", "2024-05-02T00:00:00Z"],
            "hour": "12:30:00",
            "nested": {"list": ["2024-05-01", 0.5], "array": [1, 2]},
        }
        kinds = {column["key"]: column["kind"] for column in index.info()["columns"]}
        assert [kinds[key] for key in ("day", "naive", "aware", "numpy", "days", "several")] == ["date"] * 6
        assert kinds["hour"] == "text"
        for where in [
            ("day = ?", [DAY]),
            ("naive > ? AND naive < ?", [TIME - dt.timedelta(seconds=1), TIME + dt.timedelta(seconds=1)]),
            ("aware = ?", [dt.datetime(2024, 5, 1, 10, 30, tzinfo=dt.timezone.utc)]),
            ("numpy > ? AND days <= ?", [TIME, DAY]),
            "naive >= '2024-05-01'",
            _filters.compare("naive", "=", TIME),
            _filters.compare("aware", "=", TIME.replace(tzinfo=east)),
            _filters.compare("day", "=", DAY),
        ]:
            assert index.ids(where) == ["a"], where
        assert index.ids(("naive < ?", [TIME])) == []


def test_values_that_metadata_cannot_hold_are_refused_by_passage_and_key(tmp_path):
    pd = pytest.importorskip("pandas")
    odd_zone = dt.timezone(dt.timedelta(minutes=19, seconds=32))
    for value, words in [
        (float("nan"), "nan is no number.*None"),
        (float("inf"), "inf is no number"),
        (np.float32("nan"), "nan"),
        (pd.NaT, "NaT is no date"),
        (np.datetime64("NaT"), "NaT is no date"),
        (np.array(["2024-05-01", "NaT"], "datetime64[D]"), "NaT is no date"),
        (np.array([["20000-01-01"]], "datetime64[D]"), "not of the years 1 to 9999"),
        (np.datetime64("0000-01-01"), "not of the years 1 to 9999"),
        (pd.Timedelta(1), "a duration"),
        (TIME.replace(tzinfo=odd_zone), "no date of RFC 3339"),
        ([1, [float("nan")]], "nan"),
        (dt.timedelta(1), "duration"),
        (np.timedelta64(1, "ns"), "duration"),
        (np.array([object()]), "an? object"),
    ]:
        with pytest.raises(errors.InvalidInput, match=rf'^metadata of "p7": a\.b: .*{words}') as caught:
            Index.create(tmp_path / "index", [("p7", "text", {"n": 1, "a": {"b": value}})])
        assert "\n" not in str(caught.value)
        with pytest.raises(errors.InvalidInput, match=rf'^metadata of "p7": a\.b: (?!a\.b).*{words}'):
            Index.create(tmp_path / "index", [("p7", "text", {"a": [{"b": value}]})])
        with pytest.raises(errors.InvalidInput, match=r'^metadata of "0": x: '):
            Index.create(tmp_path / "index", embeddings=[unit_rows(2)], metadata=[{"x": value}])
    frame = pd.DataFrame({"text": ["one"], "when": [pd.Timestamp(2024, 5, 1, 12)]})
    with Index.create(tmp_path / "index", frame.to_dict("records")) as index:
        assert index.get("0")["metadata"] == {"when": "2024-05-01T12:00:00Z"}


def test_a_filter_of_another_library_refuses_a_missing_time():
    pd = pytest.importorskip("pandas")
    with pytest.raises(errors.InvalidInput, match="cannot compare"):
        _filters.literal(pd.NaT)


NAMES = ["O'Hara", "it''s", "a ? b", "100%", '"q"', "' OR TRUE OR author = '", "naïve\n", "\\"]


def test_values_of_filters_are_never_read_as_conditions(tmp_path):
    documents = [(number, "text", {"author": name, "n": number}) for number, name in enumerate(NAMES)]
    with Index.create(tmp_path / "index", documents) as index:
        for number, name in enumerate(NAMES):
            assert index.ids(("author = ?", [name])) == [str(number)]
            assert index.search("text", where=("n = ? AND author = ?", (number, name))).ids == [str(number)]
        assert index.ids(("author IN ? AND n < ?", [NAMES[:4], 3])) == ["0", "1", "2"]
        assert index.ids(("author LIKE ?", ["%?%"])) == ["2"]
        assert index.ids(("author = 'a ? b' AND n = ?", [2.0])) == ["2"]
        assert index.ids(('"author" = ?', [NAMES[0]])) == index.ids(("n = ?", [np.int64(0)])) == ["0"]
        assert index.ids(("TRUE", [])) == index.ids()
        for value, expected in [(1e300, []), (-0.5, ["0"]), (1 << 63, [])]:
            assert index.ids(("n > ?", [value]))[:1] == expected
        assert index.delete(where=("author = ?", [NAMES[5]]))["deleted"] == 1 and len(index) == len(NAMES) - 1


@pytest.mark.parametrize(
    ("where", "words"),
    [
        (("legs = ?", []), "1 question marks for 0 values"),
        (("legs = ? OR legs = ?", [1]), "2 question marks for 1 values"),
        (("legs = 4", [4]), "0 question marks for 1 values"),
        (("legs = '?'", [4]), "0 question marks for 1 values"),
        (("legs = ?", [None]), "value 0 of where is None: write IS NULL"),
        (("legs IN ?", [[]]), r"value 0 of where is \[\]"),
        (("legs IN ?", [[[1]]]), "value 0 of where is"),
        (("legs = ?", [{"a": 1}]), "value 0 of where is"),
        (("legs = ?", [float("nan")]), "value 0 of where: nan"),
        (("legs = ?", [{1}]), "value 0 of where: a set"),
        (("legs = ?", ["\ud800"]), "value 0 of where: .*surrogates"),
        (("legs ?", [4]), "expected"),
        (("legs = ??", [4, 5]), "expected"),
        (("legs = 1?", [4]), "expected"),
        (("legs = 'a'?", ["b"]), "expected"),
    ],
)
def test_values_that_do_not_fit_a_filter_are_refused(texts, where, words):
    with pytest.raises(errors.InvalidInput, match=words) as caught:
        texts.ids(where)
    assert "\n" not in str(caught.value)


def test_names_are_those_of_their_modules():
    assert {*selvedge_search.__all__} <= {*dir(selvedge_search)}
    for name in selvedge_search.__all__:
        value = getattr(selvedge_search, name)
        assert getattr(value, "__name__", name).rsplit(".")[-1] in (name, "errors"), name
    assert selvedge_search.Encoder is Encoder and selvedge_search.rerank is rerank
    with pytest.raises(AttributeError, match="nothing"):
        selvedge_search.nothing  # noqa: B018
