"""Test `logferry verify` against the viewers' contract."""

import json
from collections.abc import Iterator

import pytest
from tests.integration.cli.conftest import Run
from tests.support.viewer_cloud import ViewerCloud, job_id

from logferry_cli import engine_log, verify
from logferry_cli.engine_log import EngineContainer, EngineLog
from logferry_protocol.batch import Columns, decode_body
from logferry_protocol.events import Gap, encode_event


def test_sound_job_passes(cloud: ViewerCloud, run: Run) -> None:
    """All of it is read, and the last line says that it is sound."""
    cloud.add_job("web")
    cloud.append("web", [f"line {n}" for n in range(5000)], batch=500)
    outcome = run("verify", "web")
    assert outcome.status == 0
    assert "entries 1 to 5,000: 5,000 stdout, 0 stderr, 0 system" in outcome.text
    assert "✓ sound" in outcome.text


def test_gaps_are_listed_and_strict_counts_them(cloud: ViewerCloud, run: Run) -> None:
    """Each missing range has its reason and times."""
    cloud.add_job("web")
    gap = Gap(reason="rotated", count=12, start=0, end=1_000_000, detail="evil\x1b[2J")
    cloud.append("web", ["a", encode_event(gap)], "os")
    outcome = run("verify", "web")
    assert outcome.status == 0
    sentence = "12 lines missing: the engine rotated them away before they were read (evil␛[2J)"
    assert f"gap at 2: {sentence}, between 1970-01-01T00:00:00.000000Z and" in outcome.text
    assert run("verify", "web", "--strict").status == 3
    assert json.loads(run("verify", "web", "--json").out)["gaps"][0]["reason"] == "rotated"


def test_damaged_and_missing_batches_are_found(cloud: ViewerCloud, run: Run) -> None:
    """One run finds both, and the exit status reports it."""
    cloud.add_job("web")
    cloud.append("web", ["a", "b", "c", "d"], batch=1)
    job = cloud.jobs[job_id("web")]
    job.facts[0]["digest"] = "0" * 64
    del job.batches[1], job.facts[1]
    outcome = run("verify", "web")
    assert outcome.status == 1
    assert "✗ batch 1: its bytes do not match its digest" in outcome.text
    assert "✗ entries 2 to 2 are missing" in outcome.text
    assert "sound" not in outcome.text


def test_job_without_entries_passes(cloud: ViewerCloud, run: Run) -> None:
    """A container that wrote nothing is fine."""
    cloud.add_job("web")
    outcome = run("verify", "web")
    assert (outcome.status, "nothing is stored" in outcome.text) == (0, True)


class FakeEngineLog(EngineLog):
    """The log of a container, as the engine would still have it."""

    columns = Columns((), "", ())

    def __init__(self, container: str) -> None:
        self.about = EngineContainer("host (Docker 26)", "json-file", "", running=False, tty=False, asked=2**50)
        self.errors = []
        assert container == job_id("web").partition(".")[2]

    def newest(self) -> int | None:
        return max(self.columns.times, default=None)

    def entries(self) -> Iterator[Columns]:
        yield self.columns

    def close(self) -> None:
        """There is nothing to close."""


def test_engine_decides_the_status(cloud: ViewerCloud, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """All the same, a line that is not stored, and lines before the first stored one."""
    cloud.add_job("web")
    cloud.append("web", [f"line {n}" for n in range(50)], batch=5)
    columns = [decode_body(batch.body) for batch in cloud.jobs[job_id("web")].batches]
    times = [time for column in columns for time in column.times]
    texts = [text for column in columns for text in column.texts]
    monkeypatch.setattr(engine_log, "EngineLog", FakeEngineLog)
    monkeypatch.setattr(FakeEngineLog, "columns", Columns(times, "o" * 50, texts))
    outcome = run("verify", "web", "--engine", "--strict")
    assert (outcome.status, "✓ the same" in outcome.text) == (0, True), outcome.text
    monkeypatch.setattr(FakeEngineLog, "columns", Columns([times[0] - 1, *times], "o" * 51, ["before", *texts]))
    assert run("verify", "web", "--engine").status == 0
    outcome = run("verify", "web", "--engine", "--strict")
    assert (outcome.status, "not compared: 1 lines of the engine are older" in outcome.text) == (3, True)
    lines = Columns([*times[:9], times[9], *times[9:]], "o" * 51, [*texts[:9], "lost", *texts[9:]])
    monkeypatch.setattr(FakeEngineLog, "columns", lines)
    outcome = run("verify", "web", "--engine", "--json")
    assert (outcome.status, json.loads(outcome.out)["engine"]["missing"][0]["text"]) == (1, "lost")


def test_engine_needs_the_agents_extra(cloud: ViewerCloud, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says which, and how to add it."""
    monkeypatch.setattr(verify, "missing_module", lambda _extra: "docker")
    outcome = run("verify", "web", "--engine")
    assert (outcome.status, outcome.out) == (1, b"")
    assert "`logferry verify --engine` needs the extra `agent`" in outcome.err
