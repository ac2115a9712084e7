"""Test which requests the guard of the local cloud's emulator lets through."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logferry_local.guard import Guard

SECRET = "LF00112233445566778899AABBCCDDEEFF00112233"
SESSION = "ASIA00112233445566778899"
ORIGIN = "http://127.0.0.1:4567"
API = "/_aws/execute-api/ab12/live"


def signed(key: str) -> dict[str, str]:
    """Return a signature header by this key, which names it as every AWS client does."""
    scope = f"{key}/20261130/us-east-1/dynamodb/aws4_request"
    return {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=00"}


class Emulator:
    """Count the requests that reach it, and allow every origin as MiniStack does."""

    def __init__(self) -> None:
        self.reached = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.reached += 1
        headers = [(b"Access-Control-Allow-Origin", b"*"), (b"access-control-allow-headers", b"*"), (b"x-own", b"1")]
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept", "headers": headers})
        else:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"tables"})


async def ask(
    path: str,
    *headers: tuple[str, str],
    query: str = "",
    kind: str = "http",
    method: str = "GET",
    host: str = "127.0.0.1:4566",
    **more: str,
) -> tuple[int, list[dict[str, Any]]]:
    """Return how often a request reached the emulator, and the answer."""
    emulator, sent = Emulator(), []
    named = [("host", host), *headers, *more.items()]
    scope = {
        "type": kind,
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.lower().replace("_", "-").encode(), value.encode()) for name, value in named],
    }

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect" if kind == "websocket" else "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    await Guard(emulator, SECRET, [ORIGIN], lambda key: key == SESSION)(scope, receive, send)
    return emulator.reached, sent


async def reaches(path: str, *headers: tuple[str, str], **more: str) -> bool:
    """Report whether a request gets through; what does not is refused."""
    reached, sent = await ask(path, *headers, **more)
    assert reached or sent[0].get("status") == 403 or sent[0]["type"] == "websocket.close"
    return bool(reached)


PATHS = ["/", "/2015-03-31/functions/f/invocations", "/bucket/key", "/_ministack/reset", "/_ministack/config"]
PATHS += ["/_ministack/health", "/_localstack/health", "/_aws/sqs/messages", "/latest/meta-data/", "/restapis/a/b/c"]
PATHS += [f"{API}/@connections/abc", "/_aws/execute-api/", "/_aws/execute-api/ab12", "/_aws/execute-api//x/y"]


@pytest.mark.parametrize("path", PATHS)
async def test_nothing_is_reachable_without_the_secret(path: str) -> None:
    """Unsigned, as MiniStack's roots (`test`, twelve digits), as an invented session, by query or header."""
    for key in ("test", "000000000000", "ASIAINVENTED00000000", "", SECRET[:-1], SECRET.lower()):
        assert not await reaches(path, **signed(key)), key
        assert not await reaches(path, query=f"X-Amz-Credential={key}%2F20261130%2Fus-east-1%2Fs3%2Faws4_request")
        assert not await reaches(path, query=f"AWSAccessKeyId={key}&Signature=x")
    assert not await reaches(path)
    assert await reaches(path, **signed(SECRET))
    assert await reaches(path, query=f"X-Amz-Credential={SECRET}%2F20261130%2Fus-east-1%2Fs3%2Faws4_request")


@pytest.mark.parametrize("path", ["/", "/bucket/key", f"{API}/@connections/abc"])
async def test_functions_reach_services_by_their_own_keys(path: str) -> None:
    """The emulator checks their signatures; its own addresses check nothing, so functions are kept out."""
    assert await reaches(path, **signed(SESSION))
    assert not await reaches("/_ministack/reset", **signed(SESSION))


