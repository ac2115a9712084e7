"""Guard the emulator: MiniStack behind an access check, in one process.

MiniStack answers everyone. It takes `test` and any twelve digits for root, `/_ministack/reset` needs no credentials,
and CORS admits every page of every origin. On a developer's machine that means any web page and any other user. So
nothing passes here without the state's secret, which clients send as the access key id of their signatures.

The emulator's own Python runs this, which has none of our packages: `python -P guard.py --origin URL …`, with the
secret in AWS_ACCESS_KEY_ID. It imports nothing of this package but its neighbour leading_keys.py.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import importlib.util
import json
import os
import re
import sys
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

# Against DNS rebinding: a foreign name that resolves to this machine arrives with that name here. Any port is accepted,
# since gateways of tests and forwarded ports pass on their own. Containers reach this machine by names beneath
# `internal`, which nobody can register.
HOST: Final = re.compile(rb"(?:127\.0\.0\.1|localhost|\[::1\]|host\.(?:docker|containers)\.internal)(?::[0-9]{1,5})?")
# The stack's own APIs. Agents, viewers and commands send keys that the stack's authorizers check.
API: Final = re.compile(r"/_aws/execute-api/[A-Za-z0-9]+/(?:[^/]+(?:/.*)?)?", re.DOTALL)
# API Gateway's path for posts to connections, beneath the APIs' path: only for the functions.
MANAGEMENT: Final = "@connections"
# Where a function answers CloudFormation. The path has a random id that only the function was told, as a signed address
# on AWS has a signature.
ANSWER: Final = re.compile(r"/_ministack/cfn-response/[0-9a-f-]{36}")
ADMINISTRATION: Final = re.compile(r"/_(?!aws/execute-api/)")
HEADER_CREDENTIAL: Final = re.compile(rb"Credential=([^/,\s]{1,200})/")
OLD_HEADER_CREDENTIAL: Final = re.compile(rb"AWS ([^:\s]{1,200}):")
FORBIDDEN: Final = 403
ADVICE: Final = (
    "This emulator belongs to a `logferry up`. Its access key id is `access_key` in the state folder's state.json."
)


class Guard:
    """An ASGI application in front of another; what it refuses never reaches that one."""

    def __init__(
        self, app: App, access_key: str, origins: Iterable[str], is_session: Callable[[str], bool] = lambda _key: False
    ) -> None:
        """Guard an application.

        Args:
            app: The emulator.
            access_key: The state's secret.
            origins: Origins of pages that may open WebSockets to the stack's APIs.
            is_session: Returns whether the emulator itself issued an access key id, to a function or by AssumeRole. The
                emulator checks their signatures and policies.
        """
        self._app = app
        self._access_key = access_key
        self._origins = frozenset(origin.encode() for origin in origins)
        self._is_session = is_session

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Refuse a request, or pass it on."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        reason = self._refusal(scope)
        if reason is None:
            await self._app(scope, receive, _without_cors(send))
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            body = json.dumps({"__type": "AccessDeniedException", "message": f"Refused ({reason}). {ADVICE}"}).encode()
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": FORBIDDEN, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    def _refusal(self, scope: Message) -> str | None:
        """Return why a request is refused; None when it may pass."""
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.lower(), []).append(value)
        path = scope["path"]
        is_api = API.fullmatch(path) is not None and MANAGEMENT not in path
        hosts = headers.get(b"host", [])
        if len(hosts) != 1 or not HOST.fullmatch(hosts[0]):
            return "host"
        if b"access-control-request-method" in headers:
            return "preflight"
        if origins := headers.get(b"origin"):
            # Chromium's WebSocket handshakes have an Origin and nothing else that identifies the page.
            if not is_api or not self._origins.issuperset(origins):
                return "origin"
        elif not {b"none", b"same-origin"}.issuperset(headers.get(b"sec-fetch-site", [])):
            return "origin"
        named = _access_keys(headers.get(b"authorization", []), scope["query_string"])
        if is_api:
            # MiniStack would take any `test` for its root here too.
            return None if all(self._knows(key, path) for key in named) else "access key"
        is_answer = scope.get("method") == "PUT" and ANSWER.fullmatch(path) is not None and not named
        return None if is_answer or any(self._knows(key, path) for key in named) else "access key"

    def _knows(self, key: str, path: str) -> bool:
        if hmac.compare_digest(key.encode(), self._access_key.encode()):
            return True
        # MiniStack requires no signature at its own addresses, so a function's key id would be enough.
        return ADMINISTRATION.match(path) is None and self._is_session(key)


def _access_keys(authorizations: Iterable[bytes], query: bytes) -> list[str]:
    """Return every access key id in the headers and parameters that MiniStack reads."""
    found = [
        match[1].decode("latin-1")
        for value in authorizations
        for match in (*HEADER_CREDENTIAL.finditer(value), *OLD_HEADER_CREDENTIAL.finditer(value))
    ]
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name.lower() in ("x-amz-credential", "awsaccesskeyid"):
            found.append(value.partition("/")[0])
    return found


def _without_cors(send: Send) -> Send:
    """Return a `send` that removes CORS headers."""

    async def send_without_cors(message: Message) -> None:
        if message.get("headers"):
            kept = [(n, v) for n, v in message["headers"] if not bytes(n).lower().startswith(b"access-control-")]
            message = {**message, "headers": kept}
        await send(message)

    return send_without_cors


def _make_function_keys_secret(secret: str) -> None:
    """Give functions temporary keys that cannot be computed without the secret.

    MiniStack derives keys by SHA-256 from the names of the function and its role, and those from the stack's name. So
    anyone could sign as a function.
    """
    from ministack.core import lambda_runtime  # noqa: PLC0415 - there in the emulator's own environment alone
    from ministack.services import sts  # noqa: PLC0415

    def derived(kind: str, function: str) -> str:
        return hmac.new(secret.encode(), f"{kind}:{function}".encode(), hashlib.sha256).hexdigest()

    def execution_credentials(config: dict[str, Any]) -> dict[str, str]:
        function, role = config["FunctionArn"], config.get("Role", "")
        account, role_name, session_name = function.split(":")[4], role.rsplit("/", 1)[-1], config["FunctionName"][:64]
        access_key = f"ASIA{derived('id', f'{function}:{role}')[:32].upper()}"
        keys = {
            "AWS_ACCESS_KEY_ID": access_key,
            "AWS_SECRET_ACCESS_KEY": derived("secret", access_key),
            "AWS_SESSION_TOKEN": derived("token", access_key),
        }
        session = {
            "Arn": f"arn:aws:sts::{account}:assumed-role/{role_name}/{session_name}",
            "UserId": f"{role_name}:{session_name}",
            "SecretAccessKey": keys["AWS_SECRET_ACCESS_KEY"],
            "SessionToken": keys["AWS_SESSION_TOKEN"],
        }
        sts.register_session(access_key, session)
        return keys

    # This must happen before MiniStack's own modules import the function by its name.
    lambda_runtime.execution_credentials = execution_credentials


def _sibling(name: str) -> Any:
    """Return a module beside this file. The folder is not in the module path, where functions would see it."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Serve MiniStack, guarded, until SIGTERM."""
    words = argparse.ArgumentParser(prog="guard.py")
    words.add_argument("--origin", action="append", default=[], dest="origins")
    given = words.parse_args()
    secret = os.environ["AWS_ACCESS_KEY_ID"]
    _make_function_keys_secret(secret)
    from ministack import app as emulator  # noqa: PLC0415
    from ministack.services import sts  # noqa: PLC0415

    app = _sibling("leading_keys").enforced(emulator.app)
    emulator.app = Guard(app, secret, given.origins, sts._sessions.__contains__)
    sys.argv = sys.argv[:1]  # MiniStack reads the arguments too
    emulator.main()


if __name__ == "__main__":
    main()
