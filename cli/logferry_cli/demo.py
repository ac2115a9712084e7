"""`logferry demo`, behind `make demo`: run everything with three sample containers, until Ctrl-C."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from logferry_cli.local_cloud import address_with_login, interruptible, local_keys
from logferry_cli.problems import Problem
from logferry_cli.progress import Steps
from logferry_local import engine, images
from logferry_local.checkout import find_checkout
from logferry_local.cloud import Plan, bring_down, bring_up
from logferry_state.errors import NotRunningError
from logferry_state.processes import is_running
from logferry_state.state import DEMO_FOLDER_NAME, LocalState, load_keys, load_state

LABEL = "logferry.demo"
SCRIPTS = ("web", "import", "build")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    state: Annotated[
        Path | None,
        typer.Option("--state", help="Folder for its state.", show_default="a new one, removed at the end"),
    ] = None,
) -> None:
    """Run a demonstration until Ctrl-C.

    It starts a local cloud, the agent, three sample containers and the viewer. Ctrl-C removes them all.
    """
    folder = (state or Path(os.environ.get("LOGFERRY_STATE") or DEMO_FOLDER_NAME)).absolute()
    steps, checkout = Steps(), find_checkout()
    _refuse_a_second(folder)
    with interruptible() as interrupted, ExitStack() as clean:
        ours = not folder.exists() or folder.name == DEMO_FOLDER_NAME
        clean.push(lambda kind, _error, _trace: _forget(folder, keep_logs=kind is not None) if ours else None)
        try:
            clean.callback(_end_engine, folder, steps)
            with steps("Looking for a Docker Engine") as step:
                step.set_text("Started a Docker Engine" if engine.start(folder) else "The Docker Engine runs")
            clean.callback(bring_down, folder, steps)
            running = bring_up(Plan(folder, checkout), steps, local_keys)
            samples = _Samples(folder)
            clean.callback(samples.remove, steps)
            with steps("Starting three sample containers"):
                images.make_sample_image(checkout, samples.image)
                samples.start()
            command = "logferry" if checkout.cache is not None else ".venv/bin/logferry"
            _welcome(running, address_with_login(running, load_keys(folder)), samples, command)
            ended = _stay(running, interrupted)
            if ended is not None:
                raise Problem(f"The {ended} ended unexpectedly.", f"See its log: {folder / 'logs' / f'{ended}.log'}.")
        except KeyboardInterrupt:
            interrupted.set()
            steps.console.print()
    steps.console.print("The demo is stopped and cleaned up.")


def _forget(folder: Path, *, keep_logs: bool) -> None:
    """Delete the state. After a failure its logs stay, because the error message names one."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name == "logs" and keep_logs:
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


def _refuse_a_second(folder: Path) -> None:
    """Refuse to start where a cloud runs, so that a demonstration never takes over one in use."""
    try:
        last = load_state(folder)
    except NotRunningError:
        return
    if any(is_running(process) for process in last.pids.values()):
        raise Problem(f"A local cloud already runs in {folder}.", f"Stop it with `logferry down --state {folder}`.")


class _Samples:
    """The sample containers.

    For a state folder that was named, their names carry its mark, so that demonstrations can run side by side.
    """

    def __init__(self, folder: Path) -> None:
        default = folder.name == DEMO_FOLDER_NAME
        self._mark = "" if default else f"-{hashlib.sha256(str(folder).encode()).hexdigest()[:6]}"
        self.image = f"{images.SAMPLE_IMAGE}{self._mark}"

    def name(self, script: str) -> str:
        return f"logferry-demo-{script}{self._mark}"

    def start(self) -> None:
        self._forget()
        for script in SCRIPTS:
            words = ("--init", "--name", self.name(script), "--label", f"{LABEL}={script}")
            _docker("run", "--detach", *words, self.image, f"/samples/{script}.sh")

    def remove(self, steps: Steps) -> None:
        with steps("Removing the sample containers"):
            self._forget()
            _docker("rmi", "--force", self.image, may_fail=True)

    def _forget(self) -> None:
        _docker("rm", "--force", *(self.name(script) for script in SCRIPTS), may_fail=True)


def _end_engine(folder: Path, steps: Steps) -> None:
    if engine.runs_for(folder):
        with steps("Stopping the Docker Engine that the demo started"):
            engine.end(folder)


def _docker(*words: str, may_fail: bool = False) -> None:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0 and not may_fail:
        raise Problem(
            f"`docker {words[0]}` failed: {done.stderr.strip()[-300:]}", "Check that the Docker Engine answers."
        )


def _welcome(state: LocalState, address: str, samples: _Samples, command: str) -> None:
    console = Console(highlight=False)
    console.print()
    console.print(
        "[bold]Logferry runs.[/] Three containers write logs. Read them here, already signed in:", soft_wrap=True
    )
    console.print(f"\n  {address}\n", soft_wrap=True)
    console.print("or in another terminal:\n")
    console.print(f"  {command} jobs", f"  {command} tail --follow {samples.name('web')}", sep="\n")
    console.print(
        f"\n[dim]AWS interfaces at {state.endpoint_url}. Press Ctrl-C to stop and clean up.[/]", soft_wrap=True
    )


def _stay(state: LocalState, interrupted: object) -> str | None:
    """Wait for Ctrl-C.

    `make` passes SIGTERM on but keeps a SIGINT that was sent to it alone, so `make` is watched as well.

    Returns:
        The role of a process that ended by itself meanwhile, or None.
    """
    parent = _Parent()
    while not parent.has_ended():
        for role, process in state.pids.items():
            if not is_running(process):
                return role
        time.sleep(0.3)
    return None


class _Parent:
    """The `make` that started this process, on Linux: whether it was interrupted or has ended."""

    def __init__(self) -> None:
        self._pid = os.getppid()
        self._catches = self._sigint_caught()

    def has_ended(self) -> bool:
        """Return whether `make` was interrupted or has ended.

        An interrupted GNU make resets SIGINT to its default and waits for its children. That bit is what can be seen.
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
