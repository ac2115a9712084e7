"""Bringing a local cloud up and down: the steps in their order, each undone when a later one fails."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from logferry_local import agent, deployment, emulator, viewer, viewer_files
from logferry_local.aws import LocalAws
from logferry_local.checkout import Checkout
from logferry_local.deployment import Target
from logferry_local.errors import LocalCloudError, NotRunningError
from logferry_local.ports import Ports, choose_ports
from logferry_local.processes import Ledger, stop
from logferry_local.state import (
    LocalKeys,
    LocalState,
    Tables,
    forget_state,
    load_keys,
    load_state,
    save_keys,
    save_state,
)

# The runtime that the template is written for; LocalStack runs functions in containers of it.
LAMBDA_PYTHON = "3.13"
STOP_ORDER = (agent.ROLE, viewer.ROLE, emulator.ROLE)
# The emulator writes its whole state to disk when it is asked to end.
STOP_GRACE_S = {agent.ROLE: 12.0, viewer.ROLE: 3.0, emulator.ROLE: 20.0}


class Step(Protocol):
    """One step being done; what it says at its end may be refined."""

    def says(self, text: str) -> None:
        """Replaces the text shown when the step is done."""


Progress = Callable[[str], AbstractContextManager[Step]]
KeyMaker = Callable[[Any, LocalKeys | None], LocalKeys]
"""Given the registry table and the keys of last time (or None): keys that this registry knows."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to bring up, where."""

    folder: Path
    checkout: Checkout
    endpoint_url: str | None = None
    with_agent: bool = True


def bring_up(plan: Plan, progress: Progress, make_keys: KeyMaker) -> LocalState:
    """Everything that is not up already; the state of it. Raises LocalCloudError, having stopped again what it started."""
    with _alone(plan.folder), ExitStack() as undo:
        ledger = Ledger(plan.folder)
        held = frozenset(role for role in STOP_ORDER if ledger.running(role))
        ports = choose_ports(plan.folder, held)
        with progress("Building the viewer") as step:
            if not viewer_files.build(plan.checkout):
                step.says("The viewer is built")
        aws, target = _cloud(plan, ports, progress, undo)
        built = _build(plan, target, progress)
        outputs = _deploy(plan, aws, target, ports, built, progress)
        state = _describe(plan, aws, ports, outputs)
        with progress("Making this cloud's keys") as step:
            keys, known = _keys(plan, aws, state, make_keys)
            step.says("The keys of last time are known" if known else "Made this cloud's keys")
        _viewer(plan, aws, state, ports, progress, undo)
        if plan.with_agent:
            _agent(plan, state, keys, ports, progress, undo)
        state = state.model_copy(
            update={"pids": {role: process for role in STOP_ORDER if (process := ledger.running(role))}}
        )
        save_state(plan.folder, state)
        undo.pop_all()
        return state


def bring_down(folder: Path, progress: Progress) -> bool:
    """Ends every process of the folder, the agent first so that it can hand over what it has; False when none ran. Data stay."""
    with _alone(folder):
        ledger = Ledger(folder)
        ran = False
        for role in STOP_ORDER:
            if ledger.running(role) is not None:
                with progress(f"Stopping the {_NAMES[role]}"):
                    _stop(folder, role)
                ran = True
        forget_state(folder)
        return ran


_NAMES = {agent.ROLE: "agent", viewer.ROLE: "viewer", emulator.ROLE: "AWS emulator"}


def _stop(folder: Path, role: str) -> None:
    ledger = Ledger(folder)
    if process := ledger.running(role):
        stop(process, grace_s=STOP_GRACE_S[role])
    ledger.strike(role)


def _cloud(plan: Plan, ports: Ports, progress: Progress, undo: ExitStack) -> tuple[LocalAws, Target]:
    """An emulator that answers, and what functions will run on there."""
    if plan.endpoint_url is not None:
        with progress(f"Looking for the AWS emulator at {plan.endpoint_url}"):
            aws = LocalAws(plan.endpoint_url)
            emulator.require(aws.endpoint_url)
        machine = deployment.this_machine(plan.checkout)
        runs_here = emulator.runs_functions_itself(aws.endpoint_url)
        return aws, machine if runs_here else Target(LAMBDA_PYTHON, machine.architecture)
    with progress("Starting the AWS emulator") as step:
        if Ledger(plan.folder).running(emulator.ROLE) is not None:
            step.says("The AWS emulator runs")
        else:
            undo.callback(_stop, plan.folder, emulator.ROLE)
            emulator.start(plan.folder, ports.cloud, plan.checkout)
    return LocalAws(f"http://127.0.0.1:{ports.cloud}"), deployment.this_machine(plan.checkout)


