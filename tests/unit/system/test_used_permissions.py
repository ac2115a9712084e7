"""Test that each key that a role names is used: a tour of what agents, viewers and operators do, and of what breaks.

Every client here is limited by its function's role (RestrictedClient), so each call of the tour is also allowed. That
each action is needed by itself is shown under the emulator (tests/integration/permissions).
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

import pytest
from tests.support import cloud as support
from tests.support import clouds
from tests.support.batches import CONTAINER
from tests.support.cloud import AGENTS, Cloud, Socket
from tests.support.permissions import RestrictedClient, grants

from connect.core import Caller

JOB = f"web.{CONTAINER}"
ROLE = "arn:aws:iam::123456789012:role/Fleet"


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """Provide a cloud whose functions' calls are noted."""
    with clouds.moto_dynamodb() as dynamodb, support.cloud(dynamodb) as found:
        RestrictedClient.made = set()
        try:
            yield found
        finally:
            RestrictedClient.made = None


def ship(cloud: Cloud) -> list[Socket]:
    """Sign in as agents do, by key and by role, and send lines within a quota; return the connections."""
    key = cloud.issue("agent", "web", owner="team", owners=(), daily_bytes=10**9)
    cloud.agent_key("fleet")
    cloud.put(f"ROLE#{ROLE}", "ROLE", principal="fleet", arn=ROLE, created=5)
    cloud.identify = lambda _token: Caller(ROLE, "AROAFIRST")
    with_role = cloud.open_socket(AGENTS, {"Authorization": "Bearer lfaws_x"}, {})
    assert with_role is not None
    assert with_role.say({"type": "ping", "id": "p"})["type"] == "pong"  # before `open`: nobody knows the instance
    agent, second = cloud.agent(key), cloud.agent(key)
    for one in (agent, second):
        cloud.open_job(one)
    assert cloud.send(agent, 1)["outcome"] == "stored"
    return [agent, second]


def follow(cloud: Cloud, key: str) -> Socket:
    """Subscribe to the job and to a list."""
    viewer = cloud.viewer(key)
    assert viewer.say({"type": "subscribe", "id": "s", "job": JOB})["type"] == "subscribed"
    assert viewer.say({"type": "subscribe", "id": "l", "jobs": {}})["type"] == "subscribed"
    return viewer


def read(cloud: Cloud, key: str) -> None:
    """Read as viewers and admins do, also what only the archive has."""
    for path in ("", f"/{JOB}", f"/{JOB}/batches", f"/{JOB}/audit"):
        assert cloud.http("GET", f"/api/jobs{path}", key).status == 200, path
    assert cloud.http("GET", "/api/jobs", cloud.viewer_key("root", groups=(), admin=True)).status == 200
    cloud.archive({"sweep": "daily"}, None)
    cloud.archive({"archive": [JOB], "why": "daily"}, None)
    cloud.expire(1)
    assert cloud.http("GET", f"/api/jobs/{JOB}/batches", key).json["batches"]


def share(cloud: Cloud, agent: Socket, key: str) -> None:
    """Follow by a link, which is then revoked."""
    made = cloud.http("POST", f"/api/jobs/{JOB}/shares", key).json
    assert cloud.http("GET", f"/api/jobs/{JOB}/shares", key).json["shares"]
    reader = cloud.viewer(made["secret"])
    assert reader.say({"type": "subscribe", "id": "s", "job": JOB})["type"] == "subscribed"
    cloud.send(agent, 4)
    cloud.stream()
    assert cloud.http("DELETE", f"/api/shares/{made['share']}", key).status == 200
    cloud.stream()
    assert reader.closed


def leave(cloud: Cloud, agents: list[Socket], key: str) -> None:
    """Go as connections go: orderly, gone without a word, too slow, and shut out."""
    orderly, gone, slow = (follow(cloud, key) for _ in range(3))
    assert orderly.say({"type": "unsubscribe", "id": "u", "job": JOB})["type"] == "unsubscribed"
    follow(cloud, key).disconnect()
    agents[0].disconnect()
    gone.closed = True
    cloud.busy.add(slow.id)
    cloud.send(agents[1], 7)
    cloud.stream()
    for pk, sk in ((f"CREDENTIAL#{key.split('_')[1]}", "CREDENTIAL"), ("PRINCIPAL#web", "PRINCIPAL")):
        item = cloud.get(pk, sk)
        assert item is not None
        cloud.put(**{**item, "revoked": cloud.now_ms})
    cloud.stream()
    assert (agents[1].closed, slow.closed) == (True, True)


def delete(cloud: Cloud) -> None:
    """Delete the job, and erase what is stored of it."""
    assert cloud.http("DELETE", f"/api/jobs/{JOB}", cloud.viewer_key("remover")).status == 202
    cloud.archive({"erase": JOB}, None)


def test_every_key_that_a_role_names_is_used(cloud: Cloud) -> None:
    """A key that nothing uses should not be granted."""
    key = cloud.viewer_key()
    agents = ship(cloud)
    follow(cloud, key)
    cloud.stream()
    read(cloud, key)
    share(cloud, agents[0], key)
    leave(cloud, agents, key)
    delete(cloud)
    made = RestrictedClient.made
    assert made is not None
    unused = set()
    for function, found in grants().items():
        for grant in found:
            actions = {one.action for one in found if (one.resource, one.keys) == (grant.resource, grant.keys)}
            named = {
                key
                for who, action, where, key in made
                if (who, where) == (function, grant.resource) and action in actions
            }
            unused |= {
                (function, "/".join(sorted(actions)), grant.resource, pattern)
                for pattern in grant.keys or ()
                if not any(fnmatchcase(key, pattern) for key in named)
            }
    assert unused == set()
