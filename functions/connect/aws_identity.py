"""Authenticates agents on EC2 and ECS that prove their role with a signed request. Such agents keep no secret.

The agent signs `sts:GetCallerIdentity` and sends the parts of the signature. This module builds the request anew from
those parts and asks STS who signed it. It never forwards what the agent sent: a relayed request could be aimed at
another action whose answer looks the same (CVE-2020-16250). The header `x-logferry-audience` must be signed. It names
this deployment, so that a request made for another service does not work here. The design follows
aws-iam-authenticator's token.go.
"""

import base64
import binascii
import http.client
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from logferry_protocol.aws_identity import (
    ACTION,
    ACTION_VERSION,
    AUDIENCE_HEADER,
    MAX_AGE_S,
    MAX_TOKEN_CHARS,
    PREFIX,
    sts_host,
)

from .core import Caller, Refusal

LIFE: Final = timedelta(seconds=MAX_AGE_S)
SKEW: Final = timedelta(minutes=5)
MAX_ANSWER_BYTES: Final = 65_536

_PARAMETERS: Final = {
    "Action", "Version", "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-Security-Token",
    "X-Amz-Signature", "X-Amz-SignedHeaders",
}  # fmt: skip
_REQUIRED: Final = _PARAMETERS - {"X-Amz-Security-Token"}
_CREDENTIAL: Final = re.compile(r"[A-Z0-9]{16,128}/([0-9]{8})/([a-z]{2}(?:-[a-z]+)+-[0-9])/sts/aws4_request")
_SIGNATURE: Final = re.compile(r"[0-9a-f]{64}")
_UNIQUE_ID: Final = re.compile(r"[A-Z0-9]{16,128}")
_DATE: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_SECONDS: Final = re.compile(r"[0-9]{1,4}")
"""Not `isdigit`, which accepts superscripts, and not `strptime`, which accepts the digits of every script."""
_ARN: Final = re.compile(r"arn:(aws|aws-cn|aws-us-gov):(?:sts|iam)::([0-9]{12}):(.+)")

Ask = Callable[[str, str, Mapping[str, str]], tuple[int, bytes]]
"""Sends (host, path with query, headers) and returns (status, body). It follows no redirects."""


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request to STS, built from what the agent signed."""

    host: str
    path: str


def parse(token: str, regions: tuple[str, ...], now: datetime) -> SignedRequest | Refusal:  # noqa: PLR0911
    """Return the request of a token, or why the token is refused.

    Args:
        token: `lfaws_` and the base64url of the presigned request's query string.
        regions: the regions whose STS may be asked.
        now: the time, in UTC.
    """
    if not token.startswith(PREFIX) or len(token) > MAX_TOKEN_CHARS:
        return Refusal("malformed_identity")
    text = token.removeprefix(PREFIX)
    try:
        query = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode("ascii")
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
    except (binascii.Error, ValueError):
        return Refusal("malformed_identity")
    parameters = dict(pairs)
    # Of a parameter given twice, in whatever case, this code and STS could read different values (CVE-2022-2385).
    if len({name.lower() for name, _ in pairs}) != len(pairs) or not _REQUIRED <= set(parameters) <= _PARAMETERS:
        return Refusal("identity_parameters")
    if (parameters["Action"], parameters["Version"]) != (ACTION, ACTION_VERSION):
        return Refusal("identity_action")
    if parameters["X-Amz-Algorithm"] != "AWS4-HMAC-SHA256" or not _SIGNATURE.fullmatch(parameters["X-Amz-Signature"]):
        return Refusal("identity_signature")
    if sorted(parameters["X-Amz-SignedHeaders"].split(";")) != ["host", AUDIENCE_HEADER]:
        return Refusal("identity_audience")
    credential = _CREDENTIAL.fullmatch(parameters["X-Amz-Credential"])
    if credential is None or credential[2] not in regions:
        return Refusal("identity_region")
    if not _DATE.fullmatch(parameters["X-Amz-Date"]) or not _SECONDS.fullmatch(parameters["X-Amz-Expires"]):
        return Refusal("identity_date")
    try:
        signed = datetime.strptime(parameters["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return Refusal("identity_date")
    if credential[1] != f"{signed:%Y%m%d}" or not -SKEW <= now - signed <= LIFE:
        return Refusal("identity_date")
    if not 0 < int(parameters["X-Amz-Expires"]) <= LIFE.seconds:
        return Refusal("identity_date")
    return SignedRequest(sts_host(credential[2]), "/?" + urlencode(parameters))


def caller(request: SignedRequest, audience: str, ask: Ask) -> Caller | Refusal:
    """Return the role or user that signed, as STS says: `arn:aws:iam::<account>:role/<name>`, and its unique id."""
    try:
        status, body = ask(request.host, request.path, {AUDIENCE_HEADER: audience, "Accept": "application/json"})
        if status == 429 or status >= 500:
            return Refusal("identity_unavailable")  # this says nothing about the caller
        if status != 200:
            return Refusal("identity_refused")
        answer: Any = json.loads(body)
        result = answer["GetCallerIdentityResponse"]["GetCallerIdentityResult"]
        arn, user_id = str(result["Arn"]), str(result["UserId"])
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, RecursionError):
        return Refusal("identity_unavailable")
    # An assumed role has `AROA…:<session>`, a user has `AIDA…`.
    role, unique_id = canonical(arn), user_id.partition(":")[0]
    if role is None or not _UNIQUE_ID.fullmatch(unique_id):
        return Refusal("identity_unknown")
    return Caller(role, unique_id)


def canonical(arn: str) -> str | None:
    """Return the role's ARN for an assumed role's ARN. The bearer chooses the session's name, so it is dropped."""
    found = _ARN.fullmatch(arn)
    if found is None:
        return None
    partition, account, resource = found.groups()
    kind, _, name = resource.partition("/")
    if kind == "assumed-role":
        return f"arn:{partition}:iam::{account}:role/{name.partition('/')[0]}"
    return f"arn:{partition}:iam::{account}:{resource}" if kind in {"user", "role"} else None


def ask_sts(host: str, path: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
    """Send one GET over TLS, without following redirects."""
    connection = http.client.HTTPSConnection(host, timeout=4)
    try:
        connection.request("GET", path, headers=dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read(MAX_ANSWER_BYTES)
    finally:
        connection.close()
