"""Run all functions in one process over moto's tables, called as API Gateway and the streams call them.

Tests control the time.
"""

import base64
import contextlib
import hashlib
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from aws_lambda_powertools import Logger, Metrics
from tests.support import clouds, stream_filters
from tests.support.batches import CONTAINER, NOW_MS, batch_document
from tests.support.bucket import MemoryBucket
from tests.support.permissions import RestrictedClient
from tests.support.tables import failure, logferry_tables

import archive.app
import archive.service
import archive.store
import broadcast.app
import broadcast.store
import connect.app
import connect.settings
import connect.store
import ingest.app
import ingest.store
import query.app
import query.archive_reader
import query.current_tips
import query.history
import query.store
from broadcast.delivery import Clock, Delivery
from connect.authorizers import IdentifyCaller, VerifyToken
from connect.core import Refusal
from ingest.service import Service as IngestService
from query.service import Service as QueryService
from registry import items
from registry.archive_index import Index
from runtime.websocket_push import ConnectionBusyError, ConnectionGoneError

ORIGIN = "https://logs.example"
AGENTS, VIEWERS = "agentsapi", "viewersapi"


@dataclass(frozen=True)
class Answer:
    """The answer to a client of the HTTP API."""

    status: int
    body: str
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Socket:
    """A client's WebSocket; `inbox` has the messages other than answers."""

    cloud: "Cloud"
    api: str
    id: str
    context: Mapping[str, Any]
    inbox: list[dict[str, Any]] = field(default_factory=list)
    closed: bool = False

    def say(self, message: Any) -> Any:
        """Send a message (or a raw text) and return the answer, decoded; None when there is none."""
        raw = message if isinstance(message, str) else json.dumps(message)
        try:
            kind = json.loads(raw).get("type")
        except (ValueError, AttributeError, RecursionError):
            kind = None
        routes = {"open", "ingest", "status", "ping"} if self.api == AGENTS else {"subscribe", "unsubscribe", "ping"}
        event = self._event("MESSAGE", kind if isinstance(kind, str) and kind in routes else "$default", raw)
        handler = self.cloud.ingest if self.api == AGENTS else self.cloud.connect
        answer = handler(event, None)
        assert answer["statusCode"] == 200
        return json.loads(answer["body"]) if answer.get("body") else None

    def disconnect(self) -> None:
        """Close the socket, as API Gateway reports it."""
        self.closed = True
        assert self.cloud.connect(self._event("DISCONNECT", "$disconnect"), None)["statusCode"] == 200

    def _event(self, event_type: str, route: str, body: str = "") -> dict[str, Any]:
        return {
            "requestContext": {
                "apiId": self.api,
                "connectionId": self.id,
                "eventType": event_type,
                "routeKey": route,
                "authorizer": self.context,
            },
            "body": body,
        }


class FailingStore(connect.store.Store):
    """Connect's store, with a table that can be made to throttle."""

    fail = False

    def _get(self, key: Mapping[str, Any]) -> dict[str, Any] | None:
        self._refuse()
        return super()._get(key)

    def redeem_ticket(self, digest: str) -> dict[str, Any] | None:
        self._refuse()
        return super().redeem_ticket(digest)

    def _refuse(self) -> None:
        if self.fail:
            raise failure("GetItem", "ProvisionedThroughputExceededException")


