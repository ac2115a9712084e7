"""Test what a function's start imports: people and agents wait for it (ADR 6). `make bench-cold-start` measures it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from bench.cold_start.__main__ import packages

from runtime.aws_clients import SERVICES

ROOT: Final = Path(__file__).parents[3]
PACKAGES: Final = packages(ROOT / "template.yaml")
SCRIPT: Final = """
import gc, importlib, json, sys
importlib.import_module(sys.argv[1] + ".handler")
print(json.dumps({"modules": list(sys.modules), "collects": gc.isenabled(), "frozen": gc.get_freeze_count()}))
"""


@cache
def started(package: str) -> dict[str, Any]:
    """Return what a process has after importing a function's handler, as Lambda does."""
    _, settings = PACKAGES[package]
    aws = {"AWS_DEFAULT_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, package],
        env={**settings, **aws, "PATH": os.defpath, "PYTHONPATH": str(ROOT / "functions")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_start_takes_clients_from_botocore_and_pauses_the_collector(package: str) -> None:
    """The collector runs again afterwards, over what comes later only."""
    found = started(package)
    assert {"boto3", "s3transfer"} & set(found["modules"]) == set()
    assert found["collects"] is True
    assert found["frozen"] > 10_000


@pytest.mark.parametrize("package", ["connect", "pages", "publish"])
def test_functions_that_need_no_models_at_once_import_none(package: str) -> None:
    assert {"pydantic", "jwt", "cryptography"} & set(started(package)["modules"]) == set()


def test_every_service_that_a_function_uses_is_known() -> None:
    """The loader does not look for others."""
    texts = [path.read_text() for path in (ROOT / "functions").rglob("*.py")]
    asked = {name for text in texts for name in re.findall(r'make_client\(\s*"([a-z0-9]+)"', text)}
    assert asked == set(SERVICES)
    assert not [text for text in texts if "boto3.client(" in text]
