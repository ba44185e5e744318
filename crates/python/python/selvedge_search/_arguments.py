"""Arguments of public functions: their types by their annotations, and the forms that the extension takes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any, TypeVar

from . import _selvedge
from .errors import InvalidInput, WrongType

Made = TypeVar("Made")

#: A condition on metadata: a text, or a text with a ``?`` for each of the values that come with it.
Where = str | tuple[str, Sequence[Any]]

#: Largest number that the extension takes.
MOST = (1 << 63) - 1
#: Flag of the code of a coroutine.
COROUTINE = 0x80


def is_one(value: object) -> bool:
    """Whether a value is one id, or one number, rather than several."""
    return isinstance(value, str) or (hasattr(value, "__index__") and getattr(value, "ndim", 0) == 0)


def _is_bool(value: object) -> bool:
    return isinstance(value, bool) or type(value).__name__ in ("bool", "bool_")  # numpy has its own.


def _is_int(value: object) -> bool:
    if isinstance(value, str) or not is_one(value):
        return False
    try:
        return value.__index__() is not None  # type: ignore[attr-defined]
    except TypeError:  # An array of one float.
        return False


def _is_float(value: object) -> bool:
    return hasattr(value, "__float__") and getattr(value, "ndim", 0) == 0


def _is_iterable(value: object) -> bool:
    return hasattr(value, "__iter__") and not isinstance(value, bytes)


def _is_encoder(value: object) -> bool:
    from .encoder import Encoder

    return isinstance(value, Encoder)


#: Parts of annotations: whether a value is one, and its name in a message.
KINDS: dict[str, tuple[Callable[[object], bool], str]] = {
    "None": (lambda value: value is None, "None"),
    "bool": (_is_bool, "True or False"),
    "int": (_is_int, "an int"),
    "float": (_is_float, "a float"),
    "str": (lambda value: isinstance(value, str), "a str"),
    "os.PathLike[str]": (lambda value: isinstance(value, os.PathLike), "a path"),
    "Encoder": (_is_encoder, "an Encoder"),
    "Iterable[str]": (_is_iterable, "a list of str"),
    "Sequence[str]": (_is_iterable, "a list of str"),
}


class _Parameter:
    """Parameter of a function. One whose annotation has other parts than :data:`KINDS` accepts every type."""

    def __init__(self, name: str, annotation: str) -> None:
        parts = annotation.split(" | ")
        self.name = name
        self.kinds = [KINDS[part] for part in parts] if all(part in KINDS for part in parts) else []
        self.is_text, self.is_path = "str" in parts, "os.PathLike[str]" in parts
        self.is_number = bool(self.kinds) and "int" in parts
        # Values of these types are most arguments, and are accepted at once.
        self.plain = {of for part, of in (("None", type(None)), ("bool", bool), ("float", float)) if part in parts}

    def accepts(self, value: Any) -> bool:
        """Whether a value is one of the usual ones; others have to be checked."""
        kind = type(value)
        if kind is int:
            return self.is_number and 0 <= value <= MOST
        return (kind is str and self.is_text and value.isascii()) or kind in self.plain

    def check(self, value: Any) -> None:
        """Refuse a value that the annotation does not allow."""
        if isinstance(value, str) and self.is_text:
            check_text(self.name, value, self.is_path)
        if self.is_number and _is_int(value) and not 0 <= value.__index__() <= MOST:
            raise InvalidInput(
                f"{self.name} is {value}, which is negative, or above 2**63 - 1", name=self.name, value=value
            )
        if self.kinds and not any(fits(value) for fits, _ in self.kinds):
            expected = [name for _, name in self.kinds if name != "None"]
            raise WrongType(f"{self.name} is a {type(value).__name__}; give {' or '.join(expected)}")


def checked(made: Made) -> Made:
    """Have a function, or the public methods of a class, refuse what their annotations do not allow.

    The error names the argument in one line, which errors of the extension and of Python do not.
    """
    if not isinstance(made, type):
        return _checked(made)  # type: ignore[no-any-return]
    for name, member in list(vars(made).items()):
        if isinstance(member, classmethod) and not name.startswith("_"):
            setattr(made, name, classmethod(_checked(member.__func__)))
        elif hasattr(member, "__code__") and (name == "__init__" or not name.startswith("_")):
            setattr(made, name, _checked(member))
    return made


def _checked(function: Any) -> Any:
    code = function.__code__
    if code.co_flags & COROUTINE:  # It raises where it is awaited, and calls a method that is checked.
        return function
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    by_place = names[: code.co_argcount]
    parameters = {name: _Parameter(name, function.__annotations__.get(name, "Any")) for name in names}
    parameters = {name: parameter for name, parameter in parameters.items() if parameter.kinds or parameter.is_text}
    find = parameters.get

    @wraps(function)
    def call(*given: Any, **named: Any) -> Any:
        for name, value in (*zip(by_place, given), *named.items()) if given else named.items():
            parameter = find(name)
            if parameter is not None and not parameter.accepts(value):
                parameter.check(value)
        return function(*given, **named)

    return call


def check_text(name: str, value: str, is_path: bool = False) -> None:
    """Refuse a text that has surrogates. Those in which Python keeps the bytes of a path are part of it."""
    try:
        os.fsencode(value) if is_path else value.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"{name} is {value!r}: surrogates are no text in UTF-8", name=name, value=value) from None


def strings(name: str, values: Iterable[str]) -> list[str]:
    """Return several texts as a list; one text is one of them, not its letters."""
    found = [values] if isinstance(values, str) else [str(value) for value in values]
    for value in found:
        check_text(name, value)
    return found


def condition(where: Any) -> str:
    """Return a condition on metadata, with its values in it."""
    if type(where) is str and where.isascii():
        return where
    if isinstance(where, tuple) and len(where) == 2 and isinstance(where[0], str):
        text, values = where
        if not isinstance(values, (list, tuple)):
            raise WrongType(f"where has a {type(values).__name__} for its values; give a list")
    elif isinstance(where, str):
        text, values = where, None
    else:
        raise WrongType(
            f'where is a {type(where).__name__}; give a condition such as "year >= 2020", or ("year >= ?", [2020])'
        )
    check_text("where", text)
    return text if values is None else _selvedge.filled(text, list(values))


def count(name: str, value: Any) -> int:
    """Return a number of things, at least 1."""
    if type(value) is int and 1 <= value <= MOST:
        return value
    if not _is_int(value):
        raise WrongType(f"{name} is a {type(value).__name__}; give an int")
    number = int(value.__index__())
    if not 1 <= number <= MOST:
        raise InvalidInput(f"{name} is {number}: expected at least 1", name=name, value=number)
    return number


def queries_of(query: Any) -> list[Any]:
    """Return several queries as a list: of an array (B, Q, D), or of an iterable."""
    ndim = getattr(query, "ndim", 3)
    if ndim == 1 and getattr(getattr(query, "dtype", None), "kind", "") in "OUT":
        return [str(text) if isinstance(text, str) else text for text in query]  # Texts of numpy or pandas.
    if ndim != 3:
        raise InvalidInput(f"the query has {ndim} dimensions; expected (Q, D), or (B, Q, D) for several")
    if isinstance(query, str):
        raise WrongType("one text was given where several queries are expected; give a list")
    if isinstance(query, (bytes, Mapping)) or not hasattr(query, "__iter__"):
        raise WrongType(f"the query is a {type(query).__name__}; give a text, an array (Q, D), or a list of either")
    return list(query)


def per_query(ids: Any, queries: int) -> list[Any] | None:
    """Return the lists of ids of each query, if ``ids`` is a list of lists."""
    if not isinstance(ids, (list, tuple)) or not ids or is_one(ids[0]):
        return None
    if len(ids) != queries:
        raise InvalidInput(f"ids has {len(ids)} lists for {queries} queries")
    return list(ids)


def judgments_of(qrels: Any) -> tuple[list[tuple[str, str, int]] | None, str | None]:
    """Return grades (query, passage, grade), or the path of a file of them."""
    if isinstance(qrels, (str, os.PathLike)):
        return None, os.fspath(qrels)
    if not isinstance(qrels, Mapping) or not all(isinstance(of_query, Mapping) for of_query in qrels.values()):
        raise WrongType('qrels has to be a path, or grades such as {"q1": {"d7": 1}}')
    judgments = []
    for query, of_query in qrels.items():
        for passage, grade in of_query.items():
            try:
                number = int(grade)
            except (TypeError, ValueError, OverflowError):
                number = 1 << 31
            if not -(1 << 31) <= number < 1 << 31:
                raise InvalidInput(f"qrels: the grade of {passage!r} for {query!r} is {grade!r}; give an int")
            judgments.append((str(query), str(passage), number))
    for text in {text for judgment in judgments for text in judgment[:2]}:
        check_text("qrels", text)
    return judgments, None


def named(report: Any) -> Any:
    """Return a report whose parameters have the names of a search's arguments: nfull is num_rescored."""
    if isinstance(report, list):
        return [named(part) for part in report]
    if isinstance(report, dict):
        return {"num_rescored" if name == "nfull" else name: named(part) for name, part in report.items()}
    return report
