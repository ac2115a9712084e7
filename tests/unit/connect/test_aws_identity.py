"""Test agents that prove their AWS role with a signed request."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.cloud import AGENTS, Cloud

from connect import authorizers, aws_identity
from connect.aws_identity import SignedRequest, caller, canonical, parse
from connect.core import Caller, Refusal
from logferry_protocol.aws_identity import AUDIENCE_HEADER, PREFIX

REGION = "eu-west-1"
AUDIENCE = "agentsapi"


def presigned(region: str = REGION, audience: str = AUDIENCE) -> list[tuple[str, str]]:
    """Return what an agent signs, by botocore itself."""
    url = f"https://sts.{region}.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15"
    request = AWSRequest("GET", url, headers={AUDIENCE_HEADER: audience})
    SigV4QueryAuth(Credentials("AKIA" + "X" * 16, "secret", "session/token+="), "sts", region, 600).add_auth(request)
    return parse_qsl(urlsplit(str(request.url)).query)


def token(pairs: list[tuple[str, str]]) -> str:
    return PREFIX + base64.urlsafe_b64encode(urlencode(pairs).encode()).decode().rstrip("=")


def changed(**changes: str | None) -> str:
    pairs = {name.replace("-", "_"): (name, value) for name, value in presigned()}
    given = [(name, changes.get(plain, value)) for plain, (name, value) in pairs.items()]
    return token([(name, value) for name, value in given if value is not None])


def now() -> datetime:
    return datetime.now(UTC)


def test_request_is_rebuilt_from_what_was_signed() -> None:
    """The host comes from the region; the parameters are the signed ones, and no other."""
    request = parse(token(presigned()), (REGION,), now())
    assert isinstance(request, SignedRequest)
    assert request.host == "sts.eu-west-1.amazonaws.com"
    assert dict(parse_qsl(request.path.removeprefix("/?"))) == dict(presigned_like(request))


def presigned_like(request: SignedRequest) -> list[tuple[str, str]]:
    found = parse_qsl(request.path.removeprefix("/?"))
    assert {name for name, _ in found} == {name for name, _ in presigned()}
    return found


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (lambda: "lfaws_", "identity_parameters"),
        (lambda: "lfaws_!!!", "malformed_identity"),
        (lambda: "lfaws_" + "A" * 5_000, "malformed_identity"),
        (lambda: "k8s-aws-v1." + token(presigned())[6:], "malformed_identity"),
        (lambda: token([*presigned(), ("Action", "AssumeRole")]), "identity_parameters"),
        (lambda: token([*presigned(), ("action", "AssumeRole")]), "identity_parameters"),
        (lambda: token([*presigned(), ("x-amz-credential", "x")]), "identity_parameters"),
        (lambda: token([*presigned(), ("Host", "evil.example")]), "identity_parameters"),
        (lambda: changed(X_Amz_Signature=None), "identity_parameters"),
        (lambda: changed(Action="GetSessionToken"), "identity_action"),
        (lambda: changed(Version="2010-01-01"), "identity_action"),
        (lambda: changed(X_Amz_Algorithm="none"), "identity_signature"),
        (lambda: changed(X_Amz_Signature="x"), "identity_signature"),
        (lambda: changed(X_Amz_SignedHeaders="host"), "identity_audience"),
        (lambda: changed(X_Amz_SignedHeaders="host;x-k8s-aws-id"), "identity_audience"),
        (lambda: changed(X_Amz_Credential="AKIA"), "identity_region"),
        (lambda: changed(X_Amz_Credential="A" * 20 + "/20250101/evil.example#/sts/aws4_request"), "identity_region"),
        (lambda: changed(X_Amz_Credential="A" * 20 + "/20250101/eu-west-1/s3/aws4_request"), "identity_region"),
        (lambda: token(presigned("us-east-1")), "identity_region"),
        (lambda: changed(X_Amz_Date="yesterday"), "identity_date"),
        (lambda: changed(X_Amz_Date="20200101T000000Z"), "identity_date"),
        (lambda: changed(X_Amz_Expires="86400"), "identity_date"),
        (lambda: changed(X_Amz_Expires="-1"), "identity_date"),
        (lambda: changed(X_Amz_Expires="²"), "identity_date"),
        (lambda: changed(X_Amz_Expires="٦٠٠"), "identity_date"),
        (lambda: changed(X_Amz_Expires="６００"), "identity_date"),
        (lambda: changed(X_Amz_Expires="9" * 2_000), "identity_date"),
        (lambda: changed(X_Amz_Expires=""), "identity_date"),
        (lambda: changed(X_Amz_Expires="600\n"), "identity_date"),
        (lambda: changed(X_Amz_Date="٢٠٢٥١١٢٤T١٦٠٠٠٠Z"), "identity_date"),
        (lambda: changed(X_Amz_Date="20251124T160000Z\n"), "identity_date"),
        (lambda: changed(X_Amz_Date="00000000T000000Z"), "identity_date"),
        (lambda: changed(X_Amz_Credential="A" * 20 + "/²/eu-west-1/sts/aws4_request"), "identity_region"),
    ],
)
def test_any_other_request_is_refused(text: Any, reason: str) -> None:
    """Before anything is sent to STS."""
    assert parse(text(), (REGION,), now()) == Refusal(reason)


@settings(max_examples=60, deadline=None, database=None)
@given(name=st.sampled_from([name for name, _value in presigned()]), value=st.text(max_size=40))
def test_no_parameter_makes_the_authorizer_fail(name: str, value: str) -> None:
    """Anyone without a key can send it, and a failure is a 500."""
    pairs = [(one, value if one == name else known) for one, known in presigned()]
    assert isinstance(parse(token(pairs), (REGION,), now()), SignedRequest | Refusal)


def test_signature_is_valid_for_fifteen_minutes() -> None:
    """And not from the future, beyond clock skew."""
    text = token(presigned())
    assert isinstance(parse(text, (REGION,), now() + timedelta(minutes=14)), SignedRequest)
    assert parse(text, (REGION,), now() + timedelta(minutes=16)) == Refusal("identity_date")
    assert parse(text, (REGION,), now() - timedelta(minutes=6)) == Refusal("identity_date")


def answering(arn: str, status: int = 200, unique_id: str = "AROA0123456789FLEET00") -> aws_identity.Ask:
    result = {"Arn": arn, "UserId": f"{unique_id}:i-1"}
    document = {"GetCallerIdentityResponse": {"GetCallerIdentityResult": result}}
    return lambda _host, _path, _headers: (status, json.dumps(document).encode())


def test_our_own_audience_is_sent_whatever_the_token_says() -> None:
    """A token given to another service has another audience signed, and STS refuses it here."""
    sent: list[Any] = []

    def ask(host: str, path: str, headers: Any) -> tuple[int, bytes]:
        sent.append((host, path, headers))
        return 403, b"{}"

    assert caller(SignedRequest("sts.x", "/?a"), AUDIENCE, ask) == Refusal("identity_refused")
    assert sent == [("sts.x", "/?a", {AUDIENCE_HEADER: AUDIENCE, "Accept": "application/json"})]


@pytest.mark.parametrize("body", [b"", b"<xml/>", b"[]", b"{}", b'{"GetCallerIdentityResponse": null}'])
def test_invalid_sts_answer_admits_nobody(body: bytes) -> None:
    """An error page is not an identity."""
    assert caller(SignedRequest("sts.x", "/"), AUDIENCE, lambda *_: (200, body)) == Refusal("identity_unavailable")


@pytest.mark.parametrize(
    ("status", "reason"),
    [(400, "identity_refused"), (403, "identity_refused"), (429, "identity_unavailable"), (500, "identity_unavailable"),
     (503, "identity_unavailable")],
)  # fmt: skip
def test_throttled_or_failing_sts_refuses_nobody(status: int, reason: str) -> None:
    """The agent retries instead of reporting a refusal."""
    assert caller(SignedRequest("sts.x", "/"), AUDIENCE, lambda *_: (status, b"{}")) == Refusal(reason)


@pytest.mark.parametrize("unique_id", ["", "AROA", "aroa0123456789fleet00", "AROA0123456789FLEET0\n", "²" * 20])
def test_answer_without_a_unique_id_admits_nobody(unique_id: str) -> None:
    """A mapping is bound to it."""
    ask = answering("arn:aws:sts::123456789012:assumed-role/Fleet/i-1", unique_id=unique_id)
    assert caller(SignedRequest("sts.x", "/"), AUDIENCE, ask) == Refusal("identity_unknown")


@pytest.mark.parametrize(
    ("arn", "role"),
    [
        ("arn:aws:sts::123456789012:assumed-role/Fleet/i-0abc", "arn:aws:iam::123456789012:role/Fleet"),
        ("arn:aws:sts::123456789012:assumed-role/Fleet/role/Other", "arn:aws:iam::123456789012:role/Fleet"),
        ("arn:aws:iam::123456789012:user/ann", "arn:aws:iam::123456789012:user/ann"),
        ("arn:aws:iam::123456789012:root", None),
        ("arn:aws:sts::123456789012:federated-user/x", None),
        ("nonsense", None),
    ],
)
def test_session_is_identified_by_its_role(arn: str, role: str | None) -> None:
    """Its bearer chooses the session's name."""
    assert canonical(arn) == role


