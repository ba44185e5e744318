"""``python -m selvedge_search.ray``."""

import sys

from ._cli import main

sys.exit(main())
