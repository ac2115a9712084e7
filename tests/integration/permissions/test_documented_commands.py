"""Run commands of the documentation as they stand there, against the deployed stack.

Only placeholders are replaced. The commands of the AWS CLI run on botocore, from which that program takes its commands,
options and queries.
"""

from __future__ import annotations

import asyncio
import io
import re
import shlex
import sys
from functools import partial
from pathlib import Path
from typing import Any, Final

import boto3
import jmespath
import pytest
from botocore import xform_name
from tests.support.documented_commands import DocumentedCommand, documented_commands
from tests.support.stacks import STACK, Stack

import logferry_cli
from logferry_cli import app, probe, tail
from logferry_protocol import messages

pytestmark = pytest.mark.cloud

ROLE: Final = "arn:aws:iam::000000000000:role/documented"
ORDER: Final = ("create", "map", "", "tail", "rebind", "revoke", "delete")
"""What comes before what: nothing can be revoked before it exists. "" stands for all other words."""


def rank(command: DocumentedCommand) -> int:
    return max((ORDER.index(word) for word in command.words if word in ORDER), default=ORDER.index(""))


class Runner:
    """Runs commands in this process, as the shell would."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], stack: Stack) -> None:
        self._monkeypatch, self._capfd = monkeypatch, capfd
        self.values = {"NAME": "documented", "ARN": ROLE, "ROLE_ARN": ROLE, "SIZE": "10GB"}
        environment = {
            "AWS_ENDPOINT_URL": stack.aws.endpoint_url,
            "AWS_ACCESS_KEY_ID": stack.aws.access_key,
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_REGION": "us-east-1",
            "LOGFERRY_STACK": STACK,
            "LOGFERRY_API_URL": stack.outputs["HttpUrl"],
            "LOGFERRY_VIEWERS_URL": stack.outputs["ViewersUrl"].replace("http", "ws", 1),
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)

    def logferry(self, *words: str) -> tuple[int, str]:
        """Run a command. Return its exit status and what it wrote."""
        self._monkeypatch.setattr(sys, "argv", ["logferry", *words])
        self._monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
        self._capfd.readouterr()
        status = 0
        try:
            app.main()
        except SystemExit as ended:
            status = int(ended.code or 0)
        captured = self._capfd.readouterr()
        return status, captured.out + captured.err

    def substituted(self, words: list[str]) -> list[str]:
        """Return a command's words with values in place of its placeholders."""
        replaced = []
        for before, word in zip(["", *words], words, strict=False):
            if before in {"--stack", "--stack-name"}:
                replaced.append(STACK)
            elif before == "--state":
                replaced.append("no-local-cloud")
            elif (before, word) == ("viewer", "NAME"):
                replaced.append("documented-viewer")  # a principal is an agent or a viewer, for good
            elif re.fullmatch(r"web|logferry-demo-\w+", word):
                replaced.append(self.values["JOB"])
            else:
                replaced.append(self.values.get(word, word))
        return replaced


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], stack: Stack, tmp_path: Path) -> Runner:
    """Provide the runner in a folder of its own, with keys and one job that ended."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tail, "EndTiming", partial(tail.EndTiming, quiet=0.2))
    (tmp_path / "my-prices.toml").write_text((Path(logferry_cli.__file__).parent / "prices.toml").read_text())
    found = Runner(monkeypatch, capfd, stack)
    monkeypatch.setenv(
        "LOGFERRY_VIEWER_KEY", key_in(found.logferry("keys", "create", "viewer", "reader", "--admin")[1])
    )
    agent_key = key_in(found.logferry("keys", "create", "agent", "documented")[1])
    found.values["CREDENTIAL"] = key_in(found.logferry("keys", "create", "agent", "spare")[1]).split("_")[1]
    stream = stack.client("dynamodb").describe_table(TableName=stack.outputs["LogTable"])["Table"]["LatestStreamArn"]
    [mapping] = stack.client("lambda").list_event_source_mappings(EventSourceArn=stream)["EventSourceMappings"]
    found.values["UUID"] = mapping["UUID"]
    found.values["JOB"] = asyncio.run(ended_job(stack.outputs["AgentsUrl"].replace("http", "ws", 1), agent_key))
    return found


def key_in(text: str) -> str:
    return str(re.findall(r"lf[av]_[\w-]+", text)[0])


async def ended_job(url: str, key: str) -> str:
    """Store a job of one line, as an agent does. Return its id."""
    line = probe.ProbeLine()
    async with probe.agents_socket(url, key, 30) as agent:
        await agent.send(line.open("documented"))
        await agent.receive(messages.Opened, "opened")
        await agent.send(messages.Ingest(id="i", batches=[line.batch]))
        await agent.receive(messages.Ingested, "ingested")
        life = (
            line.open("documented")
            .jobs[0]
            .life.model_copy(update={"state": "exited", "ended": line.batch.end // 1000 + 1})
        )
        status = messages.StatusJob(job=line.container, life=life, tip=1)
        await agent.send(messages.Status(id="s", instance=probe.PRINCIPAL, jobs=[status]))
        await agent.receive(messages.Noted, "noted")
    return f"documented.{line.container}"


def run_aws(words: list[str]) -> Any:
    """Run a command of the AWS CLI as that program would: by the model of the service."""
    service, operation, *options = words
    query, parameters = None, dict[str, Any]()
    client = boto3.client(service)  # type: ignore[call-overload]
    shape = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[operation.replace("-", "_")])
    members = {xform_name(name, "-"): name for name in shape.input_shape.members}
    while options:
        option = options.pop(0).removeprefix("--")
        if option == "query":
            query = options.pop(0)
        elif shape.input_shape.members[members[option.removeprefix("no-")]].type_name == "boolean":
            parameters[members[option]] = True
        else:
            parameters[members[option]] = options.pop(0)
    answer = getattr(client, operation.replace("-", "_"))(**parameters)
    return answer if query is None else jmespath.search(query, answer)


def same_command(words: list[str]) -> tuple[str, ...]:
    """Return what commands that do the same have in common: the order of options is free, and there is one stack."""
    pairs = zip(["", *words], words, strict=False)
    chosen = {"--stack", "--state"}
    return tuple(sorted(word for before, word in pairs if not {before, word} & chosen))


def test_documented_commands_run_as_they_stand(runner: Runner, stack: Stack) -> None:
    """Each ends with 0, or AWS answers. Those that differ only in the order of options, or name the stack, run once."""
    commands = sorted((one for one in documented_commands() if one.literal), key=rank)
    assert len(commands) > 40
    failed, done = list[str](), set[tuple[str, ...]]()
    for command in commands:
        words = runner.substituted(command.words)
        if same_command(words) in done:
            continue
        done.add(same_command(words))
        if words[0] == "aws":
            if not run_aws(words[1:]):
                failed.append(f"{command.page}: {command.text}: no answer")
            continue
        status, text = runner.logferry(*words[1:])
        if status != 0:
            failed.append(f"{command.page}: {shlex.join(words)}: {status} {text[-300:]}")
        elif words[1:3] == ["share", "list"]:
            runner.values["SHARE"] = text.split()[0]
    assert failed == []
