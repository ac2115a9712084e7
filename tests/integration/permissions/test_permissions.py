"""Test under the emulator's IAM that the template's permissions suffice and that each is needed.

Each function receives events like those of API Gateway and the streams. Then the test removes one permission after the
other, and exactly the right probe fails. A new permission needs a line in `NEEDED_BY`.
"""

import base64
import copy
import hashlib
import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from tests.support.batches import batch_document
from tests.support.stacks import Stack

from broadcast.core import FAN_OUT_SUBSCRIBERS
from registry.archive_index import Segment, encode_segment
from registry.archive_index import to_item as to_index
from registry.items import from_item, key, to_item, unarchived_attributes
from registry.principal import Principal

pytestmark = pytest.mark.cloud

AGENT = Principal("agent", "web", "agentkey0000", owner="team")
VIEWER = Principal("viewer", "me", "viewerkey000", subject="me", groups=("team",))
AGENT_KEY: Final = f"lfa_agentkey0000_{'s' * 43}"
ENGINE: Final = "ENGINE"
FUNCTIONS: Final = ("Connect", "Ingest", "Broadcast", "Query", "Archive")

NEEDED_BY: Final[dict[tuple[str, str, str], set[str]]] = {
    ("Connect", "dynamodb:GetItem", "RegistryTable"): {"authorize a key", "connect", "subscribe"},
    ("Connect", "dynamodb:DeleteItem", "RegistryTable"): {
        "authorize a ticket", "disconnect", "subscribe", "unsubscribe",
    },
    ("Connect", "dynamodb:PutItem", "RegistryTable"): {"connect", "subscribe", "subscribe to a list"},
    ("Connect", "dynamodb:UpdateItem", "RegistryTable"): {"subscribe"},
    ("Connect", "dynamodb:Query", "RegistryTable"): {"subscribe"},
    ("Connect", "dynamodb:Query", "RegistryTable/index/by_target"): {
        "disconnect", "subscribe", "subscribe to a list", "ping",
    },
    ("Connect", "dynamodb:Query", "LogTable"): {"subscribe"},
    ("Connect", "execute-api:ManageConnections", "Agents/POST"): {"subscribe"},
    ("Ingest", "dynamodb:PutItem", "LogTable"): {"ingest"},
    ("Ingest", "dynamodb:Query", "LogTable"): {"open", "status", "resend"},
    ("Ingest", "lambda:InvokeFunction", "Archive"): {"end"},
    ("Ingest", "dynamodb:GetItem", "RegistryTable"): {"open"},
    ("Ingest", "dynamodb:PutItem", "RegistryTable"): {"open"},
    ("Ingest", "dynamodb:UpdateItem", "RegistryTable"): {"open", "status"},
    ("Ingest", "dynamodb:Query", "RegistryTable/index/by_target"): {"ping"},
    ("Broadcast", "dynamodb:Query", "RegistryTable"): {"new batch", "large audience", "changed job"},
    ("Broadcast", "dynamodb:GetItem", "RegistryTable"): {"new batch", "large audience"},
    ("Broadcast", "dynamodb:DeleteItem", "RegistryTable"): {"new batch", "revocation", "agent's revocation"},
    ("Broadcast", "dynamodb:Query", "RegistryTable/index/by_target"): {"revocation", "agent's revocation"},
    ("Broadcast", "execute-api:ManageConnections", "Viewers/POST"): {"new batch"},
    ("Broadcast", "execute-api:ManageConnections", "Viewers/DELETE"): {"revocation"},
    ("Broadcast", "execute-api:ManageConnections", "Agents/DELETE"): {"agent's revocation"},
    ("Broadcast", "lambda:InvokeFunction", "Broadcast"): {"large audience"},
    ("Query", "dynamodb:GetItem", "RegistryTable"): {
        "job", "jobs", "all jobs", "batches", "archived batches", "audit", "share", "shares", "delete",
    },
    ("Query", "dynamodb:PutItem", "RegistryTable"): {
        "batches", "archived batches", "ticket", "delete", "share",
    },
    ("Query", "dynamodb:UpdateItem", "RegistryTable"): {"delete"},
    ("Query", "dynamodb:Query", "RegistryTable"): {"audit", "archived batches"},
    ("Query", "dynamodb:Query", "RegistryTable/index/by_target"): {"jobs"},
    ("Query", "dynamodb:Query", "RegistryTable/index/by_shard"): {"all jobs", "shares"},
    ("Query", "dynamodb:Query", "LogTable"): {
        "job", "jobs", "all jobs", "batches", "archived batches", "delete",
    },
    ("Query", "dynamodb:PutItem", "LogTable"): {"delete"},
    ("Query", "lambda:InvokeFunction", "Archive"): {"delete"},
    ("Query", "s3:GetObject", "ArchiveBucket/segments"): {"archived batches"},
    ("Archive", "dynamodb:GetItem", "RegistryTable"): {"archive", "erase"},
    ("Archive", "dynamodb:PutItem", "RegistryTable"): {"archive", "sweep"},
    ("Archive", "dynamodb:UpdateItem", "RegistryTable"): {"archive", "erase"},
    ("Archive", "dynamodb:DeleteItem", "RegistryTable"): {"erase"},
    ("Archive", "dynamodb:Query", "RegistryTable"): {"erase"},
    ("Archive", "dynamodb:Query", "RegistryTable/index/by_shard"): {"sweep"},
    ("Archive", "dynamodb:Query", "LogTable"): {"archive", "erase"},
    ("Archive", "dynamodb:PutItem", "LogTable"): {"erase"},
    ("Archive", "dynamodb:BatchWriteItem", "LogTable"): {"erase"},
    ("Archive", "s3:PutObject", "ArchiveBucket/segments"): {"archive"},
    ("Archive", "s3:PutObject", "ArchiveBucket/logs"): {"archive"},
    ("Archive", "s3:DeleteObject", "ArchiveBucket/segments"): {"erase"},
    ("Archive", "s3:DeleteObject", "ArchiveBucket/logs"): {"erase"},
    ("Archive", "lambda:InvokeFunction", "Archive"): {"sweep"},
}  # fmt: skip
"""What fails without each permission."""

