"""Test `logferry agent install` and `uninstall` below a folder. test_systemd_service.py does it with systemd."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from logferry_agent.__main__ import main as agent
from logferry_cli import systemd_host
from logferry_cli.agent import run
from logferry_cli.agent_files import AgentFiles
from logferry_cli.problems import Problem

KEY = "lfa_" + "a" * 12 + "_" + "b" * 43
OTHER_KEY = "lfa_" + "c" * 12 + "_" + "d" * 43
URL = "wss://abc123.execute-api.eu-west-1.amazonaws.com/live"


PROGRAM = systemd_host.check
"""The check as it is: the program in a process of its own."""


def check_here(command: Sequence[str], environment: Mapping[str, str], user: object) -> tuple[int, str]:
    """Check the settings in this process, which saves a second."""
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stderr(said), redirect_stdout(io.StringIO()):
        for name in [name for name in os.environ if name.startswith("LOGFERRY_")]:
            patch.delenv(name)
        for name, value in environment.items():
            patch.setenv(name, value)
        return agent(list(command[4:])), said.getvalue()


@pytest.fixture(name="files")
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AgentFiles:
    for name in [name for name in os.environ if name.startswith("LOGFERRY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(systemd_host, "check", check_here)
    (tmp_path / "root").mkdir()
    (tmp_path / "key").write_text(f"{KEY}\n")
    return AgentFiles(tmp_path / "root")


def install(files: AgentFiles, *words: str) -> None:
    assert run(["install", "--root", str(files.root), *words]) == 0


def install_first(files: AgentFiles, *words: str) -> None:
    install(files, "--agents-url", URL, "--key-file", str(files.root.parent / "key"), *words)


def refusal(files: AgentFiles, *words: str) -> Problem:
    with pytest.raises(Problem) as raised:
        install(files, *words)
    return raised.value


def everything(files: AgentFiles) -> list[str]:
    return sorted(str(path.relative_to(files.root)) for path in files.root.rglob("*") if path.is_file())


def test_files_are_written_with_their_modes(files: AgentFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only root reads settings and key, and everybody the unit."""
    monkeypatch.setattr(systemd_host, "check", PROGRAM)
    install_first(files, "--redact", "all")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (files.unit, files.environment, files.key)}
    assert modes == {"logferry-agent.service": 0o644, "agent.env": 0o600, "agent-key": 0o600}
    assert files.key.read_text() == f"{KEY}\n"
    assert files.settings() == {
        "LOGFERRY_AGENTS_URL": URL,
        "LOGFERRY_AGENT_KEY_FILE": "/etc/logferry/agent-key",
        "LOGFERRY_REDACT": "all",
    }
    assert KEY not in files.environment.read_text() + files.unit.read_text()
    assert len(everything(files)) == 3, "nothing half-written stays"


