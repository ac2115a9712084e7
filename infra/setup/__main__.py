"""Install everything that development, tests and the demo need: `make setup`.

Each step is skipped when nothing changed since it last ran. The machine's own Python (3.11 or newer) runs this before
any virtual environment exists, so it uses only the standard library.
"""

from __future__ import annotations

import os
import shutil
import sys

OLDEST_PYTHON = (3, 11)


def _with_a_newer_python() -> None:
    """Restart under the newest python3.x on PATH when this Python is too old.

    Exit with advice when there is none.
    """
    if sys.version_info >= OLDEST_PYTHON:
        return
    for minor in range(20, OLDEST_PYTHON[1] - 1, -1):
        found = shutil.which("python3.%d" % minor)  # noqa: UP031 (must be read by old Pythons)
        if found:
            os.execv(found, [found] + sys.argv)  # noqa: RUF005
    sentence = (
        "setup: Python 3.11 or newer is needed, and {} is {}. Install it, or run `make PYTHON=/path/to/python3.11`."
    )
    sys.exit(sentence.format(sys.executable, sys.version.split()[0]))


if __name__ == "__main__":
    _with_a_newer_python()
    from steps import run

    sys.exit(run(sys.argv[1:]))
