"""Run other programs: quietly when they succeed, with their output when they fail."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

SYSTEM_CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


class SetupError(Exception):
    """A step failed. The message says which, why, and what to do."""


def run(
    command: Sequence[str | Path], advice: str, *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> str:
    """Run a program without a keyboard; return its stdout.

    Args:
        command: the program and its arguments.
        advice: what the user should do when it fails.
        cwd: the folder to run it in.
        env: variables that are added to the environment.

    Raises:
        SetupError: the program failed. The message ends with the tail of its output and with the advice.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise SetupError(f"{words[0]} cannot be run ({error.strerror}). {advice}") from None
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-25:])
        raise SetupError(f"`{' '.join(words)}` failed:\n{tail}\n{advice}")
    return done.stdout


def say(text: str) -> None:
    """Print one line of progress immediately."""
    print(f"setup: {text}", file=sys.stderr, flush=True)


def system_certificates() -> dict[str, str]:
    """Return variables that make uv and npm trust the machine's certificates, as pip does by default.

    Some networks inspect TLS with a certificate of their own. On a machine without a certificate store the result is
    empty, and uv and Node use the certificates that they ship with.
    """
    bundle = next((path for path in SYSTEM_CERTIFICATES if Path(path).is_file()), None)
    if bundle is None:
        return {}
    return {"UV_SYSTEM_CERTS": "true", "NODE_EXTRA_CA_CERTS": os.environ.get("NODE_EXTRA_CA_CERTS", bundle)}