def test_key_comes_from_standard_input(files: AgentFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the arguments, everybody could read it in the list of processes."""
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{KEY}\n"))
    install(files, "--agents-url", URL, "--key-file", "-")
    assert files.key.read_text() == f"{KEY}\n"
    with pytest.raises(SystemExit):
        install(files, "--agent-key", KEY)


def test_repeated_installation_keeps_what_is_not_given(files: AgentFiles) -> None:
    """Settings, key and user stay, also a variable that somebody added."""
    install_first(files, "--redact", "all", "--user", "nobody")
    files.environment.write_text(f"{files.environment.read_text()}HTTPS_PROXY=http://proxy:3128\n")
    install(files, "--rate-limit", "100")
    settings = files.settings()
    assert (settings["LOGFERRY_REDACT"], settings["LOGFERRY_RATE_LIMIT"]) == ("all", "100")
    assert settings["HTTPS_PROXY"] == "http://proxy:3128"
    assert files.key.read_text() == f"{KEY}\n"
    assert "User=nobody\n" in files.unit.read_text()
    install(files, "--redact", "")
    assert "LOGFERRY_REDACT" not in files.settings(), "an empty one takes its default again"


def test_key_is_replaced_by_a_new_one_and_by_the_role(files: AgentFiles) -> None:
    """There is one way to sign in at a time."""
    install_first(files)
    (files.root.parent / "key").write_text(OTHER_KEY)
    install(files, "--key-file", str(files.root.parent / "key"))
    assert files.key.read_text() == f"{OTHER_KEY}\n"
    install(files, "--aws-identity")
    assert files.settings() == {"LOGFERRY_AGENTS_URL": URL, "LOGFERRY_AWS_IDENTITY": "true"}
    install(files, "--key-file", str(files.root.parent / "key"))
    assert "LOGFERRY_AWS_IDENTITY" not in files.settings()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--agents-url", URL], "The agent needs a key."),
        (["--agents-url", URL, "--key-file", "/nowhere"], "The key's file /nowhere cannot be read"),
        (["--agents-url", URL, "--key-file", os.devnull], "This is no agent key: an agent key has the form lfa_"),
        (["--key-file", "KEY"], "The agent's settings are invalid: agents_url: is required"),
        (["--key-file", "KEY", "--agents-url", "https://x"], "use an address that begins with wss://"),
        (["--key-file", "KEY", "--agents-url", URL, "--redact", "x"], "unknown kind of secret: x"),
        (["--key-file", "KEY", "--agents-url", URL, "--host", "a\nb"], "a control character is not allowed"),
        (["--key-file", "KEY", "--agents-url", URL, "--aws-identity"], "two ways to sign in"),
    ],
)
def test_wrong_settings_change_nothing(words: list[str], sentence: str, files: AgentFiles) -> None:
    """Not even a first part of the files is written."""
    path = str(files.root.parent / "key")
    problem = refusal(files, *(path if word == "KEY" else word for word in words))
    assert (sentence in problem.sentence, problem.status) == (True, 2)
    assert everything(files) == []


def test_settings_of_this_shell_do_not_count(files: AgentFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service will not have them."""
    monkeypatch.setattr(systemd_host, "check", PROGRAM)
    monkeypatch.setenv("LOGFERRY_AGENTS_URL", URL)
    assert "agents_url: is required" in refusal(files, "--key-file", str(files.root.parent / "key")).sentence


def test_host_without_systemd_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A container or Compose does the same there."""
    monkeypatch.setattr(systemd_host, "BOOTED", tmp_path / "missing")
    with pytest.raises(Problem, match="does not run systemd") as raised:
        run(["install", "--agents-url", URL])
    assert "as a container" in raised.value.advice


def test_uninstall_keeps_settings_key_and_spool(files: AgentFiles) -> None:
    """A later installation continues where this one stopped."""
    install_first(files)
    spool = files.at("/var/lib/logferry")
    spool.mkdir(parents=True)
    (spool / "spool-1.db").write_text("x")
    assert run(["uninstall", "--root", str(files.root)]) == 0
    assert everything(files) == ["etc/logferry/agent-key", "etc/logferry/agent.env", "var/lib/logferry/spool-1.db"]
    install(files)
    assert files.unit.is_file()


def test_purge_removes_what_the_agent_made_and_nothing_else(files: AgentFiles) -> None:
    """A spool folder may be shared."""
    install_first(files, "--spool-dir", "/srv/data")
    spool = files.at("/srv/data")
    (spool / "rejected").mkdir(parents=True)
    for name in ("spool-1.db", "spool-1.db-wal", "rejected/one", "agent.sock", "somebody-elses"):
        (spool / name).write_text("x")
    (files.root / "etc/logferry/mine").write_text("x")
    assert run(["uninstall", "--root", str(files.root), "--purge", "--yes"]) == 0
    assert everything(files) == ["etc/logferry/mine", "srv/data/somebody-elses"]


@pytest.mark.parametrize(("answer", "removed"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_purge_asks_first(answer: str, removed: bool, files: AgentFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines that are not delivered yet are in the spool."""
    install_first(files)
    terminal = io.StringIO(answer)
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", terminal)
    words = ["uninstall", "--root", str(files.root), "--purge"]
    if removed:
        assert run(words) == 0
    else:
        with pytest.raises(Problem, match="Nothing was changed"):
            run(words)
    assert files.unit.is_file() is not removed


def test_purge_without_a_terminal_needs_a_yes(files: AgentFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    install_first(files)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with pytest.raises(Problem, match="Nobody can be asked"):
        run(["uninstall", "--root", str(files.root), "--purge"])
    assert files.unit.is_file()


def test_uninstalling_twice_says_that_there_is_none(files: AgentFiles, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["uninstall", "--root", str(files.root)]) == 0
    assert capsys.readouterr().err.startswith("No service is installed.")
