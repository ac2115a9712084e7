"""Test the emulator's environment, which the functions inherit."""

from __future__ import annotations

from pathlib import Path

from logferry_local.checkout import Checkout
from logferry_local.emulator import answers, environment
from logferry_local.ports import free_port


def test_users_aws_settings_do_not_reach_the_functions() -> None:
    """An inherited key would be root, and an inherited endpoint would override the local one."""
    around = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_ENDPOINT_URL": "https://real", "HOME": "/home/me", "PYTHONPATH": "/x"}
    made = environment(Path("/state"), 4567, Checkout(Path("/checkout")), around)
    assert not [name for name in made if name.startswith("AWS_")]
    assert "PYTHONPATH" not in made
    assert made["HOME"] == "/home/me"


def test_emulator_listens_locally_and_enforces_policies() -> None:
    """One folder, one port, the loopback address, IAM on."""
    made = environment(Path("/state"), 4567, Checkout(Path("/checkout")), {})
    assert (made["GATEWAY_PORT"], made["BIND_HOST"], made["AUTH"]) == ("4567", "127.0.0.1", "true")
    for name in ("STATE_DIR", "S3_DATA_DIR", "TMPDIR"):
        assert made[name].startswith("/state/cloud/")


def test_port_without_listener_does_not_answer() -> None:
    """It is probed before anything is deployed there."""
    assert not answers(f"http://127.0.0.1:{free_port()}")
    assert not answers("not an address")