class Cloud:
    """The functions, their tables, their clients."""

    def __init__(self, tables: clouds.Tables) -> None:
        self.tables = tables
        self.verify: VerifyToken = lambda _token: Refusal("no_issuer")
        self.identify: IdentifyCaller = lambda _token: Refusal("no_identity")
        self.now_ms = NOW_MS
        self.sockets: dict[str, Socket] = {}
        self.busy: set[str] = set()
        self.slept: list[float] = []
        self.to_erase: list[str] = []
        self.ended: list[str] = []
        """Jobs whose end was reported to the archive."""
        self.tell: Callable[[list[str]], None] = self.ended.extend
        self.again: list[Mapping[str, Any]] = []
        """Jobs with which the archive asked itself to continue."""
        self.bucket = MemoryBucket()
        self._seen: dict[str, Any] = {}
        self.logger = Logger(service="tests", level="CRITICAL")
        self.metrics = Metrics(namespace="Tests", service="tests")
        self.executor = ThreadPoolExecutor(8)
        settings = connect.settings.Settings(
            tables.registry, tables.log, AGENTS, VIEWERS, "http://unused", (ORIGIN,), (), *[""] * 6
        )
        # Each function sees the tables through its role: what the template forbids fails in every test.
        names = {tables.registry: "RegistryTable", tables.log: "LogTable"}
        own = {
            name: RestrictedClient(tables.dynamodb, name, names)
            for name in ("Connect", "Ingest", "Broadcast", "Query", "Archive")
        }
        self.connect_store = FailingStore(own["Connect"], tables.registry, tables.log)
        self.connect = connect.app.build_handler(
            self.connect_store,
            settings,
            lambda: self.post,
            logger=self.logger,
            metrics=self.metrics,
            verify=lambda token: self.verify(token),  # noqa: PLW0108 - a test may put another in its place
            identify=lambda token: self.identify(token),  # noqa: PLW0108
            now_ms=self.now,
        )
        self.ingest_store = ingest.store.Store(own["Ingest"], tables.log, tables.registry, 30)
        service = IngestService(
            self.ingest_store, self.executor, self.logger, self.metrics, self.now,
            notify_ended=lambda jobs: self.tell(jobs),  # noqa: PLW0108 - a test may put another in its place
        )  # fmt: skip
        self.ingest = ingest.app.build_handler(service, self.logger, self.metrics, self.now)
        self.broadcast_store = broadcast.store.Store(own["Broadcast"], tables.registry)
        clock = Clock(self.now, self.slept.append, lambda: 0.5)
        delivery = Delivery(self.broadcast_store, self.post, self.executor, self.logger, close=self.close, clock=clock)
        self.close_fails = False
        closers = {"agent": self.close, "viewer": self.close}
        self.handed_over: list[bytes] = []
        self.broadcast = broadcast.app.build_handler(
            self.broadcast_store, delivery, closers, self.logger, self.metrics, fan_out=self.handed_over.append
        )
        query_store = query.store.Store(own["Query"], tables.log, tables.registry)
        self.archive_store = archive.store.Store(own["Archive"], self.bucket, tables.log, tables.registry, "archive")
        self.archive_service = archive.service.Service(self.archive_store, 0, self.logger, self.metrics, self.now)
        self.clock_s: Callable[[], float] = lambda: 0.0
        self.archive = archive.app.build_handler(
            self.archive_service, self.again.append, self.logger, self.metrics,
            lambda: self.clock_s(),  # noqa: PLW0108
        )  # fmt: skip
        archived = query.archive_reader.ArchiveReader(
            Index(own["Query"], tables.registry), lambda: self.bucket, "archive", self.now
        )
        history = query.history.History(query_store, archived, self.now)
        growth = query.current_tips.CurrentTips(query_store, self.executor, self.logger)
        query_service = QueryService(
            query_store, history, growth, origins=(ORIGIN,), erase=self.to_erase.append, now_ms=self.now
        )
        self.query = query.app.build_handler(query_service, self.logger, self.metrics, self.now)

    def now(self) -> int:
        return self.now_ms

    # --- principals and keys

    def issue(self, kind: str, name: str, *, expires: int | None = None, **attributes: Any) -> str:
        """Return a key of a new principal."""
        credential = hashlib.sha256(f"{kind}{name}".encode()).hexdigest()[:12]
        key = f"{'lfa' if kind == 'agent' else 'lfv'}_{credential}_{'s' * 43}"
        self.put(f"PRINCIPAL#{name}", "PRINCIPAL", kind=kind, name=name, created=self.now_ms, **attributes)
        self.put(
            f"CREDENTIAL#{credential}", "CREDENTIAL", kind=kind, principal=name, created=self.now_ms, expires=expires,
            sha256=hashlib.sha256(key.encode()).hexdigest(), gpk=f"PRINCIPAL#{name}", gsk=f"CREDENTIAL#0#{credential}",
        )  # fmt: skip
        return key

    def agent_key(self, name: str = "web", owner: str = "team", owners: tuple[str, ...] = ()) -> str:
        return self.issue("agent", name, owner=owner, owners=owners)

    def viewer_key(self, name: str = "me", groups: tuple[str, ...] = ("team",), *, admin: bool = False) -> str:
        return self.issue("viewer", name, subject=name, groups=groups, admin=admin)

    def put(self, pk: str, sk: str, **attributes: Any) -> None:
        item = {**items.key(pk, sk), **items.to_item(attributes)}
        self.tables.dynamodb.put_item(TableName=self.tables.registry, Item=item)

    def get(self, pk: str, sk: str) -> dict[str, Any] | None:
        answer = self.tables.dynamodb.get_item(TableName=self.tables.registry, Key=items.key(pk, sk))
        return items.from_item(answer["Item"]) if "Item" in answer else None

    def snapshot(self) -> dict[str, Any]:
        """Return everything stored, except tickets and records of who read what."""
        found: dict[str, Any] = {}
        for name in (self.tables.log, self.tables.registry):
            for item in self.tables.dynamodb.scan(TableName=name)["Items"]:
                plain = items.from_item(item)
                key = f"{plain.get('pk', plain.get('job'))}/{plain.get('sk', plain.get('first'))}"
                if not key.startswith(("TICKET#", "AUDIT#", "RATE#")):
                    found[key] = plain
        return found

    # --- WebSockets

    def open_socket(self, api: str, headers: Mapping[str, str], query: Mapping[str, str]) -> Socket | None:
        """Run the handshake: the authorizer, then $connect; None when it is refused."""
        connection = uuid.uuid4().hex[:16]
        context = {"apiId": api, "connectionId": connection, "eventType": "CONNECT", "routeKey": "$connect"}
        event = {"headers": headers, "queryStringParameters": query, "requestContext": context}
        answer = self.connect({**event, "type": "REQUEST", "methodArn": "arn:connect"}, None)
        if answer["policyDocument"]["Statement"][0]["Effect"] != "Allow":
            return None
        socket = Socket(self, api, connection, answer["context"])
        connected = {**event, "requestContext": {**context, "authorizer": answer["context"]}}
        status = self.connect(connected, None)["statusCode"]
        if status != 200:
            assert status == 403
            return None
        self.sockets[connection] = socket
        return socket

    def agent(self, key: str) -> Socket:
        socket = self.open_socket(AGENTS, {"Authorization": f"Bearer {key}"}, {})
        assert socket is not None, "refused"
        return socket

    def viewer(self, key: str) -> Socket:
        ticket = self.http("POST", "/api/tickets", key).json["ticket"]
        socket = self.open_socket(VIEWERS, {}, {"ticket": ticket})
        assert socket is not None, "refused"
        return socket

    def post(self, connection: str, frame: bytes) -> None:
        socket = self.sockets.get(connection)
        if socket is None or socket.closed:
            raise ConnectionGoneError(connection)
        if connection in self.busy:
            raise ConnectionBusyError(connection)
        assert len(frame) <= 32_768
        socket.inbox.append(json.loads(frame))

    def close(self, connection: str) -> None:
        if self.close_fails:
            raise RuntimeError("the gateway cannot be reached")
        if connection in self.sockets:
            self.sockets[connection].closed = True

    # --- HTTP

    def http(
        self,
        method: str,
        path: str,
        key: str | None = None,
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request: the authorizer (if there is an Authorization header: its identity source), then query."""
        parts = urlsplit(path)
        given = {name.lower(): value for name, value in (headers or {}).items()}
        if key is not None:
            given["authorization"] = f"Bearer {key}"
        if "authorization" not in given:
            return Answer(401, '{"message":"Unauthorized"}', {})
        allowed = self.connect({"type": "REQUEST", "version": "2.0", "routeArn": "arn", "headers": given}, None)
        if not allowed["isAuthorized"]:
            return Answer(403, '{"message":"Forbidden"}', {})
        parameters: dict[str, list[str]] = {}
        for name, value in parse_qsl(parts.query, keep_blank_values=True):
            parameters.setdefault(name, []).append(value)
        text = body if isinstance(body, str) or body is None else json.dumps(body)
        event = {
            "version": "2.0",
            "routeKey": "ANY /{proxy+}",
            "rawPath": parts.path,
            "rawQueryString": parts.query,
            "headers": given,
            # API Gateway joins a parameter given twice by a comma.
            "queryStringParameters": {name: ",".join(values) for name, values in parameters.items()} or None,
            "requestContext": {
                "http": {"method": method, "path": parts.path},
                "stage": "$default",
                "requestId": "request",
                "authorizer": {"lambda": allowed["context"]},
            },
            "body": text,
            "isBase64Encoded": False,
        }
        answer = self.query(event, None)
        content = answer.get("body") or ""
        if answer.get("isBase64Encoded"):
            content = base64.b64decode(content).decode()
        return Answer(answer["statusCode"], content, {k.lower(): str(v) for k, v in answer.get("headers", {}).items()})

    # --- streams

    def records(self) -> list[dict[str, Any]]:
        """Return the records that the streams' filters pass on since the last call."""
        found: list[dict[str, Any]] = []
        for name, is_log in ((self.tables.log, True), (self.tables.registry, False)):
            for item in self.tables.dynamodb.scan(TableName=name)["Items"]:
                keys = ("job", "first") if is_log else ("pk", "sk")
                place = name + json.dumps([item[key] for key in keys])
                image = {k: _as_event(v) for k, v in item.items()}
                new = place not in self._seen
                if self._seen.get(place) == image:
                    continue
                self._seen[place] = image
                change = {
                    "Keys": {key: item[key] for key in keys},
                    "NewImage": image,
                    "SequenceNumber": str(len(self._seen)),
                }
                record = {"eventName": "INSERT" if new else "MODIFY", "dynamodb": change}
                if stream_filters.passes("BroadcastBatches" if is_log else "BroadcastRegistry", record):
                    found.append(record)
        return found

    def stream(self) -> list[str]:
        """Give broadcast the changes, and return the records that failed."""
        records = self.records()
        if not records:
            return []
        failures = self.broadcast({"Records": records}, None)["batchItemFailures"]
        return [str(failure["itemIdentifier"]) for failure in failures]

    def expire(self, *firsts: int, job: str = f"web.{CONTAINER}") -> None:
        """Delete batches as the log table's time to live does."""
        for first in firsts:
            key = {"job": {"S": job}, "first": {"N": str(first)}}
            self.tables.dynamodb.delete_item(TableName=self.tables.log, Key=key)

    # --- a job with lines

    def open_job(self, agent: Socket, named: str = CONTAINER, **more: Any) -> dict[str, Any]:
        job = {"job": named, "container": {"name": "web", "host": "h1"}, "life": {"state": "running"}, **more}
        answer = agent.say({"type": "open", "id": "o", "instance": "ENGINE", "jobs": [job]})
        assert answer["type"] == "opened", answer
        return answer["jobs"][0]  # type: ignore[no-any-return]

    def send(self, agent: Socket, first: int, texts: tuple[str, ...] = ("one", "two", "three"), **more: Any) -> Any:
        """Send one batch and return its result."""
        document = batch_document(first, texts, **more)
        return agent.say({"type": "ingest", "id": "i", "batches": [document]})["results"][0]


def _as_event(value: dict[str, Any]) -> dict[str, Any]:
    """Return a DynamoDB value as JSON carries it to Lambda: binary as base64."""
    ((kind, inner),) = value.items()
    if kind == "B":
        return {"B": base64.b64encode(inner).decode()}
    if kind == "M":
        return {"M": {key: _as_event(each) for key, each in inner.items()}}
    if kind == "L":
        return {"L": [_as_event(each) for each in inner]}
    return value


def cloud_in_memory() -> Cloud:
    """Provide a cloud over the tables in memory, for property tests, which use thousands."""
    return Cloud(clouds.Tables(logferry_tables(), "log", "registry"))


@contextlib.contextmanager
def cloud(dynamodb: Any) -> Iterator[Cloud]:
    """Provide a cloud for one test; the DynamoDB client, slow to make, is shared."""
    with clouds.tables(dynamodb, "t") as tables:
        made = Cloud(tables)
        try:
            yield made
        finally:
            made.executor.shutdown()
