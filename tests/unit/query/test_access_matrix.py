"""Test every route with every kind of principal: a new route without a rule fails here."""

from collections.abc import Iterator
from typing import Any, Final

import pytest
from tests.support import cloud as support
from tests.support.batches import CONTAINER
from tests.support.cloud import Cloud

from query.routes import ROUTES, Route

JOB = f"web.{CONTAINER}"

KINDS: Final = (
    "nobody", "wrong key", "revoked", "expired", "agent", "stranger", "by subject", "by group", "admin", "share",
    "another's share",
)  # fmt: skip

REFUSED_BEFORE: Final = {"nobody": 401, "wrong key": 403, "revoked": 403, "expired": 403, "agent": 403}
"""Principals that API Gateway and the authorizer refuse on every route."""

MAY: Final[dict[str, dict[str, int | None]]] = {
    "signed_in": dict.fromkeys(("stranger", "by subject", "by group", "admin", "share", "another's share")),
    "member": {"stranger": 404, "by subject": None, "by group": None, "admin": None, "share": 403,
               "another's share": 403},
    "reader": {"stranger": 404, "by subject": None, "by group": None, "admin": None, "share": None,
               "another's share": 404},
    "manager": {"stranger": 404, "by subject": None, "by group": None, "admin": None, "share": 403,
                "another's share": 404},
}  # fmt: skip
"""The answer to each kind of principal for each kind of access; None is the route's own success."""

QUERY: Final = {"search": "?q=one", "getSequenceAt": "?time=0"}


@pytest.fixture(scope="module")
def world(dynamodb: Any) -> Iterator[tuple[Cloud, dict[str, str | None], str]]:
    with support.cloud(dynamodb) as cloud:
        agent_key = cloud.agent_key(owner="ann")
        agent = cloud.agent(agent_key)
        cloud.open_job(agent)
        cloud.send(agent, 1)
        other_agent = cloud.agent(cloud.agent_key("db", owner="ann"))
        cloud.open_job(other_agent)
        owner = cloud.viewer_key("ann", groups=())
        share = cloud.http("POST", f"/api/jobs/{JOB}/shares", owner).json
        other = cloud.http("POST", f"/api/jobs/db.{CONTAINER}/shares", owner).json
        revoked = cloud.viewer_key("revoked", groups=("ann",))
        item = cloud.get(f"CREDENTIAL#{revoked.split('_')[1]}", "CREDENTIAL")
        assert item is not None
        cloud.put(**{**item, "revoked": 1})
        keys = {
            "nobody": None,
            "wrong key": "lfv_" + "a" * 12 + "_" + "b" * 43,
            "revoked": revoked,
            "expired": cloud.issue("viewer", "late", subject="ann", groups=(), admin=False, expires=1),
            "agent": agent_key,
            "stranger": cloud.viewer_key("stranger", groups=("elsewhere",)),
            "by subject": owner,
            "by group": cloud.viewer_key("grouped", groups=("x", "ann")),
            "admin": cloud.viewer_key("root", groups=(), admin=True),
            "share": share["secret"],
            "another's share": other["secret"],
        }
        yield cloud, keys, share["share"]


def expected(route: Route, kind: str) -> int:
    if kind in REFUSED_BEFORE:
        return REFUSED_BEFORE[kind]
    return MAY[route.access][kind] or route.status


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("route", [one for one in ROUTES if one.method != "DELETE"], ids=lambda one: one.name)
def test_every_route_answers_every_principal_by_its_rule(world: Any, route: Route, kind: str) -> None:
    """Refusals come before any read, and are the same for an existing and a missing job."""
    cloud, keys, _ = world
    path = route.path.replace("<job>", JOB) + QUERY.get(route.name, "")
    answer = cloud.http(route.method, path, keys[kind])
    assert answer.status == expected(route, kind), answer.body
    if "<job>" in route.path and answer.status == 404:
        absent = cloud.http(route.method, path.replace(JOB, "web." + "0" * 64), keys[kind])
        assert (absent.status, absent.body) == (answer.status, answer.body)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["revokeShare", "deleteJob"])
def test_destructive_routes_work_only_for_those_allowed(dynamodb: Any, world: Any, name: str, kind: str) -> None:
    """Each has its own job and link, because allowed callers destroy them."""
    cloud, keys, _ = world
    (route,) = (one for one in ROUTES if one.name == name)
    agent = cloud.agent(keys["agent"])
    container = f"{KINDS.index(kind):064x}"
    cloud.open_job(agent, container)
    job = f"web.{container}"
    share = cloud.http("POST", f"/api/jobs/{job}/shares", keys["by subject"]).json["share"]
    before = cloud.snapshot()
    answer = cloud.http("DELETE", route.path.replace("<job>", job).replace("<share>", share), keys[kind])
    wanted = expected(route, kind)
    if name == "deleteJob" and kind == "share":
        wanted = 404  # the link is to another job
    assert answer.status == wanted, answer.body
    assert (cloud.snapshot() == before) is (wanted >= 400)


def test_every_route_has_a_rule_and_is_in_the_matrix() -> None:
    """A new kind of access, or an untested destructive route, fails."""
    assert {route.access for route in ROUTES} <= set(MAY)
    assert {route.name for route in ROUTES if route.method == "DELETE"} == {"revokeShare", "deleteJob"}
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)
