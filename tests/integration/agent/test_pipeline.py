"""Test the pipeline with a real spool and WebSocket against a faulty cloud: everything read is stored."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.support.fake_ingest import ROOT, FakeIngestProcess, wait_until
from tests.support.pipeline_harness import GeneratedReader, PipelineHarness, job_id, line

from logferry_agent.edge.spool import Spool, SpoolError
from logferry_agent.pipeline import PipelineSettings
from logferry_protocol.events import Gap, decode_event

FAST = PipelineSettings(flush_interval=0.05, answer_timeout=0.5)


@pytest.fixture(scope="module")
def sink_process() -> Iterator[FakeIngestProcess]:
    with FakeIngestProcess() as sink:
        yield sink


@pytest.fixture
def sink(sink_process: FakeIngestProcess) -> FakeIngestProcess:
    sink_process.reset()
    return sink_process


def unacknowledged(rig: PipelineHarness) -> list[int]:
    """Return the number of unacknowledged entries of each job."""
    return [job["waiting"] for job in rig.pipeline.report()]


def assert_exact(sink: FakeIngestProcess, number: int, lines: int) -> None:
    """Check sequences 1..n and every line."""
    entries = sink.entries(job_id(number))
    assert [sequence for sequence, *_ in entries] == list(range(1, lines + 1))
    assert [text for *_, text in entries] == [line(number, index) for index in range(lines)]


def arrived(sink: FakeIngestProcess, jobs: int, lines: int) -> bool:
    tips = sink.counts()["jobs"]
    return all(tips.get(job_id(number), 0) >= lines for number in range(jobs))


def test_every_line_arrives_once_and_in_order(sink: FakeIngestProcess, tmp_path: Path) -> None:
    """Nothing goes wrong."""
    with PipelineHarness(sink.url, tmp_path, GeneratedReader(3, 5_000)):
        wait_until(lambda: arrived(sink, 3, 5_000))
    for number in range(3):
        assert_exact(sink, number, 5_000)


@pytest.mark.parametrize(
    "faults",
    [
        {"drop_answer": 0.3},
        {"ignore": 0.3},
        {"repeat_answer": 1.0, "delay_s": 0.05},
        {"unreadable": 0.3},
        {"cut": 0.1},
        {"slow_down": 0.3},
        {"reject": {"share": 0.3, "reason": "internal", "retry": True}},
        {"reject": {"share": 0.3, "reason": "throttled", "retry": True}, "drop_answer": 0.1, "cut": 0.05},
    ],
    ids="+".join,
)
def test_nothing_is_lost_or_repeated_with_a_faulty_cloud(
    sink: FakeIngestProcess, tmp_path: Path, faults: dict[str, Any]
) -> None:
    """Acknowledgements are lost, repeated and reordered; envelopes lost; connections cut; batches rejected."""
    sink.faults(**faults)
    limits = PipelineSettings(flush_interval=0.02, answer_timeout=0.2)
    with PipelineHarness(sink.url, tmp_path, GeneratedReader(4, 400, rate=400, chunk=40), limits=limits):
        wait_until(lambda: sink.counts().get("entries", 0) > 400)
        sink.faults()
        wait_until(lambda: arrived(sink, 4, 400))
    for number in range(4):
        assert_exact(sink, number, 400)


@pytest.mark.parametrize("code", [1001, 1009, 1011])
def test_closed_connection_is_reopened(sink: FakeIngestProcess, tmp_path: Path, code: int) -> None:
    """Close codes: going away, message too big, internal error."""
    with PipelineHarness(sink.url, tmp_path, GeneratedReader(1, 300, rate=600)) as rig:
        wait_until(lambda: sink.tip(job_id(0)) > 0)
        sink.close(code)
        wait_until(lambda: arrived(sink, 1, 300))
        # Everything may have arrived before it was closed.
        wait_until(lambda: rig.socket.connects >= 2)
    assert_exact(sink, 0, 300)


def test_new_connection_takes_over_before_the_old_one_closes(sink: FakeIngestProcess, tmp_path: Path) -> None:
    """The 2-hour limit is shortened."""
    rig = PipelineHarness(sink.url, tmp_path, GeneratedReader(2, 600, rate=300))
    rig.socket._renew_s = 0.5
    with rig:
        wait_until(lambda: arrived(sink, 2, 600))
        wait_until(lambda: rig.socket.connects >= 2)
    assert sink.counts().get("cut", 0) == 0
    for number in range(2):
        assert_exact(sink, number, 600)


def test_revoked_key_is_reported_and_reading_continues_into_the_spool(sink: FakeIngestProcess, tmp_path: Path) -> None:
    """Shipping resumes once the key is valid again."""
    sink.faults(keys=["good"])
    with PipelineHarness(sink.url, tmp_path, GeneratedReader(1, 3_000), key="revoked") as rig:
        wait_until(lambda: rig.socket.status.refused)
        assert "does not accept the agent's key" in (rig.socket.status.error or "")
        wait_until(lambda: unacknowledged(rig) == [3_000])
        rig.key = "good"
        wait_until(lambda: arrived(sink, 1, 3_000))
    assert_exact(sink, 0, 3_000)


def test_watched_jobs_ship_at_once_and_others_wait_for_a_fuller_batch(sink: FakeIngestProcess, tmp_path: Path) -> None:
    """The long interval never elapses here; only a watch releases lines."""
    limits = PipelineSettings(flush_interval=3_600, answer_timeout=5)
    with PipelineHarness(sink.url, tmp_path, GeneratedReader(1, 50, rate=100, chunk=5), limits=limits) as rig:
        wait_until(lambda: unacknowledged(rig) == [50])
        assert sink.tip(job_id(0)) == 0
        sink.watch()
        wait_until(lambda: arrived(sink, 1, 50))
    assert_exact(sink, 0, 50)


def test_open_batch_is_shipped_when_the_agent_stops(sink: FakeIngestProcess, tmp_path: Path) -> None:
    """SIGTERM flushes."""
    rig = PipelineHarness(sink.url, tmp_path, GeneratedReader(2, 40), limits=PipelineSettings(flush_interval=3_600))
    with rig:
        wait_until(lambda: unacknowledged(rig) == [40, 40])
        wait_until(lambda: sink.counts().get("opens", 0) == 2)
    for number in range(2):
        assert_exact(sink, number, 40)
    wait_until(lambda: [sink.reported_tip(job_id(number)) for number in range(2)] == [40, 40])


def test_undelivered_entries_are_reported_when_the_agent_exits(sink: FakeIngestProcess, tmp_path: Path) -> None:
    """The report includes an open batch that was never queued."""
    sink.faults(keys=[])
    rig = PipelineHarness(sink.url, tmp_path / "refused", GeneratedReader(1, 40))
    with rig:
        wait_until(lambda: unacknowledged(rig) == [40])
        rig.reader.stop()
        assert not rig.pipeline.stop(0.1)
    sink.faults()
    rig = PipelineHarness(sink.url, tmp_path / "well", GeneratedReader(1, 40))
    with rig:
        wait_until(lambda: unacknowledged(rig) == [0])
        rig.reader.stop()
        assert rig.pipeline.stop(5)


def pieces_on_disk(folder: Path) -> int:
    """Return the saved parts of open batches, as another process sees them."""
    (path,) = folder.glob("spool-*.db")
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return int(db.execute("SELECT count(*) FROM piece").fetchone()[0])


def test_open_batch_is_on_disk_when_the_agent_is_killed(sink: FakeIngestProcess, tmp_path: Path) -> None:
    """The container may be gone by the next start."""
    sink.faults(keys=[])
    rig = PipelineHarness(sink.url, tmp_path, GeneratedReader(1, 40))
    with rig:
        wait_until(lambda: rig.pipeline.buffers and rig.pipeline.buffers[job_id(0)].batcher.saved == 40)
        wait_until(lambda: pieces_on_disk(tmp_path) > 0)
        copy = tmp_path / "copy"
        copy.mkdir()
        for part in tmp_path.glob("spool-*.db*"):
            (copy / part.name).write_bytes(part.read_bytes())
    sink.faults()
    reader = GeneratedReader(1, 0)  # nothing can be read again
    with PipelineHarness(sink.url, copy, reader):
        wait_until(lambda: arrived(sink, 1, 40))
    assert_exact(sink, 0, 40)


def test_ended_job_is_forgotten_once_all_is_stored(sink: FakeIngestProcess, tmp_path: Path) -> None:
    """The spool does not grow with every container that ever ran."""
    with PipelineHarness(sink.url, tmp_path, GeneratedReader(2, 100, end=True)) as rig:
        wait_until(lambda: rig.metrics.registry.get_sample_value("logferry_agent_acknowledged_events_total") == 200)
        wait_until(lambda: not rig.pipeline.buffers)
    spool = Spool(tmp_path, "engine")
    assert spool.jobs() == []
    assert spool.bytes == 0
    spool.close()


# --- reconcile -------------------------------------------------------------------------------------------------------


def test_lost_spool_is_recovered_from_the_clouds_cursor(sink: FakeIngestProcess, tmp_path: Path) -> None:
    """Nothing is repeated or missing while the log still exists."""
    with PipelineHarness(sink.url, tmp_path / "first", GeneratedReader(2, 1_000)):
        wait_until(lambda: arrived(sink, 2, 1_000))
    reader = GeneratedReader(2, 2_500)
    with PipelineHarness(sink.url, tmp_path / "second", reader) as rig:
        wait_until(lambda: arrived(sink, 2, 2_500))
        assert rig.metrics.registry.get_sample_value("logferry_agent_resyncs_total", {"cause": "spool_lost"}) == 2
    assert len(reader.rereads) == 2
    for number in range(2):
        assert_exact(sink, number, 2_500)


def test_rolled_back_spool_adopts_the_clouds_state(sink: FakeIngestProcess, tmp_path: Path) -> None:
    """A snapshot of the host's disk was restored."""
    old, new = tmp_path / "old", tmp_path / "new"
    with PipelineHarness(sink.url, new, GeneratedReader(1, 500)):
        wait_until(lambda: arrived(sink, 1, 500))
    old.mkdir()
    for part in new.glob("spool-*.db*"):
        (old / part.name).write_bytes(part.read_bytes())
    with PipelineHarness(sink.url, new, GeneratedReader(1, 1_500)):
        wait_until(lambda: arrived(sink, 1, 1_500))
    with PipelineHarness(sink.url, old, GeneratedReader(1, 2_500)):
        wait_until(lambda: arrived(sink, 1, 2_500))
    assert_exact(sink, 0, 2_500)


