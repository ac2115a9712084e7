"""Test `core/container/source_choice.py`: the source that a container's log is read from."""

from __future__ import annotations

from typing import Any

import pytest

from logferry_agent.core.batching.lifecycle import RunState
from logferry_agent.core.container.metadata import ContainerMetadata
from logferry_agent.core.container.source_choice import (
    SourceChoice,
    api_history_bytes,
    major_version,
    source_name,
)
from logferry_protocol.job import Container, LifeCycle

ID = "a" * 64
ROOT = "/var/lib/docker"


def metadata(driver: str = "json-file", **fields: Any) -> ContainerMetadata:
    return ContainerMetadata(
        ID, Container(name="web", driver=driver), LifeCycle(state="running"), RunState(), labels={}, **fields
    )


def choice(setting: Any = "auto", *, files: bool = True, mounted: str = ROOT) -> SourceChoice:
    return SourceChoice(setting, files_readable=files, engine_root=ROOT, mounted_root=mounted)


@pytest.mark.parametrize(
    ("setting", "files", "driver", "kind"),
    [
        ("auto", True, "json-file", "file"),
        ("auto", True, "", "file"),
        ("auto", True, "journald", "api"),
        ("auto", False, "json-file", "api"),
        ("api", True, "json-file", "api"),
        ("file", True, "json-file", "file"),
        ("file", True, "journald", "unreadable"),
        ("file", False, "json-file", "unreadable"),
    ],
)
def test_source_follows_setting_driver_and_readable_files(setting: str, files: bool, driver: str, kind: str) -> None:
    chosen = choice(setting, files=files).choose(metadata(driver))
    assert chosen == kind
    assert source_name(chosen) == ("none" if kind == "unreadable" else kind)


def test_container_that_is_left_out_has_no_source() -> None:
    assert choice().choose(metadata(left_out="its label says so")) == "left_out"
    assert source_name("left_out") == "none"


@pytest.mark.parametrize(
    ("log_path", "found"),
    [
        ("", f"/mnt/docker/containers/{ID}/{ID}-json.log"),
        (f"{ROOT}/containers/{ID}/{ID}-json.log", f"/mnt/docker/containers/{ID}/{ID}-json.log"),
        ("/srv/elsewhere/x.log", None),
    ],
)
def test_log_path_is_mapped_to_the_mounted_root(log_path: str, found: str | None) -> None:
    rules = choice(mounted="/mnt/docker")
    described = metadata(log_path=log_path)
    assert rules.log_path(described) == found
    assert rules.choose(described) == ("api" if found is None else "file")


@pytest.mark.parametrize(
    ("version", "major"), [("23.0.1", 23), ("20.10.24", 20), ("dev", 0), ("", 0), ("²", 0), ("1" * 12, 111_111_111)]
)
def test_major_version_of_an_engine(version: str, major: int) -> None:
    assert major_version(version) == major


def test_api_history_is_a_tenth_below_the_rotated_files() -> None:
    assert api_history_bytes(metadata(max_size=1_000, max_file=3)) == 1_800
    assert api_history_bytes(metadata(max_size=1_000, max_file=1)) == 0
