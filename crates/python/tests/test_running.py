"""Threads, asyncio, interruptions, progress, the log, processes."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
from conftest import TEXTS, unit_rows

from selvedge_search import Encoder, Index, errors, set_threads


def run(program: str, *arguments: str, **options) -> subprocess.CompletedProcess:
    """Run a program in another interpreter."""
    command = [sys.executable, "-c", textwrap.dedent(program), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


def test_threads_get_the_same_answers(rows_path):
    with Index.open(rows_path) as index:
        queries = unit_rows(500).reshape(100, 5, 64)
        expected = [index.search(query, k=3).ids for query in queries]
        answers: dict[int, list[list[str]]] = {}

        def ask(thread: int) -> None:
            answers[thread] = [index.search(query, k=3).ids for query in queries]

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(answers[number] == expected for number in range(8))


def test_the_interpreter_is_free_during_work(rows_path):
    """Another thread counts while a search computes, which it could not without the interpreter."""
    counts: list[float] = []
    is_over = threading.Event()

    def count() -> None:
        while not is_over.wait(0.001):
            counts.append(time.perf_counter())

    with Index.open(rows_path) as index:
        queries = np.tile(unit_rows(32), (250, 1, 1))
        thread = threading.Thread(target=count)
        thread.start()
        started = time.perf_counter()
        while time.perf_counter() - started < 0.3:
            began = time.perf_counter()
            index.search(queries, exact=True, text=False, metadata=False)
            ended = time.perf_counter()
        is_over.set()
        thread.join()
    # The last search, in which the other thread had its turns.
    assert sum(began + 0.001 < at < ended - 0.001 for at in counts) >= min(3, (ended - began) / 0.02)


def test_asyncio_answers_in_batches_and_one_bad_query_fails_alone(rows_path, texts, tmp_path):
    async def ask(index: Index) -> None:
        queries = list(unit_rows(500).reshape(100, 5, 64))
        calls: list[int] = []
        answers = index._answers

        def counted(queries, options):
            calls.append(len(queries))
            return answers(queries, options)

        index._answers = counted
        wrong = np.zeros((5, 32), np.float32)
        asked = [index.asearch(query, k=1) for query in queries] + [index.asearch(wrong, k=1)]
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert [results.ids for results in found[:-1]] == [[f"p{number}"] for number in range(100)]
        assert isinstance(found[-1], errors.DimensionMismatch)
        assert max(calls) == 32 and len(calls) < 60
        cancelled = asyncio.ensure_future(index.asearch(queries[0]))
        cancelled.cancel()
        assert (await index.asearch(queries[7], k=1)).ids == ["p7"]
        with pytest.raises(errors.WrongType):
            await index.asearch([queries[0]])

    async def ask_when_closed(index: Index) -> None:
        asked = [index.asearch(unit_rows(5), facets=np.array(["n", "m"])) for _ in range(3)]
        assert len(await asyncio.gather(*asked)) == 3
        index.close()
        with pytest.raises(errors.IndexClosed):
            await index.asearch(unit_rows(5))

    async def ask_with_values(path) -> None:
        with Index.create(path, [("one", "text", {"flag": 1}), ("yes", "text", {"flag": True})]) as index:
            values = [1]
            asked = [index.asearch("text", where=("flag = ?", of)) for of in (values, [True])]
            found = asyncio.gather(*asked)
            await asyncio.sleep(0)
            values[0] = 7  # It was read when it was passed.
            assert [results.ids for results in await found] == [["one"], ["yes"]]

    async def ask_texts() -> list[list[str]]:
        return [(await texts.asearch(text, k=1)).ids for text in ("honey", "log files")]

    asyncio.run(ask_with_values(tmp_path / "flags"))
    with Index.open(rows_path) as index:
        asyncio.run(ask(index))
        asyncio.run(ask_when_closed(index))
    assert asyncio.run(ask_texts()) == [["bees"], ["logs"]]


def test_progress_is_reported_and_may_fail(tmp_path, capsys):
    stages: dict[str, list[int]] = {}

    def report(stage: str, done: int, total: int | None, unit: str) -> None:
        stages.setdefault(stage, []).append(done)

    def slow():
        for number in range(40):
            time.sleep(0.01)
            yield f"text {number}"

    Index.create(tmp_path / "reported", slow(), progress=report).close()
    assert stages["read"] == sorted(stages["read"]) and max(stages["read"]) <= 40

    def failing(*_):
        raise ZeroDivisionError("of the caller")

    with pytest.raises(ZeroDivisionError):
        Index.create(tmp_path / "failing", slow(), progress=failing)
    assert not (tmp_path / "failing").exists()
    with pytest.raises(errors.WrongType, match="progress"):
        Index.create(tmp_path / "failing", ["a"], progress=5)
    Index.create(tmp_path / "shown", slow(), progress=True).close()
    assert "read" in capsys.readouterr().err


def test_an_exception_of_the_iterable_is_the_callers(tmp_path):
    def documents():
        yield from TEXTS
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        Index.create(tmp_path / "index", documents())
    assert not (tmp_path / "index").exists()
    with Index.create(tmp_path / "index", TEXTS) as index:
        with pytest.raises(errors.IdExists) as caught:
            index.add(documents())
        assert caught.value.id == "cats"
        with pytest.raises(LookupError):
            index.update(documents())
        assert len(index) == 4 and index.generation == 1


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("work", ["Index.create(path, texts())", "Encoder().encode_passages(list(texts()))"])
def test_an_interruption_stops_long_work_and_leaves_nothing(tmp_path, work):
    program = f"""
        import sys
        from selvedge_search import Encoder, Index

        def texts():
            for number in range(20_000):
                yield f"a passage of some length, the {{number}}th of very many that are to be encoded " * 8

        path = sys.argv[1]
        print("begins", flush=True)
        try:
            {work}
        except KeyboardInterrupt:
            print("interrupted")
    """
    path = str(tmp_path / "index")
    command = [sys.executable, "-c", textwrap.dedent(program), path]

    def interruptible() -> None:
        # SIGINT is ignored where the tests run in the background.
        signal.signal(signal.SIGINT, signal.default_int_handler)

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=interruptible) as process:
        assert process.stdout.readline() == "begins\n"
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert output == "interrupted\n" and process.returncode == 0
    assert not os.path.exists(path)


def test_warnings_go_to_the_log(rows_path, caplog):
    with Index.open(rows_path, model="shipped") as index, pytest.raises(errors.DimensionMismatch):
        index.search("a text of a model of another dimension")
    with Index.open(rows_path) as index:
        assert index.search(unit_rows(5), where="misspelt = 3").ids == []
        assert 'no passage has the key "misspelt"' in caplog.records[-1].message
    with caplog.at_level(logging.DEBUG, logger="selvedge_search"):
        Encoder()
    assert any("loaded an encoder" in record.message for record in caplog.records)
    assert {record.name for record in caplog.records} == {"selvedge_search"}


def test_a_closed_index_says_so(texts_path):
    index = Index.open(texts_path)
    snapshot = index.snapshot()
    index.close()
    index.close()
    calls = [
        lambda: index.search("a"),
        lambda: len(index),
        lambda: index.add(["a"]),
        lambda: index.delete("a"),
        lambda: index.refresh(),
        lambda: index.info(),
        lambda: index.encoder,
        lambda: index.snapshot(),
        lambda: asyncio.run(index.asearch("a")),
    ]
    for call in calls:
        with pytest.raises(errors.IndexClosed, match="was closed"):
            call()
    assert "closed" in repr(index) and index.closed
    assert snapshot.search("honey", k=1).ids == ["bees"]
    snapshot.close()
    with pytest.raises(errors.IndexClosed):
        snapshot.search("honey")


def test_two_writers_exclude_each_other(tmp_path):
    path = tmp_path / "index"
    Index.create(path, TEXTS).close()
    first, second = Index.open(path), Index.open(path)

    def slow():
        yield "one"
        with pytest.raises(errors.IndexLocked) as caught:
            second.delete("cats")
        assert caught.value.pid == os.getpid() and caught.value.path == str(path)
        with pytest.raises(errors.IndexLocked):
            second.tune(["cats"], k=1)
        yield "two"

    assert first.add(slow())["added"] == 2
    assert second.delete("cats")["deleted"] == 1


def test_a_process_that_was_forked_searches_and_builds(tmp_path):
    if not hasattr(os, "fork"):
        pytest.skip("no fork")
    program = """
        import os, sys
        from selvedge_search import Index, set_threads
        texts = [f"text number {number}" for number in range(50)]
        index = Index.create(sys.argv[1] + "/index", texts)
        index.search(texts)
        if sys.argv[2] == "set":
            set_threads(2)
            index.search(texts)
        if os.fork() == 0:
            assert len(index.search(texts)) == 50
            Index.create(sys.argv[1] + "/child", texts).close()
            os._exit(7)
        sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
    """
    for way in ("default", "set"):
        (tmp_path / way).mkdir()
        assert run(program, str(tmp_path / way), way).returncode == 7


def test_an_iterable_may_search_whatever_the_number_of_threads(tmp_path, texts_path):
    program = """
        import sys, threading
        from selvedge_search import Index, set_threads
        set_threads(int(sys.argv[2]))
        texts = Index.open(sys.argv[1])

        def documents():
            for number in range(300):
                yield f"{number} {texts.search('honey').ids[0]}"
            thread = threading.Thread(target=lambda: set_threads(1))
            thread.start()
            thread.join()

        print(len(Index.create(sys.argv[3], documents(), progress=lambda *_: texts.search("ants"))))
    """
    for number in (1, 2):
        assert run(program, texts_path, str(number), str(tmp_path / str(number))).stdout == "300\n"


def test_a_fork_during_calls_ends_at_once(rows_path):
    if not hasattr(os, "fork"):
        pytest.skip("no fork")
    program = """
        import os, sys, threading, time
        from selvedge_search import Index

        def texts():
            time.sleep(60)
            yield "a text"

        threading.Thread(target=Index.create, args=(sys.argv[1], texts()), daemon=True).start()
        time.sleep(0.5)
        child = os.fork()
        if child == 0:
            started = time.monotonic()
            import atexit
            atexit._run_exitfuncs()
            os._exit(7 if time.monotonic() - started < 5 else 8)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os._exit(code)
    """
    assert run(program, f"{rows_path}.child").returncode == 7


def test_a_process_that_was_forked_during_a_call_says_so_instead_of_waiting(texts_path):
    if not hasattr(os, "fork"):
        pytest.skip("no fork")
    program = """
        import os, sys, threading
        from selvedge_search import Encoder, Index, SelvedgeError, errors
        index, children = Index.open(sys.argv[1]), []

        def texts():
            yield "a text"
            child = os.fork()
            if child:
                children.append(child)
                yield "another"
                return
            found = []
            for call in (lambda: index.search("honey"), lambda: Encoder(), lambda: Index.open(sys.argv[1])):
                try:
                    call()
                except SelvedgeError as error:
                    found.append('"spawn"' in str(error))
            os._exit(7 if found == [True] * 3 else 8)

        thread = threading.Thread(target=Index.create, args=(sys.argv[1] + ".new", texts()))
        thread.start()
        thread.join()
        assert index.search("honey").ids[0] == "bees"  # The parent goes on.
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]))
    """
    done = run(program, texts_path)
    assert done.returncode == 7, done.stderr


def test_threads_that_outlive_the_program_do_not_abort_it(tmp_path):
    program = """
        import sys, threading, time
        from selvedge_search import Index
        from itertools import count

        def texts():
            for number in count():
                time.sleep(0.001)
                yield f"text {number}"

        def build(number):
            while True:
                Index.create(f"{sys.argv[1]}/{number}", texts())

        for number in range(3):
            threading.Thread(target=build, args=(number,), daemon=True).start()
        time.sleep(0.5)
    """
    done = run(program, str(tmp_path))
    assert done.returncode == 0 and os.listdir(tmp_path) == [], done.stderr


def test_numbers_of_threads():
    set_threads(1)
    set_threads(0)
    for number in (-1, 10**6):
        with pytest.raises(errors.InvalidInput, match=str(number)):
            set_threads(number)


def test_the_program_starts_without_the_package(texts_path):
    program = """
        import sys
        before = {*sys.modules}
        from selvedge_search import _cli
        slow = {"numpy", "asyncio", "typing", "enum", "dataclasses", "functools", "logging", "selvedge_search.errors"}
        print(sorted(slow & {*sys.modules} - before))
        sys.argv = ["selvedge", "info", sys.argv[1]]
        _cli.main()
    """
    lines = run(program, texts_path).stdout.splitlines()
    assert lines[0] == "[]" and len(lines) > 1


def test_the_module_is_light():
    program = """
        import sys
        import selvedge_search
        print([name for name in ("numpy", "torch", "tqdm", "asyncio", "pandas") if name in sys.modules])
    """
    done = run(program)
    assert done.stdout == "[]\n", done
