"""Test an agent that was away: it catches up with one container's backlog through every kind of failure."""

from __future__ import annotations

import random
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.agents import AgentProcess
from tests.support.engines import Engine
from tests.support.fake_ingest import FakeIngestProcess, wait_until

pytestmark = pytest.mark.engine

PROGRAM = r"""{ printf "%d GET /items/%d?page=%d \"agent\" 200\n", $1, $1 * 7919 % 10007, $1 % 13 }"""


class Backlog:
    """A container that wrote its lines and exited."""

    def __init__(self, machine: Engine, lines: int) -> None:
        self.lines, self.name = lines, f"lf-backlog-{secrets.token_hex(4)}"
        self.container = machine.run(f"seq {lines} | awk '{PROGRAM}'", name=self.name, network_mode="none")
        self.container.wait()

    @property
    def id(self) -> str:
        return str(self.container.id)

    def is_exact(self, sink: FakeIngestProcess) -> None:
        """Check that every line is stored once and in order, between start and exit."""
        entries = sink.entries(self.id)
        assert [sequence for sequence, *_ in entries] == list(range(1, self.lines + 3))
        texts = [text for _, _, letter, text in entries if letter == "o"]
        assert texts == [
            f'{number} GET /items/{number * 7919 % 10007}?page={number % 13} "agent" 200'
            for number in range(1, self.lines + 1)
        ]


@pytest.fixture(params=[60_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def backlog(request: pytest.FixtureRequest, machine: Engine) -> Iterator[Backlog]:
    made = Backlog(machine, request.param)
    yield made
    made.container.remove(force=True)


def test_agent_killed_repeatedly_during_catch_up_is_exact(
    backlog: Backlog, sink: FakeIngestProcess, tmp_path: Path
) -> None:
    """SIGKILL follows each advance; acknowledgements are lost and connections cut meanwhile.

    Entries are exactly 1..n.
    """
    rng = random.Random(backlog.lines)
    sink.faults(drop_answer=0.02, cut=0.02, delay_s=0.05)  # it would be over before it could be killed
    agent = AgentProcess(sink, tmp_path / "spool", backlog.name, start_at="beginning", answer_timeout="0.3")
    kills = 0
    while (tip := sink.tip(backlog.id)) < backlog.lines + 2:
        with agent:
            enough = tip + rng.randrange(1, backlog.lines // 10)
            if kills == 12:
                sink.faults()
                enough = backlog.lines + 2
            wait_until(lambda enough=enough: sink.tip(backlog.id) >= min(enough, backlog.lines + 2), 120)
            agent.end(signal.SIGKILL)
            kills += 1
    assert kills > 1
    backlog.is_exact(sink)
