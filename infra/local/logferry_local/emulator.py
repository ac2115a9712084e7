"""MiniStack, the embedded AWS emulator.

One process per state folder, with nothing of the user's own AWS settings in its environment.
"""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from logferry_local.checkout import Checkout
from logferry_local.errors import LocalCloudError, StepFailedError
from logferry_local.processes import Ledger, is_running, spawn
from logferry_local.state import ProcessIdentity
from logferry_local.waiting import wait_until

ROLE = "cloud"
READY_WITHIN_S = 60.0
# What a function may need of the machine; everything else, AWS_* above all, stays out (functions inherit the emulator's
# environment).
PASSED_ON = (
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
)


def environment(folder: Path, port: int, checkout: Checkout, around: Mapping[str, str]) -> dict[str, str]:
    """The emulator's whole environment."""
    return {
        **{name: around[name] for name in PASSED_ON if name in around},
        "PATH": f"{checkout.cloud_python.parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "NO_PROXY": "127.0.0.1,localhost",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        # Functions run under their roles: a permission missing in the template is found here and not in the cloud.
        "AUTH": "true",
        "PERSIST_STATE": "1",
        "S3_PERSIST": "1",
        "STATE_DIR": str(folder / "cloud" / "state"),
        "S3_DATA_DIR": str(folder / "cloud" / "s3"),
        "TMPDIR": str(folder / "cloud" / "tmp"),
        # It looks for containers of its own on the engine; ours has none, and its engine is none of its business.
        "DOCKER_HOST": f"unix://{folder / 'cloud' / 'no-engine.sock'}",
        "PYTHONUNBUFFERED": "1",
    }


def start(folder: Path, port: int, checkout: Checkout) -> ProcessIdentity:
    """Starts it and waits until it answers. Raises StepFailedError when it does not."""
    folder = folder.absolute()
    for name in ("state", "s3", "tmp"):
        (folder / "cloud" / name).mkdir(parents=True, exist_ok=True)
    log = folder / "logs" / "cloud.log"
    process = spawn(
        [checkout.cloud_python, "-m", "ministack"],
        log=log,
        env=environment(folder, port, checkout, os.environ),
        cwd=folder / "cloud",
    )
    Ledger(folder).enter(ROLE, process)
    url = f"http://127.0.0.1:{port}"
    wait_until(lambda: answers(url) or not is_running(process), timeout_s=READY_WITHIN_S)
    if not (is_running(process) and answers(url)):
        raise StepFailedError("The AWS emulator did not start.", f"Its output is in {log}.")
    return process


def answers(endpoint_url: str, timeout_s: float = 2.0) -> bool:
    """Whether a MiniStack or LocalStack answers there; both serve LocalStack's health address."""
    try:
        with urllib.request.urlopen(f"{endpoint_url.rstrip('/')}/_localstack/health", timeout=timeout_s) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError, ValueError):
        return False


def runs_functions_itself(endpoint_url: str) -> bool:
    """Whether it is a MiniStack, which runs functions with its own Python; LocalStack has containers for them."""
    try:
        with urllib.request.urlopen(f"{endpoint_url.rstrip('/')}/_ministack/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def require(endpoint_url: str) -> None:
    """For `--endpoint-url`. Raises LocalCloudError when nothing answers there."""
    if not answers(endpoint_url, timeout_s=5.0):
        raise LocalCloudError(
            f"No LocalStack or MiniStack answers at {endpoint_url}.",
            "Start it, or leave --endpoint-url out to use the embedded one.",
        )