async def test_function_answers_cloudformation_at_the_address_that_it_was_told() -> None:
    """It has no credential there, as on AWS; the address is a secret."""
    told = "/_ministack/cfn-response/0f8fad5b-d9cb-469f-a165-70867728950e"
    assert await reaches(told, method="PUT")
    assert not await reaches(told, method="GET")
    assert not await reaches(told, method="PUT", **signed("test"))
    assert not await reaches(told, method="PUT", origin=ORIGIN)
    assert not await reaches(told, method="PUT", sec_fetch_site="cross-site")
    assert not await reaches(told + "/reset", method="PUT")
    assert not await reaches("/_ministack/cfn-response/", method="PUT")


@pytest.mark.parametrize(
    "path", [API, f"{API}/api/jobs", "/_aws/execute-api/ab12/", "/_aws/execute-api/ab12/$default/api/me"]
)
async def test_stacks_own_apis_are_open(path: str) -> None:
    """Their authorizers check our keys; nobody is the emulator's root there."""
    assert await reaches(path)
    assert await reaches(path, authorization="Bearer lfv_x_y")
    assert not await reaches(path, **signed("test"))
    assert not await reaches(path, query="X-Amz-Credential=000000000000/x")


@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_only_the_viewers_page_may_connect(kind: str) -> None:
    """By its handshake's Origin; the secret does not help another page."""
    assert await reaches(API, kind=kind, origin=ORIGIN)
    assert await reaches(API, kind=kind)
    for origin in ("http://127.0.0.1:1", "http://evil.test", "null", ORIGIN + ".evil.test", ""):
        assert not await reaches(API, kind=kind, origin=origin), origin
        assert not await reaches("/", kind=kind, origin=origin, **signed(SECRET)), origin
    assert not await reaches("/", kind=kind, origin=ORIGIN, **signed(SECRET))
    assert not await reaches(API, ("origin", ORIGIN), ("origin", "http://evil.test"), kind=kind)


async def test_pages_without_origin_are_recognised_by_fetch_metadata() -> None:
    """Images, scripts, no-cors GETs: of another site, and of another port of this one."""
    for site in ("cross-site", "same-site"):
        assert not await reaches(API, sec_fetch_site=site)
        assert not await reaches("/", sec_fetch_site=site, **signed(SECRET))


@pytest.mark.parametrize("host", ["evil.test", "evil.test:4566", "127.0.0.1.evil.test", "x.localhost", "", "127.0.0.2"])
async def test_foreign_host_names_are_refused(host: str) -> None:
    """DNS rebinding, and MiniStack's virtual hosts of buckets and APIs."""
    assert not await reaches(API, host=host)
    assert not await reaches("/", host=host, **signed(SECRET))


async def test_second_host_header_is_refused() -> None:
    """One parser might use the first and another the last."""
    assert not await reaches(API, ("host", "evil.test"))


async def test_preflights_are_refused_and_no_answer_allows_other_origins() -> None:
    """The viewer's page needs no CORS either: its requests are same-origin."""
    assert not await reaches(API, origin=ORIGIN, access_control_request_method="POST")
    for kind in ("http", "websocket"):
        _, sent = await ask(API, kind=kind)
        assert sent[0]["headers"] == [(b"x-own", b"1")]
    _, refused = await ask("/")
    assert not [name for name, _ in refused[0]["headers"] if name.startswith(b"access-control")]


ANYTHING = st.text(st.characters(codec="latin-1"), max_size=60)


@given(
    path=st.one_of(ANYTHING, st.sampled_from(PATHS), ANYTHING.map(lambda tail: f"{API}/@connections/{tail}")),
    query=st.one_of(ANYTHING, ANYTHING.map(lambda key: f"X-Amz-Credential={key}/1")),
    headers=st.lists(
        st.tuples(st.sampled_from(["authorization", "origin", "x-amz-target", "sec-fetch-site", "host"]), ANYTHING),
        max_size=4,
    ),
)
def test_only_the_secret_opens_services_for_any_request(path: str, query: str, headers: list[tuple[str, str]]) -> None:
    """Arbitrary bytes in every field that the guard reads; only the APIs answer them."""
    reached = asyncio.run(reaches(path, *headers, query=query))
    is_api = path.startswith("/_aws/execute-api/") and "@connections" not in path
    assert is_api or not reached
