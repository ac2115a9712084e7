"""The agent's Prometheus metrics, named by vector's instrumentation specification.

Names are `<namespace>_<name>_<unit>_total`, and drops carry `intentional` and `reason`:
https://github.com/vectordotdev/vector/blob/master/docs/specs/instrumentation.md
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from logferry_protocol.events import Gap, decode_event

from ..core.batching.entries import Batch, Chunk, PreencodedBatch
from ..core.session.effects import Observation
from ..core.session.job_record import QueuedBatch

INTENTIONAL = frozenset({"rate_limit", "spool_full", "deleted"})
"""Reasons of drops that the configuration or a person asked for."""


class Metrics:
    """The agent's counters. Each method records one fact; nothing here decides."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        self._read_entries = _counter("received_events", "Entries read from the engine, by source.", registry, "source")
        self._read_bytes = _counter(
            "received_bytes",
            "Approximate bytes of these entries: each character counts as one byte.",
            registry,
            "source",
        )
        self._preencoded = _counter(
            "pressed_events", "Entries of these that the preencode process read and encoded.", registry
        )
        self._sent_entries = _counter("sent_events", "Entries sent, counting every resend.", registry)
        self._sent_bytes = _counter("sent_bytes", "Compressed bytes sent, counting every resend.", registry)
        self._acked_entries = _counter("acknowledged_events", "Entries that are durable in the cloud.", registry)
        self._acked_bytes = _counter("acknowledged_bytes", "Raw bytes of these entries.", registry)
        self._gaps = _counter("gaps", "Gap entries, by reason.", registry, "reason")
        self._dropped = _counter(
            "discarded_events",
            "Entries dropped for good, by reason, and whether that was intentional.",
            registry,
            "reason",
            "intentional",
        )
        self._redacted = _counter(
            "redacted_secrets",
            "Secrets hidden, by pattern: a built-in one's name, or `pattern_1` for the first of `redact_patterns`.",
            registry,
            "pattern",
        )
        self._answers = _counter(
            "answers", "Responses other than `stored`, and missing ones, by outcome.", registry, "outcome"
        )
        self._resyncs = _counter(
            "resyncs", "Times that a job continued from the cloud's position, by cause.", registry, "cause"
        )
        self._refused = _counter("refused_jobs", "Times that the cloud refused a job, by reason.", registry, "reason")
        self._established = _counter("connection_established", "Connections to the cloud made.", registry)
        self._failed = _counter("connection_failed", "Attempts to connect that failed.", registry)
        self._seen = (0, 0)
        """Connections and failed attempts counted so far."""
        self.connected = _gauge("connected", "1 while connected to the cloud, else 0.", registry)
        self.spool_bytes = _gauge("spool_bytes", "Bytes in the spool.", registry)
        self.spool_limit = _gauge("spool_limit_bytes", "The spool's limit.", registry)
        self.spool_age = _gauge("spool_age_seconds", "Age of the oldest unacknowledged entry.", registry)
        self.jobs = _gauge("jobs", "Jobs that the agent handles.", registry)
        self.in_flight = _gauge("envelopes_in_flight", "Envelopes that are not answered yet.", registry)
        self.lag = Gauge(
            "logferry_agent_lag_seconds",
            "Age of a job's oldest unacknowledged entry, by job and name.",
            ["job", "name"],
            registry=registry,
        )

    def read(self, chunk: Chunk | PreencodedBatch, source: str) -> None:
        """Record a chunk from a source."""
        self._read_entries.labels(source).inc(chunk.count)
        self._read_bytes.labels(source).inc(chunk.size if isinstance(chunk, Chunk) else chunk.batch.raw)
        if isinstance(chunk, PreencodedBatch):
            self._preencoded.inc(chunk.count)
        elif "s" in chunk.streams:
            for stream, text in zip(chunk.streams, chunk.texts, strict=True):
                if stream == "s" and isinstance(event := decode_event(text), Gap):
                    self._gaps.labels(event.reason).inc()

    def sent(self, batch: Batch) -> None:
        """Record a batch that is sent."""
        self._sent_entries.inc(batch.count)
        self._sent_bytes.inc(len(batch.body))

    def acknowledged(self, batch: QueuedBatch) -> None:
        """Record a batch that is durable."""
        self._acked_entries.inc(batch.count)
        self._acked_bytes.inc(batch.raw)

    def dropped(self, reason: str, count: int, gaps: int = 1) -> None:
        """Record entries that were dropped, and their gap entries (none where the whole job was deleted)."""
        self._dropped.labels(reason, str(reason in INTENTIONAL).lower()).inc(count)
        if reason != "deleted":
            self._gaps.labels(reason).inc(gaps)

    def redacted(self, hidden: Mapping[str, int]) -> None:
        """Record hidden secrets, by the name of the pattern that found them."""
        for name, count in hidden.items():
            self._redacted.labels(name).inc(count)

    def counted(self, effect: Observation) -> None:
        """Record a response other than `stored`."""
        self._answers.labels(effect.what).inc()

    def resynchronised(self, cause: str) -> None:
        """Record that a job continues from the cloud's position."""
        self._resyncs.labels(cause).inc()

    def refused(self, reason: str) -> None:
        """Record that the cloud refuses a job for now."""
        self._refused.labels(reason).inc()

    def connections(self, established: int, failed: int) -> None:
        """Record the connections made and the attempts failed since the start."""
        self._established.inc(established - self._seen[0])
        self._failed.inc(failed - self._seen[1])
        self._seen = (established, failed)

    def spool(self, size: int, limit: int) -> None:
        """Record how full the spool is."""
        self.spool_bytes.set(size)
        self.spool_limit.set(limit)

    def lagging(self, job: str, name: str, oldest_us: int | None) -> None:
        """Record the age of a job's oldest entry that is not acknowledged.

        Args:
            job: The container's id.
            name: The container's name.
            oldest_us: The entry's time in microseconds since 1970; None when all are acknowledged.
        """
        self.lag.labels(job[:12], name).set(max(0.0, time.time() - oldest_us / 1e6) if oldest_us else 0.0)

    def forget(self, job: str) -> None:
        """Remove the series of a job that ended."""
        for labels in [labels for labels in self.lag._metrics if labels[0] == job[:12]]:
            self.lag.remove(*labels)

    def render(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        return generate_latest(self.registry)


def _counter(name: str, text: str, registry: CollectorRegistry, *labels: str) -> Counter:
    return Counter(f"logferry_agent_{name}", text, labels, registry=registry)


def _gauge(name: str, text: str, registry: CollectorRegistry) -> Gauge:
    return Gauge(f"logferry_agent_{name}", text, registry=registry)
