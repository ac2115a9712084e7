"""Test the viewer's login at an issuer that behaves as a Cognito user pool, with the settings that the docs give.

The cloud checks the tokens with the code of the function connect.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from aiohttp import web
from playwright.sync_api import Browser, BrowserContext, Page, expect
from tests.browser.test_login_oidc import PATIENCE_MS, OidcCloud, log_in
from tests.support.oidc_issuer import CLIENT, CognitoIssuer

from connect.core import Refusal
from connect.oidc import Issuer, IssuerKeys, check_token
from registry.principal import Principal

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


class CognitoCloud(OidcCloud):
    """A cloud whose viewers log in at a Cognito user pool."""

    def __init__(self, dist: Path) -> None:
        super().__init__(dist)
        self.issuer: CognitoIssuer = CognitoIssuer()
        self.principals: list[Principal] = []
        self.scope = "openid email"

    def refused(self, request: web.Request) -> web.Response | None:
        """Decide as the authorizer does, with the template's defaults."""
        issuer = Issuer(self.issuer.url, CLIENT, "access", "sub", "cognito:groups", "operators")
        documents = {
            f"{self.issuer.url}/.well-known/openid-configuration": self.issuer.discovery(),
            f"{self.issuer.url}/keys": self.issuer.keys(),
        }
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        found = check_token(issuer, IssuerKeys(self.issuer.url, documents.__getitem__), token, time.time())
        if isinstance(found, Refusal):
            return web.json_response({"title": "Unauthorized", "status": 401, "detail": found.reason}, status=401)
        self.principals.append(found)
        return None

    async def _start(self) -> None:
        await super()._start()
        self.issuer.logout_uri = self.url

    def auth(self) -> dict[str, str]:
        """Return what the template writes for a pool: OidcScope, OidcToken and OidcLogout."""
        return super().auth() | {"scope": self.scope, "token": "access", "logout": self.issuer.logout_url}


@pytest.fixture
def cloud(viewer_dist: Path) -> Iterator[CognitoCloud]:
    with CognitoCloud(viewer_dist) as cloud:
        cloud.add_job("web-1")
        cloud.append("web-1", ["one line"])
        yield cloud


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    yield context
    context.close()


def signed_in(context: BrowserContext, cloud: CognitoCloud) -> Page:
    """Log in, and wait for the job list."""
    page = log_in(context, cloud)
    expect(page.locator("[data-job]")).to_be_visible(timeout=PATIENCE_MS)
    return page


def test_access_token_of_a_pool_signs_in_with_its_groups(context: BrowserContext, cloud: CognitoCloud) -> None:
    """It names the client in `client_id` and has no audience. A renewal keeps the refresh token."""
    cloud.issuer.life_s = 2
    page = signed_in(context, cloud)
    first = cloud.principals[0]
    assert (first.subject, first.groups, first.admin) == ("ada", ("operators",), True)
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while cloud.issuer.renewals < 2 and time.monotonic() < deadline:
        page.wait_for_timeout(100)
    assert cloud.issuer.renewals >= 2


def test_logout_ends_the_pools_session_and_returns_to_the_viewer(context: BrowserContext, cloud: CognitoCloud) -> None:
    """The next login asks who it is."""
    page = signed_in(context, cloud)
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("button", name="Log in with localhost")).to_be_visible(timeout=PATIENCE_MS)
    expect(page).to_have_url(cloud.url)
    assert [parse_qs(query) for query in cloud.issuer.logouts] == [{"client_id": [CLIENT], "logout_uri": [cloud.url]}]
    page.get_by_role("button", name="Log in with localhost").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible(timeout=PATIENCE_MS)


def test_scope_that_the_pool_does_not_offer_is_reported(context: BrowserContext, cloud: CognitoCloud) -> None:
    """Pools refuse scopes that are not registered for the client; `OidcScope` says which are asked for."""
    cloud.scope = "openid logs"
    page = context.new_page()
    page.goto(cloud.url)
    page.get_by_role("button", name="Log in with localhost").click()
    expect(page.get_by_role("alert")).to_contain_text("invalid_scope", timeout=PATIENCE_MS)
    assert cloud.issuer.access_tokens == []
