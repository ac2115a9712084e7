"""Provide AWS STS for the cloud's check, and the endpoints that give credentials to a host.

Two answer `GetCallerIdentity`: one in this process that recomputes every signature, and MiniStack's.
"""

from __future__ import annotations

import http.client
import json
import secrets
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import boto3
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tests.support.clouds import REGION, SECRETS


@dataclass(frozen=True)
class RoleCredentials:
    """Temporary credentials of a role, and its identity."""

    access_key: str
    secret_key: str
    session_token: str
    arn: str
    unique_id: str = "AROA0123456789FLEET00"
    life: timedelta = timedelta(hours=1)

    def document(self) -> dict[str, str]:
        """Return the document that the ECS agent and an instance's metadata give."""
        return {
            "Code": "Success",
            "AccessKeyId": self.access_key,
            "SecretAccessKey": self.secret_key,
            "Token": self.session_token,
            "Expiration": (datetime.now(UTC) + self.life).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def environment(self) -> dict[str, str]:
        """Return the credentials as environment variables."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_SESSION_TOKEN": self.session_token,
        }


def random_credentials(role: str = "Fleet", life: timedelta = timedelta(hours=1)) -> RoleCredentials:
    """Return new credentials that nobody has issued."""
    arn = f"arn:aws:sts::123456789012:assumed-role/{role}/i-{secrets.token_hex(4)}"
    access_key = "ASIA" + secrets.token_hex(8).upper()
    return RoleCredentials(access_key, secrets.token_urlsafe(30), secrets.token_urlsafe(500), arn, life=life)


@dataclass
class SignatureCheckingSts:
    """An STS that knows some credentials and checks signatures; an `Ask` of connect.aws_identity."""

    known: list[RoleCredentials] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """Hosts."""
    presented: list[str] = field(default_factory=list)
    """Access keys."""

    def __call__(self, host: str, path: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
        self.asked.append(host)
        parameters = dict(parse_qsl(urlsplit(path).query, keep_blank_values=True))
        given = parameters.pop("X-Amz-Signature")
        access_key = parameters["X-Amz-Credential"].partition("/")[0]
        self.presented.append(access_key)
        found = next((known for known in self.known if known.access_key == access_key), None)
        if found is None or parameters.get("X-Amz-Security-Token") != found.session_token:
            return 403, b'{"Error": {"Code": "InvalidClientTokenId"}}'
        region = parameters["X-Amz-Credential"].split("/")[2]
        signer = SigV4QueryAuth(Credentials(access_key, found.secret_key, found.session_token), "sts", region)
        signed = set(parameters["X-Amz-SignedHeaders"].split(";"))
        kept = {name: value for name, value in headers.items() if name.lower() in signed}
        request = AWSRequest("GET", f"https://{host}/?{urlencode(parameters)}", headers=kept)
        request.context["timestamp"] = parameters["X-Amz-Date"]
        wanted = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
        if not secrets.compare_digest(wanted, given):
            return 403, b'{"Error": {"Code": "SignatureDoesNotMatch"}}'
        identity = {"Arn": found.arn, "UserId": f"{found.unique_id}:{found.arn.rpartition('/')[2]}"}
        return 200, json.dumps({"GetCallerIdentityResponse": {"GetCallerIdentityResult": identity}}).encode()


@dataclass(frozen=True)
class MiniStackSts:
    """MiniStack's STS, asked like AWS's; it answers in XML whatever is accepted, and AWS in JSON."""

    address: str

    def __call__(self, host: str, path: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(urlsplit(self.address).netloc, timeout=30)
        try:
            connection.request("GET", path, headers={**headers, "Host": host})
            answer = connection.getresponse()
            status, body = answer.status, answer.read()
        finally:
            connection.close()
        if status != 200:
            return status, body
        elements = list(ET.fromstring(body).iter())
        identity = {
            name: next(element.text for element in elements if element.tag.endswith(name)) for name in ("Arn", "UserId")
        }
        return 200, json.dumps({"GetCallerIdentityResponse": {"GetCallerIdentityResult": identity}}).encode()

    def credentials(self, role: str) -> RoleCredentials:
        """Create a role and return its credentials."""
        trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        clients: dict[str, Any] = {
            name: boto3.client(name, endpoint_url=self.address, **SECRETS) for name in ("iam", "sts")
        }
        arn = clients["iam"].create_role(RoleName=role, AssumeRolePolicyDocument=policy)["Role"]["Arn"]
        assumed = clients["sts"].assume_role(RoleArn=arn, RoleSessionName="i-0abc")
        keys = assumed["Credentials"]
        session_arn = assumed["AssumedRoleUser"]["Arn"]
        return RoleCredentials(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], session_arn)


class MetadataServer:
    """The ECS agent's credentials endpoint and an EC2 instance's metadata (version 2 only), on one port."""

    def __init__(self, credentials: RoleCredentials) -> None:
        self.credentials: RoleCredentials | None = credentials
        """The credentials that it gives; None: an error instead."""
        self.asked: list[str] = []
        self._token = secrets.token_urlsafe(8)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                outer.asked.append(self.path)
                self._answer(200, outer._token)

            def do_GET(self) -> None:
                outer.asked.append(self.path)
                ecs = self.path == "/ecs" and self.headers.get("Authorization") == outer._token
                ec2 = self.headers.get("x-aws-ec2-metadata-token") == outer._token
                if not (ecs or ec2) or outer.credentials is None:
                    self._answer(403 if outer.credentials else 500, "{}")
                elif ec2 and self.path.endswith("security-credentials/"):
                    self._answer(200, "Fleet")
                else:
                    self._answer(200, json.dumps(outer.credentials.document()))

            def _answer(self, status: int, text: str) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def environment(self, kind: str) -> dict[str, str]:
        """Return the variables by which botocore finds it: as in an ECS task, or as on an EC2 instance."""
        if kind == "ecs":
            return {
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{self.address}/ecs",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN": self._token,
            }
        return {"AWS_EC2_METADATA_SERVICE_ENDPOINT": self.address, "AWS_EC2_METADATA_V1_DISABLED": "true"}

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def metadata_server(credentials: RoleCredentials) -> Iterator[MetadataServer]:
    """Run one for the length of a block."""
    server = MetadataServer(credentials)
    try:
        yield server
    finally:
        server.stop()


BARE = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/nowhere", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere"}
"""A host on which botocore finds nothing."""

__all__ = [
    "BARE",
    "REGION",
    "MetadataServer",
    "MiniStackSts",
    "RoleCredentials",
    "SignatureCheckingSts",
    "metadata_server",
    "random_credentials",
]  # fmt: skip
