"""Test at least sixty bad requests to the HTTP API: no 5xx, no stack trace, nothing stored."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from tests.support import cloud as support
from tests.support.batches import CONTAINER
from tests.support.cloud import Cloud

from query.routes import ROUTES, Parameter, Route

JOB = f"web.{CONTAINER}"
J = f"/api/jobs/{JOB}"

BAD: list[tuple[str, str, Any, int]] = [
    # --- addresses
    ("GET", "/", None, 404),
    ("GET", "/api", None, 404),
    ("GET", "/api/", None, 404),
    ("GET", "/api/unknown", None, 404),
    ("GET", "/api/me/x", None, 404),
    ("GET", "/API/ME", None, 404),
    ("GET", "/api/../api/me", None, 404),
    ("GET", "/api/jobs/", None, 404),
    ("GET", "/api/jobs//batches", None, 404),
    ("GET", "/api/jobs/x", None, 404),
    ("GET", "/api/jobs/web", None, 404),
    ("GET", "/api/jobs/.", None, 404),
    ("GET", f"/api/jobs/web.{'C' * 64}", None, 404),
    ("GET", f"/api/jobs/web.{'c' * 63}", None, 404),
    ("GET", f"/api/jobs/web.{'c' * 65}", None, 404),
    ("GET", f"/api/jobs/WEB.{CONTAINER}", None, 404),
    ("GET", f"/api/jobs/-web.{CONTAINER}", None, 404),
    ("GET", f"/api/jobs/web/{CONTAINER}", None, 404),
    ("GET", f"/api/jobs/web%2F{CONTAINER}", None, 404),
    ("GET", f"/api/jobs/{JOB}%00", None, 404),
    ("GET", f"/api/jobs/{JOB}%0A", None, 404),
    ("GET", f"/api/jobs/{'x' * 3_000}", None, 404),
    ("GET", "/api/jobs/%F0%9F%92%A9", None, 404),
    ("GET", "/api/jobs/';DROP TABLE--", None, 404),
    ("GET", "/api/jobs/{{7*7}}", None, 404),
    ("GET", f"/api/jobs/JOB#{JOB}", None, 404),
    ("GET", f"{J}/secret", None, 404),
    # --- methods
    ("PUT", "/api/me", None, 405),
    ("PATCH", J, "{}", 405),
    ("POST", J, "{}", 405),
    ("DELETE", "/api/jobs", None, 405),
    ("GET", "/api/tickets", None, 405),
    ("OPTIONS", "/api/me", None, 405),
    ("HEAD", "/api/nothing", None, 404),
    # --- numbers
    ("GET", f"{J}/batches?after=-1", None, 400),
    ("GET", f"{J}/batches?after=x", None, 400),
    ("GET", f"{J}/batches?after=1.5", None, 400),
    ("GET", f"{J}/batches?after=1e3", None, 400),
    ("GET", f"{J}/batches?after=%D9%A3", None, 400),
    ("GET", f"{J}/batches?after=", None, 400),
    ("GET", f"{J}/batches?after=9007199254740992", None, 400),
    ("GET", f"{J}/batches?after=99999999999999999999999999", None, 400),
    ("GET", f"{J}/batches?after=1&after=2", None, 400),
    ("GET", f"{J}/batches?before=0", None, 400),
    ("GET", f"{J}/batches?before=5&after=1", None, 400),
    ("GET", f"{J}/batches?limit=0", None, 400),
    ("GET", f"{J}/batches?limit=501", None, 400),
    ("GET", f"{J}/batches?limit=NaN", None, 400),
    ("GET", "/api/jobs?limit=0", None, 400),
    ("GET", "/api/jobs?limit=-5", None, 400),
    ("GET", "/api/jobs?after=yesterday", None, 400),
    ("GET", "/api/jobs?before=-1", None, 400),
    # --- texts
    ("GET", f"/api/jobs?owner={'x' * 129}", None, 400),
    ("GET", f"/api/jobs?host={'x' * 256}", None, 400),
    ("GET", f"/api/jobs?name={'x' * 256}", None, 400),
    ("GET", f"/api/jobs?image={'x' * 513}", None, 400),
    ("GET", f"/api/jobs?state={'x' * 17}", None, 400),
    ("GET", f"/api/jobs?container={'c' * 65}", None, 400),
    ("GET", f"/api/jobs?label=a&label={'x' * 513}", None, 400),
    # --- continuations of lists
    ("GET", "/api/jobs?next=x", None, 400),
    ("GET", "/api/jobs?next=", None, 400),
    ("GET", "/api/jobs?next=9999999999999%23web.c", None, 400),
    ("GET", f"{J}/audit?next=%00", None, 400),
    ("GET", f"{J}/audit?limit=1000000", None, 400),
    # --- forms, patterns, times
    ("GET", f"{J}/export?format=xml", None, 400),
    ("GET", f"{J}/export?format=", None, 400),
    ("GET", f"{J}/export?limit=0", None, 400),
    ("GET", f"{J}/export?after=-", None, 400),
    ("GET", f"{J}/search", None, 400),
    ("GET", f"{J}/search?q=", None, 400),
    ("GET", f"{J}/search?q={'x' * 513}", None, 400),
    ("GET", f"{J}/search?q=(&regex=1", None, 400),
    ("GET", f"{J}/search?q=(%3F%3Dx)&regex=1", None, 400),
    ("GET", f"{J}/search?q=x&regex=yes", None, 400),
    ("GET", f"{J}/search?q=x&ignore_case=2", None, 400),
    ("GET", f"{J}/search?q=x&limit=1001", None, 400),
    ("GET", f"{J}/search?q=x&context=11", None, 400),
    ("GET", f"{J}/at", None, 400),
    ("GET", f"{J}/at?time=", None, 400),
    ("GET", f"{J}/at?time=now", None, 400),
    ("GET", f"{J}/at?time=-1", None, 400),
    ("GET", f"{J}/at?time=2025-11-24", None, 400),
    ("GET", f"{J}/at?time=2025-11-24T16:00:00", None, 400),
    ("GET", f"{J}/at?time=999999999999999999", None, 400),
    ("GET", f"{J}/at?time=0001-01-01T00:00:00Z", None, 400),
    # --- bodies
    ("POST", f"{J}/shares", "{", 400),
    ("POST", f"{J}/shares", "[]", 400),
    ("POST", f"{J}/shares", "null", 400),
    ("POST", f"{J}/shares", '"x"', 400),
    ("POST", f"{J}/shares", {"expires_in": 0}, 400),
    ("POST", f"{J}/shares", {"expires_in": -1}, 400),
    ("POST", f"{J}/shares", {"expires_in": True}, 400),
    ("POST", f"{J}/shares", {"expires_in": "60"}, 400),
    ("POST", f"{J}/shares", {"expires_in": 1e9}, 400),
    ("POST", f"{J}/shares", {"expires_in": 7_776_001}, 400),
    ("POST", f"{J}/shares", {"note": "x" * 201}, 400),
    ("POST", f"{J}/shares", {"note": 5}, 400),
    ("POST", f"{J}/shares", "[" * 100_000, 400),
    ("DELETE", "/api/shares/unknown", None, 404),
    ("DELETE", "/api/shares/" + "x" * 2_000, None, 404),
]


@pytest.fixture(scope="module")
def world(dynamodb: Any) -> Iterator[tuple[Cloud, str]]:
    with support.cloud(dynamodb) as cloud:
        agent = cloud.agent(cloud.agent_key())
        cloud.open_job(agent)
        cloud.send(agent, 1)
        key = cloud.viewer_key()
        before = cloud.snapshot()
        yield cloud, key
        assert cloud.snapshot() == before, "a bad request changed what is stored"


@pytest.mark.parametrize(("method", "path", "body", "status"), BAD, ids=[f"{m} {p[:60]}" for m, p, _, _ in BAD])
def test_bad_request_is_refused_and_changes_nothing(
    world: tuple[Cloud, str], method: str, path: str, body: Any, status: int
) -> None:
    """As RFC 9457 says, with a message for the sender."""
    cloud, key = world
    cloud.now_ms += 1_000  # another test covers the rate
    answer = cloud.http(method, path, key, body=body)
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["status"] == status
    assert answer.json["detail"]
    assert "Traceback" not in answer.body
    assert "Error" not in answer.json["detail"]


def test_wrong_method_is_answered_with_the_allowed_ones(world: tuple[Cloud, str]) -> None:
    """RFC 9110, 15.5.6: a 405 names the methods; an unknown page has none."""
    cloud, key = world
    cloud.now_ms += 1_000
    answer = cloud.http("PATCH", J, key)
    assert (answer.status, answer.headers["allow"]) == (405, "DELETE, GET")
    assert answer.json["detail"] == "This address accepts only DELETE and GET."
    assert "allow" not in cloud.http("PATCH", f"{J}/secret", key).headers


def test_table_has_at_least_sixty_requests() -> None:
    """Nobody removes some unnoticed."""
    assert len({(method, path, str(body)) for method, path, body, _ in BAD}) >= 60


@pytest.fixture
def fresh() -> Iterator[Cloud]:
    """Provide a new cloud, so that no rate is used up."""
    made = support.cloud_in_memory()
    made.open_job(made.agent(made.agent_key()))
    yield made
    made.executor.shutdown()


PARAMETERS = [
    pytest.param(route, parameter, id=f"{route.name}-{parameter.name}")
    for route in ROUTES
    for parameter in route.parameters
    if parameter.schema.get("type") == "integer"
]


@pytest.mark.parametrize(("route", "parameter"), PARAMETERS)
def test_number_beyond_a_parameters_bounds_is_a_bad_request(fresh: Cloud, route: Route, parameter: Parameter) -> None:
    """Of any size and script; a new parameter is tested with the others."""
    key = fresh.viewer_key()
    needed = "".join(f"&{one.name}=x" for one in route.parameters if one.required)
    least, most = parameter.schema["minimum"], parameter.schema["maximum"]
    for value in (least - 1, most + 1, 10**30, -(10**30), "1e3", "1.5", "²", "٣", "1_0", "", "+1", "1%0A", "NaN"):
        path = f"{route.path.replace('<job>', JOB)}?{parameter.name}={quote(str(value), safe='%')}{needed}"
        answer = fresh.http(route.method, path, key)
        assert (answer.status, answer.json["code"]) == (400, "bad_request"), (value, answer.body)


@pytest.mark.parametrize("share", ["x" * 3_000, "x", "%C2%B2" * 12, "a" * 11 + "%0A", "A" * 12])
def test_unknown_share_is_not_found(fresh: Cloud, share: str) -> None:
    """Whatever its length: a key of the table has a limit."""
    assert fresh.http("DELETE", f"/api/shares/{share}", fresh.viewer_key()).status == 404


def test_note_with_half_a_surrogate_pair_is_a_bad_request(fresh: Cloud) -> None:
    """JSON can write it, and no table stores it."""
    key = fresh.viewer_key()
    assert fresh.http("POST", f"/api/jobs/{JOB}/shares", key, body='{"note": "\\ud800"}').status == 400
