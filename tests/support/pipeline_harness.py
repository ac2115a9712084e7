"""Run the agent's pipeline on generated lines, in a process that may be killed at any time.

`python -m tests.support.pipeline_harness URL SPOOL_DIR JOBS LINES RATE` ships JOBS jobs of LINES numbered lines each,
RATE lines a second and job (0: as fast as they are accepted), and exits on SIGTERM.
"""

from __future__ import annotations

import signal
import ssl
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from logferry_agent.core.batching.entries import Chunk
from logferry_agent.core.batching.ports import Job, Offer, Position, Sink
from logferry_agent.edge.cloud_socket import CloudSocket
from logferry_agent.edge.credentials import Credential, Key
from logferry_agent.edge.metrics import Metrics
from logferry_agent.edge.spool import Spool
from logferry_agent.pipeline import Pipeline, PipelineSettings
from logferry_protocol.job import Container, LifeCycle

START_US = 1_764_000_000_000_000


def job_id(number: int) -> str:
    """Return the container id of a generated job."""
    return f"{number:064x}"


def line(number: int, index: int) -> str:
    """Return the index-th line (from 0) of a job."""
    return f"job {number} line {index} " + "abcdefghij" * (index * 7 % 13)


def generated(number: int, begin: int, end: int) -> Chunk:
    """Return lines [begin, end) of a job; the cursor is the number of lines before."""
    texts = [line(number, index) for index in range(begin, end)]
    times = [START_US + index * 1000 for index in range(begin, end)]
    streams = "".join("e" if index % 3 == 2 else "o" for index in range(begin, end))
    return Chunk(times, streams, texts, sum(map(len, texts)), lambda count: str(begin + count))


class GeneratedReader:
    """Offer generated lines."""

    def __init__(self, jobs: int, lines: int, rate: float = 0.0, *, chunk: int = 700, end: bool = False) -> None:
        self.jobs, self.lines, self.rate, self.chunk, self.end = jobs, lines, rate, chunk, end
        self._sink: Sink | None = None
        self._lock = threading.Lock()
        self._positions: dict[int, Position] = {}
        self._next: dict[int, int] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.rereads: list[tuple[str, Position]] = []
        self.lowest: Callable[[int], int] = lambda number: 0

    def start(self, sink: Sink) -> None:
        self._sink = sink
        for number in range(self.jobs):
            job = Job(job_id(number), Container(name=f"made-{number}"), LifeCycle(state="running", source="file"))
            self._place(number, sink.job_appeared(job))
        self._thread.start()

    def _place(self, number: int, position: Position) -> None:
        with self._lock:
            self._positions[number] = position
            self._next[number] = int(position.cursor or 0)

    def reread(self, job: str, position: Position) -> None:
        self.rereads.append((job, position))
        self._place(int(job, 16), position)

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        assert self._sink is not None
        rng = Random(1)
        begun = time.monotonic()
        base = dict(self._next)
        done: set[int] = set()
        while not self._stopping.is_set():
            moved = False
            for number in range(self.jobs):
                with self._lock:
                    position, begin = self._positions[number], self._next[number]
                due = self.lines
                if self.rate:
                    due = min(due, base[number] + int((time.monotonic() - begun) * self.rate) + 1)
                end = min(due, begin + rng.randint(1, self.chunk))
                if end <= begin:
                    if self.end and begin == self.lines and number not in done:
                        done.add(number)
                        self._sink.job_ended(job_id(number))
                    continue
                if self._sink.offer(job_id(number), position.epoch, generated(number, begin, end)) is Offer.TAKEN:
                    moved = True
                    with self._lock:
                        if self._positions[number] is position:
                            self._next[number] = end
                else:
                    self._sink.wait_for_room(0.05)
            if not moved:
                self._stopping.wait(0.01)


class PipelineHarness:
    """Spool, pipeline, socket and reader together."""

    def __init__(
        self,
        url: str,
        folder: Path,
        reader: GeneratedReader,
        *,
        limits: PipelineSettings | None = None,
        key: str = "test",
        credential: Credential | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.key = key
        self.reader = reader
        self.metrics = Metrics()
        self.spool = Spool(folder, "engine")
        self.pipeline = Pipeline(
            self.spool, "engine", limits or PipelineSettings(flush_interval=0.05, answer_timeout=1.0), self.metrics
        )
        self.socket = CloudSocket(
            url,
            credential or Key(lambda: self.key),
            self.pipeline.post,
            first_delay_s=0.05,
            rng=Random(3),
            tls=tls,
        )

    def __enter__(self) -> PipelineHarness:
        self.pipeline.start(self.socket, self.reader)
        self.socket.start()
        self.reader.start(self.pipeline.intake)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self, flush_s: float = 5.0) -> bool:
        """Stop as the agent does, and report whether everything was shipped."""
        self.reader.stop()
        done = self.pipeline.stop(flush_s)
        self.socket.stop()
        self.spool.close()
        if self.pipeline.failure is not None:
            raise self.pipeline.failure
        return done


def main() -> None:
    url, folder, jobs, lines, rate = sys.argv[1:6]
    sys.setswitchinterval(0.001)
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    with PipelineHarness(url, Path(folder), GeneratedReader(int(jobs), int(lines), float(rate))):
        print("ready", flush=True)
        ending.wait()


if __name__ == "__main__":
    main()
