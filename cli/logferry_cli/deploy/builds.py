"""Build the viewer and the functions. What has not changed is not built again."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from logferry_cli.deploy import programs
from logferry_cli.stack_sources import StackSources

STACK_FILES: Final = ("template.yaml", "samconfig.toml", "protocol", "functions", "infra/nested", "infra/targets")
VIEWER_FILES: Final = (
    *("src", "public", "scripts", "index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts"),
)
SYSTEM_CERTIFICATES: Final = (
    *("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"),
)
BUILD_PARAMETERS: Final = ("PythonRuntime", "Architecture")
"""The parameters that choose what `sam build` makes."""


def builds_folder(sources: StackSources) -> Path:
    """Return the folder of all builds of these sources."""
    if sources.is_checkout:
        return sources.root / ".build"
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "logferry" / "builds"


def publishes_viewer(values: Mapping[str, str]) -> bool:
    """Return whether a deployment publishes the viewer.

    On an emulator it does where the HTTP API serves it. A local cloud has a server of its own for it.
    """
    return not values.get("GatewayBase") or values.get("ViewerHosting") == "api"


def build_viewer(sources: StackSources) -> bool:
    """Build web/dist in a checkout; a wheel carries it built.

    Returns:
        Whether it had to be built.

    Raises:
        Problem: The build failed.
    """
    if not sources.is_checkout:
        return False
    folder = builds_folder(sources) / "viewer-to-deploy"
    with _alone(folder):
        wanted, stamp = digest_of(sources.web, VIEWER_FILES), folder / "digest"
        if (sources.viewer / "index.html").is_file() and stamp.is_file() and stamp.read_text() == wanted:
            return False
        environment = programs.environment(sources, None, {"CI": "1", "NO_COLOR": "1"})
        log = folder / "build.log"
        stamp.unlink(missing_ok=True)
        if not packages_are_current(sources.web):
            programs.run(["npm", "ci", "--no-audit", "--no-fund"], log, environment, sources.web)
        programs.run(["npm", "run", "--silent", "build"], log, environment, sources.web)
        stamp.write_text(wanted)
    return True


def packages_are_current(web: Path) -> bool:
    """Return whether the installed packages are those of the lock file. A new release may lock others."""
    try:
        wanted = json.loads((web / "package-lock.json").read_bytes())["packages"]
        there = json.loads((web / "node_modules" / ".package-lock.json").read_bytes())["packages"]
    except (OSError, ValueError, KeyError):
        return False
    same = all(wanted.get(name, {}).get("version") == one.get("version") for name, one in there.items())
    return same and all(name in there or "optional" in one for name, one in wanted.items() if name)


def build_functions(sources: StackSources, values: Mapping[str, str], log: Path) -> tuple[Path, bool]:
    """Build layer and functions.

    Args:
        sources: The sources.
        values: The template's parameters.
        log: Takes the output of `sam build`.

    Returns:
        The built template, and whether it had to be built.

    Raises:
        Problem: `sam build` failed.
    """
    chosen = {name: values[name] for name in BUILD_PARAMETERS if name in values}
    local = {} if publishes_viewer(values) else {"WITHOUT_VIEWER": "1"}
    folder = functions_folder(sources, values)
    built, stamp = folder / "out" / "template.yaml", folder / "digest"
    with _alone(folder):
        wanted = digest_of(sources.root, STACK_FILES if local else (*STACK_FILES, "web/dist"))
        if built.is_file() and stamp.is_file() and stamp.read_text() == wanted:
            return built, False
        stamp.unlink(missing_ok=True)  # a build that fails leaves less than it found
        command: list[str | Path] = ["sam", "build", "--template", sources.template, "--build-dir", built.parent]
        command += ["--parameter-overrides", *(f"{name}={value}" for name, value in chosen.items())]
        # uv brings certificates of its own, and then does not trust what this machine trusts.
        trusted = {"UV_SYSTEM_CERTS": "true"} if any(Path(path).is_file() for path in SYSTEM_CERTIFICATES) else {}
        more = {"UV_PYTHON_DOWNLOADS": "never", **trusted, **local}
        programs.run(command, log, programs.environment(sources, None, more), folder)
        stamp.write_text(wanted)
    return built, True


def functions_folder(sources: StackSources, values: Mapping[str, str]) -> Path:
    """Return the folder of a build. In a checkout, `logferry up` uses the same one for the same build."""
    target = (values.get("PythonRuntime", "").removeprefix("python"), values.get("Architecture", ""))
    more = ["viewer"] if publishes_viewer(values) else []
    return builds_folder(sources) / "-".join(("sam", *target, *more))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one command at a time build in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def digest_of(root: Path, names: tuple[str, ...]) -> str:
    """Return a digest of the names and bytes of files below a folder."""
    total = hashlib.sha256()
    for name in names:
        source = root / name
        found = [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file())
        for path in found:
            if "__pycache__" not in path.parts and path.suffix != ".pyc":
                total.update(f"{path.relative_to(root)}\0".encode())
                total.update(path.read_bytes())
    return total.hexdigest()
