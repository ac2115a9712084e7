"""Test that every refusal is one readable line on stderr and a non-zero exit status."""

import socket

import pytest
from aiohttp import web
from tests.integration.cli.conftest import Outcome, Run
from tests.support.viewer_cloud import ViewerCloud, job_id

from logferry_cli import live_client
from logferry_protocol.backoff import Backoff

FAST = live_client.Timing(backoff=Backoff(0.01, 0.01))
KEY = "lfv_" + "b" * 12 + "_" + "B" * 43


def refused(outcome: Outcome, *words: str) -> None:
    """Check for one line that contains these words, and for empty stdout."""
    assert outcome.status == 1
    assert outcome.out == b""
    assert len(outcome.err.splitlines()) == 1, outcome.err
    assert outcome.err.startswith("logferry: ")
    for word in words:
        assert word in outcome.err


@pytest.mark.parametrize(
    "words", [["jobs"], ["tail", "web"], ["tail", "-f", "web"], ["export", "web", "--format", "text"]]
)
def test_wrong_key_is_refused(cloud: ViewerCloud, run: Run, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    """The deployment does not know it."""
    cloud.add_job("web")
    monkeypatch.setenv("LOGFERRY_VIEWER_KEY", KEY)
    refused(run(*words), "viewer key was refused", "LOGFERRY_VIEWER_KEY")


def test_key_refused_by_the_gateway_is_reported(cloud: ViewerCloud, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """API Gateway answers a denying authorizer with 403 and its own message."""
    monkeypatch.setattr(cloud, "refused", lambda _: web.json_response({"message": "Forbidden"}, status=403))
    refused(run("jobs"), "viewer key was refused")


def test_agent_key_is_refused(cloud: ViewerCloud, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command recognises it before it sends anything."""
    monkeypatch.setenv("LOGFERRY_VIEWER_KEY", "lfa_" + KEY[4:])
    refused(run("jobs"), "agent's key", "logferry keys create viewer")
    assert cloud.requests == []


@pytest.mark.parametrize("key", ["", "  ", "secret", "lfv_a b", "lfv_ü"])
def test_malformed_key_is_refused(cloud: ViewerCloud, run: Run, key: str) -> None:
    """A bad paste never becomes a header."""
    refused(run("jobs", "--viewer-key", key), "key")
    assert cloud.requests == []


@pytest.mark.parametrize("words", [["tail"], ["tail", "-f"], ["export", "--format", "jsonl"]])
@pytest.mark.parametrize(
    "meant", ["theirs", job_id("theirs"), job_id("theirs").partition(".")[2][:12], "nobody-has-it"]
)
def test_another_owners_job_looks_absent(cloud: ViewerCloud, run: Run, words: list[str], meant: str) -> None:
    """By name, id and prefix alike."""
    cloud.add_job("theirs", owner="others")
    cloud.append("theirs", ["secret"])
    refused(run(*words, meant), "job", "logferry jobs")


def test_ticket_refused_every_time_is_reported(cloud: ViewerCloud, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command renews an expired or used ticket; when none works, it says so."""
    monkeypatch.setattr(live_client, "Timing", lambda: FAST)
    cloud.add_job("web")

    class RejectingSet(set[str]):
        def add(self, _: str) -> None:
            return None

    cloud.tickets = RejectingSet()
    refused(run("tail", "-f", "web"), "refused the ticket", "same deployment")
    assert cloud.tickets_given == live_client.MAX_REFUSALS


def test_one_expired_ticket_is_renewed(cloud: ViewerCloud, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A laptop that slept between ticket and connection continues with the next ticket."""
    monkeypatch.setattr(live_client, "Timing", lambda: FAST)
    cloud.add_job("web", state="exited")
    cloud.append("web", ["line", '{"event":"exited"}'], "os")

    class FirstTicketRejected(set[str]):
        def add(self, ticket: str) -> None:
            if cloud.tickets_given > 0:
                super().add(ticket)

    cloud.tickets = FirstTicketRejected()
    assert run("tail", "-f", "web").text == "line\n"
    assert cloud.tickets_given == 2


def test_refused_connection_is_reported(cloud: ViewerCloud, run: Run) -> None:
    """At once."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        refused(run("jobs", "--api-url", f"http://127.0.0.1:{port}"), "cannot be reached", "logferry status")


def test_foreign_server_is_reported(cloud: ViewerCloud, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is not Logferry's causes no stack trace."""
    monkeypatch.setattr(cloud, "refused", lambda _: web.Response(text="<html>hello</html>"))
    refused(run("jobs"), "not Logferry's")


def test_missing_cloud_is_reported(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """The message says to start a cloud or to name one."""
    for name in ("API_URL", "VIEWERS_URL", "VIEWER_KEY"):
        monkeypatch.delenv(f"LOGFERRY_{name}", raising=False)
    refused(run("jobs", "--state", str(tmp_path)), "logferry up", "LOGFERRY_API_URL")


def test_address_without_a_key_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A local cloud's key is never sent to another address."""
    monkeypatch.delenv("LOGFERRY_VIEWER_KEY", raising=False)
    refused(run("jobs", "--api-url", "https://logs.example.com"), "No viewer key", "LOGFERRY_VIEWER_KEY")


@pytest.mark.parametrize(
    "words",
    [["jobs"], ["tail", "x"], ["export", "x", "--format", "text"], ["verify", "x"], ["doctor"], ["delete", "x"]],
)
def test_key_is_not_sent_unencrypted_to_another_host(run: Run, words: list[str]) -> None:
    """It is refused before anything is sent; `--insecure` allows it."""
    given = [*words, "--api-url", "http://logs.invalid", "--viewer-key", KEY]
    refused(run(*given), "'logs.invalid' unencrypted", "--insecure")
    if words == ["jobs"]:
        refused(run(*given, "--insecure"), "http://logs.invalid cannot be reached")


@pytest.mark.parametrize("address", ["logs.example.com", "ftp://logs.example.com", "https://", "", "http://[::1"])
def test_malformed_address_is_refused(run: Run, address: str) -> None:
    """The message names the setting."""
    refused(run("jobs", "--api-url", address, "--viewer-key", KEY), "LOGFERRY_API_URL")
