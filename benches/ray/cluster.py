"""A cluster of two nodes on this machine, whose processes can be killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

RAY = str(Path(sys.executable).with_name("ray"))
PORT = int(os.environ.get("RAY_PORT", "6391"))
HEAD = [RAY, "start", "--head", f"--port={PORT}", "--num-cpus=1", "--include-dashboard=false", "--block"]
NODE = [RAY, "start", f"--address=127.0.0.1:{PORT}", "--num-cpus=1", "--block"]


class Cluster:
    """Two nodes with a core each; a node is a process group."""

    def __init__(self, log: Path) -> None:
        self._log = log
        os.environ["RAY_ADDRESS"] = f"127.0.0.1:{PORT}"
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
        """Kill all processes of the second node."""
        os.killpg(self._node.pid, signal.SIGKILL)
        self._node.wait()

    def start_node(self) -> None:
        """Start the second node again."""
        self._node = self._started(NODE)
        self._wait(2)

    def processes(self, name: str) -> list[int]:
        """Return the numbers of the processes of both nodes whose command line has a name."""
        found = []
        for path in Path("/proc").iterdir():
            try:
                pid = int(path.name)
                is_ours = os.getpgid(pid) in (self._head.pid, self._node.pid)
                if is_ours and name in (path / "cmdline").read_text().replace("\0", " "):
                    found.append(pid)
            except (ValueError, OSError):
                continue
        return sorted(found)

    def end(self) -> None:
        """End both nodes."""
        for node in (self._node, self._head):
            if node.poll() is None:
                os.killpg(node.pid, signal.SIGKILL)
                node.wait()
