"""Test `settings.py` and the command's ways to show settings."""

from __future__ import annotations

import argparse
import gc
import re
import subprocess
import sys
from pathlib import Path

import pytest

from logferry_agent.__main__ import main
from logferry_agent.edge.credentials import CredentialError
from logferry_agent.settings import Settings, SettingsError, add_flags, flags_of, load

KEY = "lfa_" + "a" * 12 + "_" + "b" * 43


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the developer's own settings."""
    import os  # noqa: PLC0415

    for name in list(os.environ):
        if name.startswith("LOGFERRY_"):
            monkeypatch.delenv(name)


def test_flags_override_the_environment_which_overrides_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In that order."""
    file = tmp_path / "agent.toml"
    file.write_text('agents_url = "wss://file/live"\nflush_interval = 5\nhost = "file"\nexclude_names = ["a", "b"]\n')
    monkeypatch.setenv("LOGFERRY_AGENT_KEY", KEY)
    monkeypatch.setenv("LOGFERRY_HOST", "environment")
    monkeypatch.setenv("LOGFERRY_FLUSH_INTERVAL", "7")
    settings = load({"flush_interval": "9"}, str(file))
    assert (settings.agents_url, settings.host, settings.flush_interval) == ("wss://file/live", "environment", 9)
    assert settings.exclude_names == ["a", "b"]
    assert settings.key() == KEY


def test_sizes_and_lists_are_written_as_people_write_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """`512m`, and commas."""
    monkeypatch.setenv("LOGFERRY_SPOOL_LIMIT", "512m")
    monkeypatch.setenv("LOGFERRY_INCLUDE_NAMES", "web-*, api-*")
    settings = load({"agents_url": "wss://x", "agent_key": KEY})
    assert settings.spool_limit == 512 << 20
    assert settings.include_names == ["web-*", "api-*"]


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({}, "agents_url: is required"),
        ({"agents_url": "https://x"}, "begins with wss://"),
        ({"agents_url": "wss://"}, "begins with wss://"),
        ({"agents_url": "ws://[::1"}, "agents_url"),
        ({"agents_url": "wss://x", "agent_key": "lfv_wrong"}, "lfa_"),
        ({"agents_url": "wss://x"}, "agent_key: is required"),
        ({"agents_url": "wss://x"}, "aws_identity (LOGFERRY_AWS_IDENTITY=true)"),
        ({"agents_url": "wss://x", "aws_identity": "true"}, "aws_audience: is required"),
        ({"agents_url": "wss://x", "aws_identity": "true", "aws_audience": "a"}, "aws_region: is required"),
        ({"agents_url": "wss://x", "aws_identity": "true", "aws_region": "x/y"}, "aws_region"),
        ({"agents_url": "wss://x", "aws_identity": "true", "agent_key": KEY}, "together with a key"),
        ({"agents_url": "wss://x", "agent_key": KEY, "start_at": "yesterday"}, "start_at"),
        ({"agents_url": "wss://x", "agent_key": KEY, "merge_start": "("}, "not a regular expression"),
        ({"agents_url": "wss://x", "agent_key": KEY, "merge_start": r"^\d+\Z"}, r"write \z"),
        ({"agents_url": "wss://x", "agent_key": KEY, "merge_start": r"^(?!\s)"}, "cannot look ahead"),
        ({"agents_url": "wss://x", "agent_key": KEY, "redact_patterns": [r"(a)\1"]}, "has no references to groups"),
        ({"agents_url": "wss://x", "agent_key": KEY, "redact_patterns": ["\ud800"]}, "surrogate"),
        ({"agents_url": "wss://x", "agent_key": KEY, "redact_patterns": ["(a{100}){100}"]}, "1,000"),
        ({"agents_url": "wss://x", "agent_key": KEY, "allow_labels": "redact,colour"}, "unknown label setting: colour"),
        (
            {"agents_url": "wss://x", "agent_key": KEY, "allow_labels": "none", "discover": "labelled"},
            "requires the label `logferry.enable`",
        ),
        ({"agents_url": "wss://x", "agent_key": KEY, "redact_patterns": ["a", "b*"]}, "matches the empty text"),
        ({"agents_url": "wss://x", "agent_key": KEY, "redact_patterns": ["("]}, "not a regular expression"),
        ({"agents_url": "wss://x", "agent_key": KEY, "redact": "everything"}, "unknown kind of secret"),
        ({"agents_url": "wss://x", "agent_key": KEY, "spool_policy": "lose"}, "spool_policy"),
        ({"agents_url": "wss://x", "agent_key": KEY, "ca_file": "/nowhere/ca.pem"}, "cannot be read as certificates"),
        ({"agents_url": "wss://x", "agent_key": KEY, "ca_file": __file__}, "cannot be read as certificates"),
        ({"agents_url": "wss://x", "agent_key": KEY, "metrics_address": "localhost:70000"}, "at most 65535"),
    ],
)
def test_invalid_setting_is_reported(flags: dict[str, str], sentence: str) -> None:
    """Which setting, and what is valid."""
    with pytest.raises(SettingsError, match=re.escape(sentence)):
        load(flags)


@pytest.mark.parametrize("url", ["ws://logs.example.com/live", "ws://10.0.0.7:4566", "ws://127.0.0.1@evil.test/live"])
def test_key_is_not_sent_unencrypted_to_another_host(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to do; a flag, the environment or the file can allow it."""
    with pytest.raises(SettingsError, match=r"agents_url: .* unencrypted: use wss://, or allow it with --insecure"):
        load({"agents_url": url, "agent_key": KEY})
    with pytest.raises(SettingsError, match="unencrypted"):
        load({"agents_url": url, "aws_identity": "true", "aws_audience": "a", "aws_region": "eu-west-1"})
    assert load({"agents_url": url, "agent_key": KEY, "insecure": "true"}).agents_url == url
    monkeypatch.setenv("LOGFERRY_INSECURE", "true")
    assert load({"agents_url": url, "agent_key": KEY}).insecure


