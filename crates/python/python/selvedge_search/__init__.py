"""ColBERTv2 late-interaction retrieval: index, search, rerank and explain.

    >>> from selvedge_search import Index
    >>> index = Index.create("notes.index", ["the first note", "another one"])
    >>> index.search("which note is first", k=1)[0].id
    '0'

The distribution is called ``selvedge-search``, this module ``selvedge_search``: ``selvedge`` on PyPI is another
project. ``pip install selvedge-search`` also gives the program ``selvedge``, which is ``python -m selvedge_search``,
too.

Names are loaded when they are first used (PEP 562), so that the program starts without them.
"""

# Type checkers know this name; the module typing would take more time than all else here.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from . import errors
    from ._bridges import describe_index, import_index
    from ._reader import Snapshot
    from ._rerank import Reranked, maxsim, rerank
    from ._selvedge import __version__, set_threads
    from .encoder import Encoder
    from .errors import (
        Cancelled,
        CorruptIndex,
        DeviceError,
        DimensionMismatch,
        IdExists,
        IndexClosed,
        IndexExists,
        IndexLocked,
        IndexNotFound,
        InvalidInput,
        ModelError,
        NotFollowed,
        NotFound,
        ReadError,
        SelvedgeError,
        UnknownIds,
        WrongType,
    )
    from .index import Index
    from .results import Batch, Explanation, Hit, Match, MatchedWord, Results, Snippet, Token
else:
    _HOMES = {
        "_bridges": ("describe_index", "import_index"),
        "_reader": ("Snapshot",),
        "_rerank": ("Reranked", "maxsim", "rerank"),
        "_selvedge": ("__version__", "set_threads"),
        "encoder": ("Encoder",),
        "index": ("Index",),
        "results": ("Batch", "Explanation", "Hit", "Match", "MatchedWord", "Results", "Snippet", "Token"),
    }

    def __getattr__(name):
        if name not in __all__ and name not in ("encoder", "index", "results"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        home = name if name in _HOMES else next((home for home, names in _HOMES.items() if name in names), "errors")
        module = import_module(f"{__name__}.{home}")
        value = globals()[name] = module if name == home else getattr(module, name)
        return value

    def __dir__():
        return sorted({*globals(), *__all__})


__all__ = [
    "Batch",
    "Cancelled",
    "CorruptIndex",
    "DeviceError",
    "DimensionMismatch",
    "Encoder",
    "Explanation",
    "Hit",
    "IdExists",
    "Index",
    "IndexClosed",
    "IndexExists",
    "IndexLocked",
    "IndexNotFound",
    "InvalidInput",
    "Match",
    "MatchedWord",
    "ModelError",
    "NotFollowed",
    "NotFound",
    "ReadError",
    "Reranked",
    "Results",
    "SelvedgeError",
    "Snapshot",
    "Snippet",
    "Token",
    "UnknownIds",
    "WrongType",
    "__version__",
    "describe_index",
    "errors",
    "import_index",
    "maxsim",
    "rerank",
    "set_threads",
]
