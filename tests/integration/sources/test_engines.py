"""The long proofs on two engine generations, side by side: 20.10 (the machine's) and 26.1."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.integration.sources.conftest import Watch, Watcher
from tests.support.engines import Daemon, Engine, daemon, limits
from tests.support.newer_engine import unpacked, why_not

pytestmark = [pytest.mark.engine, pytest.mark.slow]

SHORT = "for i in 1 2 3 4 5 6 7 8 9 10; do echo line $i; done; printf end"
SHORT_LINES = [f"line {number}" for number in range(1, 11)] + ["end"]
ROUNDS = 10
ROUND = 40


@pytest.fixture(scope="session", params=["machine", "26.1"], name="side")
def _side(request: pytest.FixtureRequest, machine: Engine) -> Iterator[Engine]:
    """An engine of either generation."""
    if request.param == "machine":
        yield machine
        return
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with daemon(Path(tempfile.mkdtemp(prefix="lfd-", dir="/tmp")), unpacked()) as newer:
        yield newer.engine()


Beginner = Callable[..., Watch]


@pytest.fixture(name="begin")
def _begin(watch: Watcher, side: Engine) -> Beginner:
    def begin(source: str) -> Watch:
        return watch(source, docker_host=side.host)

    return begin


def test_short_lives_ten_times_over(side: Engine, begin: Beginner, prefix: str) -> None:
    """440 of 440 lines, back to back and 8 at a time in turns, by the files."""
    watched = begin("file")
    sink = watched.sink
    lines = 0

    def ours() -> set[str]:
        return {job for job, log in list(sink.logs.items()) if log.jobs[-1].container.name.startswith(prefix)}

    for turn in range(ROUNDS):
        before = ours()

        def one(number: int, turn: int = turn) -> None:
            side.run_command(
                ["sh", "-c", SHORT], name=f"{prefix}{turn}-{number}", auto_remove=True, network_mode="none"
            )

        with ThreadPoolExecutor(8 if turn % 2 else 1) as pool:
            list(pool.map(one, range(ROUND)))
        sink.until(lambda before=before: len(ours() - before) == ROUND, "all have appeared")  # type: ignore[misc]
        sink.until(lambda: all(sink.logs[job].ended for job in ours()), "all have ended")
        for container in ours() - before:
            log = sink.logs[container]
            assert log.lines() == SHORT_LINES
            assert log.names() == ["started", "exited"]
            lines += len(log.lines())
    print(f"\n{lines:,} of {ROUNDS * ROUND * 11:,} lines")
    assert lines == ROUNDS * ROUND * 11


@pytest.mark.parametrize("lines", [100_000, 1_000_000])
def test_bursts(side: Engine, begin: Beginner, prefix: str, source: str, lines: int) -> None:
    """Flat out into 1m x 3: no repeats; all of it, or gap entries."""
    watched = begin(source)
    program = f'BEGIN {{ for (i = 1; i <= {lines}; i++) print i, "{"x" * 80}" }}'
    container = side.run_command(["awk", program], name=prefix + "a", network_mode="none", **limits("1m", 3))
    log = watched.log(container.id)
    watched.sink.until(lambda: "exited" in log.names(), "the burst is over", limit_s=600)
    found = [int(line.split(" ")[0]) for line in log.lines()]
    print(f"\n{source}: {len(found):,} of {lines:,} lines, {log.names().count('gap')} gaps")
    assert len(found) == len(set(found)), "none twice"
    if source == "file":
        assert found == sorted(found)
    assert len(found) == lines or "gap" in log.names()


@pytest.fixture(params=["machine", "26.1"], name="programs")
def _programs(request: pytest.FixtureRequest) -> Path | None:
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    return unpacked() if request.param == "26.1" else None


@pytest.mark.parametrize("live", [False, True], ids=["stopped", "live-restore"])
def test_an_engine_is_restarted_under_its_containers(
    programs: Path | None, watch: Watcher, prefix: str, source: str, live: bool
) -> None:
    """Nothing is missing that the engine still has, and nothing comes twice."""
    folder = Path(tempfile.mkdtemp(prefix="lfd-", dir="/tmp"))
    with daemon(folder, programs, ["--live-restore"] if live else []) as made:
        engine: Engine = made.engine()
        watched = watch(source, docker_host=made.host)
        script = "i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo $i; sleep 0.02; done"
        policy = {"Name": "unless-stopped" if not live else "no"}
        container = engine.run(script, name=prefix + "a", network_mode="none", restart_policy=policy)
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
    shutil.rmtree(folder, ignore_errors=True)


def restart(made: Daemon) -> None:
    """Stop it and start it again."""
    made.stop()
    made.start()
