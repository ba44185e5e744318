"""Progress of long work: a bar of tqdm, lines, or a function of the caller."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .errors import WrongType

#: ``None``: a bar where a person looks; ``True``, ``False``; or a function of (stage, done, total, unit).
Progress = bool | Callable[[str, int, int | None, str], Any] | None

#: Seconds after which a bar appears by itself.
DELAY = 1.0


@contextmanager
def shown(progress: Progress) -> Iterator[Callable[..., Any] | None]:
    """Yield the function that the engine calls, or None."""
    if not (progress is None or isinstance(progress, bool) or callable(progress)):
        found = type(progress).__name__
        raise WrongType(f"progress is a {found}; give True, False, None or a function of (stage, done, total, unit)")
    if callable(progress):
        yield progress
    elif progress is False or sys.stderr is None or (progress is None and not sys.stderr.isatty()):
        yield None
    else:
        bars = _Bars(0.0 if progress else DELAY)
        try:
            yield bars.report
        finally:
            bars.close()


class _Bars:
    """A bar for each stage, or a line for each where tqdm is not installed."""

    def __init__(self, delay: float) -> None:
        self.begins = time.monotonic() + delay
        self.stage: str | None = None
        self.bar: Any = None

    def report(self, stage: str, done: int, total: int | None, unit: str) -> None:
        if time.monotonic() < self.begins:
            return
        if stage != self.stage:
            self.close()
            self.stage = stage
            self.bar = _bar(stage, total, unit)
        if self.bar is None:
            of_total = "" if total is None else f" of {total}"
            print(f"\r{stage}: {done}{of_total} {unit}", end="", file=sys.stderr, flush=True)
            return
        self.bar.total = total
        self.bar.update(done - self.bar.n)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
        elif self.stage is not None:
            print(file=sys.stderr)
        self.stage = self.bar = None


def _bar(stage: str, total: int | None, unit: str) -> Any:
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return None
    return tqdm(desc=stage, total=total, unit=f" {unit}")