def test_two_agents_on_one_engine_never_overwrite_each_other(sink: FakeIngestProcess, tmp_path: Path) -> None:
    """Each adopts the cloud's state when it finds the other's batch; nothing is stored twice."""
    readers = [GeneratedReader(1, 2_000, rate=1_000, chunk=20) for _ in range(2)]
    with PipelineHarness(sink.url, tmp_path / "a", readers[0]), PipelineHarness(sink.url, tmp_path / "b", readers[1]):
        wait_until(lambda: arrived(sink, 1, 2_000))
    assert_exact(sink, 0, 2_000)
    assert sink.counts().get("conflicts", 0) + len(readers[0].rereads) + len(readers[1].rereads) > 0


def test_cloud_that_lost_its_tables_is_filled_again(sink: FakeIngestProcess, tmp_path: Path) -> None:
    """A new local cloud meets an old spool."""
    with PipelineHarness(sink.url, tmp_path, GeneratedReader(1, 500)):
        wait_until(lambda: arrived(sink, 1, 500))
    sink.forget()
    with PipelineHarness(sink.url, tmp_path, GeneratedReader(1, 800)):
        wait_until(lambda: arrived(sink, 1, 800))
    assert_exact(sink, 0, 800)


def test_damaged_spool_is_recovered_from_the_cloud(sink: FakeIngestProcess, tmp_path: Path) -> None:
    """The spool is set aside and resynchronised, and the agent reports it."""
    with PipelineHarness(sink.url, tmp_path, GeneratedReader(1, 500)):
        wait_until(lambda: arrived(sink, 1, 500))
    (path,) = tmp_path.glob("spool-*.db")
    path.write_bytes(b"\x00" * 8192)
    with PipelineHarness(sink.url, tmp_path, GeneratedReader(1, 900)) as rig:
        assert rig.spool.set_aside is not None
        wait_until(lambda: arrived(sink, 1, 900))
    assert_exact(sink, 0, 900)


