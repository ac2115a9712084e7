"""Run the long tests on both engine generations: 20.10 (the machine's) and 26.1."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from tests.integration.sources.conftest import Watcher
from tests.support.engines import Daemon, Engine, daemon, limits
from tests.support.newer_engine import unavailable_reason, unpacked
from tests.support.numbered_lines import (
    assert_ordered_with_gaps_in_every_hole,
    assert_unrepeated_with_gaps_around_every_hole,
    numbers,
    program,
)
from tests.support.start_containers import start

pytestmark = [pytest.mark.engine, pytest.mark.slow]

SHORT = "for i in 1 2 3 4 5 6 7 8 9 10; do echo line $i; done; printf end"
SHORT_LINES = [f"line {number}" for number in range(1, 11)] + ["end"]
ROUNDS = 10
ROUND = 40


@pytest.mark.parametrize("at_once", [1, 8], ids=["back to back", "8 at a time"])
def test_short_lived_containers_are_read_whole_ten_times(
    engine: Engine, watch: Watcher, prefix: str, at_once: int
) -> None:
    """440 of 440 lines through files, in each of ten rounds."""
    watched = watch("file")
    sink = watched.sink
    lines = 0
    for turn in range(ROUNDS):
        before = set(sink.logs)
        start(engine.host, f"{prefix}{turn}-", ROUND, at_once, SHORT)
        sink.until(lambda before=before: len(set(sink.logs) - before) == ROUND, "all have appeared")  # type: ignore[misc]
        sink.until(lambda: all(log.ended for log in sink.logs.values()), "all have ended")
        for container in set(sink.logs) - before:
            log = sink.logs[container]
            assert (log.lines(), log.names()) == (SHORT_LINES, ["started", "exited"])
            lines += len(log.lines())
    print(f"\n{at_once} at once: {lines:,} of {ROUNDS * ROUND * len(SHORT_LINES):,} lines")


def test_hundred_concurrent_containers_are_read_whole(engine: Engine, watch: Watcher, prefix: str) -> None:
    """Each of them whole."""
    watched = watch("file")
    sink = watched.sink
    start(engine.host, prefix, 100, 100, SHORT)
    sink.until(lambda: len(sink.logs) == 100 and all(log.ended for log in sink.logs.values()), "all have ended", 300)
    told = {(tuple(log.lines()), tuple(log.names())) for log in sink.logs.values()}
    assert told == {(tuple(SHORT_LINES), ("started", "exited"))}


@pytest.mark.parametrize("lines", [100_000, 1_000_000])
def test_burst_through_files_is_complete_or_has_gaps(engine: Engine, watch: Watcher, prefix: str, lines: int) -> None:
    """Full speed into 1m x 3: in order, no duplicate, and a gap entry with times for every hole."""
    watched = watch("file")
    container = engine.run_command(program(lines), name=prefix + "a", **limits("1m", 3))
    log = watched.log(container.id)
    watched.sink.until(lambda: "exited" in log.names(), "the burst is over", limit_s=600)
    gaps = assert_ordered_with_gaps_in_every_hole(log, lines)
    print(f"\nfile: {len(numbers(log)):,} of {lines:,} lines, {gaps} gaps, one in each hole")


@pytest.mark.parametrize("lines", [100_000, 1_000_000])
def test_burst_through_the_api_is_complete_or_has_gaps(engine: Engine, watch: Watcher, prefix: str, lines: int) -> None:
    """No duplicate, and a gap entry covers every hole except for lines gone before the first read."""
    watched = watch("api")
    container = engine.run_command(program(lines), name=prefix + "a", **limits("1m", 3))
    log = watched.log(container.id)
    watched.sink.until(lambda: "exited" in log.names(), "the burst is over", limit_s=600)
    early = assert_unrepeated_with_gaps_around_every_hole(log, lines)
    gaps = log.names().count("gap")
    print(f"\napi: {len(numbers(log)):,} of {lines:,} lines, {gaps} gaps, {early:,} gone before the first read")


def test_line_of_20_mib_arrives_whole(engine: Engine, watch: Watcher, prefix: str, source: str) -> None:
    """1,280 fragments over several rotated files."""
    watched = watch(source)
    script = "head -c 20971520 /dev/zero | tr '\\0' x; echo; echo end"
    container = engine.run(script, name=prefix + "a", **limits("9m", 9))
    log = watched.log(container.id)
    watched.sink.until(lambda: "exited" in log.names(), "it is over", limit_s=300)
    assert [len(line) for line in log.lines()] == [20 << 20, 3]
    assert log.names() == ["started", "exited"]


@pytest.fixture(params=["machine", "26.1"], name="programs")
def _programs(request: pytest.FixtureRequest) -> Path | None:
    reason = unavailable_reason()
    if reason is not None:
        pytest.skip(reason)
    return unpacked() if request.param == "26.1" else None


@pytest.mark.parametrize("live", [False, True], ids=["stopped", "live-restore"])
def test_engine_restart_loses_and_repeats_nothing(
    programs: Path | None, watch: Watcher, prefix: str, source: str, live: bool
) -> None:
    """Everything that the engine still has arrives once."""
    folder = Path(tempfile.mkdtemp(prefix="lfd-", dir="/tmp"))
    with daemon(folder, programs, ["--live-restore"] if live else []) as made:
        engine: Engine = made.engine()
        watched = watch(source, docker_host=made.host)
        script = "i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo $i; sleep 0.02; done"
        policy = {"Name": "unless-stopped" if not live else "no"}
        container = engine.run(script, name=prefix + "a", restart_policy=policy)
        log = watched.log(container.id)
        watched.sink.until(lambda: "50" in log.lines(), "it writes")
        restart(made)
        watched.sink.until(lambda: log.lines().count("400") >= 1, "a run has come to its end")
        container.stop(timeout=1)
        watched.sink.until(lambda: log.names()[-1] == "exited", "its end is told")
        kept = container.logs().decode().splitlines()
        watched.sink.until(lambda: len(log.lines()) >= len(kept), "all is read")
        assert log.lines() == kept
        if live:
            assert kept == [str(number) for number in range(1, 401)]
            assert log.names() == ["started", "exited"]
        watched.stop()
        engine.remove_all()


def restart(made: Daemon) -> None:
    """Stop and start the engine."""
    made.stop()
    made.start()
