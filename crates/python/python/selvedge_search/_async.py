"""Searches of asyncio, in batches.

Requests that arrive while a batch is searched wait, and become the next batch: batches grow with the load, and a lone
request does not wait. A batch runs on a thread of its own, which has released the interpreter.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from .results import Results

#: Most queries of a batch, as of the server's queue.
MAX_BATCH = 32


@dataclass(eq=False)
class _Request:
    query: Any
    options: dict[str, Any]
    answer: asyncio.Future[Results]

    def goes_with(self, other: _Request) -> bool:
        """Whether both are answered by one call."""
        if isinstance(self.query, str) != isinstance(other.query, str):
            return False
        try:
            return bool(self.options == other.options)
        except Exception:  # Options that cannot be compared, such as arrays.
            return self is other


class _OnStream:
    """Array of a GPU, with the stream of the thread that gave it."""

    ndim = 2

    def __init__(self, array: Any, stream: int) -> None:
        self._array = array
        self.__cuda_array_interface__ = {**array.__cuda_array_interface__, "stream": stream}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._array, name)


def fixed(query: Any) -> Any:
    """Return a query that means the same in another thread: torch's current stream is one of the thread."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(query, torch.Tensor) or not query.is_cuda:
        return query
    try:
        return _OnStream(query.detach(), torch.cuda.current_stream(query.device).cuda_stream or 1)
    except (TypeError, AttributeError):  # A type that the interface lacks goes by the host.
        return query


class Batches:
    """Queue of one event loop in front of a function that answers a list of queries."""

    def __init__(self, search: Callable[[list[Any], dict[str, Any]], list[Results]]) -> None:
        self._search = search
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="selvedge-search")
        self._waiting: list[_Request] = []
        self._is_busy = False

    async def search(self, query: Any, options: dict[str, Any]) -> Results:
        """Answer a query together with others that have the same options."""
        loop = asyncio.get_running_loop()
        request = _Request(query, options, loop.create_future())
        self._waiting.append(request)
        if not self._is_busy:
            self._is_busy = True
            # The other requests of this turn of the loop join the batch.
            loop.call_soon(self._next)
        return await request.answer

    def _next(self) -> None:
        waiting = [request for request in self._waiting if not request.answer.done()]
        if not waiting:
            self._waiting, self._is_busy = [], False
            return
        batch = [request for request in waiting if request.goes_with(waiting[0])][:MAX_BATCH]
        self._waiting = [request for request in waiting if request not in batch]
        try:
            answering = asyncio.get_running_loop().run_in_executor(self._pool, self._answers, batch)
        except RuntimeError:  # The index was closed, and says so.
            self._deliver(batch, self._answers(batch))
        else:
            answering.add_done_callback(lambda done: self._deliver(batch, done.result()))

    def _answers(self, batch: list[_Request]) -> list[Results | BaseException]:
        try:
            return list(self._search([request.query for request in batch], batch[0].options))
        except BaseException as error:
            if len(batch) == 1:
                return [error]
        # One bad query is to fail alone.
        return [answer for request in batch for answer in self._answers([request])]

    def _deliver(self, batch: list[_Request], answers: list[Results | BaseException]) -> None:
        for request, answer in zip(batch, answers):
            if request.answer.done():
                continue
            if isinstance(answer, BaseException):
                request.answer.set_exception(answer)
            else:
                request.answer.set_result(answer)
        self._next()

    def close(self) -> None:
        """End the thread after the batch that it searches."""
        self._pool.shutdown(wait=False)
