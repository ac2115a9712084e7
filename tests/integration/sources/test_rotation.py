"""Test bursts into rotating logs: complete, or with a gap entry for the missing part, and no duplicates."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.sources.conftest import Watcher
from tests.support.engines import Engine, limits
from tests.support.memory_sink import Log
from tests.support.numbered_lines import (
    assert_ordered_with_gaps_in_every_hole,
    assert_unrepeated_with_gaps_around_every_hole,
    program,
)

pytestmark = pytest.mark.engine


def burst(engine: Engine, watch: Watcher, prefix: str, source: str, lines: int, **options: Any) -> Log:
    """Run a container that writes numbered lines at full speed, and read it to its end."""
    watched = watch(source)
    container = engine.run_command(program(lines), name=prefix + "a", **options)
    log = watched.log(container.id)
    watched.sink.until(lambda: "exited" in log.names(), "the burst is over")
    return log


@pytest.mark.parametrize(("size", "files", "compress"), [("1m", 3, "false"), ("1m", 3, "true"), ("100k", 5, "false")])
def test_file_source_misses_nothing_silently(
    engine: Engine, watch: Watcher, prefix: str, size: str, files: int, compress: str
) -> None:
    """Docker cases 1, 2 and 3: 100,000 lines at full speed."""
    more = {"compress": compress} if compress == "true" else {}
    log = burst(engine, watch, prefix, "file", 100_000, **limits(size, files, **more))
    assert_ordered_with_gaps_in_every_hole(log, 100_000)


def test_api_source_repeats_nothing_and_reports_what_is_missing(engine: Engine, watch: Watcher, prefix: str) -> None:
    """The same through the engine's stream, which loses lines and on 20.10 repeats them."""
    log = burst(engine, watch, prefix, "api", 100_000, **limits("1m", 3))
    assert_unrepeated_with_gaps_around_every_hole(log, 100_000)


def test_single_file_truncated_by_the_engine_is_read(engine: Engine, watch: Watcher, prefix: str) -> None:
    """Engines before 23.0 with max-file=1 truncate the file under the reader."""
    log = burst(engine, watch, prefix, "file", 20_000, **limits("200k", 1))
    assert_ordered_with_gaps_in_every_hole(log, 20_000)


def test_long_lines_continuing_in_the_next_file_arrive_whole_and_once(
    engine: Engine, watch: Watcher, prefix: str, source: str
) -> None:
    """All their fragments are equal; engines before 23.0 resend what is in the new file."""
    watched = watch(source)
    part = "head -c 40000 /dev/zero | tr '\\0' x; sleep 0.05"
    script = f"for i in $(seq 20); do for j in 1 2 3; do {part}; done; echo $i; done"
    container = engine.run(script, name=prefix + "a", **limits("150k", 40))
    log = watched.ended(container.id)
    assert [(len(line.rstrip("0123456789")), line.lstrip("x")) for line in log.lines()] == [
        (120_000, str(number)) for number in range(1, 21)
    ]
    assert log.names() == ["started", "exited"]
