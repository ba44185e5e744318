"""Conditions of SQL, translated to filters of an index.

```text
or         = and (OR and)*
and        = not (AND not)*
not        = NOT not | "(" or ")" | operand comparison?
comparison = (= | == | != | <> | < | <= | > | >=) operand
           | [NOT] IN "(" [literal ("," literal)*] ")" | [NOT] BETWEEN literal AND literal
           | [NOT] LIKE literal [ESCAPE literal] | IS [NOT] (NULL | literal) | ISNULL | NOTNULL | NOT NULL
operand    = column | literal
literal    = [+ | -] number | 'text' | ? | TRUE | FALSE
```

A condition is true, false or unknown in both languages, and the translation keeps that where the values of a column are
of one type. Names are of any case, as in SQLite; so is ASCII in LIKE, which becomes the values that fit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ._documents import SUBSET, to_value

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<text>'(?:[^']|'')*')
    | (?P<name>"(?:[^"]|"")*" | `(?:[^`]|``)*` | \[[^]]*\] | [A-Za-z_\u0080-\uffff][\w$]*)
    | (?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
    | (?P<symbol><=|>=|<>|!=|==|[=<>(),?+-])
    | (?P<end>\Z)
    )""",
    re.VERBOSE,
)
_COMPARISONS = ("=", "==", "!=", "<>", "<", "<=", ">", ">=")
_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_WORDS = ("AND", "OR", "NOT", "IN", "BETWEEN", "LIKE", "IS", "NULL", "TRUE", "FALSE", "ESCAPE", "ISNULL", "NOTNULL")
_REFUSED = ("SELECT", "EXISTS", "CASE", "CAST")


def translate(
    condition: str,
    parameters: Sequence[Any],
    columns: Sequence[str],
    values: Callable[[str], Iterable[Any]],
) -> str:
    """Returns a filter of an index with the meaning of a condition.

    Args:
        condition: a SQL condition, as after WHERE.
        parameters: a value for each ``?``: a number, text, bool, date or time.
        columns: names of the columns.
        values: returns the values of a column, for LIKE.

    Raises:
        ValueError: the condition has a mistake, names no column, or uses what filters do not have.
        TypeError: a parameter is of another type.
    """
    return _Parser(condition, parameters, columns, values).parse()


class _Literal:
    """A value of the condition; ``None`` is NULL."""

    def __init__(self, value: int | float | str | None) -> None:
        self.value = value

    def __str__(self) -> str:
        if isinstance(self.value, str):
            return "'" + self.value.replace("'", "''") + "'"
        return repr(self.value)


