"""A cluster of two nodes on this machine, whose processes can be killed."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

RAY = str(Path(sys.executable).with_name("ray"))
PORT = int(os.environ.get("RAY_PORT", "6391"))
COMMON = ["--num-cpus=1", "--block", "--disable-usage-stats"]
HEAD = [RAY, "start", "--head", f"--port={PORT}", "--include-dashboard=false", *COMMON]
NODE = [RAY, "start", f"--address=127.0.0.1:{PORT}", *COMMON]


class Cluster:
    """Two nodes with a core each; a node is a session of processes."""

    def __init__(self, log: Path) -> None:
        self._log = log
        # Clusters ask for the token that Ray made for this user, since Ray 2.60.
        os.environ.update(RAY_ADDRESS=f"127.0.0.1:{PORT}", RAY_AUTH_MODE="token")
        self._head = self._started(HEAD)
        self._wait(1)
        self._node = self._started(NODE)
        self._wait(2)

    def _started(self, command: list[str]) -> subprocess.Popen:
        with self._log.open("a") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def _wait(self, nodes: int) -> None:
        """Wait until there are this many nodes."""
        code = "import ray; ray.init(log_to_driver=False); print(sum(node['Alive'] for node in ray.nodes()))"
        for _ in range(60):
            found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
            if found.stdout.strip() == str(nodes):
                return
            time.sleep(1)
        raise SystemExit(f"no {nodes} nodes: {found.stderr}")

    def kill_node(self) -> None:
        """Kill all processes of the second node, at once."""
        for pid in self._of([self._node]):
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self._node.wait()

    def start_node(self) -> None:
        """Start the second node again."""
        self._node = self._started(NODE)
        self._wait(2)

    def processes(self, name: str) -> list[int]:
        """Return the numbers of the processes of both nodes whose command line has a name."""
        found = []
        for pid in self._of([self._head, self._node]):
            with suppress(OSError):
                if name in Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "):
                    found.append(pid)
        return found

    def _of(self, nodes: list[subprocess.Popen]) -> list[int]:
        """Processes of the sessions of nodes."""
        found, sessions = [], [node.pid for node in nodes]
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if os.getsid(int(path.name)) in sessions:
                    found.append(int(path.name))
        return sorted(found)

    def end(self) -> None:
        """End both nodes."""
        for pid in self._of([self._node, self._head]):
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
