"""Filters as text: conditions of other libraries, written in the language of `Index.search(where=...)`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from numbers import Integral, Real
from typing import Any

from selvedge_search.errors import InvalidInput

OPERATORS = {"$eq": "=", "$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<=", "$like": "LIKE"}


def name(key: str) -> str:
    """Key with quotes around each of its names: `author.name` becomes `"author"."name"`."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in key.split("."))


def literal(value: Any) -> str:
    """Value as the grammar writes it. Raises `InvalidInput` for anything but a text, number, bool or date."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, Integral):
        return repr(int(value))
    if isinstance(value, Real) and math.isfinite(value):
        return repr(float(value))
    if isinstance(value, date) and value == value:  # NaT of pandas is a datetime, and not equal to itself.
        # As metadata: a time without a zone is one of UTC.
        is_naive = isinstance(value, datetime) and value.utcoffset() is None
        value = value.isoformat() + "Z" * is_naive
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    raise InvalidInput(f"a filter cannot compare with {value!r}: a text, a finite number, a bool or a date is expected")


def compare(key: str, comparison: str, value: Any) -> str:
    """Condition such as `"year" >= 2020`. It holds for no passage without the key."""
    return f"{name(key)} {comparison} {literal(value)}"


def is_in(key: str, values: Iterable[Any]) -> str:
    """Condition that a value is one of these; false without any."""
    values = list(values)
    return f"{name(key)} IN ({', '.join(map(literal, values))})" if values else "FALSE"


def is_null(key: str) -> str:
    """Condition that a passage does not have the key."""
    return f"{name(key)} IS NULL"


def is_not_null(key: str) -> str:
    """Condition that a passage has the key."""
    return f"{name(key)} IS NOT NULL"


def differs(key: str, condition: str) -> str:
    """Opposite of a condition on a key, which holds for passages without the key too."""
    return f"({name(key)} IS NULL OR NOT ({condition}))"


def definite(key: str, condition: str) -> str:
    """Condition on a key that is false, not unknown, for passages without it, so that its opposite holds for them."""
    return f"{name(key)} IS NOT NULL AND ({condition})"


def all_of(conditions: Iterable[str]) -> str:
    """Conjunction; true without any condition."""
    return _join(conditions, " AND ", "TRUE")


def any_of(conditions: Iterable[str]) -> str:
    """Disjunction; false without any condition."""
    return _join(conditions, " OR ", "FALSE")


def of_dictionary(filter: Mapping[str, Any]) -> str:
    """Text of a filter with operators such as `$gte`. Raises `InvalidInput` for operators that are unknown."""
    return all_of(_condition(key, value) for key, value in filter.items())


def _condition(key: str, value: Any) -> str:
    if key in ("$and", "$or"):
        return (all_of if key == "$and" else any_of)(map(of_dictionary, value))
    if key == "$not":
        return f"NOT ({of_dictionary(value)})"
    if key.startswith("$"):
        raise InvalidInput(f"{key!r} is not an operator around dictionaries: $and, $or and $not are")
    if isinstance(value, Mapping):
        return all_of(_compare(key, operator, operand) for operator, operand in value.items())
    return _compare(key, "$in" if isinstance(value, (list, tuple, set)) else "$eq", value)


def _compare(key: str, operator: str, value: Any) -> str:
    if operator in ("$eq", "$ne") and value is None:
        return is_null(key) if operator == "$eq" else is_not_null(key)
    if operator == "$exists":
        return is_not_null(key) if value else is_null(key)
    if operator == "$in":
        return is_in(key, value)
    if operator in ("$ne", "$nin"):
        return differs(key, _compare(key, "$eq" if operator == "$ne" else "$in", value))
    if operator in OPERATORS:
        return compare(key, OPERATORS[operator], value)
    raise InvalidInput(f"{operator!r} is not an operator: $exists, $in, $ne, $nin, {', '.join(OPERATORS)} are")


def _join(conditions: Iterable[str], word: str, empty: str) -> str:
    conditions = [f"({condition})" for condition in conditions]
    return word.join(conditions) or empty
