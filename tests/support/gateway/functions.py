"""Invoke functions through Lambda's own API, so that concurrent messages run concurrently."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tests.support.gateway.permissions import permits

INTEGRATION_S = 29.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of an invocation."""

    payload: Any = None
    failed: bool = False
    """Whether it raised, timed out, was throttled or could not be started."""
    permitted: bool = True
    """Whether the function's policy allowed the invocation."""


class Functions(Protocol):
    """An interface that runs functions by their logical ids."""

    async def invoke(self, function: str, event: dict[str, Any]) -> Outcome: ...

    def permits(self, function: str, source_arn: str) -> bool:
        """Return whether the function's policy lets API Gateway invoke it for this ARN."""
        ...

    async def read_policies(self) -> None:
        """Read the functions' policies again."""
        ...


class HandlerFunctions:
    """Handlers in this process, each call in its own thread, for the gateway's own tests."""

    def __init__(
        self,
        handlers: dict[str, Callable[[dict[str, Any]], Any]],
        policies: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """`policies`: the functions' resource policies; without them, everything is permitted."""
        self._handlers = handlers
        self._policies = policies

    def permits(self, function: str, source_arn: str) -> bool:
        return self._policies is None or permits(self._policies.get(function, {}), source_arn)

    async def read_policies(self) -> None:
        """They are fixed here."""

    async def invoke(self, function: str, event: dict[str, Any]) -> Outcome:
        # Through JSON, as Lambda does: a handler can only see and return JSON values.
        try:
            answer = await asyncio.to_thread(self._handlers[function], json.loads(json.dumps(event)))
            return Outcome(json.loads(json.dumps(answer)))
        except Exception:
            return Outcome(failed=True)


class EmulatorFunctions:
    """The emulator's functions, through its Lambda API. Use as an async context manager."""

    def __init__(
        self,
        endpoint_url: str,
        names: dict[str, str],
        called: Iterable[str],
        *,
        concurrency: int,
        region: str = "us-east-1",
        key: str = "test",
    ) -> None:
        """`names`: physical ids by logical ids. `called`: the logical ids of functions that API Gateway calls."""
        self._called = tuple(called)
        self._endpoint_url = endpoint_url.rstrip("/")
        self._names = names
        self._signer = SigV4Auth(Credentials(key, key), "lambda", region)
        self._turns: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(concurrency))
        self._session: ClientSession | None = None
        self._policies: dict[str, Mapping[str, Any]] = {}

    def permits(self, function: str, source_arn: str) -> bool:
        return permits(self._policies[function], source_arn)

    async def read_policies(self) -> None:
        """Read what is deployed. The emulator stores the policies, and ignores them."""
        assert self._session is not None
        for function in self._called:
            url = f"{self._endpoint_url}/2015-03-31/functions/{self._names[function]}/policy"
            request = AWSRequest("GET", url)
            self._signer.add_auth(request)
            async with self._session.get(url, headers=dict(request.headers)) as answer:
                found = await answer.json(content_type=None)
                self._policies[function] = json.loads(found["Policy"]) if answer.status == 200 else {}

    async def __aenter__(self) -> EmulatorFunctions:
        self._session = ClientSession(connector=TCPConnector(limit=0), timeout=ClientTimeout(total=120))
        await self.read_policies()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        await self._session.close()

    async def invoke(self, function: str, event: dict[str, Any]) -> Outcome:
        assert self._session is not None
        url = f"{self._endpoint_url}/2015-03-31/functions/{self._names[function]}/invocations"
        body = json.dumps(event).encode()
        request = AWSRequest("POST", url, {"Content-Type": "application/json"}, body)
        self._signer.add_auth(request)
        turn = self._turns[function]
        try:
            # Only this machine makes calls queue; no caller waits longer than this for an answer.
            await asyncio.wait_for(turn.acquire(), INTEGRATION_S)
        except TimeoutError:
            return Outcome(failed=True)
        try:
            try:
                async with self._session.post(url, data=body, headers=dict(request.headers)) as answer:
                    text = await answer.text()
                    failed = answer.status != 200 or "X-Amz-Function-Error" in answer.headers
            except (ClientError, TimeoutError, OSError):
                return Outcome(failed=True)
        finally:
            turn.release()
        try:
            return Outcome(json.loads(text) if text else None, failed)
        except ValueError:
            return Outcome(failed=True)
