"""Build and deploy the stack.

`sam build` and `sam deploy` of the one template are each skipped while nothing that they use has changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from logferry_local.aws import LocalAws
from logferry_local.checkout import Checkout
from logferry_local.file_locks import wait_for_lock
from logferry_state.errors import LocalCloudError, StepFailedError
from logferry_state.logged_programs import run_logged
from logferry_state.private_files import replace_private_file

STACK = "logferry"
STAMP_FILE = "deployed.json"
SOURCES = ("template.yaml", "samconfig.toml", "protocol", "functions", "infra/nested", "infra/targets")
SYSTEM_CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
COMPLETE = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE"})


@dataclass(frozen=True, slots=True)
class Target:
    """What the functions run on: a Python version (as 3.11) and a processor, as Lambda names it."""

    python: str
    architecture: str


def this_machine(checkout: Checkout) -> Target:
    """Return this machine's target: the emulator runs functions with its own Python on this processor."""
    asked = [str(checkout.cloud_python), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    version = subprocess.run(asked, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL).stdout.strip()
    return Target(version, "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64")


def digest_of_sources(root: Path, *more: str) -> str:
    """Return a digest of the names and bytes of everything that the stack is made from, and of `more`."""
    total = hashlib.sha256()
    for path in _files(root):
        total.update(f"{path.relative_to(root)}\0".encode())
        total.update(path.read_bytes())
    for word in more:
        total.update(f"\0{word}".encode())
    return total.hexdigest()


def _files(root: Path) -> Iterator[Path]:
    for name in SOURCES:
        source = root / name
        found = [source] if source.is_file() else sorted(source.rglob("*")) if source.is_dir() else []
        yield from (
            path for path in found if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
        )


def build(checkout: Checkout, target: Target, log: Path) -> tuple[Path, bool]:
    """Build the functions. Only one of two commands builds at a time.

    Returns:
        The built template, and whether it had to be built.

    Raises:
        StepFailedError: `sam build` failed.
    """
    folder = checkout.builds / f"sam-{target.python}-{target.architecture}"
    folder.mkdir(parents=True, exist_ok=True)
    built, stamp = folder / "out" / "template.yaml", folder / "digest"
    with wait_for_lock(folder / "lock"):
        wanted = digest_of_sources(checkout.root)
        if built.is_file() and stamp.is_file() and stamp.read_text() == wanted:
            return built, False
        command: list[str | Path] = [
            checkout.sam,
            "build",
            "--template",
            checkout.template,
            "--build-dir",
            built.parent,
            "--parameter-overrides",
            *_overrides(parameters_of(target)),
        ]
        # The local cloud serves the viewer from its own server, so the function that would publish it takes none along.
        _run(command, "sam build", log, _clean_environment(checkout, {"WITHOUT_VIEWER": "1"}), cwd=folder)
        stamp.write_text(wanted)
    return built, True


def parameters_of(target: Target) -> dict[str, str]:
    """Return the template parameters that name what the functions run on."""
    return {"PythonRuntime": f"python{target.python}", "Architecture": target.architecture}


def deploy(checkout: Checkout, built: Path, aws: LocalAws, parameters: Mapping[str, str], folder: Path) -> bool:
    """Deploy the built template.

    Returns:
        False when the same is deployed there already.

    Raises:
        StepFailedError: `sam deploy` failed.
    """
    stamp = folder / STAMP_FILE
    wanted = digest_of_sources(checkout.root, aws.endpoint_url, json.dumps(dict(parameters), sort_keys=True))
    if stamp.is_file() and stamp.read_text() == wanted and _is_complete(aws):
        return False
    # Everything else is in samconfig.toml, as on AWS: a capability that users lack must be missing here, too.
    command: list[str | Path] = [
        *(checkout.sam, "deploy", "--config-file", checkout.root / "samconfig.toml", "--template-file", built),
        *("--stack-name", STACK, "--region", aws.region, "--no-confirm-changeset", "--no-progressbar"),
        *("--parameter-overrides", *_overrides(parameters)),
    ]
    # SAM's default of 5 s between looks at the stack is for AWS; here it would be most of the time.
    environment = _clean_environment(checkout, {**aws.environment(), "SAM_CLI_POLL_DELAY": "0.1"})
    _run(command, "sam deploy", folder / "logs" / "deploy.log", environment, cwd=built.parent)
    replace_private_file(stamp, wanted.encode())
    return True


def outputs(aws: LocalAws) -> dict[str, str]:
    """Return the stack's outputs by name.

    Raises:
        LocalCloudError: The stack does not exist.
    """
    stack = _stack(aws)
    if stack is None:
        raise LocalCloudError(f"The stack {STACK} is not at {aws.endpoint_url}.", "Run `logferry up` again.")
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def _is_complete(aws: LocalAws) -> bool:
    stack = _stack(aws)
    return stack is not None and stack["StackStatus"] in COMPLETE


def _stack(aws: LocalAws) -> dict[str, Any] | None:
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - slow, and few commands come here

    try:
        stack: dict[str, Any] = aws.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
    except (ClientError, BotoCoreError, IndexError):
        return None
    return stack


def _overrides(parameters: Mapping[str, str]) -> list[str]:
    # SAM splits a value at its spaces unless it is in quotation marks.
    return [f'{name}="{value}"' if " " in value else f"{name}={value}" for name, value in parameters.items()]


def _clean_environment(checkout: Checkout, more: Mapping[str, str]) -> dict[str, str]:
    """Return the user's environment without AWS settings and virtual environment, and with uv on its path."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "SAM_", "VIRTUAL_ENV", "PYTHON")) or name == "AWS_CA_BUNDLE"
    }
    return {
        **kept,
        "PATH": f"{checkout.tools}:{os.environ.get('PATH', os.defpath)}",
        "SAM_CLI_TELEMETRY": "0",
        "UV_PYTHON_DOWNLOADS": "never",
        # As in set-up: uv trusts what the machine trusts, where the machine has a certificate store.
        **({"UV_SYSTEM_CERTS": "true"} if any(Path(path).is_file() for path in SYSTEM_CERTIFICATES) else {}),
        **more,
    }


def _run(command: list[str | Path], name: str, log: Path, environment: Mapping[str, str], cwd: Path) -> None:
    if (message := run_logged(command, log, environment, cwd)) is not None:
        raise StepFailedError(f"`{name}` failed: {message}", f"See its output in {log}.")
