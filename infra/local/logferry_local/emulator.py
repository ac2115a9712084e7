"""Start MiniStack, the embedded AWS emulator.

There is one process per state folder, behind a guard (guard.py) that answers only to the state's secret. Nothing of the
user's AWS settings is in its environment.
"""

from __future__ import annotations

import os
import secrets
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from logferry_local import guard
from logferry_local.aws import PLAIN_ACCESS_KEY
from logferry_local.checkout import Checkout
from logferry_local.polling import wait_until
from logferry_state.errors import LocalCloudError, StepFailedError
from logferry_state.private_files import UMASK
from logferry_state.processes import ProcessTable, is_running, spawn
from logferry_state.running import EMULATOR_ROLE
from logferry_state.state import EmulatorAccess, ProcessIdentity, save_emulator_access

ROLE = EMULATOR_ROLE
READY_WITHIN_S = 60.0
FORBIDDEN = 403
# What a function may need from the machine. Everything else, above all AWS_*, stays out, since functions inherit the
# emulator's environment.
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
    """Return the emulator's whole environment."""
    return {
        **{name: around[name] for name in PASSED_ON if name in around},
        "PATH": f"{checkout.cloud_python.parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "NO_PROXY": "127.0.0.1,localhost",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        # Functions run under their roles: a permission missing in the template is found here, not in the cloud.
        "AUTH": "true",
        "PERSIST_STATE": "1",
        "S3_PERSIST": "1",
        "STATE_DIR": str(folder / "cloud" / "state"),
        "S3_DATA_DIR": str(folder / "cloud" / "s3"),
        "TMPDIR": str(folder / "cloud" / "tmp"),
        # MiniStack looks for its containers on the engine. There are none, and it must not touch the engine.
        "DOCKER_HOST": f"unix://{folder / 'cloud' / 'no-engine.sock'}",
        "PYTHONUNBUFFERED": "1",
    }


def new_access_key() -> str:
    """Return a secret for one state's emulator, in the form of an access key id (letters and digits)."""
    return f"LF{secrets.token_hex(20).upper()}"


def command(checkout: Checkout, origins: Sequence[str]) -> list[str | Path]:
    """Return the emulator's command line. The secret is in its environment, which other users cannot read."""
    # -P keeps this package's folder out of the module path of the emulator and its functions.
    return [checkout.cloud_python, "-P", guard.__file__, *(word for one in origins for word in ("--origin", one))]


def start(folder: Path, port: int, checkout: Checkout, access: EmulatorAccess) -> ProcessIdentity:
    """Start the emulator and wait until it answers.

    Raises:
        StepFailedError: It does not answer in time.
    """
    folder = folder.absolute()
    for path in (folder / "cloud", *(folder / "cloud" / name for name in ("state", "s3", "tmp"))):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    save_emulator_access(folder, access)
    log = folder / "logs" / "cloud.log"
    process = spawn(
        command(checkout, access.origins),
        log=log,
        env={**environment(folder, port, checkout, os.environ), "AWS_ACCESS_KEY_ID": access.access_key},
        cwd=folder / "cloud",
        umask=UMASK,
    )
    ProcessTable(folder).add(ROLE, process)
    url = f"http://127.0.0.1:{port}"
    wait_until(lambda: answers(url, access.access_key) or not is_running(process), timeout_s=READY_WITHIN_S)
    if not (is_running(process) and answers(url, access.access_key)):
        raise StepFailedError("The AWS emulator did not start.", f"See its output in {log}.")
    return process


def answers(endpoint_url: str, access_key: str = PLAIN_ACCESS_KEY, timeout_s: float = 2.0) -> bool:
    """Return whether a MiniStack or LocalStack answers there; both serve LocalStack's health address."""
    return _health(endpoint_url, "_localstack", access_key, timeout_s) == 200


def runs_functions_itself(endpoint_url: str) -> bool:
    """Return whether it is a MiniStack, which runs functions with its own Python; LocalStack has containers."""
    return _health(endpoint_url, "_ministack", PLAIN_ACCESS_KEY, 5.0) == 200


def _health(endpoint_url: str, family: str, access_key: str, timeout_s: float) -> int | None:
    """Return the status of the health address; None when nothing answers."""
    try:
        request = urllib.request.Request(f"{endpoint_url.rstrip('/')}/{family}/health")
        # Not a real signature: the guard checks only the access key id, and plain emulators check nothing.
        request.add_header("Authorization", f"AWS4-HMAC-SHA256 Credential={access_key}/health")
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        return refusal.code
    except (OSError, ValueError):
        return None


def require(endpoint_url: str) -> None:
    """Check the emulator that `--endpoint-url` names.

    Raises:
        LocalCloudError: No emulator answers there, or it belongs to another state folder.
    """
    status = _health(endpoint_url, "_localstack", PLAIN_ACCESS_KEY, 5.0)
    if status == FORBIDDEN:
        raise LocalCloudError(
            f"The emulator at {endpoint_url} belongs to another `logferry up`.",
            "Use its state folder (--state), or leave out --endpoint-url to start another.",
        )
    if status != 200:
        raise LocalCloudError(
            f"No LocalStack or MiniStack answers at {endpoint_url}.",
            "Start it, or leave out --endpoint-url to use the embedded one.",
        )
