"""Provide a cloud for the agent's pipeline, run step by step.

It accepts what the wire's model accepts, and keeps it.
"""

from __future__ import annotations

from logferry_protocol.batch import decode_body
from logferry_protocol.job import LifeCycle
from logferry_protocol.messages import (
    FROM_AGENT,
    Ingest,
    Ingested,
    Noted,
    Open,
    Opened,
    OpenedJob,
    Result,
    Status,
    decode,
    encode,
)


class StoringCloud:
    """Links to a cloud whose answers wait until a test delivers them."""

    def __init__(self) -> None:
        self.entries: dict[str, list[tuple[str, str]]] = {}
        """Stream and text of each job's entries; the first has sequence 1."""
        self.lives: dict[str, LifeCycle] = {}
        """As each job was last told of."""
        self._tips: dict[str, tuple[int, str | None, str | None]] = {}
        self._answers: list[str] = []

    def send(self, link: int, text: str) -> None:
        match message := decode(text, FROM_AGENT):
            case Open():
                jobs = []
                for job in message.jobs:
                    tip, digest, cursor = self._tips.get(job.job, (0, None, None))
                    jobs.append(OpenedJob(job=job.job, tip=tip, digest=digest, cursor=cursor))
                    self.lives[job.job] = job.life
                self._answers.append(encode(Opened(id=message.id, jobs=jobs)))
            case Status():
                self.lives.update({job.job: job.life for job in message.jobs})
                self._answers.append(encode(Noted(id=message.id)))
            case Ingest():
                results = []
                for batch in message.batches:
                    stored = self.entries.setdefault(batch.job, [])
                    assert batch.first == len(stored) + 1, "1..n without a hole, nothing twice"
                    columns = decode_body(batch.body)
                    stored += zip(columns.streams, columns.texts, strict=True)
                    self._tips[batch.job] = (batch.last, batch.digest, batch.cursor)
                    results.append(Result(job=batch.job, first=batch.first, outcome="stored", tip=batch.last))
                self._answers.append(encode(Ingested(id=message.id, results=results)))

    def close(self, link: int) -> None: ...

    def answers(self) -> list[str]:
        answers, self._answers = self._answers, []
        return answers

    def lines(self, job: str) -> list[str]:
        """Return the texts of its lines."""
        return [text for stream, text in self.entries.get(job, []) if stream != "s"]

    def events(self, job: str) -> list[str]:
        """Return the texts of its system entries."""
        return [text for stream, text in self.entries.get(job, []) if stream == "s"]
