"""Write every generated file, or check that none is stale.

python -m infra.generate             writes the files that are stale (`make generate`)
python -m infra.generate --check     names the stale files and writes nothing (part of `make check`)
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .files import FILES, HOME, GeneratedFile, GenerateError


def stale_files(home: Path, files: Sequence[GeneratedFile], *, write: bool) -> list[GeneratedFile]:
    """Return the files and sections whose content differs from what their sources give.

    Args:
        home: the folder of the checkout.
        files: the registry.
        write: whether to write what is stale.

    Raises:
        GenerateError: a file cannot be generated.
    """
    stale: list[GeneratedFile] = []
    for file in files:
        path = home / file.path
        current = path.read_text("utf-8") if path.exists() else ""
        content = file.content(current)
        if content != current:
            stale.append(file)
            if write:
                path.write_text(content, "utf-8")
    return stale


def main(arguments: Sequence[str], *, home: Path = HOME, files: Sequence[GeneratedFile] = FILES) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m infra.generate", description="Write every generated file.")
    parser.add_argument("--check", action="store_true", help="name the stale files and write nothing")
    check = parser.parse_args(arguments).check
    try:
        stale = stale_files(home, files, write=not check)
    except GenerateError as error:
        print(error, file=sys.stderr)
        return 1
    for file in stale:
        if check:
            print(f"{file.path} is stale: it is generated from {file.source}. Run `make generate`.", file=sys.stderr)
        else:
            print(f"wrote {file.path}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
