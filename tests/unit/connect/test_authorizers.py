"""Test who may connect (PROTOCOL.md, connecting)."""

import json
from collections.abc import Callable

import pytest
from botocore.exceptions import ClientError
from tests.support.batches import CONTAINER
from tests.support.cloud import AGENTS, ORIGIN, VIEWERS, Cloud

from connect import core
from registry.principal import NotAuthenticatedError, Principal, from_context
from runtime.keys import bearer_token, parse_key


def test_key_opens_its_own_api_only(cloud: Cloud) -> None:
    """An agent's key is not valid for a viewer, nor the reverse."""
    agent, viewer = cloud.agent_key(), cloud.viewer_key()
    assert cloud.open_socket(AGENTS, {"Authorization": f"Bearer {agent}"}, {}) is not None
    assert cloud.open_socket(AGENTS, {"authorization": f"bearer {viewer}"}, {}) is None
    assert cloud.http("GET", "/api/me", viewer).status == 200
    assert cloud.http("GET", "/api/me", agent).status == 403


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic abc",
        "Bearer lfa_x_y",
        "Bearer a b",
        "lfa_" + "a" * 12 + "_" + "s" * 43,
        "Bearer é",
    ],
)
def test_malformed_key_is_refused(cloud: Cloud, header: str) -> None:
    """However close to a valid form."""
    cloud.agent_key()
    assert cloud.open_socket(AGENTS, {"Authorization": header}, {}) is None


def test_wrong_secret_is_refused(cloud: Cloud) -> None:
    """Knowing a credential's name is not enough."""
    key = cloud.agent_key()
    assert cloud.open_socket(AGENTS, {"Authorization": f"Bearer {key[:-1]}t"}, {}) is None


