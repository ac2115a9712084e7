"""Bursts into rotating logs: all of it, or a gap entry for what is missing, and nothing twice."""

from __future__ import annotations

import pytest
from tests.integration.sources.conftest import Watcher
from tests.support.engines import Engine, limits
from tests.support.sink import Log

pytestmark = pytest.mark.engine

PAD = "x" * 80


def burst(engine: Engine, watch: Watcher, prefix: str, source: str, lines: int, **options: object) -> Log:
    """A container that writes numbered lines as fast as it can, read to its end."""
    watched = watch(source)
    container = engine.run_command(
        ["awk", f'BEGIN {{ for (i = 1; i <= {lines}; i++) print i, "{PAD}" }}'], name=prefix + "a", **options
    )
    log = watched.log(container.id)
    watched.sink.until(lambda: "exited" in log.names(), "the burst is over")
    return log


def numbers(log: Log) -> list[int]:
    return [int(line.split(" ")[0]) for line in log.lines()]


@pytest.mark.parametrize(("size", "files", "compress"), [("1m", 3, "false"), ("1m", 3, "true"), ("100k", 5, "false")])
def test_the_file_source_misses_nothing_silently(
    engine: Engine, watch: Watcher, prefix: str, size: str, files: int, compress: str
) -> None:
    """Section 2, cases 1, 2 and 3: 100,000 lines flat out."""
    more = {"compress": compress} if compress == "true" else {}
    log = burst(engine, watch, prefix, "file", 100_000, **limits(size, files, **more))
    found = numbers(log)
    assert found == sorted(set(found)), "in order, and none twice"
    assert len(found) == 100_000 or "gap" in log.names()


def test_the_api_source_repeats_nothing_and_says_what_is_missing(engine: Engine, watch: Watcher, prefix: str) -> None:
    """The same through the engine's stream, which loses lines and on 20.10 repeats them."""
    log = burst(engine, watch, prefix, "api", 100_000, **limits("1m", 3))
    found = numbers(log)
    assert len(found) == len(set(found)), "none twice"
    assert len(found) == 100_000 or "gap" in log.names()


def test_a_single_file_that_the_engine_cuts_is_read(engine: Engine, watch: Watcher, prefix: str) -> None:
    """Engines before 23.0 with max-file=1 cut the file under the reader."""
    log = burst(engine, watch, prefix, "file", 20_000, **limits("200k", 1))
    found = numbers(log)
    assert found == sorted(set(found))
    assert len(found) == 20_000 or "gap" in log.names()


@pytest.mark.slow
@pytest.mark.parametrize("lines", [1_000_000])
def test_a_million_lines_flat_out(engine: Engine, watch: Watcher, prefix: str, source: str, lines: int) -> None:
    """The long form, both sources."""
    log = burst(engine, watch, prefix, source, lines, **limits("1m", 3))
    found = numbers(log)
    assert len(found) == len(set(found))
    assert len(found) == lines or "gap" in log.names()
    print(f"\n{source}: {len(found):,} of {lines:,} lines, {log.names().count('gap')} gaps")
