"""The program ``selvedge``, as ``python -m selvedge_search``."""

from ._cli import main

if __name__ == "__main__":
    main()