def _build(plan: Plan, target: Target, progress: Progress) -> Path:
    with progress("Building the functions (sam build)") as step:
        built, fresh = deployment.build(plan.checkout, target, plan.folder / "logs" / "build.log")
        if not fresh:
            step.says("The functions are built")
    return built


def _deploy(plan: Plan, aws: LocalAws, target: Target, ports: Ports, built: Path, progress: Progress) -> dict[str, str]:
    parameters = {
        **deployment.parameters_of(target),
        "GatewayBase": f"{aws.endpoint_url}/_aws/execute-api",
        "ViewerOrigins": f"http://127.0.0.1:{ports.viewer},http://localhost:{ports.viewer}",
    }
    with progress("Deploying template.yaml (sam deploy)") as step:
        if not deployment.deploy(plan.checkout, built, aws, parameters, plan.folder):
            step.says("template.yaml is deployed")
        return deployment.outputs(aws)


def _describe(plan: Plan, aws: LocalAws, ports: Ports, outputs: dict[str, str]) -> LocalState:
    try:
        return LocalState(
            endpoint_url=aws.endpoint_url,
            region=aws.region,
            embedded=plan.endpoint_url is None,
            stack=deployment.STACK,
            agents_url=_websocket(outputs["AgentsUrl"]),
            viewers_url=_websocket(outputs["ViewersUrl"]),
            http_url=outputs["HttpUrl"].rstrip("/"),
            viewer_url=f"http://127.0.0.1:{ports.viewer}",
            viewer_bucket=outputs["ViewerBucket"],
            tables=Tables(log=outputs["LogTable"], registry=outputs["RegistryTable"]),
            pids={},
        )
    except KeyError as missing:
        raise LocalCloudError(
            f"The deployed stack has no output {missing}.", "Is template.yaml of this checkout?"
        ) from None


def _websocket(url: str) -> str:
    """GatewayBase is an http address; the same place is reached by WebSocket with the ws scheme."""
    return "ws" + url.removeprefix("http").rstrip("/") if url.startswith("http") else url.rstrip("/")


def _keys(plan: Plan, aws: LocalAws, state: LocalState, make_keys: KeyMaker) -> tuple[LocalKeys, bool]:
    try:
        last: LocalKeys | None = load_keys(plan.folder)
    except NotRunningError:
        last = None
    keys = make_keys(aws.resource("dynamodb").Table(state.tables.registry), last)
    save_keys(plan.folder, keys)
    return keys, keys == last


def _viewer(plan: Plan, aws: LocalAws, state: LocalState, ports: Ports, progress: Progress, undo: ExitStack) -> None:
    with progress("Serving the viewer") as step:
        config = viewer.config(state.viewers_url)
        viewer_files.upload(
            plan.checkout.viewer_files, state.viewer_bucket, aws.client("s3"), json.dumps(config).encode()
        )
        served = viewer.command(plan.checkout, ports.viewer, state.http_url, state.viewers_url)
        note = plan.folder / "viewer.json"
        running = Ledger(plan.folder).running(viewer.ROLE)
        if running is not None and note.is_file() and json.loads(note.read_text()) == [str(word) for word in served]:
            step.says("The viewer is served")
            return
        _stop(plan.folder, viewer.ROLE)
        undo.callback(_stop, plan.folder, viewer.ROLE)
        viewer.start(served, plan.folder, ports.viewer)
        note.write_text(json.dumps([str(word) for word in served]))


def _agent(plan: Plan, state: LocalState, keys: LocalKeys, ports: Ports, progress: Progress, undo: ExitStack) -> None:
    with progress("Starting the agent on this machine's Docker Engine") as step:
        if Ledger(plan.folder).running(agent.ROLE) is not None:
            step.says("The agent runs")
            return
        undo.callback(_stop, plan.folder, agent.ROLE)
        agent.start(plan.folder, state, keys, ports.metrics)


def running_state(folder: Path) -> LocalState:
    """The state of a cloud that runs. Raises NotRunningError when the folder has none, or its emulator ended meanwhile."""
    state = load_state(folder)
    if state.embedded and Ledger(folder).running(emulator.ROLE) is None:
        raise NotRunningError(f"The local cloud in {folder} has ended.", "Start it again with `logferry up`.")
    return state


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One `up` or `down` at a time in a state folder. Raises LocalCloudError at once when another one is at work."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LocalCloudError(
                f"Another `logferry up` or `down` is at work in {folder}.", "Wait for it to end."
            ) from None
        yield
