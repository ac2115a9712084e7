"""`logferry up`, `down` and `status`: start, stop and inspect the local cloud."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console

from logferry_cli.options import StateOption
from logferry_cli.problems import Problem
from logferry_cli.progress import Steps
from logferry_local import engine
from logferry_local.checkout import find_checkout
from logferry_local.cloud import Plan, bring_down, bring_up
from logferry_state.processes import is_running
from logferry_state.running import running_state
from logferry_state.state import LocalKeys, LocalState, load_keys

AGENT_NAME = "local"
VIEWER_NAME = "me"


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(up)
    app.command()(down)
    app.command()(status)


def up(
    state: StateOption,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return when everything runs; stop it with `down`.")
    ] = False,
    endpoint_url: Annotated[
        str | None,
        typer.Option(help="Use the LocalStack or MiniStack at this address instead of starting one.", metavar="URL"),
    ] = None,
    no_agent: Annotated[
        bool, typer.Option("--no-agent", help="Do not start an agent on this machine's Docker Engine.")
    ] = False,
) -> None:
    """Start a local cloud and an agent on this machine; until Ctrl-C, or with --detach until `logferry down`."""
    steps = Steps()
    if not no_agent and not engine.answers():
        raise Problem("No Docker Engine answers.", f"{engine.ADVICE} Use `--no-agent` to run without an agent.")
    plan = Plan(state, find_checkout(), endpoint_url, with_agent=not no_agent)
    with interruptible() as interrupted:
        try:
            running = bring_up(plan, steps, local_keys)
        except KeyboardInterrupt:
            raise Problem("Interrupted. What was started is stopped again.", status=130) from None
        _console().print(address_with_login(running, load_keys(state)), soft_wrap=True)
        if detach:
            return
        steps.console.print("[dim]Press Ctrl-C to stop.[/]")
        ended = stay(running, interrupted)
        bring_down(state, steps)
    if ended is not None:
        raise Problem(f"The {ended} ended unexpectedly.", f"See its log: {state / 'logs' / f'{ended}.log'}.")


def down(state: StateOption) -> None:
    """Stop the local cloud and its agent. Stored data stays for the next `up`."""
    if not bring_down(state, Steps()):
        _console().print(f"Nothing runs in {state}.", soft_wrap=True)


def status(
    state: StateOption,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what runs, and where."""
    running = running_state(state)
    parts = {role: is_running(process) for role, process in running.pids.items()}
    if as_json:
        typer.echo(json.dumps({**running.model_dump(mode="json", exclude={"access_key"}), "running": parts}))
        return
    console = _console()
    for role, process in running.pids.items():
        word = "[green]running[/]" if parts[role] else "[red]ended[/]"
        console.print(f"{role:<8} {word}  process {process.pid}, log {state / 'logs' / f'{role}.log'}", soft_wrap=True)
    console.print(f"AWS      {running.endpoint_url}  stack {running.stack}, region {running.region}", soft_wrap=True)
    console.print(f"viewer   {address_with_login(running, load_keys(state))}", soft_wrap=True)
    if not all(parts.values()):
        raise Problem("Not everything runs.", "Run `logferry up` to start what is missing.")


def local_keys(table: Any, last: LocalKeys | None) -> LocalKeys:
    """Return last time's keys while the registry knows them, else new ones.

    The emulator may be another, or without data.
    """
    from logferry_cli.registry import Agent, Registry, Viewer, credential_of  # noqa: PLC0415 - boto3: half a second

    registry, now = Registry(table), int(time.time() * 1000)
    registry.ensure(Agent(name=AGENT_NAME, owner="local", owners=["*"]), now)
    registry.ensure(Viewer(name=VIEWER_NAME, subject="me", groups=["local"], admin=True), now)

    def known(principal: str, key: str) -> bool:
        wanted = f"CREDENTIAL#{credential_of(key)}"
        return any(item["pk"] == wanted and "revoked" not in item for item in registry.credentials(principal))

    if last is not None and known(AGENT_NAME, last.agent_key) and known(VIEWER_NAME, last.viewer_key):
        return last
    return LocalKeys(
        agent_key=registry.issue(AGENT_NAME, "agent", now).key,
        viewer_key=registry.issue(VIEWER_NAME, "viewer", now).key,
    )


def address_with_login(state: LocalState, keys: LocalKeys) -> str:
    """Return the viewer's address with a key that signs in. The key is in the fragment, which browsers never send."""
    return f"{state.viewer_url}/#key={keys.viewer_key}"


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """Treat SIGTERM and SIGHUP like Ctrl-C, once: later signals do not disturb the clean-up."""
    interrupted = threading.Event()

    def interrupt(_number: int, _frame: object) -> None:
        if not interrupted.is_set():
            interrupted.set()
            raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stay(state: LocalState, interrupted: threading.Event) -> str | None:
    """Wait for the interruption.

    Returns:
        The role of a process that ended by itself meanwhile, or None.
    """
    try:
        while not interrupted.is_set():
            for role, process in state.pids.items():
                if not is_running(process):
                    return role
            time.sleep(0.5)
    except KeyboardInterrupt:
        pass
    return None


def _console() -> Console:
    return Console(highlight=False)
