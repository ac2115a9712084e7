"""Test that state folders belong to their owner only."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from logferry_state.errors import LocalCloudError
from logferry_state.private_files import make_private_folder, open_private_file, replace_private_file
from logferry_state.processes import ProcessTable, spawn, wait_for_end
from logferry_state.state import EmulatorAccess, LocalKeys, load_emulator_access, save_emulator_access, save_keys


def mode(path: Path) -> int:
    """Return its permission bits."""
    return path.stat().st_mode & 0o777


@pytest.fixture(autouse=True)
def _open_umask() -> object:
    """Set the most permissive umask, so that privacy does not depend on it."""
    before = os.umask(0)
    yield
    os.umask(before)


def test_new_folder_is_private(tmp_path: Path) -> None:
    """Its parent folders are not ours to close."""
    make_private_folder(tmp_path / "above" / "state")
    assert mode(tmp_path / "above" / "state") == 0o700
    assert mode(tmp_path / "above") == 0o777


def test_open_folder_of_an_earlier_version_is_closed(tmp_path: Path) -> None:
    """With its content; programs stay executable, and links are not followed."""
    folder = tmp_path / "state"
    (folder / "cloud").mkdir(parents=True)
    (folder / "keys.json").write_text("{}")
    (folder / "keys.json").chmod(0o644)
    (folder / "tool").write_text("")
    (folder / "tool").chmod(0o755)
    (tmp_path / "elsewhere").write_text("")
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    make_private_folder(folder)
    assert [mode(folder / name) for name in (".", "cloud", "keys.json", "tool")] == [0o700, 0o700, 0o600, 0o700]
    assert mode(tmp_path / "elsewhere") == 0o666


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder to another user, which root alone can")
def test_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    """Its owner could read the keys and replace the programs."""
    (tmp_path / "state").mkdir()
    os.chown(tmp_path / "state", 65534, 65534)
    with pytest.raises(LocalCloudError, match=r"belongs to another user.*--state"):
        make_private_folder(tmp_path / "state")


def test_files_written_there_are_private(tmp_path: Path) -> None:
    """Keys, the emulator's secret, the process table, logs, and what child processes write under our umask."""
    save_keys(tmp_path, LocalKeys(agent_key="lfa_x", viewer_key="lfv_x"))
    save_emulator_access(tmp_path, EmulatorAccess(access_key="LF00", origins=("http://x",)))
    process = spawn(
        ["sh", "-c", "mkdir made; echo > made/file"],
        log=tmp_path / "logs" / "x.log",
        env=os.environ,
        cwd=tmp_path,
        umask=0o077,
    )
    ProcessTable(tmp_path).add("x", process)
    assert wait_for_end(process, 30)
    replace_private_file(tmp_path / "note", b"")
    with open(tmp_path / "lock", "w", opener=open_private_file):
        pass
    assert {str(path.relative_to(tmp_path)): mode(path) for path in tmp_path.rglob("*")} == {
        **dict.fromkeys(("keys.json", "emulator.json", "processes.json", "note", "lock"), 0o600),
        **dict.fromkeys(("logs", "made"), 0o700),
        **dict.fromkeys(("logs/x.log", "made/file"), 0o600),
    }


def test_emulators_secret_is_kept_for_the_next_start(tmp_path: Path) -> None:
    """The user's programs that know it keep working; a folder of an earlier version has none."""
    assert load_emulator_access(tmp_path) is None
    access = EmulatorAccess(access_key="LF00", origins=("http://x",))
    save_emulator_access(tmp_path, access)
    assert load_emulator_access(tmp_path) == access
    assert "LF00" not in repr(access)
