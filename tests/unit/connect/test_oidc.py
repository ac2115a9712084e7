"""Test viewers who sign in with OpenID Connect."""

import base64
import json
import threading
from collections.abc import Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from random import Random
from typing import Any, cast

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support.batches import CONTAINER
from tests.support.cloud import Cloud, cloud_in_memory

from connect import oidc
from connect.core import Refusal
from logferry_protocol.job import OWNER_PATTERN
from registry.principal import Principal

ISSUER = oidc.Issuer("https://issuer.example/pool", "viewer", "access", "sub", "cognito:groups", "admins")
NOW = 1_764_000_000
PRIVATE = rsa.generate_private_key(65537, 2048)
OTHER = rsa.generate_private_key(65537, 2048)


def public(key: rsa.RSAPrivateKey, kid: str) -> dict[str, Any]:
    document = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
    return {**document, "kid": kid, "use": "sig", "alg": "RS256"}


class FakeIssuer:
    """Serve the two documents, and count the requests."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.keys = [public(PRIVATE, "one")]
        self.now = 0.0

    def fetch(self, url: str) -> Mapping[str, Any]:
        self.asked.append(url)
        if url.endswith("openid-configuration"):
            return {"issuer": ISSUER.url, "jwks_uri": "https://issuer.example/keys"}
        return {"keys": self.keys}


@pytest.fixture
def issuer() -> FakeIssuer:
    return FakeIssuer()


@pytest.fixture
def keys(issuer: FakeIssuer) -> oidc.IssuerKeys:
    return oidc.IssuerKeys(ISSUER.url, issuer.fetch, lambda: issuer.now)


def token(key: Any = PRIVATE, algorithm: str = "RS256", kid: str = "one", **claims: Any) -> str:
    given = {
        "iss": ISSUER.url, "sub": "ann", "exp": NOW + 600, "client_id": "viewer", "token_use": "access",
        "cognito:groups": ["team", 5], **claims,
    }  # fmt: skip
    present = {name: value for name, value in given.items() if value is not None}
    return jwt.encode(present, key, algorithm=algorithm, headers={"kid": kid})


def test_good_token_is_a_principal(keys: oidc.IssuerKeys) -> None:
    """Subject and groups come from the issuer's claims; it ends with the token."""
    principal = oidc.check_token(ISSUER, keys, token(), NOW)
    assert isinstance(principal, Principal)
    assert (principal.kind, principal.subject, principal.groups) == ("viewer", "ann", ("team",))
    assert (principal.admin, principal.expires, principal.credential) == (False, NOW + 600, "")


def test_admin_group_makes_an_admin(keys: oidc.IssuerKeys) -> None:
    """No group does if no parameter names it."""
    claims: dict[str, Any] = {"cognito:groups": ["admins", ""]}
    principal = oidc.check_token(ISSUER, keys, token(**claims), NOW)
    assert isinstance(principal, Principal)
    assert principal.admin
    principal = oidc.check_token(replace(ISSUER, admin_group=""), keys, token(**claims), NOW)
    assert isinstance(principal, Principal)
    assert not principal.admin


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (lambda: token(OTHER), "bad_token"),
        (lambda: token("a shared secret of thirty-two bytes!", "HS256"), "wrong_algorithm"),
        (lambda: token(PRIVATE, "RS512"), "wrong_algorithm"),
        (lambda: jwt.encode({"sub": "ann"}, cast(Any, None), algorithm="none"), "wrong_algorithm"),
        (lambda: token(kid="two"), "unknown_key"),
        (lambda: token(iss="https://evil.example"), "bad_token"),
        (lambda: token(iss=None), "bad_token"),
        (lambda: token(sub=None), "bad_token"),
        (lambda: token(exp=None), "bad_token"),
        (lambda: token(exp=NOW - 31), "expired"),
        (lambda: token(exp="soon"), "expired"),
        (lambda: token(nbf=NOW + 31), "not_yet"),
        (lambda: token(client_id="another"), "wrong_audience"),
        (lambda: token(client_id=None), "wrong_audience"),
        (lambda: token(token_use="id", aud="viewer"), "wrong_token"),
        (lambda: token(token_use=None, nonce="n", aud="viewer"), "wrong_token"),
        (lambda: token(sub="x" * 129), "no_subject"),
        (lambda: "a.b.c", "bad_token"),
        (lambda: "..", "bad_token"),
        (lambda: token()[:-4] + "AAAA", "bad_token"),
    ],
)
def test_bad_token_is_refused(keys: oidc.IssuerKeys, made: Any, reason: str) -> None:
    """Signature, algorithm, issuer, times, audience, kind and subject."""
    assert oidc.check_token(ISSUER, keys, made(), NOW) == Refusal(reason)


