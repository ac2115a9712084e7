"""Standard output and error for every command: an output that cannot be written ends the command in a defined way.

Click and the interpreter handle a full disk or a reader that went away differently: a stack trace, status 1 for a
broken pipe, a complaint at exit. So the files here raise an exception that none of them knows.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TextIO

BROKEN_PIPE: Final = 141
"""The exit status that shells use for a program that SIGPIPE ended."""


class OutputError(Exception):
    """Standard output or error takes no more. It is no OSError: libraries handle those in their own ways."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error)
        self.broken_pipe = error.errno == errno.EPIPE
        self.reason = error.strerror or str(error)


class _Checked(io.RawIOBase):
    """A file descriptor for writing, whose errors are OutputErrors."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        try:
            return os.write(self._descriptor, data)  # type: ignore[arg-type]
        except OSError as error:
            raise OutputError(error) from None


@contextmanager
def checked_output() -> Iterator[None]:
    """Replace both files within a block, and write them out at its end.

    Raises:
        OutputError: One of them takes no more. Both then discard what is written, so that nothing tries again.
    """
    before = (sys.stdout, sys.stderr)
    sys.stdout, sys.stderr = _checked(before[0], 1), _checked(before[1], 2)
    try:
        try:
            yield
        finally:
            for file in (sys.stdout, sys.stderr):
                file.flush()
    except OutputError as error:
        for file in (sys.stdout, sys.stderr):
            try:
                file.flush()
            except OutputError:
                _discard(file)
        raise error from None
    finally:
        sys.stdout, sys.stderr = before


def _checked(file: TextIO | None, number: int) -> TextIO:
    if file is None:
        # Closed by the caller (`>&-`). The number must not go to a socket that is opened later.
        descriptor = os.open(os.devnull, os.O_WRONLY)
        if descriptor != number:
            os.dup2(descriptor, number)
    else:
        try:
            file.flush()
            number = file.fileno()
        except (OSError, ValueError):
            return file  # a test's file, without a descriptor
    # Characters that the terminal's encoding lacks are escaped instead of failing.
    return io.TextIOWrapper(
        io.BufferedWriter(_Checked(number)),
        encoding=getattr(file, "encoding", None) or "utf-8",
        errors="backslashreplace",
        line_buffering=os.isatty(number) or number == 2,
        write_through=False,
    )


def _discard(file: TextIO) -> None:
    """Discard what is in the file's buffers, and what is written later."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, file.fileno())
    os.close(nothing)
    file.flush()
