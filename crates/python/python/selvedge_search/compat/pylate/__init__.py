"""The indexes of PyLate, over an index of selvedge.

PyLate's ``retrieve.ColBERT`` and ``rank.rerank`` work with them, since they ask an index for its methods alone. In a
program of PyLate one import changes::

    from pylate import models, rank, retrieve
    from selvedge_search.compat.pylate import indexes

    index = indexes.PLAID(index_folder="indexes", index_name="colbert", override=True)
    index.add_documents(documents_ids=ids, documents_embeddings=model.encode(texts, is_query=False))
    results = retrieve.ColBERT(index=index).retrieve(model.encode(queries, is_query=True), k=10)
"""

from . import indexes
from .indexes import PLAID

__all__ = ["PLAID", "indexes"]
