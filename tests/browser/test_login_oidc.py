"""Test OpenID Connect login in a real browser against a real issuer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web
from playwright.sync_api import Browser, BrowserContext, Page, expect
from tests.support.oidc_issuer import CLIENT, SCOPE, OidcIssuer
from tests.support.viewer_cloud import CSP, ViewerCloud, job_id

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

PATIENCE_MS = 60_000
JOB = job_id("web-1")


class OidcCloud(ViewerCloud):
    """A cloud whose viewers log in at an issuer."""

    def __init__(self, dist: Path) -> None:
        super().__init__(dist)
        self.issuer = OidcIssuer()
        self.taken: set[str] = set()
        """The distinct tokens of the requests."""

    def refused(self, request: web.Request) -> web.Response | None:
        self.requests.append(f"{request.method} {request.path_qs}")
        header = request.headers.get("Authorization", "")
        if self.issuer.accepts(header):
            self.taken.add(header)
            return None
        return web.json_response(
            {"title": "Unauthorized", "status": 401, "detail": "The token is not valid."}, status=401
        )

    async def _start(self) -> None:
        await self.issuer.start()
        await super()._start()
        self.issuer.redirect_uri = self.url

    async def _stop(self) -> None:
        await super()._stop()
        await self.issuer.stop()

    def auth(self) -> dict[str, str]:
        """Return the part of /config.json that names the issuer."""
        return {"kind": "oidc", "issuer": self.issuer.url, "client_id": CLIENT, "scope": SCOPE}

    async def _config(self, _: web.Request) -> web.Response:
        auth = self.auth()
        return web.json_response({"api": "/api", "live": f"ws://127.0.0.1:{self.port}/live", "auth": auth})

    async def _file(self, request: web.Request) -> web.StreamResponse:
        response = await super()._file(request)
        # The deployed policy, which also allows requests to the issuer.
        csp = CSP.format(live=f"ws://127.0.0.1:{self.port} {self.issuer.url}")
        response.headers["Content-Security-Policy"] = csp
        return response


@pytest.fixture
def cloud(viewer_dist: Path) -> Iterator[OidcCloud]:
    with OidcCloud(viewer_dist) as cloud:
        cloud.add_job("web-1")
        cloud.append("web-1", [f"line {number}" for number in range(1, 101)])
        yield cloud


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    yield context
    context.close()


def log_in(context: BrowserContext, cloud: OidcCloud, query: str = "") -> Page:
    """Go from the login page to the issuer and back."""
    page = context.new_page()
    page.goto(cloud.url + query)
    page.get_by_role("button", name="Log in with localhost").click()
    page.get_by_role("button", name="Sign in").click()
    return page


def test_login_returns_from_the_issuer_to_the_same_address(context: BrowserContext, cloud: OidcCloud) -> None:
    """Code and state leave the address; no storage holds a token."""
    page = log_in(context, cloud, f"?job={JOB}")
    expect(page.get_by_text("line 100", exact=True)).to_be_visible(timeout=PATIENCE_MS)
    expect(page).to_have_url(f"{cloud.url}?job={JOB}")
    stored = page.evaluate("JSON.stringify([{...sessionStorage}, {...localStorage}, document.cookie])")
    for secret in [*cloud.issuer.access_tokens, "refresh-", "eyJ"]:
        assert secret not in stored


def test_reload_asks_only_the_issuer(context: BrowserContext, cloud: OidcCloud) -> None:
    """Tokens are in memory; the issuer's session is in its cookie."""
    page = log_in(context, cloud)
    expect(page.locator("[data-job]")).to_be_visible(timeout=PATIENCE_MS)
    # The page goes to the issuer on its own, perhaps before it has loaded.
    page.reload(wait_until="commit")
    expect(page.locator("[data-job]")).to_be_visible(timeout=PATIENCE_MS)
    assert len(cloud.issuer.access_tokens) == 2


def test_token_is_renewed_silently(context: BrowserContext, cloud: OidcCloud) -> None:
    """The page stays and continues with the new token."""
    cloud.issuer.life_s = 4
    page = log_in(context, cloud)
    expect(page.locator("[data-job]")).to_be_visible(timeout=PATIENCE_MS)
    page.evaluate("window.samePage = true")
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while len(cloud.taken) < 2 and time.monotonic() < deadline:
        page.wait_for_timeout(100)
    assert len(cloud.taken) >= 2
    assert cloud.issuer.renewals >= 1
    assert page.evaluate("window.samePage") is True


def test_failed_renewal_is_reported_and_the_page_stays(context: BrowserContext, cloud: OidcCloud) -> None:
    """Read lines stay readable; logging in again returns to them."""
    cloud.issuer.life_s = 4
    cloud.issuer.refresh = False
    page = log_in(context, cloud, f"?job={JOB}")
    expect(page.get_by_text("line 100", exact=True)).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator("[data-session=ended]")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text("line 100", exact=True)).to_be_visible()
    cloud.issuer.life_s = 3600
    page.locator("[data-session=ended]").get_by_role("button", name="Log in").click()
    page.wait_for_function("() => document.querySelector('.row') && !document.querySelector('[data-session=ended]')")
    expect(page).to_have_url(f"{cloud.url}?job={JOB}")


def test_issuers_refusal_is_reported(context: BrowserContext, cloud: OidcCloud) -> None:
    """With the issuer's own words and a way to retry."""
    cloud.issuer.deny = True
    page = context.new_page()
    page.goto(cloud.url)
    page.get_by_role("button", name="Log in with localhost").click()
    expect(page.get_by_role("alert")).to_contain_text("you may not", timeout=PATIENCE_MS)
    assert "error" not in page.evaluate("() => location.href")
    assert cloud.issuer.access_tokens == []


def test_unsolicited_answer_is_refused(context: BrowserContext, cloud: OidcCloud) -> None:
    """A link with somebody else's code logs nobody in (RFC 6749, 10.12)."""
    page = context.new_page()
    page.goto(f"{cloud.url}?code=forged&state=forged")
    expect(page.get_by_role("alert")).to_contain_text("started in another tab", timeout=PATIENCE_MS)
    assert cloud.issuer.access_tokens == []


def test_logout_ends_the_session_here_and_at_the_issuer(context: BrowserContext, cloud: OidcCloud) -> None:
    """A reload afterwards asks for the login."""
    page = log_in(context, cloud)
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("button", name="Log in with localhost")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("button", name="Log in with localhost").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible(timeout=PATIENCE_MS)
