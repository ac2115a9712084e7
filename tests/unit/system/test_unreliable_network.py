"""Test that every reader sees each entry once and in order, whatever happens in transit.

Invariants 1, 3, 4 and 8 of ARCHITECTURE.md.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.simulation import NO_FAULTS, NetworkFaults, Simulation

MEMORY = Path("/dev/shm")  # thousands of spools, none of which must survive its run
SHARE = st.sampled_from([0.0, 0.05, 0.2, 0.4])
WEATHER = st.builds(
    NetworkFaults,
    lose=SHARE,
    repeat=SHARE,
    delay_s=st.sampled_from([0.01, 0.3, 3.0, 12.0]),
    crash=st.sampled_from([0.0, 0.05, 0.3]),
    throttle=st.sampled_from([0.0, 0.05, 0.2]),
    silent=st.sampled_from([0.0, 0.2, 1.0]),
    busy=SHARE,
)
STEP = st.one_of(
    st.tuples(st.just("write"), st.integers(0, 1), st.integers(1, 60)),
    st.tuples(st.just("wait"), st.sampled_from([0.1, 1.0, 7.0, 40.0])),
    st.tuples(st.just("kill"), st.sampled_from(["keep", "keep", "save", "roll back", "lose"])),
    st.tuples(st.just("cut agent")),
    st.tuples(st.just("cut viewer"), st.integers(0, 3)),
    st.tuples(st.just("join"), st.integers(0, 1), st.integers(0, 30)),
    st.tuples(st.just("deploy")),
    st.tuples(st.just("twin")),
    st.tuples(st.just("stray"), st.integers(0, 1), st.sampled_from([0, 0, 1, 9])),
)


def apply_step(world: Simulation, step: tuple[Any, ...]) -> None:
    """Take one step of the run."""
    match step:
        case ("write", job, count):
            world.source.write(job, count)
        case ("wait", seconds):
            world.run(seconds)
        case ("kill", disk):
            world.agent.kill()
            {
                "keep": lambda: None,
                "save": world.agent.save_disk,
                "roll back": world.agent.roll_back_disk,
                "lose": world.agent.lose_disk,
            }[disk]()
            world.run(1.0)
            world.agent.start()
        case ("cut agent",):
            world.agent.cut()
        case ("cut viewer", number):
            if world.viewers:
                world.viewers[number % len(world.viewers)].cut()
        case ("join", job, after):
            # From any sequence: `tail` continues after its last entry.
            world.join(min(after, world.cloud.tips[world.source.jobs[job]]), job)
        case ("twin",):
            (world.twin.kill if world.twin.alive else world.twin.start)()
        case ("stray", job, ahead):
            world.cloud.send_faulty_batch(world.source.jobs[job], ahead)
        case ("deploy",):
            world.cloud.revive()


def check(world: Simulation) -> None:
    """Check that everything written is stored and seen by every reader once and in order, without false reports."""
    world.settle()
    assert world.cloud.violations == []
    for job in world.source.jobs:
        assert world.cloud.entries(job) == world.source.written(job)
    for viewer in world.viewers:
        expected = list(enumerate(world.source.written(viewer.job), 1))[viewer.after :]
        assert viewer.seen == expected
        assert viewer.reader.complete


def play(seed: int, weather: NetworkFaults, steps: list[tuple[Any, ...]]) -> Simulation:
    """Play a run from start to end."""
    with tempfile.TemporaryDirectory(prefix="lf-link-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        world = Simulation(Path(folder), seed, weather, jobs=2)
        world.join(job=0)
        world.join(job=1)
        for step in steps:
            apply_step(world, step)
            world.run(0.5)
        check(world)
        return world


def _property(examples: int, *, derandomize: bool) -> Callable[..., None]:
    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=derandomize,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(seed=st.integers(0, 2**16), weather=WEATHER, steps=st.lists(STEP, min_size=3, max_size=25))
    def run(seed: int, weather: NetworkFaults, steps: list[tuple[Any, ...]]) -> None:
        play(seed, weather, steps)

    return run


def test_every_reader_sees_every_entry_once_and_in_order() -> None:
    """The link loses, repeats, reorders and cuts; both ends crash, and disks are lost."""
    _property(40, derandomize=True)()


@pytest.mark.parametrize("ahead", [0, 1, 9])
def test_faulty_agents_batches_are_neither_stored_nor_acknowledged(ahead: int) -> None:
    """Other bytes at a taken sequence, or a hole behind the tip: the job continues unaffected."""
    steps: list[tuple[Any, ...]] = []
    for job in (0, 1):
        steps += [("write", job, 5), ("wait", 7.0), ("stray", job, ahead), ("deploy",), ("stray", job, ahead)]
    world = play(1, NO_FAULTS, [*steps, ("write", 0, 5)])
    assert [world.cloud.tips[job] for job in world.source.jobs] == [10, 5]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_reader_sees_every_entry_once_and_in_order_in_long_runs() -> None:
    """The long form: new runs each time."""
    _property(3000, derandomize=False)()
