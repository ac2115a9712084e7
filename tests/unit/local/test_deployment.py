"""Test when the stack is built and deployed again, and what a failure reports."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from logferry_local.checkout import Checkout
from logferry_local.cloud import websocket_address
from logferry_local.deployment import Target, build, digest_of_sources, parameters_of
from logferry_state.logged_programs import failure_message


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Provide a small checkout."""
    (tmp_path / "functions" / "ingest").mkdir(parents=True)
    (tmp_path / "functions" / "ingest" / "core.py").write_text("x = 1\n")
    (tmp_path / "template.yaml").write_text("Resources: {}\n")
    return tmp_path


def test_digest_changes_with_every_source_and_parameter(root: Path) -> None:
    """Content, name, path and parameters count."""
    seen = {digest_of_sources(root)}
    (root / "functions" / "ingest" / "core.py").write_text("x = 2\n")
    seen.add(digest_of_sources(root))
    (root / "functions" / "ingest" / "core.py").rename(root / "functions" / "ingest" / "app.py")
    seen.add(digest_of_sources(root))
    (root / "template.yaml").write_text("Resources: {A: 1}\n")
    seen.add(digest_of_sources(root))
    seen.add(digest_of_sources(root, "GatewayBase=http://127.0.0.1:1"))
    assert len(seen) == 5


def test_python_caches_do_not_change_the_digest(root: Path) -> None:
    """Running the tests must not cause a deployment."""
    before = digest_of_sources(root)
    (root / "functions" / "ingest" / "__pycache__").mkdir()
    (root / "functions" / "ingest" / "__pycache__" / "core.pyc").write_bytes(b"\0")
    assert digest_of_sources(root) == before


def test_parameters_name_the_target() -> None:
    """The build takes its libraries and bytecode from the template's parameters."""
    assert parameters_of(Target("3.11", "x86_64")) == {"PythonRuntime": "python3.11", "Architecture": "x86_64"}


def test_failure_reports_the_first_error(tmp_path: Path) -> None:
    """A program often prints more, in colours, after its error; a silent one is reported as silent."""
    log = tmp_path / "log"
    log.write_text("building\n\x1b[31mError: no space left on device\x1b[0m\n\nSee the manual.\nBye.\n")
    assert failure_message(log) == "Error: no space left on device See the manual."
    log.write_text("first\nonly this\n")
    assert failure_message(log) == "only this"
    log.write_text("")
    assert failure_message(log) == "it said nothing"


def test_websocket_address_follows_its_http_address() -> None:
    """GatewayBase has the http scheme."""
    assert websocket_address("http://127.0.0.1:1/a/live/") == "ws://127.0.0.1:1/a/live"
    assert websocket_address("https://h/a") == "wss://h/a"
    assert websocket_address("wss://h/live") == "wss://h/live"


def test_temporary_folders_are_removed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SAM leaves one for every function; they go with the command."""
    temporary, checkout = root / "temporary", Checkout(root)
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", None)
    checkout.sam.parent.mkdir(parents=True)
    checkout.sam.write_text("#!/bin/sh\nmktemp -d\n")
    checkout.sam.chmod(0o755)
    log = root / "build.log"
    build(checkout, Target("3.11", "x86_64"), log)
    assert log.read_text().startswith(f"{temporary}/")
    assert list(temporary.iterdir()) == []