# --- refused, full, stuck --------------------------------------------------------------------------------------------


def gaps(sink: FakeIngestProcess, number: int) -> list[Gap]:
    events = [decode_event(text) for _, _, stream, text in sink.entries(job_id(number)) if stream == "s"]
    return [event for event in events if isinstance(event, Gap)]


def lines_of(sink: FakeIngestProcess, number: int) -> list[str]:
    return [text for _, _, stream, text in sink.entries(job_id(number)) if stream != "s"]


def test_refused_batch_is_set_aside_and_a_gap_takes_its_sequence(sink: FakeIngestProcess, tmp_path: Path) -> None:
    """It is not retried and does not block others. Gap counts add up to what is missing."""
    sink.faults(reject={"reason": "malformed", "needle": "job 1 line 7 "})
    with PipelineHarness(sink.url, tmp_path, GeneratedReader(2, 60, rate=100, chunk=5)):
        wait_until(
            lambda: arrived(sink, 1, 60) and len(lines_of(sink, 1)) + sum(g.count or 0 for g in gaps(sink, 1)) == 60
        )
    assert_exact(sink, 0, 60)
    (gap,) = gaps(sink, 1)
    assert gap.reason == "rejected"
    assert "malformed" in gap.detail
    assert [sequence for sequence, *_ in sink.entries(job_id(1))] == list(range(1, sink.tip(job_id(1)) + 1))
    (letter,) = (tmp_path / "rejected").iterdir()
    kept = json.loads(letter.read_text())
    assert (kept["job"], kept["count"], kept["reason"]) == (job_id(1), gap.count, "malformed")


