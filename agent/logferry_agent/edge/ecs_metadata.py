"""Ask Amazon ECS' task metadata endpoint, in its own thread, so that nothing waits for the answer."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from random import random
from threading import Event, Thread
from typing import Any, Final

import requests
import structlog
import urllib3.exceptions

from logferry_protocol.backoff import Backoff, Retries

from ..core.container.ecs_task import EcsMetadataError, EcsTask, parse_task

log = structlog.get_logger()

_CONNECT_S: Final = 1.0
_READ_S: Final = 2.0
_WHOLE_S: Final = 4.0
"""Seconds after which an answer is given up, however slowly it comes."""
_MAX_BYTES: Final = 1 << 20
_TRIES: Final = 10
"""With random waits this covers a minute on average: half of 0.5 s, 1 s, 2 s … 30 s, 30 s, 30 s."""
_RETRY: Final = Backoff(first_s=0.5, longest_s=30.0)
"""Waits between attempts. The endpoint is throttled, and comes up with the ECS agent."""


def ask(uri: str) -> EcsTask:
    """Return the agent's own task.

    Raises:
        EcsMetadataError: There is no answer, or none that can be parsed.
    """
    limit = time.monotonic() + _WHOLE_S
    return parse_task(_get(uri, limit), _get(uri.rstrip("/") + "/task", limit))


def _get(uri: str, limit: float) -> Any:
    session = requests.Session()
    session.trust_env = False  # the endpoint is link-local: no proxy reaches it
    try:
        with session, session.get(uri, timeout=(_CONNECT_S, _READ_S), stream=True, allow_redirects=False) as response:
            if response.status_code != 200:
                raise EcsMetadataError(f"status {response.status_code}")
            body = b""
            # `iter_content` would wait for a whole piece, however slowly it comes.
            while part := response.raw.read1(65_536, decode_content=True):
                body += part
                if len(body) > _MAX_BYTES or time.monotonic() > limit:
                    raise EcsMetadataError("the answer does not end")
        return json.loads(body)
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise EcsMetadataError(f"no answer: {error}"[:300]) from error
    except ValueError as error:
        raise error if isinstance(error, EcsMetadataError) else EcsMetadataError("the answer is not JSON") from error


class TaskLookup:
    """Asks until there is an answer, a few times at most."""

    def __init__(self, uri: str, found: Callable[[EcsTask], None]) -> None:
        """Prepare a lookup.

        Args:
            uri: The endpoint.
            found: Called once with the task, from the lookup's own thread.
        """
        self._uri = uri
        self._found = found
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="logferry-ecs", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop asking. An answer that is on its way is not waited for."""
        self._stopping.set()

    def _run(self) -> None:
        retries = Retries(_RETRY, random)
        for turn in range(_TRIES):
            try:
                task = ask(self._uri)
            except EcsMetadataError as error:
                last = turn == _TRIES - 1
                (log.warning if last else log.debug)("ecs_task_unknown", reason=str(error))
            else:
                if not self._stopping.is_set():
                    self._found(task)
                return
            if self._stopping.wait(retries.next_delay()):
                return
