"""Logs that something else than the engine laid hands on: read on behind the damage, which is told once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from docker.models.containers import Container
from tests.integration.sources.conftest import Watcher
from tests.support.engines import Engine
from tests.support.sink import Log

from logferry_protocol.events import Gap

pytestmark = pytest.mark.engine

# `seq` alone would be the shell's last command and replace it; the trap must be set before the first half is read.
HALVES = "trap 'go=1' USR1; seq 1 20; while [ -z \"$go\" ]; do sleep 0.02; done; seq 21 40; echo end"


def with_a_damage_in_the_middle(
    engine: Engine, watch: Watcher, prefix: str, source: str, harm: Callable[[Path], None]
) -> Log:
    """A container that writes 20 lines, has its log file harmed, and writes 20 more."""
    watched = watch(source)
    container: Container = engine.run(HALVES, name=prefix + "a")
    log = watched.log(container.id)
    watched.sink.until(lambda: "20" in log.lines(), "the first half is read")
    container.reload()
    harm(Path(container.attrs["LogPath"]))
    container.kill(signal="USR1")
    watched.ended(container.id)
    return log


def numbered(first: int, last: int) -> list[str]:
    return [str(number) for number in range(first, last + 1)]


def test_a_corrupt_log_is_read_on_behind_the_damage(engine: Engine, watch: Watcher, prefix: str, source: str) -> None:
    """Section 2, case 16: NULs, as a crash or a full disk leaves them; one gap, and the rest of the lines."""

    def spoil(path: Path) -> None:
        with path.open("ab") as file:
            file.write(b"\0" * 700)

    log = with_a_damage_in_the_middle(engine, watch, prefix, source, spoil)
    print(source, log.lines()[-23:], log.events())
    assert log.lines() == [*numbered(1, 40), "end"]
    assert log.names() == ["started", "gap", "exited"]


def test_a_log_that_another_program_cuts_is_read_on(engine: Engine, watch: Watcher, prefix: str, source: str) -> None:
    """Section 2, case 17: copytruncate; nothing twice, one gap, and what comes afterwards."""

    def cut(path: Path) -> None:
        shutil.copy(path, path.with_name("copy"))
        with path.open("r+b") as file:
            file.truncate(0)
        path.with_name("copy").unlink()

    log = with_a_damage_in_the_middle(engine, watch, prefix, source, cut)
    print(source, log.lines()[-23:], log.events())
    assert log.lines() == [*numbered(1, 40), "end"]
    (gap,) = [event for event in log.events() if isinstance(event, Gap)]
    assert gap.reason == ("truncated" if source == "file" else "rotated")
