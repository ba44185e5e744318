"""The program ``selvedge``, as the wheel installs it."""

import signal
import sys

from . import _selvedge


def main() -> None:
    """Run the program with the arguments of this process, and exit with its code."""
    # Python's handler would wait for the interpreter; the program has handlers of its own.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(_selvedge.run_cli(["selvedge", *sys.argv[1:]]))


if __name__ == "__main__":
    main()