def test_role_opens_what_it_is_mapped_to(cloud: Cloud) -> None:
    """Nothing once the mapping or the principal is removed."""
    role = "arn:aws:iam::123456789012:role/Fleet"
    cloud.agent_key("fleet", owner="ops")

    def identify(text: str) -> Caller | Refusal:
        request = parse(text, (REGION,), now())
        if isinstance(request, Refusal):
            return request
        return caller(request, AGENTS, answering("arn:aws:sts::123456789012:assumed-role/Fleet/i-1"))

    cloud.identify = identify
    headers = {"Authorization": f"Bearer {token(presigned())}"}
    assert cloud.open_socket(AGENTS, headers, {}) is None
    cloud.put(f"ROLE#{role}", "ROLE", principal="fleet")
    agent = cloud.open_socket(AGENTS, headers, {})
    assert agent is not None
    cloud.open_job(agent)
    assert cloud.send(agent, 1)["outcome"] == "stored"
    cloud.put(f"ROLE#{role}", "ROLE", principal="fleet", revoked=1)
    assert cloud.open_socket(AGENTS, headers, {}) is None


ROLE = "arn:aws:iam::123456789012:role/Fleet"


def signing(cloud: Cloud, unique_id: str) -> bool:
    """Report whether the owner of the role with this unique id is admitted."""
    cloud.identify = lambda _token: Caller(ROLE, unique_id)
    return cloud.open_socket(AGENTS, {"Authorization": "Bearer lfaws_x"}, {}) is not None


