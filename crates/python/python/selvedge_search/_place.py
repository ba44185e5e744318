"""Folders in which indexes are made."""

from __future__ import annotations

import os
import stat
from typing import Any

from . import _selvedge
from .errors import IndexExists


class Place:
    """Folder in which an index is made: its own, or, to replace one, a new one beside it.

    The index that is replaced stays until the other one is complete; then two renames exchange them. After an error
    there is what was there before.
    """

    def __init__(self, path: str, overwrite: bool) -> None:
        self._path = path
        self._made = path
        if not (overwrite and os.path.lexists(path)):
            return
        self._path = os.path.realpath(path)
        if not os.path.isdir(self._path) or not (_selvedge.is_index(self._path) or not os.listdir(self._path)):
            raise IndexExists(f"{path}: not an index, so it is not overwritten", path=path)
        # One that is being changed is not replaced.
        _selvedge.check_lock(self._path)
        import tempfile

        self._made = tempfile.mkdtemp(prefix=f"{os.path.basename(self._path)}.new-", dir=os.path.dirname(self._path))
        os.chmod(self._made, stat.S_IMODE(os.stat(self._path).st_mode))

    def __enter__(self) -> str:
        return self._made

    def __exit__(self, failed: object, *_: Any) -> None:
        if self._made == self._path:
            return
        import shutil

        if failed is not None:
            shutil.rmtree(self._made, ignore_errors=True)
            return
        old = f"{self._made}.old"
        try:
            _selvedge.check_lock(self._path)
            os.rename(self._path, old)
            os.rename(self._made, self._path)
        except BaseException:
            if os.path.exists(old) and not os.path.exists(self._path):
                os.rename(old, self._path)
            shutil.rmtree(self._made, ignore_errors=True)
            raise
        shutil.rmtree(old, ignore_errors=True)
