"""Similarities of an explanation as text, for a terminal."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .results import Explanation, Token

#: Largest number of characters of a token that are shown.
LONGEST = 14


def drawn(explanation: Explanation) -> str:
    """Return a heat map: a row for each query token, a column for each passage token.

    It is no wider than the terminal, if that has room for 40 characters. A digit is a tenth of the similarity, a dot is
    one below 0. At the end of a row stand the token that matched best and the similarity. If not all passage tokens
    fit, those are shown that a query token matched best.
    """
    rows = explanation.similarities
    query, passage = _labels(explanation.query, rows.shape[0]), _labels(explanation.passage, rows.shape[1])
    left, right = (max(map(len, labels), default=0) for labels in (query, passage))
    most = max(shutil.get_terminal_size().columns - left - right - len("    0.00 "), 1)
    columns = list(range(len(passage)))
    if len(columns) > most:
        columns = sorted({match.passage_token for match in explanation.matches})[:most]
    height = max((len(passage[at]) for at in columns), default=0)
    lines = [f"score {explanation.score:.3f}"]
    # The names of the columns, from top to bottom.
    names = [passage[at].rjust(height) for at in columns]
    lines += [f"{'':{left}}  {''.join(name[line] for name in names)}".rstrip() for line in range(height)]
    for label, similarities, match in zip(query, rows, explanation.matches):
        cells = "".join(_cell(similarities[at]) for at in columns)
        lines.append(f"{label:>{left}}  {cells}  {passage[match.passage_token]} {match.similarity:.2f}")
    if len(columns) < len(passage):
        lines.append(f"{len(columns)} of {len(passage)} passage tokens are shown")
    return "\n".join(lines)


def _labels(tokens: list[Token], number: int) -> list[str]:
    """Return the spellings of tokens, or their numbers where they are not known."""
    spellings = [token.token for token in tokens] or [str(at) for at in range(number)]
    return ["".join(c if c.isprintable() else "?" for c in spelling)[:LONGEST] for spelling in spellings]


def _cell(similarity: float) -> str:
    return "." if similarity < 0 else str(min(int(similarity * 10), 9))
