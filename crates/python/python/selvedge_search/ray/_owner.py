"""Actor that owns a server: starts it, watches it, starts it again."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

#: Seconds before an ended server starts again, at first and at most.
SHORT, LONG = 0.25, 30.0
#: Seconds after which a server that ended had started well.
WELL = 10.0
_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)


class Owner:
    """Owner of the server of a shard."""

    def __init__(self, index: str, threads: int, device: str) -> None:
        import ray

        self._command = [sys.executable, "-m", "selvedge_search", "serve", index]
        self._command += ["--listen", f"{ray.util.get_node_ip_address()}:0"]
        self._command += ["--threads", str(threads), "--device", device]
        self._lock = threading.Lock()
        self._server = 0
        self._address: str | None = None
        self._failure: str | None = None
        # One thread starts every server: Linux ends them with the thread that started them.
        threading.Thread(target=self._watch, daemon=True).start()

    def state(self) -> tuple[str | None, str | None]:
        """Base URL of the server, None while it starts; and why the last one ended, None while one runs."""
        with self._lock:
            return self._address, self._failure

    def pids(self) -> tuple[int, int]:
        """Numbers of this process and of the server's, 0 while there is none."""
        with self._lock:
            return os.getpid(), self._server

    def _watch(self) -> None:
        libc = ctypes.CDLL(None)
        pause = SHORT
        while True:
            started = time.monotonic()
            last = self._run(lambda: libc.prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL))
            with self._lock:
                self._server, self._address, self._failure = 0, None, f"its server ended: {last}"
            # One that ends as soon as it starts is not started too often.
            pause = SHORT if time.monotonic() - started > WELL else min(2 * pause, LONG)
            time.sleep(pause)

    def _run(self, in_child: Callable[[], object]) -> str:
        """Run a server until it ends; return its last line, or its exit code."""
        server = subprocess.Popen(self._command, stderr=subprocess.PIPE, text=True, preexec_fn=in_child)
        with self._lock:
            self._server = server.pid
        last = ""
        for line in server.stderr or ():
            sys.stderr.write(line)
            last = line.strip() or last
            if "listening on " in line:
                with self._lock:
                    self._address, self._failure = line.split("listening on ", 1)[1].split()[0], None
        code = server.wait()
        return f"by signal {-code}" if code < 0 else last or f"with exit code {code}"
