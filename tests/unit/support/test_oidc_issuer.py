"""Test that the issuer's Cognito mode refuses what a user pool refuses."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from tests.support.oidc_issuer import CLIENT, COOKIE, CognitoIssuer

VIEWER = "https://logs.example/"


@pytest.fixture
async def pool() -> AsyncIterator[CognitoIssuer]:
    """Provide a pool whose client is the viewer."""
    issuer = CognitoIssuer(redirect_uri=VIEWER, logout_uri=VIEWER)
    await issuer.start()
    try:
        yield issuer
    finally:
        await issuer.stop()


@pytest.mark.parametrize(
    ("query", "signed_out"),
    [
        ({"client_id": CLIENT, "logout_uri": VIEWER}, True),
        ({"client_id": CLIENT}, False),
        ({"logout_uri": VIEWER}, False),
        ({"client_id": CLIENT, "logout_uri": "https://logs.example"}, False),
        ({"id_token_hint": "x", "post_logout_redirect_uri": VIEWER}, False),
    ],
    ids=["both", "no address", "no client", "address that is not registered", "the standard's parameters"],
)
async def test_sign_out_needs_the_client_and_a_registered_address(
    pool: CognitoIssuer, query: dict[str, str], signed_out: bool
) -> None:
    """Otherwise an error page answers, and the session stays."""
    asked = {
        "client_id": CLIENT,
        "redirect_uri": VIEWER,
        "response_type": "code",
        "code_challenge_method": "S256",
        "scope": "openid",
    }
    async with httpx.AsyncClient(base_url=pool.url) as browser:
        await browser.post("/sign-in", params=asked)
        assert COOKIE in browser.cookies
        answer = await browser.get("/end", params=query)
        assert (answer.status_code, answer.headers.get("Location")) == ((302, VIEWER) if signed_out else (400, None))
        # With a session, the pool answers with a code; without one, it shows the login page.
        assert (await browser.get("/authorize", params=asked)).status_code == (200 if signed_out else 303)
