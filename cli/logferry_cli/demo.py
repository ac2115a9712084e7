"""`logferry demo`, behind `make demo`: all of it, with three sample containers, until Ctrl-C."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from logferry_cli.problems import Problem
from logferry_cli.progress import Steps
from logferry_cli.up import address_with_login, interruptible, local_keys
from logferry_local import engine, images
from logferry_local.checkout import find_checkout
from logferry_local.cloud import Plan, bring_down, bring_up
from logferry_local.errors import NotRunningError
from logferry_local.processes import is_running
from logferry_local.state import DEMO_FOLDER_NAME, LocalState, load_keys, load_state

LABEL = "logferry.demo"
SAMPLES = {"web": "logferry-demo-web", "import": "logferry-demo-import", "build": "logferry-demo-build"}


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(demo)


def demo(
    state: Annotated[
        Path | None, typer.Option("--state", help="Folder for its state [default: one of its own, removed at the end].")
    ] = None,
) -> None:
    """Show all of it, until Ctrl-C.

    A local cloud, the agent, three sample containers and the viewer; Ctrl-C cleans it all up.
    """
    folder = (state or Path(os.environ.get("LOGFERRY_STATE") or DEMO_FOLDER_NAME)).absolute()
    steps, checkout = Steps(), find_checkout()
    _refuse_a_second(folder)
    with interruptible() as interrupted, ExitStack() as clean:
        if not folder.exists() or folder.name == DEMO_FOLDER_NAME:
            clean.callback(shutil.rmtree, folder, ignore_errors=True)
        try:
            clean.callback(_end_engine, folder, steps)
            with steps("Looking for a Docker Engine") as step:
                step.says("Started a Docker Engine" if engine.start(folder) else "The Docker Engine runs")
            clean.callback(bring_down, folder, steps)
            running = bring_up(Plan(folder, checkout), steps, local_keys)
            clean.callback(_remove_samples, steps)
            with steps("Starting three sample containers"):
                images.make_sample_image(checkout)
                _start_samples()
            _welcome(running, address_with_login(running, load_keys(folder)))
            ended = _stay(running, interrupted)
            if ended is not None:
                raise Problem(
                    f"The {ended} ended by itself.", f"Keep its log with `make demo STATE=.logferry`: logs/{ended}.log."
                )
        except KeyboardInterrupt:
            interrupted.set()
            steps.console.print()
    steps.console.print("Everything is cleaned up.")


def _refuse_a_second(folder: Path) -> None:
    """A demonstration never takes over a cloud that somebody uses."""
    try:
        last = load_state(folder)
    except NotRunningError:
        return
    if any(is_running(process) for process in last.pids.values()):
        raise Problem(f"A local cloud runs in {folder} already.", f"End it with `logferry down --state {folder}`.")


def _start_samples() -> None:
    _docker("rm", "--force", *SAMPLES.values(), may_fail=True)
    for script, name in SAMPLES.items():
        _docker(
            "run",
            "--detach",
            "--init",
            "--name",
            name,
            "--label",
            f"{LABEL}={script}",
            images.SAMPLE_IMAGE,
            f"/samples/{script}.sh",
        )


def _remove_samples(steps: Steps) -> None:
    with steps("Removing the sample containers"):
        _docker("rm", "--force", *SAMPLES.values(), may_fail=True)
        _docker("rmi", "--force", images.SAMPLE_IMAGE, may_fail=True)


def _end_engine(folder: Path, steps: Steps) -> None:
    if engine.runs_for(folder):
        with steps("Stopping the Docker Engine that was started"):
            engine.end(folder)


def _docker(*words: str, may_fail: bool = False) -> None:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0 and not may_fail:
        raise Problem(
            f"`docker {words[0]}` failed: {done.stderr.strip()[-300:]}", "See that the Docker Engine answers."
        )


def _welcome(state: LocalState, address: str) -> None:
    console = Console(highlight=False)
    console.print()
    console.print("[bold]Logferry runs.[/] Three containers write; read them here, logged in:", soft_wrap=True)
    console.print(f"\n  {address}\n", soft_wrap=True)
    console.print("or in another terminal:\n")
    console.print("  .venv/bin/logferry jobs", "  .venv/bin/logferry tail --follow logferry-demo-web", sep="\n")
    console.print(f"\n[dim]AWS interfaces at {state.endpoint_url}. Ctrl-C ends it and cleans up.[/]", soft_wrap=True)


def _stay(state: LocalState, interrupted: object) -> str | None:
    """Waits for Ctrl-C; returns the role of a process that ended by itself meanwhile, or None.

    `make` passes SIGTERM on to us but keeps a SIGINT that was sent to it alone, so it is watched as well.
    """
    parent = _Parent()
    while not parent.gave_up():
        for role, process in state.pids.items():
            if not is_running(process):
                return role
        time.sleep(0.3)
    return None


class _Parent:
    """The `make` that called us, on Linux: whether it was interrupted, or has ended."""

    def __init__(self) -> None:
        self._pid = os.getppid()
        self._catches = self._sigint_caught()

    def gave_up(self) -> bool:
        """GNU make, when interrupted, puts SIGINT back to its default and waits for its children.

        That bit is what can be seen.
        """
        return os.getppid() != self._pid or (self._catches and not self._sigint_caught())

    def _sigint_caught(self) -> bool:
        try:
            if Path(f"/proc/{self._pid}/comm").read_text().strip() not in ("make", "gmake"):
                return False
            status = Path(f"/proc/{self._pid}/status").read_text()
        except OSError:
            return False
        caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
        return bool(int(caught.split()[1], 16) & 1 << (2 - 1))
