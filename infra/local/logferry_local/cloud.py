"""Bring a local cloud up and down. When a step fails, the steps before it are undone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from logferry_local import agent, deployment, emulator, viewer_files, viewer_process
from logferry_local.aws import LocalAws
from logferry_local.checkout import Checkout, set_up
from logferry_local.deployment import Target
from logferry_local.file_locks import try_lock
from logferry_local.ports import Ports, choose_ports
from logferry_state.errors import LocalCloudError, NotRunningError
from logferry_state.private_files import make_private_folder, replace_private_file
from logferry_state.processes import ProcessTable, stop
from logferry_state.state import (
    EmulatorAccess,
    LocalKeys,
    LocalState,
    ProcessIdentity,
    Tables,
    forget_state,
    load_emulator_access,
    load_keys,
    save_keys,
    save_state,
)

# The runtime that the template is written for; LocalStack runs functions in containers of it.
LAMBDA_PYTHON = "3.13"
STOP_ORDER = (agent.ROLE, viewer_process.ROLE, emulator.ROLE)
# The emulator writes its whole state to disk when it is stopped.
STOP_GRACE_S = {agent.ROLE: 12.0, viewer_process.ROLE: 3.0, emulator.ROLE: 20.0}


class Step(Protocol):
    """A step in progress, whose final text may be changed."""

    def set_text(self, text: str) -> None:
        """Replace the text shown when the step is done."""


Progress = Callable[[str], AbstractContextManager[Step]]
KeyMaker = Callable[[Any, LocalKeys | None], LocalKeys]
"""Takes the registry table and the keys of last time (or None); returns keys that this registry knows."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to bring up, and where."""

    folder: Path
    checkout: Checkout
    endpoint_url: str | None = None
    with_agent: bool = True


def bring_up(plan: Plan, progress: Progress, make_keys: KeyMaker) -> LocalState:
    """Bring up everything that is not up already, and return its state.

    Raises:
        LocalCloudError: A step failed. What was started is stopped again.
    """
    with _alone(plan.folder), ExitStack() as undo:
        held = frozenset(role for role in STOP_ORDER if ProcessTable(plan.folder).running(role))
        up = _StartUp(plan, progress, undo, choose_ports(plan.folder, held))
        up.set_up()
        up.build_viewer()
        aws, target = up.find_cloud()
        outputs = up.deploy(aws, target, up.build_functions(target))
        state = up.describe(aws, outputs)
        keys = up.make_keys(aws, state, make_keys)
        up.serve_viewer(aws, state)
        if plan.with_agent:
            up.start_agent(state, keys)
        state = state.model_copy(update={"pids": up.processes()})
        save_state(plan.folder, state)
        undo.pop_all()
        return state


def bring_down(folder: Path, progress: Progress) -> bool:
    """Stop every process of the folder, the agent first so that it hands over what it has. Data stay.

    Returns:
        Whether any ran.
    """
    with _alone(folder):
        processes = ProcessTable(folder)
        ran = False
        for role in STOP_ORDER:
            if processes.running(role) is not None:
                with progress(f"Stopping the {_NAMES[role]}"):
                    _stop(folder, role)
                ran = True
            processes.remove(role)
        forget_state(folder)
        return ran


_NAMES = {agent.ROLE: "agent", viewer_process.ROLE: "viewer", emulator.ROLE: "AWS emulator"}


def _stop(folder: Path, role: str) -> None:
    processes = ProcessTable(folder)
    if process := processes.running(role):
        stop(process, grace_s=STOP_GRACE_S[role])
    processes.remove(role)


