"""The program ``selvedge`` that the wheel installs beside the interpreter."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = str(Path(sys.executable).parent / "selvedge")
ANIMALS = {
    "heron.txt": "A heron stands in shallow water and waits for fish.",
    "otter.txt": "Otters hold hands while they sleep on the river.",
    "owl.txt": "An owl hunts mice at night and hears them under snow.",
}


def selvedge(*words: str | bytes, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=120, cwd=cwd)


@pytest.fixture(scope="module")
def animals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("program")
    (folder / "animals").mkdir()
    for name, text in ANIMALS.items():
        (folder / "animals" / name).write_text(text)
    indexed = selvedge("index", "animals", "animals.index", cwd=folder)
    assert indexed.returncode == 0, indexed.stderr
    return folder


def test_import_is_light() -> None:
    code = "import sys, selvedge_search; print(sorted({'numpy', 'torch', 'asyncio', 'tqdm'} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


def test_modules_are_attributes() -> None:
    code = "import selvedge_search as s; print(s.index.Index is s.Index, s.encoder.Encoder is s.Encoder, s.results)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).startswith("True True <module")


def test_help_names_the_program() -> None:
    shown = selvedge("--help")
    assert shown.returncode == 0 and "Usage: selvedge " in shown.stdout, shown
    assert selvedge("--version").stdout.startswith("selvedge ")
    # The package and the module run the same program.
    for name in ("selvedge_search", "selvedge_search._cli"):
        module = subprocess.run([sys.executable, "-m", name, "--help"], capture_output=True, text=True)
        assert module.stdout == shown.stdout


def test_search_finds(animals: Path) -> None:
    found = selvedge("search", "animals.index", "bird that fishes", "-k", "1", cwd=animals)
    assert found.returncode == 0 and "heron.txt" in found.stdout, found


def test_exit_codes(animals: Path) -> None:
    missing = selvedge("search", "no.index", "fish", cwd=animals)
    assert missing.returncode == 1 and "no.index" in missing.stderr, missing
    assert selvedge("frobnicate").returncode == 2
    assert selvedge("search", "animals.index", "fish", "--frobnicate", cwd=animals).returncode == 2


def test_arguments_that_are_not_utf8(animals: Path) -> None:
    name = b"caf\xe9.index"
    indexed = selvedge("index", "animals", name, cwd=animals)
    assert indexed.returncode == 0, indexed.stderr
    assert name in os.listdir(os.fsencode(animals))
    assert selvedge("verify", name, cwd=animals).returncode == 0


def test_reader_that_closes_the_pipe(animals: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as pipe:
        search = subprocess.run(
            [PROGRAM, "search", "animals.index", "fish"], stdout=pipe, stderr=subprocess.PIPE, cwd=animals, timeout=120
        )
    assert (search.returncode, search.stderr) == (0, b"")


def test_closed_streams_are_no_files(animals: Path) -> None:
    # Without an open stream 1, the first file that the program opens would receive what it prints.
    line = f"exec '{PROGRAM}' index animals closed.index <&- >&- 2>&-"
    assert subprocess.run(["sh", "-c", line], cwd=animals, timeout=120).returncode == 0
    verified = selvedge("verify", "closed.index", cwd=animals)
    assert verified.returncode == 0, verified.stderr


def interruptible() -> None:
    """Have a child process interrupted by SIGINT, which is ignored where the tests run in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def long_index(folder: Path) -> subprocess.Popen[bytes]:
    """Start an index that takes long, and wait until it has read its documents."""
    words = "about the weather of one day and another in the city of plenty " * 4
    (folder / "c.tsv").write_text("".join(f"{n}\tdocument number {n} {words}\n" for n in range(1000)))
    (folder / "out").mkdir()
    command = [PROGRAM, "index", "c.tsv", "out/i", "--threads", "1", "--save-embeddings", "out/vectors"]
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL, preexec_fn=interruptible)
    end = time.monotonic() + 120
    while not (folder / "out" / "vectors").exists():
        assert process.poll() is None and time.monotonic() < end, "nothing was created"
        time.sleep(0.005)
    return process


def test_ctrl_c_ends_a_build_and_removes_its_files(tmp_path: Path) -> None:
    process = long_index(tmp_path)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=120) == -signal.SIGINT
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["c.tsv", "out"]


def test_ctrl_c_ends_a_search(animals: Path) -> None:
    # It waits for queries from a pipe that stays open.
    command = [PROGRAM, "search", "animals.index", "--queries", "-", "-vv"]
    pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, cwd=animals, text=True, preexec_fn=interruptible, **pipes)
    assert process.stdin and process.stderr
    said = ""
    while "index opened" not in said:
        line = process.stderr.readline()
        assert line, said
        said += line
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == -signal.SIGINT
    process.stdin.close()
    process.stderr.close()
