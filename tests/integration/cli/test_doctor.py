"""Test `logferry doctor` against the viewers' contract: it checks every leg and names the failing one."""

import json

import pytest
from aiohttp import web
from tests.integration.cli.conftest import Run
from tests.support.viewer_cloud import ViewerCloud, job_id


def outcomes(run: Run, *words: str) -> tuple[int, dict[str, str]]:
    """Return the exit status and the outcome of each leg."""
    outcome = run("doctor", "--json", *words)
    return outcome.status, {leg["name"]: leg["outcome"] for leg in json.loads(outcome.out)}


def test_healthy_deployment_passes(cloud: ViewerCloud, run: Run) -> None:
    """The reading legs need no AWS credentials."""
    cloud.add_job("web")
    cloud.append("web", ["line"])
    outcome = run("doctor")
    assert outcome.status == 0
    assert "✓ history" in outcome.text
    assert "the newest job has 1 entries" in outcome.text
    assert outcome.text.endswith("All checks passed.\n")


def test_refusing_websocket_is_named(cloud: ViewerCloud, run: Run) -> None:
    """The legs before and after it are still checked."""

    class RejectingSet(set[str]):
        def add(self, _: str) -> None:
            return None

    cloud.tickets = RejectingSet()
    status, found = outcomes(run)
    assert status == 1
    assert found == {
        "HTTP API and viewer key": "ok",
        "this machine's clock": "ok",
        "history": "ok",
        "viewers' WebSocket": "failed",
    }


def test_silent_socket_is_named(cloud: ViewerCloud, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence counts as failure after a time limit."""

    async def silent(*_: object) -> None:
        return None

    monkeypatch.setattr(cloud, "_answer", silent)
    outcome = run("doctor", "--patience", "0.2")
    assert outcome.status == 1
    assert "✗ viewers' WebSocket" in outcome.text
    assert "the answer to `subscribe` did not come" in outcome.text


def test_damaged_history_is_named(cloud: ViewerCloud, run: Run) -> None:
    """Undecodable bytes are found before a user finds them."""
    cloud.add_job("web")
    cloud.append("web", ["line"])
    cloud.jobs[job_id("web")].facts[0]["count"] = 2
    status, found = outcomes(run)
    assert (status, found["history"]) == (1, "failed")


def test_wrong_key_is_reported_once(cloud: ViewerCloud, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a stack trace. What needs the key is skipped, and the clock is still checked."""
    monkeypatch.setattr(cloud, "refused", lambda _: web.json_response({"message": "Forbidden"}, status=403))
    status, found = outcomes(run)
    assert status == 1
    assert found == {
        "HTTP API and viewer key": "failed",
        "this machine's clock": "ok",
        "history": "skipped",
        "viewers' WebSocket": "skipped",
    }


def test_deep_check_without_a_stack_reports_what_is_missing(cloud: ViewerCloud, run: Run) -> None:
    """The reading legs are still checked; skipped ones do not count as healthy."""
    outcome = run("doctor", "--deep")
    assert outcome.status == 1
    assert "LOGFERRY_STACK" in outcome.text
    assert "- agents' WebSocket" in outcome.text
