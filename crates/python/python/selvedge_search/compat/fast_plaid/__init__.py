"""fast-plaid's ``search`` and ``filtering``, over an index of selvedge.

In a program of fast-plaid one import changes::

    from selvedge_search.compat.fast_plaid import filtering, search

    index = search.FastPlaid(index="index")
    index.create(documents_embeddings=embeddings, metadata=[{"year": 2020}, {"year": 2021}])
    recent = filtering.where("index", "year > ?", (2020,))
    index.search(queries_embeddings=queries, top_k=10, subset=recent)

Documents are numbered from 0 in the order in which they were added, and the numbers close up when some are deleted.
"""

from . import filtering, search

__all__ = ["filtering", "search"]
