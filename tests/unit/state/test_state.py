"""Test the state folder."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from logferry_state.errors import LocalCloudError, NotRunningError
from logferry_state.state import (
    LocalKeys,
    LocalState,
    Tables,
    default_folder,
    forget_state,
    load_keys,
    load_state,
    save_keys,
    save_state,
)

STATE = LocalState(
    endpoint_url="http://127.0.0.1:4566",
    region="us-east-1",
    embedded=True,
    stack="logferry",
    agents_url="ws://127.0.0.1:4566/_aws/execute-api/a/live",
    viewers_url="ws://127.0.0.1:4566/_aws/execute-api/v/live",
    http_url="http://127.0.0.1:4566/_aws/execute-api/h",
    viewer_url="http://127.0.0.1:8123",
    viewer_bucket="bucket",
    tables=Tables(log="log", registry="registry"),
    pids={},
)
KEYS = LocalKeys(agent_key="lfa_a_b", viewer_key="lfv_a_b")


def test_saved_state_is_loaded(tmp_path: Path) -> None:
    """State and keys come back unchanged."""
    save_state(tmp_path / "new", STATE)
    save_keys(tmp_path / "new", KEYS)
    assert load_state(tmp_path / "new") == STATE
    assert load_keys(tmp_path / "new") == KEYS


def test_only_the_owner_can_read_the_keys(tmp_path: Path) -> None:
    """Mode 0600, whatever the umask."""
    save_keys(tmp_path, KEYS)
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600


def test_missing_state_says_how_to_start(tmp_path: Path) -> None:
    """The advice is a command."""
    with pytest.raises(NotRunningError, match="logferry up"):
        load_state(tmp_path)
    save_state(tmp_path, STATE)
    forget_state(tmp_path)
    with pytest.raises(NotRunningError):
        load_state(tmp_path)


def test_damaged_state_is_a_sentence_and_no_trace(tmp_path: Path) -> None:
    """Half a file, or another program's."""
    (tmp_path / "state.json").write_text('{"endpoint_url": 1')
    with pytest.raises(LocalCloudError, match="not what `logferry up` writes"):
        load_state(tmp_path)


def test_failed_save_leaves_no_partial_file(tmp_path: Path) -> None:
    """The folder holds complete files only."""
    save_state(tmp_path, STATE)
    save_state(tmp_path, STATE.model_copy(update={"stack": "other"}))
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]
    assert load_state(tmp_path).stack == "other"


def test_state_folder_is_found_from_subfolders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As git finds its repository; also a demo's folder; the environment takes precedence."""
    monkeypatch.delenv("LOGFERRY_STATE", raising=False)
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert default_folder(below) == below / ".logferry"
    save_state(tmp_path / ".logferry-demo", STATE)
    assert default_folder(below) == tmp_path / ".logferry-demo"
    save_state(tmp_path / ".logferry", STATE)
    assert default_folder(below) == tmp_path / ".logferry"
    monkeypatch.setenv("LOGFERRY_STATE", "/elsewhere")
    assert default_folder(below) == Path("/elsewhere")