@pytest.mark.parametrize("words", [["--insecure"], ["--insecure", "true"], ["--insecure=true"]])
def test_switch_may_be_given_alone(words: list[str]) -> None:
    """As people write them."""
    parser = argparse.ArgumentParser()
    add_flags(parser)
    assert flags_of(parser.parse_args([*words, "--host", "h"])) == {"insecure": "true", "host": "h"}


def test_missing_file_is_reported() -> None:
    """It is not silently ignored."""
    with pytest.raises(SettingsError, match="does not exist"):
        load({}, "/nowhere/agent.toml")


def test_key_file_is_read_again_each_time(tmp_path: Path) -> None:
    """A key can be rotated in place."""
    file = tmp_path / "key"
    file.write_text(KEY + "\n")
    settings = load({"agents_url": "wss://x", "agent_key_file": str(file)})
    assert settings.credential().token() == KEY
    rotated = "lfa_" + "c" * 12 + "_" + "d" * 43
    file.write_text(rotated)
    assert settings.credential().token() == rotated


@pytest.mark.parametrize("content", [b"", b"lfv_not_an_agents", b"\xff\xfe", None])
def test_key_file_without_a_key_is_reported_each_time(tmp_path: Path, content: bytes | None) -> None:
    """It may come later, or be half written: the agent reads it again at its next connect."""
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    credential = load({"agents_url": "wss://x", "agent_key_file": str(file)}).credential()
    with pytest.raises(CredentialError, match=f"file {file} "):
        credential.token()
    file.write_text(KEY)
    assert credential.token() == KEY


AWS_URL = "wss://a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com/live"


@pytest.mark.parametrize(
    ("flags", "audience", "region"),
    [
        ({"agents_url": AWS_URL}, "a1b2c3d4e5", "eu-west-1"),
        ({"agents_url": AWS_URL.replace(".com/", ".com.cn/")}, "a1b2c3d4e5", "eu-west-1"),
        ({"agents_url": AWS_URL, "aws_region": "us-east-1"}, "a1b2c3d4e5", "us-east-1"),
        ({"agents_url": "wss://logs.example.com/", "aws_audience": "x1", "aws_region": "eu-west-3"}, "x1", "eu-west-3"),
    ],
)
def test_aws_identity_is_for_the_api_of_the_address(flags: dict[str, str], audience: str, region: str) -> None:
    """Or for the named one, behind a custom domain."""
    advice = load({**flags, "aws_identity": "true"}).credential().advice
    assert f"deployment {audience})" in advice
    assert f"STS of {region};" in advice


