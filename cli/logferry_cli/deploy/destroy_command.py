"""`logferry destroy`: remove a deployment, and its data only when that is asked for."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from logferry_cli.deploy import adoption, removal
from logferry_cli.deploy.account import find_account
from logferry_cli.deploy.adoption import KeptData
from logferry_cli.deploy.answers import Answers
from logferry_cli.deploy.session import (
    Dialogue,
    EndpointOption,
    ProfileOption,
    RegionOption,
    StackNameOption,
    StackSession,
    YesOption,
    interruption_explained,
    open_stack,
)
from logferry_cli.problems import Problem
from logferry_cli.progress import Steps

AGAIN = "Run the command again: it does what is left."
EMPTIED = ("FailureBucket", "ViewerBucket")
"""Outputs with buckets that only serve the stack. CloudFormation does not delete a bucket that holds objects."""


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(destroy)


def destroy(
    *,
    stack: StackNameOption = "logferry",
    region: RegionOption = None,
    profile: ProfileOption = None,
    delete_data: Annotated[
        bool | None,
        typer.Option(
            "--delete-data/--keep-data",
            help="Delete stored logs, jobs, keys and the archive too. Unattended, the default is to keep them.",
        ),
    ] = None,
    yes: YesOption = False,
    endpoint_url: EndpointOption = None,
) -> None:
    """Remove a deployment from AWS. Stored data stays unless you say otherwise, and can be adopted later."""
    dialogue, steps = Dialogue(yes=yes), Steps()
    dialogue.require()
    with interruption_explained("Nothing was removed."):
        session = open_stack(find_account(stack, region, profile, endpoint_url), stack)
        data = _find_data(session)
        if session.formation.status() is None and data is None and not session.answers.log_groups:
            raise Problem(
                f"There is no stack {stack} in {session.account.region}, and no data of one is known.",
                "Check its name (--stack) and the region (--region).",
            )
        session.formation.check_deletable()
        delete = _decide(dialogue, session, data, delete_data)
        if delete and data is not None and (users := session.formation.other_users_of(data)):
            raise Problem(
                f"Nothing was removed: {', '.join(users)} uses the data of {stack}.",
                "Destroy that stack first, or keep the data (--keep-data).",
            )
    with interruption_explained(AGAIN):
        _remove_stack(session, steps, data)
        if delete and data is not None:
            with steps("Deleting the stored logs, jobs, keys and the archive"):
                removal.delete_data(session.account, data)
            session.remember(Answers(parameters=_without_data(session.answers)))
    for line in _what_stays(session, None if delete else data):
        sys.stdout.write(f"{line}\n")


def _find_data(session: StackSession) -> KeptData | None:
    """Return the data of the stack, or what an earlier run of this command kept."""
    return adoption.of_outputs(session.formation.outputs()) or session.answers.kept


def _decide(dialogue: Dialogue, session: StackSession, data: KeptData | None, delete_data: bool | None) -> bool:
    """Ask what may be removed, and return whether the data goes too."""
    stack = session.formation.stack
    where = f"{stack} in {session.account.region} of account {session.account.number}"
    if session.formation.status() is not None and not dialogue.confirm(f"Remove the stack {where}?"):
        raise Problem("Nothing was removed.")
    if data is None:
        return False
    if delete_data is None and not dialogue.yes:
        delete_data = typer.confirm("Delete all stored logs, jobs, keys and the archive, too?", err=True)
    if not delete_data:
        return False
    if not dialogue.yes:
        typed = typer.prompt(f"Nothing can bring them back. Type {stack} to delete them", err=True)
        if typed != stack:
            raise Problem("Nothing was removed: the name was not typed.")
    return True


def _remove_stack(session: StackSession, steps: Steps, data: KeptData | None) -> None:
    """Remove the stack and what serves only it. A repetition does what an interrupted one left."""
    formation, account = session.formation, session.account
    names = session.answers.log_groups
    if formation.status() is not None:
        resources = formation.resources()
        names = (*names, *removal.log_groups_of(resources))
        # Before the stack goes: afterwards, nothing names its log groups and the kept data.
        session.remember(Answers(parameters=_without_data(session.answers), kept=data, log_groups=names))
        _delete_stack(session, steps, len(resources))
    if names:
        with steps("Deleting its log groups and uploaded code"):
            removal.delete_log_groups(account, names)
            removal.delete_uploads(account, formation.stack)
        session.remember(Answers(parameters=_without_data(session.answers), kept=data))


def _delete_stack(session: StackSession, steps: Steps, total: int) -> None:
    """Empty the buckets that only serve the stack, and delete it with its `total` resources."""
    formation, outputs = session.formation, session.formation.outputs()
    with steps("Emptying the buckets that only serve the stack") as step:
        s3 = session.account.client("s3")
        count = sum(removal.empty_bucket(s3, outputs[name]) for name in EMPTIED if outputs.get(name))
        step.set_text(f"Emptied the buckets that only serve the stack ({count} objects)")
    with steps(f"Deleting the stack {formation.stack} ({total} resources)") as step:
        formation.delete(total, step.tell)


def _without_data(answers: Answers) -> dict[str, str]:
    """Return the remembered parameters but those that name data, which only `--adopt` may set again."""
    return {name: value for name, value in answers.parameters.items() if not name.startswith("Existing")}


def _what_stays(session: StackSession, data: KeptData | None) -> list[str]:
    stack = session.formation.stack
    lines = [f"The stack {stack} is removed."]
    if data is not None:
        lines += [
            "What stays, and what it costs (us-east-1's list prices; nothing while empty):",
            f"  table  {data.log_table}: $0.25 a GB and month, until its lines expire",
            f"  table  {data.registry_table}: $0.25 a GB and month, and $0.20 for its point-in-time recovery",
            f"  bucket {data.archive_bucket}: $0.023 a GB and month",
            f"`logferry deploy --adopt {session.options}` uses them again. "
            f"`logferry destroy --delete-data {session.options}` deletes them.",
        ]
    lines.append(
        f"The SAM CLI's bucket (stack {removal.SAM_STACK}) stays, because all SAM applications of the account share "
        "it. What `logferry deploy` uploaded to it is deleted."
    )
    return lines
