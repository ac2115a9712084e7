"""Build the viewer when its sources changed, and upload it to the stack's bucket as a deployment to AWS would."""

from __future__ import annotations

import hashlib
import mimetypes
import os
from pathlib import Path
from typing import Any

from logferry_local.checkout import Checkout
from logferry_local.file_locks import wait_for_lock
from logferry_local.viewer_process import ASK_AGAIN, FOR_EVER
from logferry_state.errors import StepFailedError
from logferry_state.logged_programs import run_logged

# What the pages are made from; node_modules follows from the lock file.
SOURCES = (
    "src",
    "public",
    "scripts",
    "index.html",
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "vite.config.ts",
)


def build(checkout: Checkout) -> bool:
    """Build web/dist. A wheel carries it built.

    Returns:
        False when it was built from the same sources.

    Raises:
        StepFailedError: The build failed.
    """
    if checkout.cache is not None:
        return False
    stamp, log = checkout.builds / "viewer", checkout.builds / "viewer.log"
    with wait_for_lock(checkout.builds / "viewer.lock"):
        wanted = _digest(checkout.web)
        if (checkout.viewer_files / "index.html").is_file() and stamp.is_file() and stamp.read_text() == wanted:
            return False
        environment = {**os.environ, "CI": "1", "NO_COLOR": "1"}
        if (message := run_logged(["npm", "run", "--silent", "build"], log, environment, checkout.web)) is not None:
            advice = f"See its output in {log}. `make setup` installs what it needs."
            raise StepFailedError(f"Building the viewer failed: {message}", advice)
        stamp.write_text(wanted)
        return True


def _digest(web: Path) -> str:
    total = hashlib.sha256()
    for name in SOURCES:
        source = web / name
        for path in [source] if source.is_file() else sorted(p for p in source.rglob("*") if p.is_file()):
            total.update(f"{path.relative_to(web)}\0".encode())
            total.update(path.read_bytes())
    return total.hexdigest()


def upload(files: Path, bucket: str, s3: Any, config: bytes) -> int:
    """Upload every page and `config.json` with content types and cache headers. Return the number of files."""
    count = 0
    for path in sorted(p for p in files.rglob("*") if p.is_file()):
        key = path.relative_to(files).as_posix()
        kind = mimetypes.guess_type(key)[0] or "application/octet-stream"
        cache = FOR_EVER if key.startswith("assets/") else ASK_AGAIN
        s3.put_object(Bucket=bucket, Key=key, Body=path.read_bytes(), ContentType=kind, CacheControl=cache)
        count += 1
    s3.put_object(Bucket=bucket, Key="config.json", Body=config, ContentType="application/json", CacheControl=ASK_AGAIN)
    return count + 1
