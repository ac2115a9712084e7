"""`make setup`, before there is any virtual environment.

Everything that developing, testing and the demonstration need, in a few steps that are skipped when nothing changed.

Run by the machine's own Python (3.11 or newer), before there is any virtual environment, so only the standard library
is used.
"""

from __future__ import annotations

import os
import shutil
import sys

OLDEST_PYTHON = (3, 11)


def _with_a_newer_python() -> None:
    """Starts again under the newest python3.x on PATH when PATH's python3 is too old.

    Says what to install when there is none.
    """
    if sys.version_info >= OLDEST_PYTHON:
        return
    for minor in range(20, OLDEST_PYTHON[1] - 1, -1):
        found = shutil.which("python3.%d" % minor)  # noqa: UP031 (must be read by old Pythons)
        if found:
            os.execv(found, [found] + sys.argv)  # noqa: RUF005
    sentence = (
        "setup: Python 3.11 or newer is needed, and {} is {}. Install it, or say `make PYTHON=/path/to/python3.11`."
    )
    sys.exit(sentence.format(sys.executable, sys.version.split()[0]))


if __name__ == "__main__":
    _with_a_newer_python()
    from steps import run

    sys.exit(run(sys.argv[1:]))
