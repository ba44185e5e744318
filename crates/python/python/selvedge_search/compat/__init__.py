"""Classes with the signatures of other libraries, over an index of selvedge.

Each module is named after the library whose classes it offers and imports nothing of that library, so that a program
needs one changed import: ``from selvedge_search.compat import pylate as indexes``.
"""
