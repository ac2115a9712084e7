"""Share logs that are long enough to preencode, and the state of the pool's process, among its tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

from logferry_agent.core.batching.preencode import PreencodedSlice
from logferry_agent.core.parsing.timestamps import format_stamp
from logferry_agent.edge.preencode_pool import PreencodePool


def plain_records(count: int, start: int, name: str = "line", first: int = 0) -> bytes:
    """Return records of numbered lines, a microsecond apart; some 500 fill a body, and every seventh is of stderr."""
    return b"".join(
        b'{"log":"%b %d is like the others, but for %b\\n","stream":"%b","time":"%b"}\n'
        % (
            name.encode(),
            number,
            blake2b(b"%d" % number, digest_size=32).hexdigest().encode(),
            b"stderr" if number % 7 == 0 else b"stdout",
            format_stamp(start + number * 1_000).encode(),
        )
        for number in range(first, first + count)
    )


@contextmanager
def file_of(data: bytes) -> Iterator[int]:
    """Open a file without a name that has this content."""
    fd = os.memfd_create("log")
    try:
        with os.fdopen(os.dup(fd), "wb") as file:
            file.write(data)
        yield fd
    finally:
        os.close(fd)


def take_all(pool: PreencodePool, owner: object) -> list[PreencodedSlice]:
    """Return everything that the pool encodes for this owner, to the end."""
    found: list[PreencodedSlice] = []
    while pool.owner is owner:
        found += pool.take()
    return found


def worker_of(pool: PreencodePool) -> int:
    """Return the id of the pool's process."""
    assert pool._process is not None
    return pool._process.pid


def has_worker(pool: PreencodePool) -> bool:
    """Report whether the pool has a process, as far as it knows."""
    return pool._process is not None


def assert_ended(pid: int) -> None:
    """Check that the process is gone, and is no zombie."""
    assert not Path(f"/proc/{pid}").exists()