def test_recreated_role_is_refused_until_mapped_or_bound_again(cloud: Cloud) -> None:
    """An old mapping binds to the first host that signs in; a role recreated under its name is another role."""
    cloud.agent_key("fleet")
    cloud.put(f"ROLE#{ROLE}", "ROLE", principal="fleet", arn=ROLE, created=5)
    assert [signing(cloud, name) for name in ("AROAFIRST", "AROASECOND", "AROAFIRST")] == [True, False, True]
    cloud.put(f"ROLE#{ROLE}", "ROLE", principal="fleet", arn=ROLE, created=6)
    assert [signing(cloud, name) for name in ("AROASECOND", "AROAFIRST")] == [True, False]


def test_recreated_role_is_reported_to_the_operator() -> None:
    """The log names both; the host learns only that it is refused."""
    mapped = {"principal": "fleet", "created": 5}
    refusal = authorizers._by_role(_BoundRoleStore(mapped), Caller(ROLE, "AROASECOND"), 7)  # type: ignore[arg-type]
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "recreated_role"
    assert refusal.detail == f"{ROLE} was AROAFIRST when it first signed in, and is AROASECOND now"


class _BoundRoleStore:
    """A store in which the role is bound."""

    def __init__(self, mapped: dict[str, Any]) -> None:
        self._mapped = mapped

    def role(self, _arn: str) -> dict[str, Any]:
        return self._mapped

    def bind_role(self, *_given: Any) -> str:
        return "AROAFIRST"
