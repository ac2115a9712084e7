"""Answers the messages of connected viewers."""

from collections.abc import Callable
from typing import Any, Final

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from pydantic import BaseModel

from logferry_protocol.errors import ErrorCode, MalformedMessageError
from logferry_protocol.limits import MAX_SEQUENCE, MAX_SUBSCRIPTIONS
from logferry_protocol.messages import (
    FROM_VIEWER,
    Error,
    Ping,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
    ViewerPong,
    Watch,
    decode,
    encode,
)
from registry import jobs
from registry.principal import Principal
from runtime.websocket_push import ConnectionBusyError, ConnectionGoneError, Post

from . import core
from .store import Store

NO_SUCH_JOB: Final = "There is no such job, or you may not read it."

_watched_until: dict[str, int] = {}
"""Until when each job is known to be watched, in milliseconds, so that an early renewal costs nothing. Per process."""


class MessageHandler:
    """Answers one viewer's message at a time."""

    def __init__(
        self, store: Store, agents: Callable[[], Post], now_ms: Callable[[], int], logger: Logger, metrics: Metrics
    ) -> None:
        self._store, self._agents, self._now_ms, self._logger = store, agents, now_ms, logger
        self._metrics = metrics

    def answer(self, connection: str, principal: Principal, raw: str) -> str:
        """Return the frame that answers a frame.

        Args:
            connection: the id of the WebSocket connection.
            principal: the viewer.
            raw: the viewer's frame.
        """
        try:
            message = decode(raw, FROM_VIEWER)
        except MalformedMessageError as error:
            return encode(Error(id=error.request_id, code="malformed", message=error.detail))
        if principal.expired(self._now_ms()):
            return _error(message.id, "expired", "Your sign-in has expired. Sign in again.")
        match message:
            case Subscribe():
                return encode(self._subscribe(connection, principal, message))
            case Unsubscribe():
                if message.job is None:
                    self._store.remove_lists(connection)
                else:
                    self._store.remove_subscription(message.job, connection)
                return encode(Unsubscribed(id=message.id))
            case Ping():
                # The metric gives the connected viewers, and their minutes.
                self._metrics.add_metric(name="Pings", unit=MetricUnit.Count, value=1)
                return encode(self._pong(connection, message))

    def _subscribe(self, connection: str, principal: Principal, message: Subscribe) -> BaseModel:
        if message.job is None:
            return self._subscribe_list(connection, principal, message)
        record = self._store.job(message.job)
        owner = str((record or {}).get("owner") or "")
        if record is None or record.get("deleted") or not principal.may_read(owner, message.job):
            return Error(id=message.id, code="not_found", message=NO_SUCH_JOB)
        subscribed = self._store.subscribed_jobs(connection)
        if len(subscribed) >= MAX_SUBSCRIPTIONS and message.job not in subscribed:
            sentence = f"A connection can subscribe to at most {MAX_SUBSCRIPTIONS} jobs."
            return Error(id=message.id, code="too_many", message=sentence)
        now = self._now_ms()
        # The write comes before the read. Whatever is stored after it is broadcast to this connection, so the tip that
        # is read next leaves no hole between history and live batches.
        self._store.put_subscription(message.job, connection, principal, core.connection_expiry(principal, now), now)
        kept, archived = self._store.tip(message.job), self._store.archived_tip(message.job)
        tip = min(max(kept or 0, archived, int(record.get("tip") or 0)), MAX_SEQUENCE)
        self._watch(message.job, record)
        try:
            shown = jobs.to_record(record, tip=tip)
        except jobs.DamagedRecordError:
            self._logger.exception("a job's record is damaged")
            shown = None  # its lines can be read all the same
        return Subscribed(id=message.id, job=message.job, tip=tip, record=shown)

    def _subscribe_list(self, connection: str, principal: Principal, message: Subscribe) -> BaseModel:
        selector = message.jobs.model_dump(exclude_none=True) if message.jobs else {}
        now = self._now_ms()
        expires = core.connection_expiry(principal, now)
        self._store.remove_lists(connection)
        for owner in core.list_owners(principal, selector.get("owner")):
            self._store.put_list(owner, connection, principal, selector, expires=expires, now_ms=now)
        return Subscribed(id=message.id)

    def _pong(self, connection: str, message: Ping) -> ViewerPong:
        tips: dict[str, int] = {}
        for job in self._store.subscribed_jobs(connection):
            tip = self._store.tip(job, consistent=False)
            if tip is not None:
                tips[job] = min(tip, MAX_SEQUENCE)
            if _watched_until.get(job, 0) < self._now_ms() + core.WATCH_RENEW_MS:
                record = self._store.job(job)
                if record is not None:
                    self._watch(job, record)
        return ViewerPong(id=message.id, tips=tips)

    def _watch(self, job: str, record: dict[str, Any]) -> None:
        """Tell the job's agent that somebody reads, unless it knows."""
        now = self._now_ms()
        until, interval = now + core.WATCH_MS, core.watch_interval(self._store.count_viewers(job))
        if len(_watched_until) > 10_000:
            _watched_until.clear()
        if not self._store.extend_watch(job, until, now + core.WATCH_RENEW_MS, interval):
            _watched_until[job] = now + core.WATCH_RENEW_MS
            return
        _watched_until[job] = until
        container = job.rpartition(".")[2]
        frame = encode(Watch(job=container, ttl=core.WATCH_MS, interval=interval)).encode()
        principal, instance = jobs.instance_of(record)
        for link in self._store.instance_connections(principal, instance):
            try:
                self._agents()(link, frame)
            except ConnectionGoneError:
                self._store.remove_link(principal, instance, link)
            except ConnectionBusyError:
                self._logger.warning("an agent's connection takes no messages", extra={"job": job})


def _error(request: str | None, code: ErrorCode, sentence: str) -> str:
    return encode(Error(id=request, code=code, message=sentence))
