"""Test logs changed by something other than the engine: reading continues, and one gap reports the damage."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.integration.sources.conftest import Watcher
from tests.support.engines import Engine
from tests.support.memory_sink import Log

from logferry_protocol.events import Gap

pytestmark = pytest.mark.engine

# `seq` alone would be the shell's last command and replace it; the trap must be set before the first half is read.
HALVES = "trap 'go=1' USR1; seq 1 20; while [ -z \"$go\" ]; do sleep 0.02; done; seq 21 40; echo end"


def with_damage_in_the_middle(
    engine: Engine, watch: Watcher, prefix: str, source: str, harm: Callable[[Path], None]
) -> Log:
    """Run a container that writes 20 lines, has its log file damaged, and writes 20 more."""
    watched = watch(source)
    container = engine.run(HALVES, name=prefix + "a")
    log = watched.log(container.id)
    watched.sink.until(lambda: "20" in log.lines(), "the first half is read")
    container.reload()
    harm(Path(container.attrs["LogPath"]))
    container.kill(signal="USR1")
    watched.ended(container.id)
    return log


def numbered(first: int, last: int) -> list[str]:
    return [str(number) for number in range(first, last + 1)]


def test_reading_continues_behind_corrupt_records(engine: Engine, watch: Watcher, prefix: str, source: str) -> None:
    """Docker case 16: NULs, as after a crash or a full disk; one gap, then the remaining lines."""

    def spoil(path: Path) -> None:
        with path.open("ab") as file:
            file.write(b"\0" * 700)

    log = with_damage_in_the_middle(engine, watch, prefix, source, spoil)
    whole = [*numbered(1, 40), "end"]
    if source == "file":
        assert log.lines() == whole
        assert log.names() == ["started", "gap", "exited"]
    else:
        # The engine may drop the record that the damage touches, with or without an error in the stream.
        assert log.lines() in (whole, [line for line in whole if line != "21"])
        assert log.names() == (["started", "exited"] if log.lines() == whole else ["started", "gap", "exited"])


def test_log_truncated_by_another_program_is_read_on(engine: Engine, watch: Watcher, prefix: str, source: str) -> None:
    """Docker case 17: copytruncate repeats nothing and reads what follows.

    All earlier lines had been read, which only the API can know: unread bytes of a truncated file are lost with it.
    """

    def cut(path: Path) -> None:
        shutil.copy(path, path.with_name("copy"))
        with path.open("r+b") as file:
            file.truncate(0)
        path.with_name("copy").unlink()

    log = with_damage_in_the_middle(engine, watch, prefix, source, cut)
    assert log.lines() == [*numbered(1, 40), "end"]
    gaps = [event.reason for event in log.events() if isinstance(event, Gap)]
    assert gaps in ([["truncated"]] if source == "file" else [[], ["rotated"]])