def test_full_spool_stops_the_reader_and_loses_nothing(sink: FakeIngestProcess, tmp_path: Path) -> None:
    """Policy `block`, cloud away: there is far more to read than the spool and its input hold."""
    sink.faults(keys=[])
    limits = PipelineSettings(spool_limit=200_000, flush_interval=0.05, answer_timeout=1.0)
    with PipelineHarness(sink.url, tmp_path, GeneratedReader(2, 200_000), limits=limits) as rig:
        wait_until(lambda: rig.pipeline.full)
        assert sum(unacknowledged(rig)) < 400_000
        sink.faults()
        wait_until(lambda: arrived(sink, 2, 200_000))
        wait_until(lambda: not rig.pipeline.full)
    for number in range(2):
        assert_exact(sink, number, 200_000)


def test_drop_oldest_leaves_gaps_that_add_up(sink: FakeIngestProcess, tmp_path: Path) -> None:
    """Policy `drop-oldest`, cloud away."""
    sink.faults(keys=[])
    limits = PipelineSettings(spool_limit=150_000, spool_policy="drop-oldest", flush_interval=0.05, answer_timeout=1.0)
    with PipelineHarness(sink.url, tmp_path, GeneratedReader(2, 40_000), limits=limits) as rig:
        wait_until(lambda: all(next_ == 40_000 for next_ in rig.reader._next.values()))
        wait_until(lambda: not rig.pipeline.intake.pending)
        wait_until(lambda: rig.spool.bytes < 200_000)  # what was taken last is written before the oldest is dropped
        sink.faults()
        wait_until(lambda: not any(unacknowledged(rig)))
    for number in range(2):
        missing = sum(gap.count or 0 for gap in gaps(sink, number))
        kept = lines_of(sink, number)
        assert missing > 0
        assert len(kept) + missing == 40_000
        assert {gap.reason for gap in gaps(sink, number)} == {"spool_full"}
        assert kept == [line(number, index) for index in range(40_000 - len(kept), 40_000)]