NOT_TRIED: Final = {
    ("Query", "s3:ListBucket", "ArchiveBucket"): "what it changes is S3's 403 for a missing object into a 404, and the "
    "emulator answers 404 either way",
    ("Broadcast", "dynamodb:UpdateItem", "RegistryTable"): "it marks a viewer who answered 429 four times, and the "
    "emulator's connections take everything; nothing else updates",
}
"""What the emulator cannot show, and why."""


class Probes:
    """One call of each kind for each function, with fresh jobs and connections; True when it is served."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._lambda, self._dynamodb, self._s3 = (stack.client(name) for name in ("lambda", "dynamodb", "s3"))
        self._bucket = stack.outputs["ArchiveBucket"]
        self._segment = Segment(1, 3, 1, 1, 1, 1, 1, 3, ("2025-11-24",))
        now = int(time.time() * 1000)
        for name, kind, facts in (("web", "agent", {"owner": "team"}), ("me", "viewer", {"subject": "me"})):
            self._put(f"PRINCIPAL#{name}", "PRINCIPAL", kind=kind, name=name, created=now, **facts)
        digest = hashlib.sha256(AGENT_KEY.encode()).hexdigest()
        self._put("CREDENTIAL#agentkey0000", "CREDENTIAL", kind="agent", principal="web", sha256=digest)
        self._put("CREDENTIAL#viewerkey000", "CREDENTIAL", kind="viewer", principal="me", sha256="x")

    def of(self, function: str) -> dict[str, Callable[[], bool]]:
        return {
            "Connect": {
                "authorize a key": self.authorize_key,
                "authorize a ticket": self.authorize_ticket,
                "connect": lambda: self._connect("CONNECT", self._id())["statusCode"] == 200,
                "disconnect": self.disconnect,
                "subscribe": self.subscribe,
                "subscribe to a list": lambda: self._said({"type": "subscribe", "id": "l", "jobs": {}}, "subscribed"),
                "unsubscribe": lambda: self._said(
                    {"type": "unsubscribe", "id": "u", "job": f"web.{self._container()}"}, "unsubscribed"
                ),
                "ping": lambda: self._said({"type": "ping", "id": "p"}, "pong"),
            },
            "Ingest": {
                "open": lambda: "error" not in self._open(self._container())["jobs"][0],
                "ingest": lambda: self._ingest(self._opened())["outcome"] == "stored",
                "resend": self.resend,
                "status": self.status,
                "end": self.end,
                "ping": lambda: self._agent({"type": "ping", "id": "p"}, self._id())["type"] == "pong",
            },
            "Broadcast": {
                "new batch": self.new_batch,
                "changed job": lambda: self._broadcast("JOB", self._job_item(self._container())),
                "large audience": self.large_audience,
                "revocation": self.revocation,
                "agent's revocation": lambda: self.revocation("agent"),
            },
            "Query": {
                "job": lambda: self._http("GET", f"/api/jobs/{self._job()}") == 200,
                "jobs": lambda: self._http("GET", "/api/jobs") == 200,
                "all jobs": lambda: self._http("GET", "/api/jobs", admin=True) == 200,
                "batches": lambda: self._http("GET", f"/api/jobs/{self._job()}/batches") == 200,
                "archived batches": lambda: self._http("GET", f"/api/jobs/{self._archived()}/batches") == 200,
                "audit": lambda: self._http("GET", f"/api/jobs/{self._job()}/audit") == 200,
                "ticket": lambda: self._http("POST", "/api/tickets") == 201,
                "share": lambda: self._http("POST", f"/api/jobs/{self._job()}/shares") == 201,
                "shares": lambda: self._http("GET", f"/api/jobs/{self._job()}/shares") == 200,
                "delete": lambda: self._http("DELETE", f"/api/jobs/{self._job()}") == 202,
            },
            "Archive": {"archive": self.archive, "erase": self.erase, "sweep": self.sweep},
        }[function]

    # --- connect

    def authorize_key(self) -> bool:
        event = {
            "type": "REQUEST", "methodArn": "arn:x", "headers": {"Authorization": f"Bearer {AGENT_KEY}"},
            "requestContext": {"apiId": self._stack.physical["Agents"]},
        }  # fmt: skip
        return self._effect(event) == "Allow"

    def authorize_ticket(self) -> bool:
        ticket = self._id()
        digest = hashlib.sha256(ticket.encode()).hexdigest()
        self._put(f"TICKET#{digest}", "TICKET", until=2**42, **VIEWER.to_context())
        context = {"apiId": self._stack.physical["Viewers"]}
        event = {"queryStringParameters": {"ticket": ticket}, "headers": {}, "requestContext": context}
        return self._effect({**event, "type": "REQUEST", "methodArn": "arn:x"}) == "Allow"

    def _effect(self, event: dict[str, Any]) -> str:
        # An authorizer that cannot read fails, and refuses nobody: API Gateway answers 500.
        answer = self._invoke("Connect", event)
        if "FunctionError" in answer:
            return "Failed"
        return str(json.loads(answer["Payload"].read())["policyDocument"]["Statement"][0]["Effect"])

    def disconnect(self) -> bool:
        connection = self._id()
        self._put(f"CONNECTION#{connection}", "CONNECTION", kind="viewer")
        return bool(self._connect("DISCONNECT", connection)["statusCode"] == 200)

    def subscribe(self) -> bool:
        container = self._container()
        self._job_item(container)
        self._put(f"INSTANCE#web.{ENGINE}", f"CONNECTION#{self._id()}", created=1)
        message = {"type": "subscribe", "id": "s", "job": f"web.{container}"}
        return self._said(message, "subscribed")

    def _said(self, message: dict[str, Any], answer: str) -> bool:
        body = self._connect("MESSAGE", self._id(), json.dumps(message))["body"]
        return bool(json.loads(body)["type"] == answer)

    def _connect(self, event_type: str, connection: str, body: str = "") -> Any:
        context = {"eventType": event_type, "connectionId": connection, "authorizer": VIEWER.to_context()}
        return self._call("Connect", {"requestContext": {**context, "apiId": "x"}, "body": body})

    # --- ingest

    def _agent(self, message: dict[str, Any], connection: str = "agent") -> Any:
        context = {"eventType": "MESSAGE", "connectionId": connection, "authorizer": AGENT.to_context()}
        return json.loads(self._call("Ingest", {"requestContext": context, "body": json.dumps(message)})["body"])

    def _open(self, container: str) -> Any:
        job = {"job": container, "container": {"name": "a"}, "life": {"state": "running"}}
        answer = self._agent({"type": "open", "id": "o", "instance": ENGINE, "jobs": [job]})
        return answer if "jobs" in answer else {"jobs": [{"error": answer["code"]}]}

    def _opened(self) -> str:
        """Return a job that was opened and written while everything was allowed."""
        return self._warm.pop()

    def warm(self) -> None:
        """Open jobs while everything is allowed."""
        self._warm = [self._container() for _ in range(3)]
        for container in self._warm:
            assert "error" not in self._open(container)["jobs"][0]
            assert self._ingest(container)["outcome"] == "stored"
        self._firsts = dict.fromkeys(self._warm, 4)

    def _ingest(self, container: str) -> Any:
        first = getattr(self, "_firsts", {}).get(container, 1)
        batch = batch_document(first, job=container)
        return self._agent({"type": "ingest", "id": "i", "batches": [batch]})["results"][0]

    def resend(self) -> bool:
        container = self._opened()
        batch = batch_document(1, job=container)
        result = self._agent({"type": "ingest", "id": "i", "batches": [batch]})["results"][0]
        return bool(result["outcome"] == "duplicate")

    def status(self) -> bool:
        job = {"job": self._container(), "life": {"state": "exited"}, "tip": 0}
        return bool(self._agent({"type": "status", "id": "s", "instance": ENGINE, "jobs": [job]})["type"] == "noted")

    def end(self) -> bool:
        """Tell the archive of a job's end. The status is noted either way, so the function's log reports it."""
        job = {"job": self._container(), "life": {"state": "exited"}, "tip": 0}
        message = {"type": "status", "id": "s", "instance": ENGINE, "jobs": [job]}
        context = {"eventType": "MESSAGE", "connectionId": "agent", "authorizer": AGENT.to_context()}
        event = {"requestContext": context, "body": json.dumps(message)}
        answer = self._lambda.invoke(
            FunctionName=self._stack.physical["Ingest"], Payload=json.dumps(event).encode(), LogType="Tail"
        )
        log = base64.b64decode(answer.get("LogResult", "")).decode()  # empty if nothing was logged
        return "InvokeFunction" not in log  # only its end: the beginning of a long log is cut off

    # --- broadcast

    def new_batch(self) -> bool:
        container = self._container()
        self._subscribe(container)
        return self._sent(container)

    def large_audience(self) -> bool:
        """Add one viewer more than an invocation serves. All are backed off, so nothing is sent to them."""
        container = self._container()
        for _ in range(FAN_OUT_SUBSCRIBERS + 1):
            self._subscribe(container, lagging=2**53)
        return self._sent(container)

    def _subscribe(self, container: str, **more: Any) -> None:
        connection = self._id()
        where = {"gpk": f"CONNECTION#{connection}", "gsk": "x", "connection": connection}
        self._put(
            f"JOB#web.{container}", f"SUBSCRIPTION#{connection}", **where, credential=VIEWER.credential, created=1,
            expires=2**33, **more,
        )  # fmt: skip

    def _sent(self, container: str) -> bool:
        batch = {**batch_document(1), "job": f"web.{container}"}
        body = {"B": batch.pop("body")}
        image = {**to_item(batch), "body": body}
        keys = {"job": image["job"], "first": image["first"]}
        return self._records({"Keys": keys, "NewImage": image})

    def revocation(self, kind: str = "viewer") -> bool:
        credential, connection = self._id(), self._id()
        self._put(f"CREDENTIAL#{credential}", "CREDENTIAL", principal="me", revoked=1)
        where = {"gpk": f"CREDENTIAL#{credential}", "gsk": f"CONNECTION#{connection}"}
        self._put(f"CONNECTION#{connection}", "CONNECTION", kind=kind, **where)
        return self._broadcast("CREDENTIAL", {"pk": f"CREDENTIAL#{credential}", "sk": "CREDENTIAL", "revoked": 1})

    def _broadcast(self, sk: str, item: dict[str, Any]) -> bool:
        return self._records({"Keys": {"pk": {"S": item["pk"]}, "sk": {"S": sk}}, "NewImage": to_item(item)})

    def _records(self, change: dict[str, Any]) -> bool:
        record = {"eventName": "INSERT", "dynamodb": {**change, "SequenceNumber": "1"}}
        return bool(self._call("Broadcast", {"Records": [record]}) == {"batchItemFailures": []})

    # --- query and archive

    def _http(self, method: str, path: str, *, admin: bool = False) -> int:
        who = Principal("viewer", "root", "c", admin=True) if admin else VIEWER
        context = {"http": {"method": method, "path": path}, "stage": "$default", "requestId": "r"}
        event = {
            "version": "2.0", "rawPath": path, "rawQueryString": "", "headers": {},
            "requestContext": {**context, "authorizer": {"lambda": who.to_context()}},
        }  # fmt: skip
        return int(self._call("Query", event)["statusCode"])

    def archive(self) -> bool:
        container = self._container()
        self._job_item(container)
        self._put_batch(container)
        answer = self._invoke("Archive", {"archive": [f"web.{container}"], "why": "daily"})
        return "FunctionError" not in answer and self._of(f"JOB#web.{container}", "ARCHIVE").get("tip") == 3

    def erase(self) -> bool:
        job = self._archived(deleted=1)
        self._put_batch(job.partition(".")[2])
        answer = self._invoke("Archive", {"erase": job})
        if "FunctionError" in answer or not self._of(f"JOB#{job}", "JOB").get("erased_batches"):
            return False
        return not self._s3.list_objects_v2(Bucket=self._bucket, Prefix=f"segments/{job}/")["KeyCount"]

    def sweep(self) -> bool:
        job = f"web.{self._container()}"
        self._put(f"JOB#{job}", "ARCHIVE", opened=1, **unarchived_attributes(job))
        return "FunctionError" not in self._invoke("Archive", {"sweep": "hourly"})

    def _archived(self, **more: Any) -> str:
        """Return a job with one archived segment and nothing in the log table."""
        job = str(self._job_item(self._container(), **more)["job"])
        batch = {**batch_document(1), "body": b"body"}
        for name in (self._segment.key(job), *self._segment.rows(job, "team")):
            self._s3.put_object(Bucket=self._bucket, Key=name, Body=encode_segment([batch]))
        self._dynamodb.put_item(TableName=self._stack.outputs["RegistryTable"], Item=to_index(job, self._segment))
        self._put(f"JOB#{job}", "ARCHIVE", tip=3)
        return job

    def _put_batch(self, container: str) -> None:
        batch = batch_document(1)
        batch["body"] = base64.b64decode(batch["body"])
        item = to_item({**batch, "job": f"web.{container}"})
        self._dynamodb.put_item(TableName=self._stack.outputs["LogTable"], Item=item)

    def _of(self, pk: str, sk: str) -> dict[str, Any]:
        found = self._dynamodb.get_item(TableName=self._stack.outputs["RegistryTable"], Key=key(pk, sk))
        return from_item(found.get("Item", {}))

    # --- needed permissions

    def _job(self) -> str:
        return str(self._job_item(self._container())["job"])

    def _job_item(self, container: str, **more: Any) -> dict[str, Any]:
        item = {
            "job": f"web.{container}", "owner": "team", "principal": "web", "instance": ENGINE, "created": 1,
            "seen": 1, **more,
        }  # fmt: skip
        self._put(f"JOB#web.{container}", "JOB", **item)
        return {"pk": f"JOB#web.{container}", "sk": "JOB", **item}

    def _put(self, pk: str, sk: str, **attributes: Any) -> None:
        table = self._stack.outputs["RegistryTable"]
        self._dynamodb.put_item(TableName=table, Item={**key(pk, sk), **to_item(attributes)})

    def _call(self, function: str, event: dict[str, Any]) -> Any:
        answer = self._invoke(function, event)
        assert "FunctionError" not in answer, "a handler never fails"
        return json.loads(answer["Payload"].read())

    def _invoke(self, function: str, event: dict[str, Any]) -> Any:
        name = self._stack.physical[function]
        return self._lambda.invoke(FunctionName=name, Payload=json.dumps(event).encode())

    @staticmethod
    def _id() -> str:
        return uuid.uuid4().hex[:12]

    @staticmethod
    def _container() -> str:
        return uuid.uuid4().hex * 2


class Roles:
    """The functions' policies, from which one permission can be removed for a while."""

    def __init__(self, stack: Stack) -> None:
        self._iam, self._stack = stack.client("iam"), stack

    def permissions(self) -> list[tuple[tuple[str, str, str], str, dict[str, Any], dict[str, Any]]]:
        """Yield (function, action, resource), the policy's name, its document, and the document without it."""
        found = []
        for logical, role in self._stack.physical.items():
            if not logical.endswith("Role"):
                continue
            for policy in self._iam.list_role_policies(RoleName=role)["PolicyNames"]:
                document = self._iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
                for index, statement in enumerate(document["Statement"]):
                    for action in _listed(statement["Action"]):
                        for resource in _listed(statement["Resource"]):
                            place = self._place(resource)
                            if action.startswith("logs:") or "/stream/" in resource or place == "FailureBucket":
                                continue  # used by the service itself, before and after the function
                            without = copy.deepcopy(document)
                            without["Statement"][index : index + 1] = _all_but(statement, action, resource)
                            permission = (logical.removesuffix("Role"), action, place)
                            found.append((permission, policy, document, without))
        return found

    def put(self, function: str, policy: str, document: dict[str, Any]) -> None:
        role = self._stack.physical[f"{function}Role"]
        if not document["Statement"]:  # a policy with one permission is empty without it
            self._iam.delete_role_policy(RoleName=role, PolicyName=policy)
            return
        self._iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(document))

    def _place(self, resource: str) -> str:
        for logical in ("RegistryTable", "LogTable"):
            name = self._stack.physical[logical]
            if f"/{name}" in resource:
                return logical + resource.partition(f"/{name}")[2]
        for logical in ("Agents", "Viewers"):
            if f":{self._stack.physical[logical]}/" in resource:
                return f"{logical}/{resource.split('/')[2]}"
        for logical in ("ArchiveBucket", "FailureBucket"):
            bucket, _, inside = resource.removeprefix("arn:aws:s3:::").partition("/")
            if bucket == self._stack.physical[logical]:
                return logical + (f"/{inside.removesuffix('/*')}" if logical == "ArchiveBucket" and inside else "")
        return next((name for name in ("Archive", "Broadcast") if self._stack.physical[name] in resource), resource)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _all_but(statement: dict[str, Any], action: str, resource: str) -> list[dict[str, Any]]:
    """Return the statement as one for each pair of action and resource, without the given pair."""
    return [
        {**statement, "Action": one, "Resource": other}
        for one in _listed(statement["Action"])
        for other in _listed(statement["Resource"])
        if (one, other) != (action, resource)
    ]


