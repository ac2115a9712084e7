"""Make a new deployment's first keys: an admin's, and the hosts' agents'."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

from logferry_cli import probe
from logferry_cli.problems import Problem
from logferry_cli.registry import Agent, Kind, Registry, Viewer, credential_of
from logferry_state.private_files import replace_private_file

ADMIN: Final = "admin"
AGENT: Final = "hosts"
CHECKING: Final = "logferry-deploy"
"""The viewer principal with which a deployment checks itself."""
OWN: Final = frozenset({CHECKING, probe.PRINCIPAL})
"""The principals that deploy and doctor make for their checks. Their keys count for nobody."""
CHECK_LIVES_S: Final = 900
FILES: Final[dict[Kind, str]] = {"viewer": "admin-key", "agent": "agent-key"}


@dataclass(frozen=True, slots=True)
class FirstKeys:
    """The keys that were made. None: the deployment has one already."""

    admin: str | None
    agent: str | None


def make_first_keys(registry: Registry) -> FirstKeys:
    """Make the keys that no principal has yet.

    An agent that signs in with an AWS role counts as well. A principal that was revoked gets none: somebody decided
    that.
    """
    now = time.time_ns() // 1_000_000
    everybody = list(registry.principals())
    revoked = {one["name"] for one in everybody if "revoked" in one}
    principals = [one for one in everybody if one["name"] not in revoked | OWN]
    admins = [one["name"] for one in principals if one["kind"] == "viewer" and one.get("admin")]
    agents = [one["name"] for one in principals if one["kind"] == "agent"]
    admin = agent = None
    if ADMIN not in revoked and not any(_has_key(registry, name, now) for name in admins):
        registry.ensure(Viewer(ADMIN, ADMIN, (), admin=True), now)
        admin = registry.issue(ADMIN, "viewer", now).key
    if AGENT not in revoked and not any(_has_key(registry, name, now) or any(registry.roles(name)) for name in agents):
        registry.ensure(Agent(AGENT, AGENT), now)
        agent = registry.issue(AGENT, "agent", now).key
    return FirstKeys(admin, agent)


def agent_to_name(registry: Registry) -> str:
    """Return the agent principal for printed commands: the one of the first key, else another that is there."""
    names = [
        one["name"]
        for one in registry.principals()
        if one["kind"] == "agent" and "revoked" not in one and one["name"] not in OWN
    ]
    return AGENT if AGENT in names or not names else str(names[0])


def _has_key(registry: Registry, principal: str, now: int) -> bool:
    """Return whether a key of the principal opens connections now (in milliseconds since 1970)."""
    return any(
        "revoked" not in item and int(item.get("expires", now)) > now // 1000
        for item in registry.credentials(principal)
    )


@contextmanager
def key_for_checking(registry: Registry) -> Iterator[str]:
    """Make an admin's key for the check of the deployment. It is revoked at the end, and expires in any case."""
    now = time.time_ns() // 1_000_000
    registry.ensure(Viewer(CHECKING, CHECKING, (), admin=True), now)
    key = registry.issue(CHECKING, "viewer", now, now // 1000 + CHECK_LIVES_S).key
    try:
        yield key
    finally:
        registry.revoke_credential(credential_of(key), time.time_ns() // 1_000_000)


def check_folder(folder: Path) -> None:
    """Check that keys can be written to a folder, before any is made: nothing can show a key again.

    Raises:
        Problem: They cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise Problem(f"Keys cannot be written to {folder} ({error.strerror}).", "Name another folder.") from None


def write_keys(folder: Path, keys: FirstKeys) -> list[Path]:
    """Write each new key to a file that only its owner can read. A file that is there is not overwritten.

    Raises:
        Problem: A file cannot be written.
    """
    written = []
    given: dict[Kind, str | None] = {"viewer": keys.admin, "agent": keys.agent}
    for kind, key in given.items():
        if key is None:
            continue
        path = _free_name(folder / FILES[kind])
        try:
            replace_private_file(path, f"{key}\n".encode())
        except OSError as error:
            raise Problem(f"The key cannot be written to {path} ({error.strerror}).", "Name another folder.") from None
        written.append(path)
    return written


def _free_name(path: Path) -> Path:
    number = 2
    found = path
    while found.exists():
        found, number = path.with_name(f"{path.name}-{number}"), number + 1
    return found
