"""Running other programs: quiet when they succeed, their output shown when they fail."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

SYSTEM_CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


class SetupError(Exception):
    """A step failed; the text says which, why, and what to do."""


def run(
    command: Sequence[str | Path], advice: str, *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> str:
    """The program's stdout.

    Raises SetupError with the tail of its output and `advice` when it fails; never waits for the keyboard.
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
    """One line of progress, at once."""
    print(f"setup: {text}", file=sys.stderr, flush=True)


def system_certificates() -> dict[str, str]:
    """What makes uv and npm trust whom the machine trusts, as pip does by itself: some networks look into TLS.

    Nothing on a machine without a store of its own, where what uv and Node bring along is all there is.
    """
    bundle = next((path for path in SYSTEM_CERTIFICATES if Path(path).is_file()), None)
    if bundle is None:
        return {}
    return {"UV_SYSTEM_CERTS": "true", "NODE_EXTRA_CA_CERTS": os.environ.get("NODE_EXTRA_CA_CERTS", bundle)}