class _Column:
    """A column of the table."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return f'"{self.name}"'


class _Parser:
    """A condition, read from left to right."""

    def __init__(
        self, condition: str, parameters: Sequence[Any], columns: Sequence[str], values: Callable[[str], Iterable[Any]]
    ) -> None:
        self.condition = condition
        self.parameters = list(parameters)
        self.num_used = 0
        self.columns = {column.lower(): column for column in columns}
        self.values = values
        self.tokens = self._tokens()
        self.at = 0

    def parse(self) -> str:
        """Returns the filter."""
        found = self._or()
        if self._kind() != "end":
            raise self._error("expected AND, OR or the end")
        if self.num_used != len(self.parameters):
            raise ValueError(f"{self.num_used} '?' in {self.condition!r}, but {len(self.parameters)} parameters")
        return found

    def _tokens(self) -> list[tuple[str, str, int]]:
        """Kind, text and column of each token."""
        tokens: list[tuple[str, str, int]] = []
        at = 0
        while not tokens or tokens[-1][0] != "end":
            match = _TOKEN.match(self.condition, at)
            if match is None:
                rest = self.condition[at:].lstrip()
                column = len(self.condition) - len(rest) + 1
                raise ValueError(f"column {column} of {self.condition!r}: {rest[:20]!r} is not translated to a filter")
            kind = str(match.lastgroup)
            tokens.append((kind, match[kind], match.start(kind) + 1))
            at = match.end()
        return tokens

    def _kind(self) -> str:
        return self.tokens[self.at][0]

    def _error(self, reason: str) -> ValueError:
        _, text, column = self.tokens[self.at]
        return ValueError(f"column {column} of {self.condition!r}: {reason}, found {text or 'the end'!r}")

    def _take(self, *texts: str) -> str | None:
        """Takes the next token if it is one of these words or symbols."""
        kind, text, _ = self.tokens[self.at]
        if kind in ("name", "symbol") and text.upper() in texts:
            self.at += 1
            return text.upper()
        return None

    def _expect(self, text: str) -> None:
        if self._take(text) is None:
            raise self._error(f"expected {text}")

    def _or(self) -> str:
        parts = [self._and()]
        while self._take("OR"):
            parts.append(self._and())
        return parts[0] if len(parts) == 1 else f"({' OR '.join(parts)})"

    def _and(self) -> str:
        parts = [self._not()]
        while self._take("AND"):
            parts.append(self._not())
        return parts[0] if len(parts) == 1 else f"({' AND '.join(parts)})"

    def _not(self) -> str:
        if self._take("NOT"):
            return f"NOT {self._not()}"
        if self._take("("):
            inner = self._or()
            self._expect(")")
            return inner
        return self._comparison(self._operand())

    def _operand(self) -> _Column | _Literal:
        kind, text, _ = self.tokens[self.at]
        if kind != "name" or text.upper() in ("NULL", "TRUE", "FALSE"):
            return self._literal()
        if text.upper() in _WORDS:
            raise self._error("expected a column or a value")
        if text.upper() in _REFUSED or self.tokens[self.at + 1][1] == "(":
            raise self._error("a filter has no functions and no other clauses")
        quote = {"[": 1, '"': 1, "`": 1}.get(text[0], 0)
        name = text[quote : len(text) - quote].replace(text[0] * 2, text[0]) if quote else text
        if name.lower() == SUBSET:
            raise self._error("positions are no column of a filter; give them as 'subset'")
        if name.lower() not in self.columns:
            raise ValueError(f"no such column: {name}; the columns are {', '.join(self.columns.values())}")
        self.at += 1
        return _Column(self.columns[name.lower()])

    def _literal(self) -> _Literal:
        """The next token as a value."""
        kind, text, _ = self.tokens[self.at]
        sign = self._take("+", "-")
        if sign is not None:
            number = self._literal()
            if isinstance(number.value, (int, float)):
                return _Literal(-number.value if sign == "-" else number.value)
            raise self._error("expected a number")
        if kind == "number":
            value: Any = float(text) if re.search("[.eE]", text) else int(text)
        elif kind == "text":
            value = text[1:-1].replace("''", "'")
        elif text.upper() in ("TRUE", "FALSE", "NULL"):
            value = {"TRUE": 1, "FALSE": 0, "NULL": None}[text.upper()]
        elif text == "?":
            if self.num_used == len(self.parameters):
                raise self._error(f"{len(self.parameters)} parameters are too few")
            value = self.parameters[self.num_used]
            value = None if value is None else to_value(value)
            self.num_used += 1
        else:
            raise self._error("expected a value: a number, a text in single quotes or ?")
        if isinstance(value, float) and not math.isfinite(value):
            raise self._error(f"{value} is no number of a filter")
        self.at += 1
        return _Literal(value)

    def _comparison(self, left: _Column | _Literal) -> str:
        """What follows an operand, as a filter."""
        operation = self._take(*_COMPARISONS)
        if operation is not None:
            return self._compared(left, operation, self._operand())
        if isinstance(left, _Literal):
            return _constant(self._present(left) != 0 if not isinstance(left.value, str) else False)
        negation = self._take("NOT")
        if self._take("IN"):
            return self._in(left, negation is not None)
        if self._take("BETWEEN"):
            low = self._present(self._literal(), wrap=True)
            self._expect("AND")
            high = self._present(self._literal(), wrap=True)
            return f"({left} < {low} OR {left} > {high})" if negation else f"({left} >= {low} AND {left} <= {high})"
        if self._take("LIKE"):
            return self._like(left, negation is not None)
        if self._take("NOTNULL") or (negation and self._take("NULL")):
            return f"{left} IS NOT NULL"
        if negation:
            raise self._error("expected IN, BETWEEN, LIKE or NULL")
        if self._take("ISNULL"):
            return f"{left} IS NULL"
        if self._take("IS"):
            return self._is(left, self._take("NOT") is not None)
        # A column alone is true if it is a number other than zero.
        return f"{left} != 0"

    def _compared(self, left: _Column | _Literal, operation: str, right: _Column | _Literal) -> str:
        if isinstance(left, _Column):
            if isinstance(right, _Column):
                raise ValueError(f"{left} {operation} {right}: a filter compares a column with a value")
            return f"{left} {operation} {self._present(right, wrap=True)}"
        if isinstance(right, _Column):
            return f"{right} {_FLIPPED.get(operation, operation)} {self._present(left, wrap=True)}"
        first, second = self._present(left), self._present(right)
        if isinstance(first, str) != isinstance(second, str):
            raise ValueError(f"{left} {operation} {right}: a filter compares values of one type")
        return _constant(
            {
                "=": first == second,
                "==": first == second,
                "!=": first != second,
                "<>": first != second,
                "<": first < second,
                "<=": first <= second,
                ">": first > second,
                ">=": first >= second,
            }[operation]
        )

    def _present(self, literal: _Literal, wrap: bool = False) -> Any:
        """The value of a literal, or the literal itself, which must not be NULL."""
        if literal.value is None:
            raise ValueError(f"{self.condition!r}: a comparison with NULL is never true; use IS NULL or IS NOT NULL")
        return literal if wrap else literal.value

    def _in(self, column: _Column, is_negated: bool) -> str:
        self._expect("(")
        if self._take(")"):
            return _constant(is_negated)
        literals = [self._present(self._literal(), wrap=True)]
        while self._take(","):
            literals.append(self._present(self._literal(), wrap=True))
        self._expect(")")
        return _among(column, literals, is_negated)

    def _is(self, column: _Column, is_negated: bool) -> str:
        literal = self._literal()
        if literal.value is None:
            return f"{column} IS NOT NULL" if is_negated else f"{column} IS NULL"
        if is_negated:
            return f"({column} IS NULL OR {column} != {literal})"
        return f"({column} IS NOT NULL AND {column} = {literal})"

    def _like(self, column: _Column, is_negated: bool) -> str:
        """The values that fit a pattern, or those that do not."""
        pattern = str(self._present(self._literal()))
        escape = str(self._present(self._literal())) if self._take("ESCAPE") else ""
        fits = _pattern(pattern, escape)
        values = dict.fromkeys(self.values(column.name))
        found = [_Literal(value) for value in values if bool(fits.fullmatch(str(value))) != is_negated]
        if found:
            return _among(column, found, False)
        # False for each value, and unknown where there is none.
        value = _Literal(next(iter(values), ""))
        return f"({column} = {value} AND {column} != {value})"


def _constant(is_true: bool) -> str:
    return "TRUE" if is_true else "FALSE"


def _among(column: _Column, literals: Iterable[_Literal], is_negated: bool) -> str:
    """A column that has one of these values, which may be of several types."""
    if is_negated:
        return f"({' AND '.join(f'{column} != {literal}' for literal in literals)})"
    return f"({' OR '.join(f'{column} = {literal}' for literal in literals)})"


def _pattern(pattern: str, escape: str) -> re.Pattern[str]:
    """The pattern of LIKE: ``%`` is any text, ``_`` any character, and ASCII is of any case."""
    if len(escape) > 1:
        raise ValueError(f"ESCAPE {escape!r}: expected a single character")
    parts, at = [], 0
    while at < len(pattern):
        char = pattern[at]
        if char == escape and at + 1 < len(pattern):
            at += 1
            parts.append(_any_case(pattern[at]))
        else:
            parts.append({"%": ".*", "_": "."}.get(char) or _any_case(char))
        at += 1
    return re.compile("".join(parts), re.DOTALL)


def _any_case(char: str) -> str:
    return f"[{char.lower()}{char.upper()}]" if char.isascii() and char.isalpha() else re.escape(char)