def test_id_tokens_are_accepted_if_the_issuer_is_configured_so(keys: oidc.IssuerKeys) -> None:
    """For the client only; with several audiences, the client must be the one it was issued to."""
    issuer = replace(ISSUER, token="id")
    good = token(token_use="id", aud="viewer", client_id=None)
    assert isinstance(oidc.check_token(issuer, keys, good, NOW), Principal)
    assert oidc.check_token(issuer, keys, token(), NOW) == Refusal("wrong_token")
    both: dict[str, Any] = {"token_use": None, "aud": ["viewer", "other"], "client_id": None}
    assert oidc.check_token(issuer, keys, token(**both), NOW) == Refusal("wrong_audience")
    assert isinstance(oidc.check_token(issuer, keys, token(**both, azp="viewer"), NOW), Principal)


def test_keys_are_fetched_once_and_again_when_rotated(keys: oidc.IssuerKeys, issuer: FakeIssuer) -> None:
    """Junk with unknown keys does not flood the issuer."""
    for _ in range(3):
        oidc.check_token(ISSUER, keys, token(), NOW)
        oidc.check_token(ISSUER, keys, token(kid="junk"), NOW)
    assert len(issuer.asked) == 2
    issuer.keys = [public(OTHER, "two")]
    issuer.now = oidc.REFETCH_S + 1
    assert isinstance(oidc.check_token(ISSUER, keys, token(OTHER, kid="two"), NOW), Principal)
    assert len(issuer.asked) == 4


def test_unreachable_issuer_admits_nobody(keys: oidc.IssuerKeys, issuer: FakeIssuer) -> None:
    """It is asked again later."""

    def away(_url: str) -> Mapping[str, Any]:
        raise OSError("no route")

    keys.fetch = away
    assert oidc.check_token(ISSUER, keys, token(), NOW) == Refusal("issuer_unavailable")
    keys.fetch = issuer.fetch
    issuer.now = oidc.REFETCH_S + 1
    assert isinstance(oidc.check_token(ISSUER, keys, token(), NOW), Principal)


@pytest.mark.parametrize(
    "url",
    [
        "http://issuer.example/x", "file:///etc/passwd", "ftp://issuer.example/x", "file://localhost/etc/passwd",
        "file://127.0.0.1/etc/passwd", "ftp://localhost/x", "data://localhost/,{}", "//localhost/x", "localhost/x",
        "http://localhost@issuer.example/x", "http://localhost.issuer.example/x", "http://[::2]/x", "FILE://localhost/x",
    ],
)  # fmt: skip
def test_issuer_is_reached_by_https_only(url: str) -> None:
    """Its keys decide who is admitted."""
    with pytest.raises(ValueError, match="https"):
        oidc.fetch(url)


def test_signed_in_viewer_reads_and_can_be_shut_out(cloud: Cloud, keys: oidc.IssuerKeys) -> None:
    """History, a ticket, live lines; a revoked principal is refused, and its connections are closed."""
    cloud.verify = lambda text: oidc.check_token(ISSUER, keys, text, cloud.now_ms / 1000)
    agent = cloud.agent(cloud.agent_key())
    cloud.open_job(agent)
    mine = token()
    me = cloud.http("GET", "/api/me", mine)
    assert (me.status, me.json["subject"]) == (200, "ann")
    viewer = cloud.viewer(mine)
    assert viewer.say({"type": "subscribe", "id": "s", "job": f"web.{CONTAINER}"})["type"] == "subscribed"
    cloud.stream()
    cloud.send(agent, 1)
    cloud.stream()
    assert [message["type"] for message in viewer.inbox] == ["batch"]
    name = me.json["principal"]
    cloud.put(f"PRINCIPAL#{name}", "PRINCIPAL", name=name, kind="viewer", revoked=cloud.now_ms)
    cloud.stream()
    assert viewer.closed
    assert cloud.http("GET", "/api/me", mine).status == 403


