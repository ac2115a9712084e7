"""Tests of `settings.py` and of the command's ways to show it."""

from __future__ import annotations

from pathlib import Path

import pytest

from logferry_agent.__main__ import main
from logferry_agent.settings import Settings, SettingsError, load

KEY = "lfa_" + "a" * 12 + "_" + "b" * 43


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the developer's own settings."""
    import os  # noqa: PLC0415

    for name in list(os.environ):
        if name.startswith("LOGFERRY_"):
            monkeypatch.delenv(name)


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    settings = load({"agents_url": "ws://x", "agent_key": KEY})
    assert settings.spool_limit == 512 << 20
    assert settings.include_names == ["web-*", "api-*"]


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({}, "agents_url: is needed"),
        ({"agents_url": "https://x"}, "begins with wss://"),
        ({"agents_url": "ws://x", "agent_key": "lfv_wrong"}, "lfa_"),
        ({"agents_url": "ws://x"}, "agent_key: is needed"),
        ({"agents_url": "ws://x", "agent_key": KEY, "start_at": "yesterday"}, "start_at"),
        ({"agents_url": "ws://x", "agent_key": KEY, "merge_start": "("}, "not a regular expression"),
        ({"agents_url": "ws://x", "agent_key": KEY, "redact": "everything"}, "no such redaction"),
        ({"agents_url": "ws://x", "agent_key": KEY, "spool_policy": "lose"}, "spool_policy"),
    ],
)
def test_what_is_wrong_is_said(flags: dict[str, str], sentence: str) -> None:
    """Which setting, and how it should be."""
    with pytest.raises(SettingsError, match=sentence.replace("(", r"\(")):
        load(flags)


def test_a_file_that_does_not_exist_is_said() -> None:
    """Not silently ignored."""
    with pytest.raises(SettingsError, match="does not exist"):
        load({}, "/nowhere/agent.toml")


def test_a_key_file_is_read_again_each_time(tmp_path: Path) -> None:
    """A key can be rotated in place."""
    file = tmp_path / "key"
    file.write_text(KEY + "\n")
    settings = load({"agents_url": "ws://x", "agent_key_file": str(file)})
    assert settings.key() == KEY
    file.write_text("lfa_new")
    assert settings.key() == "lfa_new"


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


def test_settings_that_are_not_valid_end_with_status_two(capsys: pytest.CaptureFixture[str]) -> None:
    """And say why on stderr."""
    assert main(["--check-config"]) == 2
    assert "agents_url: is needed" in capsys.readouterr().err


def test_every_setting_is_described() -> None:
    """The documentation is generated from the descriptions."""
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_status_and_health_say_when_no_agent_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In words."""
    assert main(["status", "--spool-dir", str(tmp_path)]) == 3
    assert "No agent answers" in capsys.readouterr().err
    monkeypatch.setenv("LOGFERRY_SPOOL_DIR", str(tmp_path))
    assert main(["health"]) == 1
    assert "no agent answers" in capsys.readouterr().out