@dataclass(frozen=True, slots=True)
class _StartUp:
    """One `up` in progress; `undo` stops what it started if a later step fails."""

    plan: Plan
    progress: Progress
    undo: ExitStack
    ports: Ports

    def set_up(self) -> None:
        if self.plan.checkout.cache is not None:
            with self.progress("Installing the AWS emulator and the SAM CLI (the first time: minutes)") as step:
                set_up(self.plan.checkout)
                step.set_text("The AWS emulator and the SAM CLI are installed")

    def build_viewer(self) -> None:
        with self.progress("Building the viewer") as step:
            if not viewer_files.build(self.plan.checkout):
                step.set_text("The viewer is built")

    def find_cloud(self) -> tuple[LocalAws, Target]:
        """Return an emulator that answers, and what functions will run on there."""
        machine = deployment.this_machine(self.plan.checkout)
        if self.plan.endpoint_url is not None:
            with self.progress(f"Looking for the AWS emulator at {self.plan.endpoint_url}"):
                aws = LocalAws(self.plan.endpoint_url)
                emulator.require(aws.endpoint_url)
                runs_here = emulator.runs_functions_itself(aws.endpoint_url)
            return aws, machine if runs_here else Target(LAMBDA_PYTHON, machine.architecture)
        folder = self.plan.folder
        with self.progress("Starting the AWS emulator") as step:
            last = load_emulator_access(folder)
            access_key = emulator.new_access_key() if last is None else last.access_key
            access = EmulatorAccess(access_key=access_key, origins=self.origins)
            if access == last and ProcessTable(folder).running(emulator.ROLE) is not None:
                step.set_text("The AWS emulator runs")
            else:
                # An emulator of 0.1.0, which anyone may use, or one for a page on another port may run.
                _stop(folder, emulator.ROLE)
                self.undo.callback(_stop, folder, emulator.ROLE)
                emulator.start(folder, self.ports.cloud, self.plan.checkout, access)
        return LocalAws(f"http://127.0.0.1:{self.ports.cloud}", access_key=access_key), machine

    @property
    def origins(self) -> tuple[str, str]:
        """The origins of the viewer's page."""
        return f"http://127.0.0.1:{self.ports.viewer}", f"http://localhost:{self.ports.viewer}"

    def build_functions(self, target: Target) -> Path:
        with self.progress("Building the functions (sam build)") as step:
            built, fresh = deployment.build(self.plan.checkout, target, self.plan.folder / "logs" / "build.log")
            if not fresh:
                step.set_text("The functions are built")
        return built

    def deploy(self, aws: LocalAws, target: Target, built: Path) -> dict[str, str]:
        """Deploy the stack if anything about it changed, and return its outputs."""
        parameters = {
            **deployment.parameters_of(target),
            "GatewayBase": f"{aws.endpoint_url}/_aws/execute-api",
            "ViewerOrigins": ",".join(self.origins),
            "ViewerHosting": "cloudfront",  # `sam deploy` keeps another value that the stack was given by hand
        }
        with self.progress("Deploying template.yaml (sam deploy)") as step:
            if not deployment.deploy(self.plan.checkout, built, aws, parameters, self.plan.folder):
                step.set_text("template.yaml is deployed")
            return deployment.outputs(aws)

    def describe(self, aws: LocalAws, outputs: dict[str, str]) -> LocalState:
        try:
            return LocalState(
                endpoint_url=aws.endpoint_url,
                access_key=aws.access_key,
                region=aws.region,
                embedded=self.plan.endpoint_url is None,
                stack=deployment.STACK,
                agents_url=websocket_address(outputs["AgentsUrl"]),
                viewers_url=websocket_address(outputs["ViewersUrl"]),
                http_url=outputs["HttpUrl"].rstrip("/"),
                viewer_url=f"http://127.0.0.1:{self.ports.viewer}",
                viewer_bucket=outputs["ViewerBucket"],
                tables=Tables(log=outputs["LogTable"], registry=outputs["RegistryTable"]),
                pids={},
            )
        except KeyError as missing:
            advice = "Check that template.yaml is this checkout's."
            raise LocalCloudError(f"The deployed stack has no output {missing}.", advice) from None

    def make_keys(self, aws: LocalAws, state: LocalState, make: KeyMaker) -> LocalKeys:
        with self.progress("Creating this cloud's keys") as step:
            try:
                last: LocalKeys | None = load_keys(self.plan.folder)
            except NotRunningError:
                last = None
            keys = make(aws.resource("dynamodb").Table(state.tables.registry), last)
            save_keys(self.plan.folder, keys)
            step.set_text("This cloud's keys are valid" if keys == last else "Created this cloud's keys")
        return keys

    def serve_viewer(self, aws: LocalAws, state: LocalState) -> None:
        folder = self.plan.folder
        with self.progress("Serving the viewer") as step:
            config = json.dumps(viewer_process.config(state.viewers_url)).encode()
            viewer_files.upload(self.plan.checkout.viewer_files, state.viewer_bucket, aws.client("s3"), config)
            served = viewer_process.command(self.plan.checkout, self.ports.viewer, state.http_url, state.viewers_url)
            words, note = json.dumps([str(word) for word in served]), folder / "viewer.json"
            if (
                ProcessTable(folder).running(viewer_process.ROLE) is not None
                and note.is_file()
                and note.read_text() == words
            ):
                step.set_text("The viewer is served")
                return
            _stop(folder, viewer_process.ROLE)
            self.undo.callback(_stop, folder, viewer_process.ROLE)
            viewer_process.start(served, folder, self.ports.viewer)
            replace_private_file(note, words.encode())

    def start_agent(self, state: LocalState, keys: LocalKeys) -> None:
        folder = self.plan.folder
        with self.progress("Starting the agent on this machine's Docker Engine") as step:
            if ProcessTable(folder).running(agent.ROLE) is not None:
                if agent.is_private(folder):
                    step.set_text("The agent runs")
                    return
                _stop(folder, agent.ROLE)
            self.undo.callback(_stop, folder, agent.ROLE)
            agent.start(folder, state, keys, self.ports.metrics)

    def processes(self) -> dict[str, ProcessIdentity]:
        """Return all running processes, by role."""
        processes = ProcessTable(self.plan.folder)
        return {role: process for role in STOP_ORDER if (process := processes.running(role))}


def websocket_address(url: str) -> str:
    """Return the WebSocket form of an http address: GatewayBase serves both."""
    return ("ws" + url.removeprefix("http") if url.startswith("http") else url).rstrip("/")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Allow one `up` or `down` at a time in a state folder, and make the folder private.

    Raises:
        LocalCloudError: Another one is running.
    """
    make_private_folder(folder)
    with ExitStack() as held:
        try:
            held.enter_context(try_lock(folder / "lock"))
        except BlockingIOError:
            sentence = f"Another `logferry up` or `down` is running in {folder}."
            raise LocalCloudError(sentence, "Wait until it ends.") from None
        yield
