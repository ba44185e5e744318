"""Arguments of making, opening and changing an index, as the extension takes them."""

from __future__ import annotations

import os
from typing import Any

from .encoder import Encoder, load_settings
from .errors import InvalidInput, WrongType

#: Number of queries below which the recall measured may be far from that of other queries.
FEW_QUERIES = 100


def model_of(model: str | os.PathLike[str] | Encoder | None) -> tuple[Encoder | None, str | None]:
    """Return an encoder, or the name of one."""
    if model is None or isinstance(model, Encoder):
        return model, None
    return None, os.fspath(model)


def load_of(encoder: Encoder | None, *options: Any) -> dict[str, Any]:
    """Return options of loading an encoder, if it is still to be loaded."""
    load = load_settings(*options)
    for name, value in load.items():
        if encoder is not None and value is not None:
            raise InvalidInput(f"{name} goes with the name of a model; give it to the Encoder", name=name, value=value)
    return load


def passages_of(
    documents: Any, embeddings: Any, lens: Any, mask: Any, ids: Any, texts: Any, metadata: Any
) -> dict[str, Any]:
    """Return passages in the form that the extension takes."""
    if hasattr(documents, "to_dict"):
        raise WrongType('documents is a table; give its rows: table.to_dict("records")')
    passages = dict.fromkeys(("collection", "documents", "embeddings", "array", "lens", "ids", "texts", "metadata"))
    if (documents is None) == (embeddings is None):
        raise InvalidInput("give either documents or embeddings")
    if embeddings is None:
        if any(given is not None for given in (lens, mask, ids, texts, metadata)):
            raise InvalidInput("lens, mask, ids, texts and metadata go with embeddings; documents have their own")
        is_path = isinstance(documents, (str, os.PathLike))
        passages["collection" if is_path else "documents"] = os.fspath(documents) if is_path else documents
        return passages
    from ._arrays import flat

    together = flat(embeddings, lens, mask)
    if together is None:
        passages["embeddings"] = embeddings
    else:
        passages["array"], passages["lens"] = together
    passages["ids"], passages["texts"], passages["metadata"] = ids, texts, metadata
    return passages


def note_few(queries: int) -> None:
    """Warn of too few queries to tune with, as the program does."""
    if queries < FEW_QUERIES:
        _warn("%d queries are few to tune with: the recall of other queries may differ", queries)


def note_truncated(counts: dict[str, Any], passages: int) -> None:
    """Warn of passages whose ends are not searched."""
    if counts["truncated"]:
        _warn(
            "%d of %d passages are longer than %d tokens, and the rest of their text is not searched: Encoder.split "
            "splits texts",
            counts["truncated"],
            passages,
            counts["passage_maxlen"],
        )


def _warn(message: str, *values: object) -> None:
    import logging

    logging.getLogger("selvedge_search").warning(message, *values)
