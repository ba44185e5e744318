"""The program ``selvedge``, as the wheel installs it."""

# The functions of the module signal, without its enums, which take a quarter of the time of the start.
import _signal as signal  # type: ignore[import-not-found]
import os
import sys

from . import _selvedge


def _open_standard_streams() -> None:
    """Open /dev/null in place of closed standard streams: otherwise the next file would get a stream's number."""
    for stream in range(3):
        try:
            os.fstat(stream)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def main() -> None:
    """Run the program with the arguments of this process, and exit with its code."""
    _open_standard_streams()
    # Python's handler would wait for the interpreter; the program has handlers of its own. A signal that the parent
    # process ignores stays ignored.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(_selvedge.run_cli(["selvedge", *sys.argv[1:]]))


if __name__ == "__main__":
    main()
