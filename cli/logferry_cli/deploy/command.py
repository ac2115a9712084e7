"""`logferry deploy`: from these sources to a working stack, and from a stack to its next version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from logferry_cli.deploy import adoption, builds, kept_data, programs, sam
from logferry_cli.deploy.account import find_account
from logferry_cli.deploy.answers import Answers
from logferry_cli.deploy.change_set import Change, describe, refusals, summary
from logferry_cli.deploy.first_keys import check_folder
from logferry_cli.deploy.handover import hand_over
from logferry_cli.deploy.requirements import Finding, check_concurrency, check_rate, missing_sentence
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
from logferry_cli.deploy.stack_status import Next, next_step
from logferry_cli.deploy.template import Template, Values, read_template
from logferry_cli.deploy.values import (
    check_adoption,
    check_partition,
    check_unchanged_data,
    decide_values,
    parse_assignments,
)
from logferry_cli.problems import Problem
from logferry_cli.progress import Steps
from logferry_cli.stack_sources import StackSources, find_stack_sources

UNTOUCHED = "Nothing in AWS was changed."
GOES_ON = "CloudFormation goes on without this command. Run it again: it waits, and does what is left."


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(deploy)


def deploy(
    *,
    stack: StackNameOption = "logferry",
    region: RegionOption = None,
    profile: ProfileOption = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", help="A parameter of template.yaml; repeatable.", metavar="NAME=VALUE"),
    ] = None,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Use the tables and the archive that a destroyed stack kept.")
    ] = False,
    keys: Annotated[
        Path | None,
        typer.Option("--keys", help="Write new keys to private files here, instead of showing them.", metavar="FOLDER"),
    ] = None,
    yes: YesOption = False,
    endpoint_url: EndpointOption = None,
) -> None:
    """Deploy Logferry to AWS, or upgrade a deployment: build, show the changes, deploy, make first keys, check."""
    dialogue, steps = Dialogue(yes=yes), Steps()
    dialogue.require()
    sources = find_stack_sources()
    with interruption_explained(UNTOUCHED):
        given = parse_assignments(parameter or [])
        if keys is not None:
            check_folder(keys)
        with steps("Checking tools and parameters"):
            tools = programs.check_tools(sources, builds_viewer=sources.is_checkout)
            if missing := missing_sentence(tools):
                raise Problem(*missing)
            template = read_template(sources.template.read_text(encoding="utf-8"))
        with steps("Checking account and region") as step:
            account = find_account(stack, region, profile, endpoint_url)
            if endpoint_url is not None and "GatewayBase" in template.parameters:
                given.setdefault("GatewayBase", f"{endpoint_url.rstrip('/')}/_aws/execute-api")
            session = open_stack(account, stack)
            step.set_text(f"{account.identity} in {account.region}")
        deployment = _Deployment(session, sources, template, dialogue, steps)
        deployment.settle()
        values, chosen = deployment.decide(given, adopt=adopt)
        deployment.show_quotas(values)
        built = deployment.build(values)
    deployment.apply(built, values, chosen)
    with interruption_explained("The stack is deployed. Run the command again for keys and checks."):
        hand_over(session, sources, steps, keys)


@dataclass(frozen=True, slots=True)
class _Deployment:
    """One run of the command."""

    session: StackSession
    sources: StackSources
    template: Template
    dialogue: Dialogue
    steps: Steps

    def settle(self) -> None:
        """Bring the stack into a state from which it can be deployed.

        Raises:
            Problem: That needs a decision of the operator.
        """
        formation = self.session.formation
        while (found := next_step(formation.status(), formation.stack)) in (Next.WAIT, Next.CLEAR):
            if found is Next.WAIT:
                with self.steps(f"Waiting for what works on the stack {formation.stack}") as step:
                    formation.follow(datetime.now(UTC), 0, step.tell)
            else:
                with self.steps("Removing what a failed creation left behind") as step:
                    formation.delete(0, step.tell)

    def decide(self, given: Values, *, adopt: bool) -> tuple[dict[str, str], dict[str, str]]:
        """Return all parameters' values, and the chosen ones, after every check that needs no change set."""
        self.template.check_names(given)
        answers, deployed = self.session.answers, self.session.formation.parameters()
        if adopt:
            check_adoption(deployed, self.session.formation.stack)
        if deployed is None and (adopt or adoption.of_parameters(given)):
            given = {**given, **self._adopt(given)}
        values, chosen = decide_values(self.template, given, deployed, answers.parameters, answers.defaults)
        for name, one in self.template.parameters.items():
            if name not in values:
                values[name] = chosen[name] = self.dialogue.ask(name, one.description)
        check_unchanged_data(values, deployed)
        self.template.check(values, self.session.account.region)
        check_partition(self.template, self.session.account.partition, values)
        if deployed is None and answers.kept is not None and not adopt and not values.get("ExistingLogTable"):
            self.dialogue.say(
                f"The data of the destroyed stack is still there ({answers.kept.log_table}). "
                "This deployment starts with new tables; --adopt would use the kept ones."
            )
        return values, chosen

    def _adopt(self, given: Values) -> dict[str, str]:
        with self.steps("Looking for the data that an earlier stack kept") as step:
            account = self.session.account
            kept = kept_data.find_kept_data(account, self.session.formation, self.session.answers, given)
            found = kept_data.adoption_parameters(account, kept)
            step.set_text(f"Adopting {kept.log_table}, {kept.registry_table} and {kept.archive_bucket}")
        return found

    def show_quotas(self, values: Values) -> None:
        """Say which quotas are too small, and which are unknown."""
        account = self.session.account
        found: list[Finding] = [check_concurrency(account.concurrency())]
        if account.endpoint_url is None:
            found.append(check_rate(account.request_rate(), float(values.get("RouteRateLimit", "0"))))
        for one in found:
            if one.outcome != "ok":
                self.dialogue.say(f"{one.outcome}: {one.name}: {one.detail}. {one.advice}".rstrip())

    def build(self, values: Values) -> Path:
        """Build viewer and functions, and return the built template."""
        if builds.publishes_viewer(values):
            with self.steps("Building the viewer") as step:
                if not builds.build_viewer(self.sources):
                    step.set_text("The viewer is built")
        with self.steps("Building the functions (sam build)") as step:
            built, fresh = builds.build_functions(self.sources, values, self.session.logs / "build.log")
            if not fresh:
                step.set_text("The functions are built")
        return built

    def apply(self, built: Path, values: Values, chosen: Values) -> None:
        """Show the changes, and make them.

        Raises:
            Problem: They are refused, or fail.
        """
        session, formation = self.session, self.session.formation
        with (
            interruption_explained(f"{UNTOUCHED} A change set may be left, which costs nothing."),
            self.steps("Uploading, and asking CloudFormation what would change (sam deploy)"),
        ):
            log = session.logs / "deploy.log"
            change_set = sam.make_change_set(
                self.sources, built, session.account, sam.Wanted(formation.stack, values), log
            )
        if change_set is None:
            self.dialogue.say("Nothing changes: the same is deployed there.")
        else:
            self._execute(change_set)
        # What an earlier stack left stays known, unless this one uses it.
        kept = None if values.get("ExistingLogTable") else session.answers.kept
        answers = Answers(parameters=dict(chosen), defaults=self.template.defaults, kept=kept)
        session.remember(answers.model_copy(update={"log_groups": session.answers.log_groups}))
        if bucket := values.get("ExistingArchiveBucket"):
            kept_data.set_archive_retention(session.account, bucket, int(float(values["ArchiveRetentionDays"])))

    def _execute(self, change_set: str) -> None:
        formation = self.session.formation
        with interruption_explained(UNTOUCHED):
            changes = formation.changes(change_set)
            for line in describe(changes):
                self.dialogue.say(line)
            try:
                self._agree(changes)
            except (Problem, KeyboardInterrupt, typer.Abort):
                formation.drop(change_set)
                raise
        with interruption_explained(GOES_ON), self.steps(f"Deploying ({summary(changes)})") as step:
            formation.execute(change_set, len(changes), step.tell)

    def _agree(self, changes: Sequence[Change]) -> None:
        """Check that changes endanger no data, and ask whether to make them.

        Raises:
            Problem: They must not be made.
        """
        if refused := refusals(changes):
            raise Problem(
                f"Nothing was changed: {' '.join(refused)}",
                "A deployment never replaces or removes stored data. Keep the parameters that it depends on.",
            )
        if not self.dialogue.confirm(f"Make these changes ({summary(changes)})?"):
            raise Problem(UNTOUCHED)
