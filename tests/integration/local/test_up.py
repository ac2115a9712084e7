"""Test `logferry up`, `down` and `status` as processes against the embedded emulator."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import sync_playwright
from tests.integration.local.conftest import logferry
from tests.support import clouds
from tests.support.compiled_files import assert_bytecode_needs_no_check, assert_libraries_are_for

from logferry_local import deployment, emulator
from logferry_local.aws import LocalAws
from logferry_local.checkout import find_checkout
from logferry_local.polling import wait_until
from logferry_local.ports import PORTS_FILE
from logferry_state.processes import ProcessTable, is_running, stop
from logferry_state.state import EMULATOR_FILE, load_keys, load_state

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(300)]


def ask(url: str, key: str | None = None) -> tuple[int, str]:
    """Return status and text of a GET."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
    answers: list[tuple[int, str]] = []

    def answered() -> bool:
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                answers.append((answer.status, answer.read().decode()))
        except urllib.error.HTTPError as refusal:
            answers.append((refusal.code, refusal.read().decode()))
        # On a busy machine a function's first start may exceed its time limit, as on AWS; then retry.
        return answers[-1][0] < 500

    wait_until(answered, timeout_s=120, every_s=0.5)
    return answers[-1]


def test_functions_are_built_for_the_emulators_python_and_this_processor(folder: Path) -> None:
    """With bytecode, without which each function compiles all of its libraries when it starts."""
    target = deployment.this_machine(find_checkout())
    built, again = deployment.build(find_checkout(), target, folder / "build.log")
    assert not again, "`logferry up` built exactly this"
    assert_libraries_are_for(built.parent / "Protocol", target.python, target.architecture)
    for package in ("Protocol", "Connect", "Ingest"):
        assert_bytecode_needs_no_check(built.parent / package)


def test_second_up_changes_nothing_and_prints_the_address_again(folder: Path) -> None:
    """Processes and keys stay; the API accepts the key in the address's fragment."""
    state, keys = load_state(folder), load_keys(folder)
    again = logferry("up", "--detach", "--no-agent", folder=folder)
    assert (load_state(folder), load_keys(folder)) == (state, keys)
    assert again.stdout == f"{state.viewer_url}/#key={keys.viewer_key}\n"
    status, me = ask(f"{state.viewer_url}/api/me", keys.viewer_key)
    assert (status, json.loads(me)["principal"]) == (200, "me")


def test_access_without_a_key_is_refused(folder: Path) -> None:
    """Locally as in the cloud, through the viewer's server and around it."""
    state, keys = load_state(folder), load_keys(folder)
    for base in (state.viewer_url, state.http_url):
        assert ask(f"{base}/api/jobs")[0] == 401
        assert ask(f"{base}/api/jobs", keys.viewer_key[:-1] + "?")[0] == 403
        assert ask(f"{base}/api/jobs", keys.agent_key)[0] == 403


def test_status_reports_what_runs(folder: Path) -> None:
    """As a JSON object."""
    said = json.loads(logferry("status", "--json", folder=folder).stdout)
    assert said["running"] == {"viewer": True, "cloud": True}


def test_runbook_of_the_alarms_is_beside_the_viewer(folder: Path) -> None:
    """Each alarm's description leads there."""
    with urllib.request.urlopen(f"{load_state(folder).viewer_url}/runbook.html", timeout=30) as answer:
        assert answer.headers["Content-Type"].startswith("text/html")
        assert '<h2 id="functions-that-cannot-be-called">' in answer.read().decode()


def test_viewer_files_are_in_the_bucket(folder: Path) -> None:
    """With content types for browsers, as on AWS."""
    state = load_state(folder)
    s3 = LocalAws(state.endpoint_url, state.region, state.access_key).client("s3")
    page = s3.get_object(Bucket=state.viewer_bucket, Key="index.html")
    assert page["ContentType"] == "text/html"
    config = json.loads(s3.get_object(Bucket=state.viewer_bucket, Key="config.json")["Body"].read())
    assert config["live"] == state.viewers_url


ATTACK = """
import encodings.idna, json, os, pwd, stringprep, sys, urllib.error, urllib.request
if os.geteuid() == 0:  # all is imported: that user may not read this Python
    nobody = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setgid(nobody.pw_gid)
    os.setuid(nobody.pw_uid)
root = "Credential=test/20261130/us-east-1/dynamodb/aws4_request"
for url, method, headers in json.loads(sys.argv[1]):
    headers["Authorization"] = f"AWS4-HMAC-SHA256 {root}, SignedHeaders=host, Signature=0"
    body = b"{}" if method == "POST" else None
    try:
        urllib.request.urlopen(urllib.request.Request(url, body, headers, method=method), timeout=20)
    except urllib.error.HTTPError as refusal:
        print(refusal.code)
    else:
        print("got", url)
for path in sys.argv[2:]:
    try:
        open(path).close()
    except PermissionError:
        print(403)
    else:
        print("read", path)
"""
"""Attempts of another user of the machine: services as MiniStack's root, its own addresses, the state's files."""


