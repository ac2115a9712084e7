"""Create the virtual environments: tools (uv), development, the local cloud's emulator, and the SAM CLI.

There are four for two reasons. The emulator and the SAM CLI pin versions of boto3 that exclude each other. And
functions that the emulator runs see everything in its environment: in the development environment, a dependency that
is missing from the functions' layer would go unnoticed.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from programs import run, say, system_certificates
from stamps import MADE, ROOT, digest, done, is_done

REQUIREMENTS = ROOT / "requirements"
PACKAGE = ("pyproject.toml", "protocol/logferry_protocol/__init__.py", "infra/release/build_hook.py")
"""What an installation in place is made from."""
LOCKED = {"dev": ".venv", "cloud": ".venv-cloud", "sam": ".venv-sam"}
QUIET_UV = {"UV_PYTHON_DOWNLOADS": "never", "VIRTUAL_ENV": "", **system_certificates()}
ADVICE = "Check the network and the package index (pip's and uv's settings apply), then run this again."


def prepare() -> None:
    """Create and fill all four. Each stays as it is when its requirements did not change."""
    _in_place(_locked(*LOCKED))


def prepare_local() -> None:
    """Create and fill what the local cloud of a wheel runs besides itself: the tools, the emulator, and the SAM CLI."""
    _locked("cloud", "sam")


def _locked(*names: str) -> Path:
    """Create and fill the tools and the named environments; return uv."""
    python = base_python()
    uv = _tools(python)
    for name in names:
        _environment(uv, python, name, MADE / LOCKED[name])
    return uv


def base_python() -> Path:
    """Return the Python that runs this, outside any virtual environment that the user called it through."""
    return Path(getattr(sys, "_base_executable", sys.executable)).resolve()


def lock() -> None:
    """Lock every requirements/*.in for Python 3.11 and newer on all machines, with hashes and without addresses."""
    uv = _tools(base_python())
    for name in ("uv", *LOCKED, "dist"):
        _compile(uv, REQUIREMENTS, f"{name}.in", f"{name}.txt")
    # The image and the layer get the versions that the tests ran with.
    _compile(uv, REQUIREMENTS, "agent.in", "agent.txt", "-c", "dev.txt")
    _compile(uv, ROOT, "protocol/requirements.in", "protocol/requirements.txt", "-c", "requirements/dev.txt")


def _compile(uv: Path, folder: Path, source: str, target: str, *more: str) -> None:
    say(f"locking {source}")
    # Only relative names, because the output starts with a copy of the command.
    options = [
        "--universal",
        "--python-version",
        "3.11",
        "--generate-hashes",
        "--no-emit-index-url",
        "--quiet",
        "--upgrade",
    ]
    run([uv, "pip", "compile", *options, *more, source, "-o", target], ADVICE, cwd=folder, env=QUIET_UV)


def _tools(python: Path) -> Path:
    """Return uv, which has an environment of its own, created with venv and pip."""
    folder, wanted = MADE / ".venv-tools", REQUIREMENTS / "uv.txt"
    uv, stamp = folder / "bin" / "uv", digest(python, sys.version, wanted)
    if is_done("tools", stamp) and uv.exists():
        return uv
    say("installing uv")
    shutil.rmtree(folder, ignore_errors=True)
    run([python, "-m", "venv", folder], ADVICE)
    run(
        [
            folder / "bin" / "python",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--require-hashes",
            "-r",
            wanted,
        ],
        ADVICE,
    )
    done("tools", stamp)
    return uv


def _environment(uv: Path, python: Path, name: str, folder: Path) -> None:
    wanted = REQUIREMENTS / f"{name}.txt"
    made, filled = digest(python, sys.version), digest(python, sys.version, wanted)
    if is_done(name, filled) and (folder / "bin" / "python").exists():
        return
    say(f"filling {folder.name} from {wanted.relative_to(ROOT)}")
    if not (is_done(f"{name}-made", made) and (folder / "bin" / "python").exists()):
        run([uv, "venv", "--quiet", "--clear", "--python", python, folder], ADVICE, env=QUIET_UV)
        done(f"{name}-made", made)
    # UV_COMPILE_BYTECODE stays off: it costs more than the first import.
    run(
        [uv, "pip", "sync", "--quiet", "--python", folder / "bin" / "python", "--require-hashes", wanted],
        ADVICE,
        env=QUIET_UV,
    )
    done(name, filled)


def _in_place(uv: Path) -> None:
    """Install this checkout's package in place. Every fill removes it, so it is installed again after it."""
    python, wanted = ROOT / ".venv" / "bin" / "python", REQUIREMENTS / "dev.txt"
    stamp = digest(wanted, sys.version, *(ROOT / name for name in PACKAGE))
    if is_done("editables", stamp) and (ROOT / ".venv" / "bin" / "logferry").exists():
        return
    say("installing this checkout's package in place")
    # Removes what an older checkout installed under other names; else it takes a few milliseconds.
    run([uv, "pip", "sync", "--quiet", "--python", python, "--require-hashes", wanted], ADVICE, env=QUIET_UV)
    run(
        [uv, "pip", "install", "--quiet", "--python", python, "--no-deps", "--no-build-isolation", "-e", ROOT],
        ADVICE,
        env=QUIET_UV,
    )
    done("editables", stamp)
