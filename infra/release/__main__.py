"""Build the wheel and the sdist into dist/, and test them: `make dist`.

Both are built twice, in different folders, and must have the same bytes. Then the wheel is installed with uv and pipx,
with and without extras, in environments that have nothing of this checkout.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.release import clean_environments as clean
from infra.release.artefacts import (
    ROOT,
    UV,
    Artefacts,
    build,
    build_viewer,
    build_wheel,
    copy_tree,
    uncommitted,
    with_commit_time,
)
from infra.release.leaks import environment_words, leaks
from infra.release.programs import DistError, attempt, run

from logferry_protocol import __version__

DIST = ROOT / "dist"
SUMS = "SHA256SUMS"


def main() -> int:
    """Build and test. Return the exit status."""
    words = argparse.ArgumentParser(prog="make dist", description="Build the wheel and the sdist, and test them.")
    words.add_argument("--uncommitted", action="store_true", help="build although there are uncommitted changes")
    given = words.parse_args()
    try:
        if not given.uncommitted:
            _check_committed()
        with tempfile.TemporaryDirectory(prefix="logferry-dist-") as folder:
            artefacts = _build_twice(Path(folder))
            _check_contents(artefacts, Path(folder))
            _check_sdist(artefacts, Path(folder))
            _check_installations(artefacts.wheel, Path(folder))
            _publish(artefacts)
    except DistError as error:
        print(f"dist: {error}", file=sys.stderr)
        return 1
    return 0


def _check_committed() -> None:
    if changed := uncommitted():
        raise DistError(
            f"{len(changed)} files are not committed, {changed[0].split()[-1]} for one. A release is built from a "
            'commit: commit them, or try with `make dist ARGS="--uncommitted"`.'
        )


def _build_twice(folder: Path) -> Artefacts:
    """Build in two folders and return the first's artefacts, when both have the same bytes."""
    with _step("building viewer, sdist and wheel, twice"):
        first, second = (_build(folder / name) for name in ("first", "second-time"))
        if not first.same_bytes(second):
            raise DistError(f"Two builds of the same files differ: {first.wheel.name} or {first.sdist.name}.")
        return first


def _build(folder: Path) -> Artefacts:
    tree, made = folder / "tree", folder / "made"
    copy_tree(tree)
    build_viewer(tree)
    artefacts = build(tree, made)
    # `build` made this wheel from the sdist.
    if build_wheel(tree, folder / "direct").read_bytes() != artefacts.wheel.read_bytes():
        raise DistError("The sdist and the tree that it was made from give different wheels.")
    return artefacts


def _check_contents(artefacts: Artefacts, folder: Path) -> None:
    with _step("looking for folders and index addresses of this machine"):
        configurations = "".join(
            attempt(command, env=os.environ).stdout
            for command in (["npm", "config", "get", "registry"], [sys.executable, "-m", "pip", "config", "list"])
        )
        words = environment_words((ROOT, ROOT.parent, Path.home(), folder), configurations)
        for artefact in (artefacts.sdist, artefacts.wheel):
            if found := leaks(artefact, words):
                raise DistError(f"{artefact.name} names what belongs to this machine: {', '.join(found[:5])}.")


def _check_sdist(artefacts: Artefacts, folder: Path) -> None:
    """Build the wheel from the sdist with the backend that pyproject.toml pins, from the package index."""
    with _step("building the wheel from the sdist, with the package index alone"):
        made = folder / "from-index"
        environment = with_commit_time(clean.clean_environment(folder / "home-of-build"))
        run([UV, "build", "--quiet", "--wheel", "--out-dir", made, artefacts.sdist], env=environment)
        if (made / artefacts.wheel.name).read_bytes() != artefacts.wheel.read_bytes():
            raise DistError("The sdist gives another wheel where hatchling comes from the package index.")


def _check_installations(wheel: Path, folder: Path) -> None:
    pipx = clean.make_pipx(folder / "pipx")
    installed: dict[str, clean.Installation] = {}
    for extra in clean.INSTALLED_EXTRAS:
        for name in ("uv", "pipx", "lowest versions"):
            home = folder / f"{name}-{extra}".replace(" ", "-")  # words of commands contain no spaces
            with _step(f"installing {clean.package(extra)} ({name})"):
                match name:
                    case "uv":
                        made = clean.with_uv(wheel, extra, home)
                    case "pipx":
                        made = clean.with_pipx(wheel, extra, home, pipx)
                    case _:
                        made = clean.with_lowest_versions(wheel, extra, home)
                clean.check(made, __version__)
                if name != "pipx":  # it installs what uv does
                    clean.check_commands(made)
            if extra == clean.BASE:
                installed[name] = made
            if (extra, name) == ("local", "uv"):
                with _step("starting and stopping a local cloud from the wheel"):
                    clean.check_local_cloud(made, home / "state")
    for program in (UV, pipx):
        with _step(f"adding an extra to the command alone, as it advises ({program.name})"):
            clean.check(clean.follow_advice(installed[program.name], "logferry agent", program), __version__)


def _publish(artefacts: Artefacts) -> None:
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir()
    sums = []
    for artefact in (artefacts.wheel, artefacts.sdist):
        shutil.copy(artefact, DIST)
        sums.append(f"{hashlib.sha256(artefact.read_bytes()).hexdigest()}  {artefact.name}\n")
        print(f"dist/{artefact.name}: {artefact.stat().st_size:,} bytes")
    (DIST / SUMS).write_text("".join(sums))


@contextmanager
def _step(text: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    print(f"dist: {text} ({time.monotonic() - began:.0f} s)", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
