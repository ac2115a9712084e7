"""Check for which Python and processor a built package's compiled files are."""

from __future__ import annotations

from pathlib import Path
from typing import Final

MACHINES: Final = {"x86_64": 0x3E, "arm64": 0xB7}
"""ELF's `e_machine` of each processor (https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html)."""
UNCHECKED_HASH: Final = 0b01
"""The flags of bytecode that Python uses without looking at its source: https://peps.python.org/pep-0552/"""


def assert_libraries_are_for(folder: Path, version: str, architecture: str) -> None:
    """Check every shared library in the folder: its processor, and its Python unless it is for all of them.

    Args:
        folder: a built package.
        version: the Python version, as 3.13.
        architecture: the processor, as Lambda names it.
    """
    libraries = sorted(folder.rglob("*.so"))
    assert libraries, folder
    for library in libraries:
        header = library.read_bytes()[:20]
        assert header[:4] == b"\x7fELF", library
        assert int.from_bytes(header[18:20], "little") == MACHINES[architecture], library
        tag = f".cpython-{version.replace('.', '')}-"
        assert tag in library.name or library.name.endswith(".abi3.so"), library


def assert_bytecode_needs_no_check(folder: Path) -> None:
    """Check that each module has its bytecode, which Python loads without comparing times or contents."""
    modules = sorted(folder.rglob("*.py"))
    assert modules, folder
    for module in modules:
        (compiled,) = (module.parent / "__pycache__").glob(f"{module.stem}.cpython-*.pyc")
        assert compiled.read_bytes()[4:8] == UNCHECKED_HASH.to_bytes(4, "little"), compiled