def test_unwritable_disk_stops_the_agent_until_it_is_writable(sink: FakeIngestProcess, tmp_path: Path) -> None:
    """Full or read-only: nothing is lost, and the agent reports it."""
    with PipelineHarness(sink.url, tmp_path, GeneratedReader(1, 30_000, rate=30_000)) as rig:
        wait_until(lambda: sink.tip(job_id(0)) > 0)
        rig.spool._db.execute("PRAGMA query_only = 1")
        wait_until(lambda: rig.pipeline.stuck)
        rig.spool._db.execute("PRAGMA query_only = 0")
        wait_until(lambda: arrived(sink, 1, 30_000))
        assert not rig.pipeline.stuck
    assert_exact(sink, 0, 30_000)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Provide a file system of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], check=False)
    if mounted.returncode:
        pytest.skip("mounting a file system needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill_disk(folder: Path, leave: int = 0) -> Path:
    """Fill the disk with a foreign file except for this much room."""
    path = folder / "hog"
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while shutil.disk_usage(folder).free > leave:
            file.write(bytes(min(16_384, shutil.disk_usage(folder).free - leave)))
    return path


def test_disk_filled_by_others_loses_nothing_and_keeps_shipping(sink: FakeIngestProcess, small_disk: Path) -> None:
    """With no byte free, spooled batches are sent and deleted. The rest follows once there is room."""
    sink.faults(keys=[])
    with PipelineHarness(sink.url, small_disk, GeneratedReader(2, 40_000, rate=8_000), limits=FAST) as rig:
        wait_until(lambda: rig.spool.bytes > 50_000)
        other = fill_disk(small_disk)
        wait_until(lambda: rig.pipeline.full or rig.pipeline.stuck)
        sink.faults()
        wait_until(lambda: all(sink.tip(job_id(number)) > 0 for number in range(2)))
        other.unlink()
        wait_until(lambda: arrived(sink, 2, 40_000))
    for number in range(2):
        assert_exact(sink, number, 40_000)


@pytest.fixture
def failing_disk(tmp_path: Path) -> Iterator[FailingDisk]:
    disk = FailingDisk(tmp_path)
    if not disk.made:
        pytest.skip("a file system of one's own needs root, a loop device and mkfs.ext4")
    yield disk
    subprocess.run(["umount", "-l", str(disk.folder)], check=True)


class FailingDisk:
    """An ext4 that its kernel remounts read-only on an error, as on most hosts."""

    def __init__(self, place: Path) -> None:
        self.folder, self._image = place / "disk", place / "image"
        self.folder.mkdir()
        with self._image.open("wb") as image:
            image.truncate(32 << 20)
        with suppress(OSError, subprocess.CalledProcessError):
            subprocess.run(["mkfs.ext4", "-q", "-F", str(self._image)], check=True)
            self._mount()
        self.made = self.folder.is_mount()

    def _mount(self, *options: str) -> None:
        words = ["mount", "-o", ",".join(("loop", "errors=remount-ro", *options)), str(self._image), str(self.folder)]
        subprocess.run(words, check=True)

    def fail(self) -> None:
        """Make the kernel meet an error, after which nothing is written."""
        device = next(
            line.split()[0] for line in Path("/proc/mounts").read_text().splitlines() if str(self.folder) in line
        )
        (Path("/sys/fs/ext4") / Path(device).name / "trigger_fs_error").write_text("1")

    def repair(self, *options: str) -> None:
        """Repair the file system as an administrator does, with the agent stopped."""
        subprocess.run(["umount", str(self.folder)], check=True)
        assert subprocess.run(["fsck.ext4", "-y", str(self._image)], check=False, capture_output=True).returncode <= 1
        self._mount(*options)


def test_read_only_disk_stops_reading_and_loses_nothing(sink: FakeIngestProcess, failing_disk: FailingDisk) -> None:
    """It is reported, also at a start. After repair, unsynced data is gone and the agent continues from the cloud's."""
    folder = failing_disk.folder / "spool"
    rig = PipelineHarness(sink.url, folder, GeneratedReader(1, 30_000, rate=10_000), limits=FAST)
    rig.__enter__()
    try:
        wait_until(lambda: sink.tip(job_id(0)) > 0)
        failing_disk.fail()
        wait_until(lambda: rig.pipeline.stuck)
    finally:
        rig.stop(0.1)
    failing_disk.repair("ro")
    with pytest.raises(SpoolError, match="cannot be written: Read-only file system"):
        Spool(folder, "engine")
    failing_disk.repair("rw")
    with PipelineHarness(sink.url, folder, GeneratedReader(1, 30_000), limits=FAST):
        wait_until(lambda: arrived(sink, 1, 30_000))
    assert_exact(sink, 0, 30_000)


def test_drop_oldest_on_a_small_disk_reports_what_it_dropped(sink: FakeIngestProcess, small_disk: Path) -> None:
    """Policy `drop-oldest` with a limit above the disk's size: gap counts add up to what is missing."""
    sink.faults(keys=[])
    limits = PipelineSettings(spool_policy="drop-oldest", flush_interval=0.05, answer_timeout=0.5)
    with PipelineHarness(sink.url, small_disk, GeneratedReader(2, 60_000), limits=limits) as rig:
        fill_disk(small_disk, leave=2_200_000)
        wait_until(lambda: all(after == 60_000 for after in rig.reader._next.values()))
        wait_until(lambda: not rig.pipeline.intake.pending)
        sink.faults()
        wait_until(lambda: not any(unacknowledged(rig)))
    for number in range(2):
        kept = lines_of(sink, number)
        missing = sum(gap.count or 0 for gap in gaps(sink, number))
        assert missing > 0
        assert len(kept) + missing == 60_000


# --- chaos -----------------------------------------------------------------------------------------------------------


NOISE = {"drop_answer": 0.05, "ignore": 0.03, "repeat_answer": 0.1, "delay_s": 0.05, "unreadable": 0.02}


def agent_process(sink: FakeIngestProcess, folder: Path, jobs: int, lines: int, rate: int) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "tests.support.pipeline_harness",
        sink.url,
        str(folder),
        str(jobs),
        str(lines),
        str(rate),
    ]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)


