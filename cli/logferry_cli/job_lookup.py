"""Find the job that JOB names.

JOB is a job id, a container's name (the newest job that has it), or the beginning of a container id, in this order.
"""

from __future__ import annotations

import re
from typing import Final

from logferry_cli.api import Api
from logferry_cli.problems import Problem
from logferry_cli.terminal import sanitize_word
from logferry_protocol.job import JOB_PATTERN, JobRecord

LISTED: Final = 10
"""How many of the jobs that match an ambiguous prefix are listed."""

COMPARED: Final = 200
"""How many jobs of one name are compared by their containers' age."""


async def find_job(api: Api, text: str) -> JobRecord:
    """Return the job that a text names.

    Args:
        api: The deployment.
        text: A job id, a container's name, or the beginning of a container id.

    Raises:
        Problem: No job matches, or several do by a prefix; or the API refuses.
    """
    wanted = text.strip().removeprefix("/")
    if re.fullmatch(JOB_PATTERN, wanted):
        return await api.job(wanted)
    named: list[JobRecord] = []
    async for record in api.jobs({"name": wanted or " "}):
        if record.container.name == wanted:
            named.append(record)
        # The list is ordered by when the cloud first heard of a job, so a few more are compared.
        if len(named) >= COMPARED:
            break
    if named:
        return max(named, key=_age)
    if re.fullmatch(r"[0-9a-f]{1,64}", wanted.lower()):
        prefix = wanted.lower()
        begun = [record async for record in api.jobs({"container": prefix}) if container_of(record).startswith(prefix)]
        if len(begun) == 1:
            return begun[0]
        if begun:
            raise Problem(
                f"{len(begun)} jobs begin with {prefix}:", f"{_listed(begun)}. Give more characters of the id."
            )
    raise Problem(
        f"There is no job {sanitize_word(text[:200])!r} that you can read.",
        "Run `logferry jobs` to list them. JOB is a job id, a container's name, or the beginning of a container id.",
    )


def container_of(record: JobRecord) -> str:
    """Return a job's container id."""
    return record.job.partition(".")[2]


def _age(record: JobRecord) -> tuple[int, int, str]:
    return (record.life.created or record.life.started or 0, record.seen, record.job)


def _listed(records: list[JobRecord]) -> str:
    shown = sorted(records, key=_age, reverse=True)[:LISTED]
    names = ", ".join(f"{container_of(record)[:16]} ({sanitize_word(record.container.name)})" for record in shown)
    return names + (" …" if len(records) > LISTED else "")
