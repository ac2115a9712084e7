"""Every refusal is one readable line on stderr and a non-zero exit status."""

import socket

import pytest
from aiohttp import web
from tests.integration.cli.conftest import Outcome, Run
from tests.support.viewer_cloud import ViewerCloud, job_id

from logferry_cli import live

FAST = live.Timing(first_backoff=0.01, max_backoff=0.01)
KEY = "lfv_" + "b" * 12 + "_" + "B" * 43


def refused(outcome: Outcome, *words: str) -> None:
    """One line, which holds these words, and nothing on stdout."""
    assert outcome.status == 1
    assert outcome.out == b""
    assert len(outcome.err.splitlines()) == 1, outcome.err
    assert outcome.err.startswith("logferry: ")
    for word in words:
        assert word in outcome.err


@pytest.mark.parametrize(
    "words", [["jobs"], ["tail", "web"], ["tail", "-f", "web"], ["export", "web", "--format", "text"]]
)
def test_a_wrong_key(cloud: ViewerCloud, run: Run, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    """The deployment does not know it."""
    cloud.add_job("web")
    monkeypatch.setenv("LOGFERRY_VIEWER_KEY", KEY)
    refused(run(*words), "viewer key was refused", "LOGFERRY_VIEWER_KEY")


def test_a_key_that_the_gateway_itself_refuses(cloud: ViewerCloud, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """API Gateway answers an authorizer's no with 403 and a message of its own."""
    monkeypatch.setattr(cloud, "refused", lambda _: web.json_response({"message": "Forbidden"}, status=403))
    refused(run("jobs"), "viewer key was refused")


def test_an_agents_key(cloud: ViewerCloud, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told apart before anything is sent."""
    monkeypatch.setenv("LOGFERRY_VIEWER_KEY", "lfa_" + KEY[4:])
    refused(run("jobs"), "agent's key", "logferry keys create viewer")
    assert cloud.requests == []


@pytest.mark.parametrize("key", ["", "  ", "secret", "lfv_a b", "lfv_ü"])
def test_something_that_is_no_key(cloud: ViewerCloud, run: Run, key: str) -> None:
    """What is pasted wrongly never becomes a header."""
    refused(run("jobs", "--viewer-key", key), "key")
    assert cloud.requests == []


@pytest.mark.parametrize("words", [["tail"], ["tail", "-f"], ["export", "--format", "jsonl"]])
@pytest.mark.parametrize(
    "meant", ["theirs", job_id("theirs"), job_id("theirs").partition(".")[2][:12], "nobody-has-it"]
)
def test_another_owners_job_is_as_if_it_were_not_there(
    cloud: ViewerCloud, run: Run, words: list[str], meant: str
) -> None:
    """By name, by id and by prefix alike."""
    cloud.add_job("theirs", owner="others")
    cloud.append("theirs", ["secret"])
    refused(run(*words, meant), "job", "logferry jobs")


def test_a_ticket_that_is_refused_each_time(cloud: ViewerCloud, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """An expired or used ticket is asked for anew; when no ticket works, it is said so."""
    monkeypatch.setattr(live, "Timing", lambda: FAST)
    cloud.add_job("web")

    class Never(set[str]):
        def add(self, _: str) -> None:
            return None

    cloud.tickets = Never()
    refused(run("tail", "-f", "web"), "refused the ticket", "same deployment")
    assert cloud.tickets_given == live.MAX_REFUSALS


def test_one_expired_ticket_does_no_harm(cloud: ViewerCloud, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A laptop that slept between ticket and connection goes on with the next one."""
    monkeypatch.setattr(live, "Timing", lambda: FAST)
    cloud.add_job("web", state="exited")
    cloud.append("web", ["line", '{"event":"exited"}'], "os")

    class FirstIsLost(set[str]):
        def add(self, ticket: str) -> None:
            if cloud.tickets_given > 0:
                super().add(ticket)

    cloud.tickets = FirstIsLost()
    assert run("tail", "-f", "web").text == "line\n"
    assert cloud.tickets_given == 2


def test_nobody_there(cloud: ViewerCloud, run: Run) -> None:
    """A refused connection is told at once."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        refused(run("jobs", "--api-url", f"http://127.0.0.1:{port}"), "cannot be reached", "logferry status")


def test_something_else_there(cloud: ViewerCloud, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is not Logferry's gives no stack trace."""
    monkeypatch.setattr(cloud, "refused", lambda _: web.Response(text="<html>hello</html>"))
    refused(run("jobs"), "not Logferry's")


def test_no_cloud_at_all(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """What to do is said: start one, or name one."""
    for name in ("API_URL", "VIEWERS_URL", "VIEWER_KEY"):
        monkeypatch.delenv(f"LOGFERRY_{name}", raising=False)
    refused(run("jobs", "--state", str(tmp_path)), "logferry up", "LOGFERRY_API_URL")


def test_an_address_without_a_key(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A local cloud's key is never sent to another address."""
    monkeypatch.delenv("LOGFERRY_VIEWER_KEY", raising=False)
    refused(run("jobs", "--api-url", "https://logs.example.com"), "No viewer key", "LOGFERRY_VIEWER_KEY")


@pytest.mark.parametrize(
    "words",
    [["jobs"], ["tail", "x"], ["export", "x", "--format", "text"], ["verify", "x"], ["doctor"], ["delete", "x"]],
)
def test_a_key_is_not_sent_in_clear_to_another_host_unasked(run: Run, words: list[str]) -> None:
    """Refused before anything is sent; `--insecure` allows it."""
    given = [*words, "--api-url", "http://logs.invalid", "--viewer-key", KEY]
    refused(run(*given), "'logs.invalid' in clear", "--insecure")
    if words == ["jobs"]:
        refused(run(*given, "--insecure"), "http://logs.invalid cannot be reached")


@pytest.mark.parametrize("address", ["logs.example.com", "ftp://logs.example.com", "https://", "", "http://[::1"])
def test_something_that_is_no_address(run: Run, address: str) -> None:
    """It is said which setting is wrong."""
    refused(run("jobs", "--api-url", address, "--viewer-key", KEY), "LOGFERRY_API_URL")
