"""Provide clouds for the agent's pipeline, run step by step: answers wait until a test delivers them."""

from __future__ import annotations

from collections.abc import Sequence

from logferry_protocol.batch import decode_body
from logferry_protocol.job import LifeCycle
from logferry_protocol.messages import (
    FROM_AGENT,
    Batch,
    Ingest,
    Ingested,
    Noted,
    Open,
    Opened,
    OpenedJob,
    OpenJob,
    Result,
    Status,
    decode,
    encode,
)


class AnsweringCloud:
    """Links to a cloud that answers every request; subclasses say how a job is opened and a batch stored."""

    def __init__(self) -> None:
        self._answers: list[str] = []

    def open_job(self, job: OpenJob) -> OpenedJob:
        """Return what the cloud knows of a job."""
        return OpenedJob(job=job.job, tip=0)

    def note(self, status: Status) -> None:
        """Take a status."""

    def ingest(self, batches: Sequence[Batch]) -> list[Result]:
        """Take an envelope's batches, and return their results."""
        return [Result(job=batch.job, first=batch.first, outcome="stored", tip=batch.last) for batch in batches]

    def send(self, link: int, text: str) -> None:
        match message := decode(text, FROM_AGENT):
            case Open():
                jobs = [self.open_job(job) for job in message.jobs]
                self._answers.append(encode(Opened(id=message.id, jobs=jobs)))
            case Status():
                self.note(message)
                self._answers.append(encode(Noted(id=message.id)))
            case Ingest():
                self._answers.append(encode(Ingested(id=message.id, results=self.ingest(message.batches))))

    def close(self, link: int) -> None: ...

    def answers(self) -> list[str]:
        """Return the answers that wait, and forget them."""
        answers, self._answers = self._answers, []
        return answers


class StoringCloud(AnsweringCloud):
    """A cloud that accepts what the wire's model accepts, checks that it is 1..n, and keeps it."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[str, list[tuple[str, str]]] = {}
        """Stream and text of each job's entries; the first has sequence 1."""
        self.lives: dict[str, LifeCycle] = {}
        """Each job's last reported lifecycle."""
        self._tips: dict[str, tuple[int, str | None, str | None]] = {}

    def open_job(self, job: OpenJob) -> OpenedJob:
        tip, digest, cursor = self._tips.get(job.job, (0, None, None))
        self.lives[job.job] = job.life
        return OpenedJob(job=job.job, tip=tip, digest=digest, cursor=cursor)

    def note(self, status: Status) -> None:
        self.lives.update({job.job: job.life for job in status.jobs})

    def ingest(self, batches: Sequence[Batch]) -> list[Result]:
        for batch in batches:
            stored = self.entries.setdefault(batch.job, [])
            assert batch.first == len(stored) + 1, "1..n without a hole, nothing twice"
            columns = decode_body(batch.body)
            stored += zip(columns.streams, columns.texts, strict=True)
            self._tips[batch.job] = (batch.last, batch.digest, batch.cursor)
        return super().ingest(batches)

    def lines(self, job: str) -> list[str]:
        """Return the texts of its lines."""
        return [text for stream, text in self.entries.get(job, []) if stream != "s"]

    def events(self, job: str) -> list[str]:
        """Return the texts of its system entries."""
        return [text for stream, text in self.entries.get(job, []) if stream == "s"]