def test_share_of_a_signed_in_viewer_ends_when_its_maker_is_shut_out(cloud: Cloud, keys: oidc.IssuerKeys) -> None:
    """Such a maker has no registry item, which alone does not invalidate the link."""
    cloud.verify = lambda text: oidc.check_token(ISSUER, keys, text, cloud.now_ms / 1000)
    agent = cloud.agent(cloud.agent_key())
    cloud.open_job(agent)
    job = f"web.{CONTAINER}"
    share = cloud.http("POST", f"/api/jobs/{job}/shares", token()).json
    assert cloud.http("GET", f"/api/jobs/{job}", share["secret"]).status == 200
    viewer = cloud.viewer(share["secret"])
    assert viewer.say({"type": "subscribe", "id": "s", "job": job})["type"] == "subscribed"
    cloud.stream()
    cloud.send(agent, 1)
    cloud.stream()
    assert [message["type"] for message in viewer.inbox] == ["batch"]
    cloud.put(f"PRINCIPAL#{share['principal']}", "PRINCIPAL", name=share["principal"], kind="viewer", revoked=1)
    assert cloud.http("GET", f"/api/jobs/{job}", share["secret"]).status == 403
    cloud.stream()
    assert viewer.closed


def test_issuers_redirect_leads_to_https_only() -> None:
    """Neither a local file nor an unencrypted address may supply its keys."""

    class RedirectHandler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", "http://issuer.example/keys")
            self.end_headers()

        def log_message(self, *_given: Any) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), RedirectHandler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with pytest.raises(ValueError, match="https"):
            oidc.fetch(f"http://127.0.0.1:{server.server_port}/x")
        thread.join()


def test_unresponsive_issuer_refuses_nobody_a_second_later(keys: oidc.IssuerKeys, issuer: FakeIssuer) -> None:
    """ADR 8: the token was refused for a minute as of an unknown key. Now the issuer is asked again after a pause."""
    asked: list[str] = []

    def away(url: str) -> Mapping[str, Any]:
        asked.append(url)
        raise OSError("no route")

    keys.fetch = away
    for issuer.now in (0.0, 1.0, 2.0):
        assert oidc.check_token(ISSUER, keys, token(), NOW) == Refusal("issuer_unavailable")
    assert len(asked) == 1
    keys.fetch = issuer.fetch
    issuer.now = oidc.RETRY_S
    assert isinstance(oidc.check_token(ISSUER, keys, token(), NOW), Principal)
    keys.fetch = away
    issuer.now = oidc.REFETCH_S + oidc.RETRY_S + 1
    assert oidc.check_token(ISSUER, keys, token(kid="two"), NOW) == Refusal("issuer_unavailable")
    assert isinstance(oidc.check_token(ISSUER, keys, token(), NOW), Principal)


def part(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "header",
    ["[" * 3_000, '{"a":' * 900 + "1" + "}" * 900, '"x"', "[]", "5", "null", '{"alg":["RS256"]}', '{"alg":{}}', "",
     '{"alg":"RS256","kid":' + "[" * 900 + "]" * 900 + "}", '{"alg":"RS256","kid":1e999}', "{" + "\x00" + "}"],
    ids=lambda one: one[:20],
)  # fmt: skip
def test_malformed_header_is_a_bad_token_and_no_failure_of_ours(keys: oidc.IssuerKeys, header: str) -> None:
    """Anyone without a token can send it, and a failure is a 500."""
    refusal = oidc.check_token(ISSUER, keys, f"{part(header)}.{part('{}')}.{'A' * 342}", NOW)
    assert isinstance(refusal, Refusal)
    assert refusal.reason in {"bad_token", "wrong_algorithm", "unknown_key"}