def failing(probes: Probes, function: str, expected: set[str] | None = None) -> set[str]:
    """Return the failing probes: of all, or of those expected to fail and as many others."""
    every = probes.of(function)
    others = [name for name in every if name not in (expected or set())]
    tried = every if expected is None else [*expected, *others[:2]]
    return {name for name in tried if not every[name]()}


def decisions(stack: Stack, record: Path) -> list[dict[str, Any]]:
    """Return what the emulator's IAM decided about the functions' calls since the record was emptied."""
    roles = {stack.physical[f"{function}Role"]: function for function in FUNCTIONS}
    documents = [json.loads(line) for line in record.read_text().splitlines()]
    return [document | {"function": roles[document["role"]]} for document in documents if document["role"] in roles]


@pytest.mark.timeout(600)
def test_every_permission_is_needed_and_sufficient(stack: Stack, iam_record: Path) -> None:
    """With all of them nothing fails and no call is refused; without one, exactly what needs it fails.

    The emulator enforces the conditions on partition keys here (leading_keys.py).
    """
    probes, roles = Probes(stack), Roles(stack)
    probes.warm()
    iam_record.write_text("")
    for function in FUNCTIONS:
        assert failing(probes, function) == set(), function
    calls = decisions(stack, iam_record)
    assert {call["function"] for call in calls} == set(FUNCTIONS)
    assert [call for call in calls if not call["allowed"]] == []
    assert [call for call in calls if call["action"].startswith("dynamodb:") and call["keys"] is None] == []
    permissions = roles.permissions()
    assert {permission for permission, *_ in permissions} == set(NEEDED_BY) | set(NOT_TRIED)
    wrong: dict[Any, Any] = {}
    for permission, policy, document, without in permissions:
        if permission in NOT_TRIED:
            continue
        function = permission[0]
        if function == "Ingest":
            probes.warm()
        roles.put(function, policy, without)
        try:
            found = failing(probes, function, NEEDED_BY[permission])
        finally:
            roles.put(function, policy, document)
        if found != NEEDED_BY[permission]:
            wrong[permission] = found
    assert wrong == {}


@pytest.mark.timeout(600)
def test_condition_on_partition_keys_is_enforced(stack: Stack) -> None:
    """A role whose condition names other keys is refused, as on AWS. Without leading_keys.py the call would pass."""
    probes, roles = Probes(stack), Roles(stack)
    [(_, policy, document, _)] = [
        one for one in roles.permissions() if one[0] == ("Ingest", "dynamodb:GetItem", "RegistryTable")
    ]
    narrowed = json.loads(json.dumps(document).replace('"JOB#*"', '"OTHER#*"'))
    assert narrowed != document
    roles.put("Ingest", policy, narrowed)
    try:
        assert not probes.of("Ingest")["open"]()
    finally:
        roles.put("Ingest", policy, document)
    assert probes.of("Ingest")["open"]()
