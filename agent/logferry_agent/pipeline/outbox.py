"""What goes to the cloud, as soon as what had to be written before it is on the disk."""

from __future__ import annotations

from typing import Protocol

import structlog
from pydantic import BaseModel, ValidationError

from logferry_protocol.messages import Ingest, encode

from ..core.session.effects import SendBatches, SendMessage
from ..core.session.envelope import wire_batch
from ..core.session.job_record import QueuedBatch
from ..edge.metrics import Metrics
from ..edge.spool import SpoolStuckError
from .journal import Journal
from .shelf import Shelf

log = structlog.get_logger(__name__)


class Links(Protocol):
    """The connections to the cloud, as the pipeline sees them; never blocks."""

    def send(self, link: int, text: str) -> None:
        """SendMessage a frame, if the connection still stands."""
        ...

    def close(self, link: int) -> None:
        """End a connection."""
        ...


class Outbox:
    """Makes the frames, and hands them to the connections."""

    def __init__(self, journal: Journal, shelf: Shelf, metrics: Metrics) -> None:
        self._journal, self._shelf, self._metrics = journal, shelf, metrics
        self.links: Links | None = None
        """Set when the pipeline starts; nothing is sent before."""
        self.refused: list[tuple[str, QueuedBatch]] = []
        """Batches that no message can carry: met only where the spool does not give back what was looked at."""

    def commit(self, now: float) -> None:
        """Write what is to be written, then send what waited for it."""
        for effect in self._journal.commit(now):
            self._send(effect)

    def hang_up(self, link: int) -> None:
        """End a connection."""
        if self.links is not None:
            self.links.close(link)

    def _send(self, effect: SendMessage | SendBatches) -> None:
        message = effect.message if isinstance(effect, SendMessage) else self._envelope(effect)
        if self.links is not None and message is not None:
            self.links.send(effect.link, encode(message))

    def _envelope(self, ship: SendBatches) -> BaseModel | None:
        batches = []
        for job_id, ref in ship.batches:
            try:
                batch = self._shelf.body(ref)
            except SpoolStuckError as error:
                log.warning("batch_unreadable", job=job_id, reason=str(error))
                continue  # it is asked for again when no answer comes
            if batch is None or ref.first is None:
                continue
            try:
                batches.append(wire_batch(job_id, ref.first, batch))
            except ValidationError:
                self.refused.append((job_id, ref))
                continue  # a gap takes its place, and is sent when no answer comes
            self._metrics.sent(batch)
        return Ingest(id=ship.id, batches=batches) if batches else None