ALONE = """
import sys
from importlib.abc import MetaPathFinder

class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"botocore", "boto3"}:
            raise ModuleNotFoundError(name)

hide = sys.argv[1] == "hide"
if hide:
    sys.meta_path.insert(0, Missing())
    sys.modules["botocore"] = None
import logferry_agent.app
from logferry_agent.settings import SettingsError, load
assert load({"agents_url": sys.argv[2], "agent_key": sys.argv[3]}).credential().token() == sys.argv[3]
if hide:
    try:
        load({"agents_url": sys.argv[2], "aws_identity": "true"})
    except SettingsError as error:
        print(error)
print("loaded" if sys.modules.get("botocore") else "not loaded")
"""


@pytest.mark.parametrize(
    ("hide", "said"),
    [
        ("hide", "aws_identity: requires botocore: run pip install 'logferry-agent[aws]'\nnot loaded\n"),
        ("show", "not loaded\n"),
    ],
)
def test_agent_with_a_key_needs_no_botocore(hide: str, said: str) -> None:
    """It is not imported where installed, and not missed where absent."""
    ran = subprocess.run([sys.executable, "-c", ALONE, hide, AWS_URL, KEY], capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == (said, "")


def test_check_config_prints_the_effective_values_and_no_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`logferry agent --check-config`."""
    monkeypatch.setenv("LOGFERRY_AGENT_KEY", KEY)
    assert main(["--check-config", "--agents-url", "wss://x/live", "--flush-interval", "3"]) == 0
    shown = capsys.readouterr().out
    assert "agents_url = wss://x/live" in shown
    assert "flush_interval = 3.0" in shown
    assert "agent_key = (hidden)" in shown
    assert KEY not in shown


def test_misspelt_variable_is_reported(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It would be silently ignored otherwise; the command's own variables do not concern the agent."""
    monkeypatch.setenv("LOGFERRY_AGENT_KEY", KEY)
    for name in (
        "FLUSH_INTERVALL",
        "SPOOL_LIMITS",
        "VIEWERS_URL",
        "VIEWER_URL",
        "API_URL",
        "VIEWER_KEY",
        "STATE",
        "STACK",
    ):
        monkeypatch.setenv(f"LOGFERRY_{name}", "x")
    assert main(["--check-config", "--agents-url", "wss://x/live"]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "LOGFERRY_FLUSH_INTERVALL is not a setting and is ignored: did you mean LOGFERRY_FLUSH_INTERVAL?",
        "LOGFERRY_SPOOL_LIMITS is not a setting and is ignored: did you mean LOGFERRY_SPOOL_LIMIT?",
    ]


def test_invalid_settings_exit_with_status_two(capsys: pytest.CaptureFixture[str]) -> None:
    """The reason is on stderr."""
    assert main(["--check-config"]) == 2
    assert "agents_url: is required" in capsys.readouterr().err


@pytest.mark.parametrize("given", [["--check-config"], ["--check-config", "--agents-url", "wss://x/live"], ["status"]])
def test_callers_garbage_collector_is_restored(given: list[str], tmp_path: Path) -> None:
    """It is disabled only while the command loads its modules."""
    main([*given, "--spool-dir", str(tmp_path)])
    assert gc.isenabled()


def test_every_setting_is_described() -> None:
    """The documentation is generated from the descriptions."""
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_status_and_health_report_that_no_agent_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In words."""
    assert main(["status", "--spool-dir", str(tmp_path)]) == 3
    assert "No agent answers" in capsys.readouterr().err
    monkeypatch.setenv("LOGFERRY_SPOOL_DIR", str(tmp_path))
    assert main(["health"]) == 1
    assert "no agent answers" in capsys.readouterr().out
