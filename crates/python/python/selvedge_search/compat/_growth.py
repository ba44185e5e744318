"""Documents added to indexes that began small.

The codec of an index is trained on the documents that it was created of. Frameworks create an index of the first
document and add the others: of one paragraph, a codec finds 0.24 of the exact top 10 among 633 later ones, of an eighth
of them 0.92, of all 0.94 (2 bits, paragraphs of this repository, the shipped model).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from selvedge_search import Index

# Growth since the codec was trained from which it is trained anew. All texts are then encoded again: a third more work
# over all, as each time four times as many are there. A quarter of the tokens cost 0.02 of the recall above.
FACTOR = 4
# Tokens of a training from which an index is left as it is.
ENOUGH_TOKENS = 1 << 17


def add(index: Index, documents: Iterable[dict[str, Any]], **options: Any) -> dict[str, Any]:
    """`Index.add`, after which the codec is trained anew on the stored texts if it was trained on too few.

    Returns the report of `Index.add`.
    """
    report = index.add(documents, **options)
    trained = index.info()["build"]["sample_tokens"]
    if trained < ENOUGH_TOKENS and index.num_tokens >= FACTOR * trained:
        index.compact(retrain=True, progress=options.get("progress"))
    return report