def test_revoked_or_expired_key_is_refused_at_once(cloud: Cloud) -> None:
    """Keys are not cached between requests."""
    key = cloud.viewer_key()
    assert cloud.http("GET", "/api/me", key).status == 200
    item = cloud.get("CREDENTIAL#" + key.split("_")[1], "CREDENTIAL")
    assert item is not None
    cloud.put(**{**item, "expires": cloud.now_ms // 1000})
    assert cloud.http("GET", "/api/me", key).status == 403
    cloud.put(**{**item, "revoked": cloud.now_ms})
    assert cloud.http("GET", "/api/me", key).status == 403
    cloud.put(**item)
    assert cloud.http("GET", "/api/me", key).status == 200
    principal = cloud.get("PRINCIPAL#me", "PRINCIPAL")
    assert principal is not None
    cloud.put(**{**principal, "revoked": cloud.now_ms})
    assert cloud.http("GET", "/api/me", key).status == 403


def test_ticket_opens_one_connection(cloud: Cloud) -> None:
    """A ticket read later in a log is worthless."""
    ticket = cloud.http("POST", "/api/tickets", cloud.viewer_key()).json["ticket"]
    assert cloud.open_socket(VIEWERS, {}, {"ticket": ticket}) is not None
    assert cloud.open_socket(VIEWERS, {}, {"ticket": ticket}) is None


def test_ticket_lives_thirty_seconds(cloud: Cloud) -> None:
    """A late one is refused, and used up."""
    answer = cloud.http("POST", "/api/tickets", cloud.viewer_key()).json
    assert answer["expires"] == cloud.now_ms + 30_000
    cloud.now_ms = answer["expires"]
    assert cloud.open_socket(VIEWERS, {}, {"ticket": answer["ticket"]}) is None
    cloud.now_ms -= 1
    assert cloud.open_socket(VIEWERS, {}, {"ticket": answer["ticket"]}) is None


@pytest.mark.parametrize(
    ("asked_from", "used_from", "opens"),
    [
        (None, None, True),
        (ORIGIN, ORIGIN, True),
        (ORIGIN, None, False),
        (None, ORIGIN, False),
        (None, "https://evil.example", False),
        (ORIGIN, "https://evil.example", False),
    ],
)
def test_ticket_is_bound_to_the_origin(
    cloud: Cloud, asked_from: str | None, used_from: str | None, opens: bool
) -> None:
    """A page elsewhere can neither get a ticket nor use one."""
    headers = {"Origin": asked_from} if asked_from else {}
    ticket = cloud.http("POST", "/api/tickets", cloud.viewer_key(), headers=headers).json["ticket"]
    used = {"Origin": used_from} if used_from else {}
    assert (cloud.open_socket(VIEWERS, used, {"ticket": ticket}) is not None) is opens


def test_foreign_page_is_told_why_it_gets_no_ticket(cloud: Cloud) -> None:
    """A refused handshake has no message, so the HTTP call before it has one."""
    answer = cloud.http("POST", "/api/tickets", cloud.viewer_key(), headers={"Origin": "https://evil.example"})
    assert answer.status == 403
    assert "may not use this API" in answer.json["detail"]


def test_ticket_ends_with_its_key(cloud: Cloud) -> None:
    """A key that expires meanwhile opens nothing more."""
    key = cloud.issue("viewer", "me", subject="me", groups=(), admin=False, expires=cloud.now_ms // 1000 + 10)
    ticket = cloud.http("POST", "/api/tickets", key).json["ticket"]
    cloud.now_ms += 10_000
    assert cloud.open_socket(VIEWERS, {}, {"ticket": ticket}) is None


def test_secret_of_a_key_is_never_shown() -> None:
    """Neither `repr` nor the authorizer's context holds it."""
    key = parse_key("lfa_" + "a" * 12 + "_" + "S" * 43)
    assert key is not None
    assert "SSSS" not in repr(key)


@pytest.mark.parametrize("header", ["Bearer  x", "bearer x", " BEARER x "])
def test_bearer_scheme_is_case_insensitive(header: str) -> None:
    """RFC 9110: schemes are compared without case."""
    assert bearer_token(header) == "x"


def test_principal_survives_the_authorizers_context() -> None:
    """API Gateway carries strings; rights must come out unchanged."""
    principal = Principal("viewer", "me", "c", subject="s", groups=("a", "b"), admin=True, expires=5)
    assert from_context(principal.to_context()) == principal
    assert all(isinstance(value, str) for value in principal.to_context().values())


@pytest.mark.parametrize(
    "context", [None, {}, {"who": "no json"}, {"who": "[]"}, {"who": json.dumps({"kind": "viewer"})}]
)
def test_missing_authorizer_context_means_no_principal(context: dict[str, str] | None) -> None:
    """A template that forgets the authorizer must not open anything."""
    with pytest.raises(NotAuthenticatedError):
        from_context(context)


def test_rights_are_subject_group_or_admin() -> None:
    """A viewer reads a job whose owner is its subject or one of its groups, or as admin; an agent reads none."""
    viewer = Principal("viewer", "n", "c", subject="s", groups=("g",))
    assert [viewer.may_read(owner, "j") for owner in ("s", "g", "n", "x", "")] == [True, True, False, False, False]
    assert not Principal("viewer", "n", "c", groups=("",)).may_read("", "j"), "who is nobody owns nothing"
    assert Principal("viewer", "n", "c", admin=True).may_read("anything", "j")
    assert not Principal("agent", "n", "c", owner="s", admin=True).may_read("s", "j")


def test_agents_label_counts_within_its_key() -> None:
    """A container cannot choose an owner that the key does not allow."""
    assert Principal("agent", "n", "c", owner="a", owners=("b",)).owner_of("b") == "b"
    assert Principal("agent", "n", "c", owner="a", owners=("b",)).owner_of("x") == "a"
    assert Principal("agent", "n", "c", owner="a", owners=("*",)).owner_of("x") == "x"
    assert Principal("agent", "n", "c", owner="a").owner_of(None) == "a"


def test_more_viewers_make_batches_rarer() -> None:
    """Each viewer multiplies what an agent sends."""
    intervals = [core.watch_interval(viewers) for viewers in (1, 21, 101, 501, 5_000)]
    assert intervals[0] == 0
    assert intervals == sorted(intervals)


@pytest.mark.parametrize("api", ["http", "agents", "viewers"])
def test_failing_authorizer_refuses_nobody(cloud: Cloud, api: str) -> None:
    """A throttled table is no wrong key: API Gateway answers 500 for a failed authorizer, and clients retry."""
    agent, viewer = cloud.agent_key(), cloud.viewer_key()
    asked: dict[str, Callable[[], object]] = {
        "http": lambda: cloud.http("GET", "/api/me", viewer),
        "agents": lambda: cloud.open_socket(AGENTS, {"Authorization": f"Bearer {agent}"}, {}),
        "viewers": lambda: cloud.open_socket(VIEWERS, {}, {"ticket": "x" * 43}),
    }
    cloud.connect_store.fail = True
    with pytest.raises(ClientError):
        asked[api]()


@pytest.mark.parametrize("reason", ["issuer_unavailable", "identity_unavailable"])
def test_unreachable_issuer_refuses_nobody(cloud: Cloud, reason: str) -> None:
    """An outage of the issuer or of STS signs nobody out."""
    cloud.verify = cloud.identify = lambda _token: core.Refusal(reason)
    with pytest.raises(core.UnavailableError, match=reason):
        cloud.http("GET", "/api/me", "a.b.c")
    with pytest.raises(core.UnavailableError, match=reason):
        cloud.open_socket(AGENTS, {"Authorization": "Bearer lfaws_x"}, {})


@pytest.mark.parametrize("revoked", ["key", "principal", "link", "link's maker"])
def test_ticket_does_not_outlive_its_credential(cloud: Cloud, revoked: str) -> None:
    """Within its half minute, a revocation has closed every connection that it knew of."""
    key = cloud.viewer_key()
    cloud.open_job(cloud.agent(cloud.agent_key()))
    share = cloud.http("POST", f"/api/jobs/web.{CONTAINER}/shares", key).json
    by_link = revoked.startswith("link")
    ticket, good = (
        cloud.http("POST", "/api/tickets", share["secret"] if by_link else key).json["ticket"] for _ in range(2)
    )
    assert cloud.open_socket(VIEWERS, {}, {"ticket": good}) is not None
    place = {
        "key": (f"CREDENTIAL#{key.split('_')[1]}", "CREDENTIAL"),
        "link": (f"GRANT#{share['share']}", "GRANT"),
    }.get(revoked, ("PRINCIPAL#me", "PRINCIPAL"))
    item = cloud.get(*place)
    assert item is not None
    cloud.put(**{**item, "revoked": cloud.now_ms})
    cloud.stream()
    before = cloud.snapshot()
    assert cloud.open_socket(VIEWERS, {}, {"ticket": ticket}) is None
    assert cloud.snapshot() == before