def test_another_user_has_no_access(folder: Path) -> None:
    """Tables, functions, administration, connections, state folder; command lines show no secret."""
    state = load_state(folder)
    tries: list[tuple[str, str, dict[str, str]]] = [
        (f"{state.endpoint_url}/", "POST", {"X-Amz-Target": "DynamoDB_20120810.ListTables"}),
        (f"{state.endpoint_url}/2015-03-31/functions/", "GET", {}),
        (f"{state.endpoint_url}/{state.viewer_bucket}/index.html", "GET", {}),
        (f"{state.endpoint_url}/_localstack/health", "GET", {}),
        (f"{state.endpoint_url}/_ministack/reset", "POST", {}),
        (f"{state.endpoint_url}/_ministack/config", "POST", {}),
        (f"{state.http_url}/api/jobs", "GET", {"Origin": "http://evil.test"}),
        (f"{state.http_url}/api/jobs", "GET", {"Host": "evil.test"}),
        (f"http{state.viewers_url.removeprefix('ws')}/@connections/abc", "POST", {}),
    ]
    # Without root the test cannot become another user; the modes below prove the same for the files.
    read = [str(path) for path in folder.rglob("*") if path.is_file()][:20] if os.geteuid() == 0 else []
    done = subprocess.run(
        [sys.executable, "-c", ATTACK, json.dumps(tries), *read], capture_output=True, text=True, cwd="/", check=True
    )
    assert done.stdout.split() == ["403"] * (len(tries) + len(read))
    assert [path for path in (folder, *folder.rglob("*")) if path.stat().st_mode & 0o077] == []
    lines = b"".join(path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())
    assert b"guard.py" in lines
    assert state.access_key.encode() not in lines


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<title>evil</title>")

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def foreign_port() -> Iterator[int]:
    """Provide a foreign web server on another port of this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


FOREIGN_SCRIPT = """async ([cloud, api, viewer, socket, who]) => {
  const root = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=test%2F20261130%2Fus-east-1%2Fsns%2Faws4_request";
  const topic = (name) => `Action=CreateTopic&Version=2010-03-31&Name=evil-${who}-${name}`;
  const form = { "Content-Type": "application/x-www-form-urlencoded" };
  const told = {};
  const ask = async (name, url, options) => {
    try {
      const answer = await fetch(url, options);
      told[name] = options?.mode === "no-cors" ? answer.type : `${answer.status} ${await answer.text()}`;
    } catch {
      told[name] = "refused";
    }
  };
  await ask("simple", `${cloud}/?${root}`, { method: "POST", headers: form, body: topic("simple") });
  await ask("no-cors", `${cloud}/?${root}`, { method: "POST", mode: "no-cors", headers: form, body: topic("blind") });
  await ask("preflight", `${cloud}/evil-${who}-bucket?${root}`, { method: "PUT", headers: { "X-Evil": "1" } });
  await ask("api", `${api}/api/jobs`, { headers: { Authorization: "Bearer x" } });
  await ask("config", `${viewer}/config.json`);
  await ask("reset", `${cloud}/_ministack/reset`, { method: "POST" });
  told.socket = await new Promise((resolve) => {
    const opened = new WebSocket(socket);
    opened.onopen = () => resolve("open");
    opened.onerror = () => resolve("refused");
  });
  const target = Object.assign(document.createElement("iframe"), { name: "target" });
  document.body.append(target);
  const sent = document.body.appendChild(document.createElement("form"));
  Object.assign(sent, { method: "POST", action: `${cloud}/?${root}`, target: "target" });
  for (const [name, value] of new URLSearchParams(topic("form"))) {
    const field = sent.appendChild(document.createElement("input"));
    [field.name, field.value] = [name, value];
  }
  const answered = new Promise((resolve) => { target.onload = resolve; });
  sent.submit();
  await answered;
  return told;
}"""


@pytest.mark.browser
def test_pages_of_other_origins_have_no_access(folder: Path, foreign_port: int) -> None:
    """Neither answer nor effect: fetch with and without CORS, preflights, forms, WebSockets, rebound names.

    The viewer's own page may open the WebSocket that they may not.
    """
    state, keys = load_state(folder), load_keys(folder)

    def socket() -> str:
        headers = {"Authorization": f"Bearer {keys.viewer_key}", "Origin": state.viewer_url}
        asked = urllib.request.Request(f"{state.viewer_url}/api/tickets", b"", headers)
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return f"{state.viewers_url}?v=1&ticket={json.loads(answer.read())['ticket']}"

    ask_socket = "url => new Promise(done => { const s = new WebSocket(url); s.onopen = () => done('open');"
    ask_socket += " s.onerror = () => done('refused') })"
    arguments = ["--no-sandbox", "--host-resolver-rules=MAP evil.test 127.0.0.1"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=arguments)
        try:
            page = browser.new_page()
            for who, host in (("port", "127.0.0.1"), ("name", "evil.test"), ("local", "localhost")):
                page.goto(f"http://{host}:{foreign_port}/")
                told = page.evaluate(
                    FOREIGN_SCRIPT, [state.endpoint_url, state.http_url, state.viewer_url, socket(), who]
                )
                names = ("simple", "preflight", "api", "config", "reset", "socket")
                assert told == {**dict.fromkeys(names, "refused"), "no-cors": "opaque"}, host
            for rebound in (state.endpoint_url, state.viewer_url):
                answer = page.goto(rebound.replace("127.0.0.1", "evil.test") + "/config.json")
                assert answer is not None
                assert answer.status == 403
            page.goto(state.viewer_url)
            assert page.evaluate(ask_socket, socket()) == "open"
        finally:
            browser.close()
    aws = LocalAws(state.endpoint_url, state.region, state.access_key)
    assert aws.client("sns").list_topics().get("Topics", []) == []
    assert not [bucket for bucket in aws.client("s3").list_buckets()["Buckets"] if "evil" in bucket["Name"]]
    assert aws.client("dynamodb").list_tables()["TableNames"]


def test_data_survives_restart_and_a_foreign_emulator_is_reused(folder: Path, tmp_path: Path) -> None:
    """Data is there after `down` and `up`. `--endpoint-url` uses a running emulator, stack included.

    An emulator that 0.1.0 left running is replaced by a private one.
    """
    state, keys = load_state(folder), load_keys(folder)
    ports = (folder / PORTS_FILE).read_bytes()
    table = LocalAws(state.endpoint_url, state.region, state.access_key).resource("dynamodb").Table(state.tables.log)
    table.put_item(Item={"job": "kept", "first": 1, "body": b"\x00\xff"})
    processes = ProcessTable(folder)
    viewer = processes.running("viewer")
    assert viewer is not None
    stop(viewer)
    said = logferry("status", folder=folder)
    assert (said.returncode, "logferry up" in said.stderr) == (1, True), "a part that died is said"
    assert logferry("down", folder=folder).returncode == 0
    assert not processes.read()

    theirs = clouds.start_ministack(folder, urlsplit(state.endpoint_url).port or 0)
    try:
        done = logferry("up", "--detach", "--no-agent", "--endpoint-url", state.endpoint_url, folder=folder)
        assert done.returncode == 0, done.stderr
        after = load_state(folder)
        assert (after.embedded, after.tables, load_keys(folder)) == (False, state.tables, keys)
        table = (
            LocalAws(after.endpoint_url, after.region, after.access_key).resource("dynamodb").Table(state.tables.log)
        )
        kept = table.get_item(Key={"job": "kept", "first": 1})["Item"]
        assert bytes(kept["body"].value) == b"\x00\xff"
        assert logferry("down", folder=folder).returncode == 0
        assert emulator.answers(state.endpoint_url)

        # As 0.1.0 left it running: an emulator that answers everybody, a folder that everybody reads.
        (folder / PORTS_FILE).write_bytes(ports)
        processes.add(emulator.ROLE, theirs)
        (folder / EMULATOR_FILE).unlink()
        for path in (folder, folder / "logs"):
            path.chmod(0o755)
        done = logferry("up", "--detach", "--no-agent", folder=folder)
        assert done.returncode == 0, done.stderr
        after = load_state(folder)
        assert not is_running(theirs)
        assert not emulator.answers(state.endpoint_url)
        assert emulator.answers(state.endpoint_url, after.access_key)
        table = (
            LocalAws(after.endpoint_url, after.region, after.access_key).resource("dynamodb").Table(after.tables.log)
        )
        assert table.get_item(Key={"job": "kept", "first": 1})["Item"] == kept
        assert (folder.stat().st_mode | (folder / "logs").stat().st_mode) & 0o077 == 0
        refused = logferry("up", "--detach", "--no-agent", "--endpoint-url", after.endpoint_url, folder=tmp_path / "2")
        assert refused.returncode == 1
        assert "belongs to another `logferry up`" in refused.stderr
    finally:
        stop(theirs)


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (["up", "--no-agent", "--detach", "--endpoint-url", "http://127.0.0.1:9"], "leave out --endpoint-url"),
        (["up", "--no-agent", "--detach", "--endpoint-url", "nonsense"], "--endpoint-url http://"),
        (["status"], "logferry up"),
        (["jobs"], "logferry up"),
    ],
)
def test_impossible_requests_print_one_line_with_advice(words: list[str], advice: str, tmp_path: Path) -> None:
    """With a non-zero exit status and without a stack trace."""
    done = logferry(*words, folder=tmp_path / "none")
    assert done.returncode == 1
    assert advice in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
