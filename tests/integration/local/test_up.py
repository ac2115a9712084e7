"""`logferry up`, `down` and `status`, as processes of their own, against the embedded emulator."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from logferry_local import emulator
from logferry_local.aws import LocalAws
from logferry_local.checkout import find_checkout
from logferry_local.processes import Ledger, stop
from logferry_local.state import load_keys, load_state
from logferry_local.waiting import wait_until

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(300)]
LOGFERRY = Path(sys.executable).parent / "logferry"


def logferry(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The command's result; a foreign AWS configuration in its environment must not matter to it."""
    around = {name: value for name, value in os.environ.items() if not name.startswith("LOGFERRY_")}
    foreign = {"AWS_PROFILE": "nobody", "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "LOGFERRY_STATE": str(folder)}
    return subprocess.run(
        [str(LOGFERRY), *words],
        capture_output=True,
        text=True,
        env=around | foreign,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def ask(url: str, key: str | None = None) -> tuple[int, str]:
    """Status and text of a GET."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
    answers: list[tuple[int, str]] = []

    def answered() -> bool:
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                answers.append((answer.status, answer.read().decode()))
        except urllib.error.HTTPError as refusal:
            answers.append((refusal.code, refusal.read().decode()))
        # On a busy machine a function's first start may outlast its time limit, as on AWS; one asks again.
        return answers[-1][0] < 500

    wait_until(answered, timeout_s=120, every_s=0.5)
    return answers[-1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The state folder of a local cloud that is up, without an agent."""
    folder = tmp_path_factory.mktemp("cloud")
    done = logferry("up", "--detach", "--no-agent", folder=folder)
    try:
        assert done.returncode == 0, done.stderr
        yield folder
    finally:
        logferry("down", folder=folder)


def test_a_second_up_changes_nothing_and_prints_the_address_again(folder: Path) -> None:
    """The same processes and keys; the key in the address's fragment is the one that the API takes."""
    state, keys = load_state(folder), load_keys(folder)
    again = logferry("up", "--detach", "--no-agent", folder=folder)
    assert (load_state(folder), load_keys(folder)) == (state, keys)
    assert again.stdout == f"{state.viewer_url}/#key={keys.viewer_key}\n"
    status, me = ask(f"{state.viewer_url}/api/me", keys.viewer_key)
    assert (status, json.loads(me)["principal"]) == (200, "me")


def test_there_is_no_way_in_without_a_key(folder: Path) -> None:
    """Locally as in the cloud, through the viewer's server and past it."""
    state, keys = load_state(folder), load_keys(folder)
    for base in (state.viewer_url, state.http_url):
        assert ask(f"{base}/api/jobs")[0] == 401
        assert ask(f"{base}/api/jobs", keys.viewer_key[:-1] + "?")[0] == 403
        assert ask(f"{base}/api/jobs", keys.agent_key)[0] == 403


def test_status_says_what_runs(folder: Path) -> None:
    """As an object that programs read."""
    said = json.loads(logferry("status", "--json", folder=folder).stdout)
    assert said["running"] == {"viewer": True, "cloud": True}


def test_the_viewers_files_are_in_the_bucket(folder: Path) -> None:
    """As they would be on AWS, typed for browsers."""
    state = load_state(folder)
    s3 = LocalAws(state.endpoint_url, state.region).client("s3")
    page = s3.get_object(Bucket=state.viewer_bucket, Key="index.html")
    assert page["ContentType"] == "text/html"
    config = json.loads(s3.get_object(Bucket=state.viewer_bucket, Key="config.json")["Body"].read())
    assert config["live"] == state.viewers_url


def test_data_survive_and_an_emulator_that_runs_already_is_used_and_left_alone(folder: Path) -> None:
    """What was stored is there after `down` and `up`; `--endpoint-url` takes what answers there, stack and all."""
    state, keys = load_state(folder), load_keys(folder)
    table = LocalAws(state.endpoint_url, state.region).resource("dynamodb").Table(state.tables.log)
    table.put_item(Item={"job": "kept", "first": 1, "body": b"\x00\xff"})
    ledger = Ledger(folder)
    viewer = ledger.running("viewer")
    assert viewer is not None
    stop(viewer)
    said = logferry("status", folder=folder)
    assert (said.returncode, "logferry up" in said.stderr) == (1, True), "a part that died is said"
    assert logferry("down", folder=folder).returncode == 0
    assert not ledger.read()

    theirs = emulator.start(folder, urlsplit(state.endpoint_url).port or 0, find_checkout())
    ledger.strike(emulator.ROLE)  # from here on it is somebody else's
    try:
        done = logferry("up", "--detach", "--no-agent", "--endpoint-url", state.endpoint_url, folder=folder)
        assert done.returncode == 0, done.stderr
        after = load_state(folder)
        assert (after.embedded, after.tables, load_keys(folder)) == (False, state.tables, keys)
        kept = table.get_item(Key={"job": "kept", "first": 1})["Item"]
        assert bytes(kept["body"].value) == b"\x00\xff"
        assert logferry("down", folder=folder).returncode == 0
        assert emulator.answers(state.endpoint_url)
    finally:
        stop(theirs)


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (["up", "--no-agent", "--detach", "--endpoint-url", "http://127.0.0.1:9"], "leave --endpoint-url out"),
        (["up", "--no-agent", "--detach", "--endpoint-url", "nonsense"], "--endpoint-url http://"),
        (["status"], "logferry up"),
        (["jobs"], "logferry up"),
    ],
)
def test_what_cannot_be_done_is_one_line_with_advice(words: list[str], advice: str, tmp_path: Path) -> None:
    """And a non-zero exit status; never a stack trace."""
    done = logferry(*words, folder=tmp_path / "none")
    assert done.returncode == 1
    assert advice in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