def kill(agent: subprocess.Popen[bytes]) -> None:
    os.kill(agent.pid, signal.SIGKILL)
    agent.wait()


def test_agent_killed_and_disconnected_repeatedly_is_exact(sink: FakeIngestProcess, tmp_path: Path) -> None:
    """The short form of `make chaos`; acknowledgements are also lost, repeated, late and out of order."""
    sink.faults(**NOISE)
    for tip in (200, 500, 900, 1_200):
        agent = agent_process(sink, tmp_path, 3, 1_200, 600)
        try:
            wait_until(lambda tip=tip: sink.tip(job_id(0)) >= tip // 2)
            sink.cut()
            wait_until(lambda tip=tip: arrived(sink, 1 if tip < 1_200 else 3, tip))
        finally:
            kill(agent)
    for number in range(3):
        assert_exact(sink, number, 1_200)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_thirty_jobs_are_exact_through_two_minutes_of_kills_and_cuts(sink: FakeIngestProcess, tmp_path: Path) -> None:
    """Killed every 5 s, cut every 7 s: each job is exactly 1..n."""
    jobs, lines = 30, 120_000
    sink.faults(**NOISE)
    cut_at = time.monotonic() + 7
    while not arrived(sink, jobs, lines):
        agent = agent_process(sink, tmp_path, jobs, lines, 1_000)
        die_at = time.monotonic() + 5
        while time.monotonic() < die_at and not arrived(sink, jobs, lines):
            time.sleep(0.1)
            if time.monotonic() >= cut_at:
                sink.cut()
                cut_at = time.monotonic() + 7
        kill(agent)
    for number in range(jobs):
        assert_exact(sink, number, lines)
