"""Test `edge/private_folder.py`: only the agent can read the spool."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from logferry_agent.core.batching.entries import Batch
from logferry_agent.edge.dead_letters import DeadLetters
from logferry_agent.edge.health import SOCKET_NAME
from logferry_agent.edge.spool import Spool, SpoolError, Stored

JOB = "a" * 64


@pytest.fixture(autouse=True)
def _open_umask() -> Iterator[None]:
    """Set the most permissive umask, so that privacy does not depend on it."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def used(folder: Path) -> None:
    """Write to a spool and its dead letters, and leave the files of the write-ahead log there."""
    spool = Spool(folder, "engine")
    batch = Batch(count=1, start=1, end=1, raw=1, gaps=0, cursor="c", digest="0" * 64, body=b"secret")
    with spool.transaction():
        spool.append(1, JOB, batch)
    assert DeadLetters(folder / "rejected").keep(Stored(1, JOB, 1, False, 6, batch), "malformed", "") is not None
    modes = {str(path.relative_to(folder)): mode(path) for path in folder.rglob("*") if path.is_file()}
    assert {Path(name).suffix for name in modes} == {".db", ".db-wal", ".db-shm", ".lock", ".ballast", ".json"}
    assert set(modes.values()) == {0o600}
    assert mode(folder / "rejected") == 0o700
    spool.close()


def test_spool_is_private_whatever_the_umask(tmp_path: Path) -> None:
    used(tmp_path / "spool")
    assert mode(tmp_path / "spool") == 0o700


@pytest.mark.parametrize("before", [0o755, 0o777, 0o1777, 0o2775, 0o701])
def test_existing_folder_is_closed(tmp_path: Path, before: int) -> None:
    """Made by `mkdir`, Docker or a package; a volume may have a lost+found, and a tmpfs has the sticky bit."""
    folder = tmp_path / "spool"
    (folder / "lost+found").mkdir(parents=True)
    folder.chmod(before)
    used(folder)
    assert mode(folder) == 0o700


def test_open_spool_of_an_earlier_version_is_closed(tmp_path: Path) -> None:
    """Its content stays; the files of its write-ahead log and its dead letters are closed as well."""
    used(tmp_path)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / SOCKET_NAME))  # by a kill
    for path in (tmp_path, *tmp_path.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    spool = Spool(tmp_path, "engine")
    assert [stored.id for stored in spool.queue()] == [1]
    assert mode(tmp_path) == 0o700
    assert {mode(path) for path in tmp_path.iterdir() if not path.is_socket()} == {0o600, 0o700}
    spool.close()


def test_shared_folder_keeps_its_mode(tmp_path: Path) -> None:
    """Closing /var/lib to everybody would be worse; the spool's files are private there too."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    (folder / "somebody-elses").write_text("")
    spool = Spool(folder, "engine")
    assert mode(folder) == 0o755
    assert mode(folder / "somebody-elses") == 0o666
    assert {mode(path) for path in folder.glob("spool-*")} == {0o600}
    spool.close()


@pytest.mark.parametrize("before", [0o777, 0o1777, 0o775])
def test_folder_writable_by_others_is_refused_with_advice(tmp_path: Path, before: int) -> None:
    """They could replace the spool or prepare a file for the agent; /tmp is the usual case."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "somebody-elses").write_text("")
    folder.chmod(before)
    with pytest.raises(SpoolError, match=rf"mode {before:04o}.*chmod 700 .*spool_dir={folder}/logferry"):
        Spool(folder, "engine")
    used(folder / "logferry")


def test_public_folder_is_never_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/tmp stays public, even if it is empty."""
    folder = tmp_path / "everybodys"
    folder.mkdir()
    folder.chmod(0o1777)
    monkeypatch.setattr("logferry_agent.edge.private_folder.SHARED_FOLDERS", (tmp_path / "missing", folder))
    with pytest.raises(SpoolError, match="mode 1777"):
        Spool(folder, "engine")
    assert folder.stat().st_mode & 0o7777 == 0o1777


def test_folder_that_cannot_be_closed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent without root rights in a folder that Docker or Kubernetes made for everybody."""

    def refuse(path: Path, mode: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    folder = tmp_path / "spool"
    folder.mkdir(mode=0o777)
    monkeypatch.setattr(Path, "chmod", refuse)
    with pytest.raises(SpoolError, match=f"chown {os.geteuid()} {folder}"):
        Spool(folder, "engine")