@settings(max_examples=60, deadline=None, database=None)
@given(text=st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_no_text_is_mistaken_for_an_unresponsive_issuer(text: str) -> None:
    """As header, claims or signature, with its dots."""
    issuer = FakeIssuer()
    keys = oidc.IssuerKeys(ISSUER.url, issuer.fetch, lambda: 0.0)
    for whole in (text, f"{text}.{text}.{text}", f"{token().partition('.')[0]}.{text}.{text}"):
        refusal = oidc.check_token(ISSUER, keys, whole, NOW)
        assert isinstance(refusal, Refusal)
        assert refusal.reason != "issuer_unavailable"


@pytest.mark.parametrize(
    "exp", [float("inf"), float("-inf"), float("nan"), 10**400, True, 2**60], ids=lambda one: str(one)[:10]
)
def test_invalid_time_ends_a_token(keys: oidc.IssuerKeys, exp: float) -> None:
    """Python writes and reads NaN and Infinity as JSON."""
    assert oidc.check_token(ISSUER, keys, token(exp=exp), NOW) in (Refusal("expired"), Refusal("bad_token"))


def test_groups_that_cannot_be_an_owner_are_omitted(keys: oidc.IssuerKeys) -> None:
    """No job has such an owner, so they could read nothing."""
    groups = ["team", "", "x" * 3_000, "a team", "équipe", "team\n", "team"]
    principal = oidc.check_token(ISSUER, keys, token(**cast(Any, {"cognito:groups": groups})), NOW)
    assert isinstance(principal, Principal)
    assert principal.groups == ("team",)
    assert oidc._OWNER.pattern == OWNER_PATTERN[1:-1]


def signed_in(cloud: Cloud, groups: list[str]) -> Any:
    """Return what the API says of a viewer with these groups."""
    principal = oidc._principal(ISSUER, {"sub": "é" * 128, "exp": NOW * 2, "cognito:groups": groups})
    assert isinstance(principal, Principal)
    cloud.verify = lambda _token: principal
    answer = cloud.http("GET", "/api/me", "a.b.c")
    assert answer.status == 200
    assert cloud.viewer("a.b.c").say({"type": "ping", "id": "p"})["type"] == "pong"
    return answer.json


GROUP = st.text(st.sampled_from("abcXYZ019._@:-"), min_size=1, max_size=128)


@given(groups=st.lists(GROUP, max_size=300), order=st.randoms())
@settings(max_examples=20)
@example([f"{index:03}-{'x' * 124}" for index in range(100)], Random(1))
@example([f"{index:04}" for index in range(2_000)], Random(2))
def test_groups_that_an_authorizers_result_cannot_hold_are_left_out(groups: list[str], order: Random) -> None:
    """The first ones by name count, whatever their order in the token; the viewer learns how many are left out.

    The wrapper around every handler holds the result to 8 KB.
    """
    cloud = cloud_in_memory()
    me = signed_in(cloud, groups)
    order.shuffle(groups)
    again = signed_in(cloud, groups)
    known = sorted(set(groups))
    assert sorted(me["groups"]) == sorted(again["groups"]) == known[: len(me["groups"])]
    assert me["groups_left_out"] == len(known) - len(me["groups"])
    if me["groups_left_out"]:
        assert sum(len(group) + 5 for group in known[: len(me["groups"]) + 1]) > 5_000, "more would have fitted"


def test_left_out_groups_are_counted_and_logged(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    """An operator finds out before the viewer asks."""
    cloud.logger.setLevel("WARNING")
    me = signed_in(cloud, [f"{index:03}-{'x' * 124}" for index in range(100)])
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["GroupsLeftOut"][0] for line in printed if "GroupsLeftOut" in line} == {me["groups_left_out"]}


def test_administrators_group_counts_wherever_it_is() -> None:
    """Also where it is left out of what is carried."""
    groups = [f"{index:04}" for index in range(1_000)] + ["admins"]
    principal = oidc._principal(ISSUER, {"sub": "ann", "exp": NOW, "cognito:groups": groups})
    assert isinstance(principal, Principal)
    assert principal.fitted().admin
    assert "admins" not in principal.fitted().groups


def test_agents_owners_are_left_out_as_groups_are(cloud: Cloud) -> None:
    """A registry item that somebody wrote by hand lets the agent in."""
    owners = ("*", *(f"{index:03}-{'x' * 124}" for index in range(100)))
    socket = cloud.agent(cloud.agent_key(owners=owners))
    assert cloud.open_job(socket, container={"name": "web", "host": "h", "owner": "other"})["tip"] == 0
