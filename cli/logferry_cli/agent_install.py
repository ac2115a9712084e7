"""`logferry agent install` and `uninstall`: the agent as a systemd service of this host.

The service runs as root by default, because the engine's log folders belong to root, and only the log files are exact
when they rotate. As another user the agent reads through the engine's API. It needs the group of the engine's socket
then, which is as much as root.
"""

from __future__ import annotations

import argparse
import getpass
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from pwd import struct_passwd
from typing import Final

from logferry_agent.edge.health import ask
from logferry_agent.settings import KEY, KEY_FORMAT, add_flags, flags_of
from logferry_cli import systemd_host
from logferry_cli.agent_files import ENVIRONMENT_PATH, KEY_PATH, KEY_SETTING, AgentFiles
from logferry_cli.problems import Problem
from logferry_cli.sizes import format_size
from logferry_cli.systemd_unit import SERVICE, STATE_FOLDER, UnitOptions, environment_text, unit_text, user_of

DESCRIPTIONS: Final = {
    "install": "Install the agent as a systemd service, start it, and wait until it is connected. Repeat it after an"
    " upgrade of the package, or to change a setting. What is not given stays as it is.",
    "uninstall": "Stop and remove the agent's systemd service. Settings, key and spool stay.",
}
HEALTHY_S: Final = 60.0
"""Seconds that a start may take: the agent waits for the engine, and for the cloud after a failed connect."""
POLL_S: Final = 0.25
ROLE: Final = "LOGFERRY_AWS_IDENTITY"
PLAIN_KEY: Final = "LOGFERRY_AGENT_KEY"
SPOOL: Final = "LOGFERRY_SPOOL_DIR"
ENGINE: Final = "LOGFERRY_DOCKER_HOST"


def build_parser(command: str) -> argparse.ArgumentParser:
    """Return the parser of a command."""
    parser = argparse.ArgumentParser(
        prog=f"logferry agent {command}",
        allow_abbrev=False,
        description=DESCRIPTIONS[command],
    )
    parser.add_argument(
        "--root", metavar="DIR", type=Path, default=Path("/"), help="write below DIR, and start nothing"
    )
    if command == "uninstall":
        parser.add_argument("--purge", action="store_true", help="remove settings, key and spool, too")
        parser.add_argument("--yes", action="store_true", help="do not ask before the spool is removed")
        return parser
    parser.add_argument("--key-file", metavar="FILE", help="file with the agent's key; - for standard input")
    parser.add_argument(
        "--user",
        metavar="NAME",
        help="user of the service, made if it is missing; root by default. Any other user reads through the engine's"
        " API, or from its own rootless engine.",
    )
    parser.add_argument("--no-start", action="store_true", help="write the files and start nothing")
    settings = parser.add_argument_group("settings", 'Each can be given; an empty one ("") takes its default again.')
    add_flags(settings)
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run `install` or `uninstall` with its options. Return the exit status.

    Raises:
        Problem: The command cannot be done.
    """
    command, *words = arguments
    given = build_parser(command).parse_args(words)
    if not given.root.is_dir():
        raise Problem(f"The folder {given.root} does not exist.", "Make it, or leave --root out.")
    if given.root == Path("/"):
        systemd_host.require_systemd()
    try:
        if command == "uninstall":
            _uninstall(AgentFiles(given.root), purge=given.purge, yes=given.yes)
        else:
            _install(AgentFiles(given.root), given)
    except OSError as error:
        raise Problem(
            f"{error.filename}: {error.strerror}.", "Check that the disk has room and may be written."
        ) from None
    return 0


# --- install ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be written."""

    settings: dict[str, str]
    key: str | None
    """A new key; None keeps the one that is there, or there is none."""
    options: UnitOptions
    user: struct_passwd | None


def _install(files: AgentFiles, given: argparse.Namespace) -> None:
    real = given.root == Path("/")
    plan = _plan(files, given)
    _check(plan, files)
    if real and plan.user is None:
        plan = replace(plan, user=systemd_host.make_user(plan.options.user))
        _check(plan, files)
    _write(plan, files)
    if not real:
        own = plan.options.user != "root" and KEY_SETTING in plan.settings
        key = f" On the host, {KEY_PATH} has to belong to {plan.options.user}." if own else ""
        _say(f"The service is written below {given.root}. Nothing is started.{key}")
        return
    systemd_host.run("systemctl", "daemon-reload")
    systemd_host.run("systemctl", "enable", SERVICE)
    if given.no_start:
        _say(f"The service is installed. Start it with `systemctl start {SERVICE.removesuffix('.service')}`.")
        return
    systemd_host.run("systemctl", "restart", SERVICE)
    _say("Waiting until the agent is connected …")
    _wait_until_connected(Path(plan.settings.get(SPOOL, STATE_FOLDER)))
    _say(
        f"The agent runs as {plan.options.user} and is connected to {plan.settings['LOGFERRY_AGENTS_URL']}."
        " `sudo logferry agent status` shows what it reads, `journalctl -u logferry-agent` its log."
    )


def _plan(files: AgentFiles, given: argparse.Namespace) -> _Plan:
    before = files.settings()
    unit = files.unit.read_text() if files.unit.is_file() else ""
    name = given.user or user_of(unit) or "root"
    real = given.root == Path("/")
    # Below another root, the users of this host say nothing.
    user = systemd_host.find_user(name) if real else None
    settings = dict(before)
    for setting, value in flags_of(given).items():
        settings[f"LOGFERRY_{setting.upper()}"] = str(value)
    settings = {variable: value for variable, value in settings.items() if value}
    if settings.get(ROLE, "").lower() not in {"", "true", "1", "yes", "y", "on", "t"}:
        del settings[ROLE]
    if real and ENGINE not in settings and (engine := _engine(user)):
        settings[ENGINE] = engine
    key = _key(files, settings, given)
    if ROLE in settings or PLAIN_KEY in settings:
        settings.pop(KEY_SETTING, None)
    else:
        settings.setdefault(KEY_SETTING, KEY_PATH)
    group = systemd_host.engine_group() if name != "root" and ENGINE not in settings else None
    command = (sys.executable, "-I", "-m", "logferry_agent")
    spool = settings.get(SPOOL, STATE_FOLDER)
    return _Plan(settings, key, UnitOptions(command, ENVIRONMENT_PATH, name, group, spool), user)


def _engine(user: struct_passwd | None) -> str | None:
    """Return the engine that the service would not find by itself: the one of the environment, or the user's own."""
    if named := os.environ.get("DOCKER_HOST"):
        _say(f"The service reads the engine at {named}, as DOCKER_HOST says.")
        return named
    own = systemd_host.rootless_socket(user) if user is not None and user.pw_uid != 0 else None
    if own is not None:
        _say(f"The service reads the rootless engine at {own}.")
    return own


def _key(files: AgentFiles, settings: dict[str, str], given: argparse.Namespace) -> str | None:
    """Return a new key, from the file, from standard input, or from the keyboard; None keeps what is there.

    Raises:
        Problem: There is no key, or it is none.
    """
    if given.key_file is not None:
        if given.set_aws_identity is not None:
            raise Problem("--key-file and --aws-identity are two ways to sign in.", "Give one of them.", status=2)
        for other in (ROLE, KEY_SETTING, PLAIN_KEY):
            settings.pop(other, None)
        try:
            key = sys.stdin.read() if given.key_file == "-" else Path(given.key_file).read_text()
        except (OSError, ValueError) as error:
            raise Problem(
                f"The key's file {given.key_file} cannot be read ({error}).", "Check its path.", status=2
            ) from None
    elif {ROLE, PLAIN_KEY} & set(settings) or settings.get(KEY_SETTING, KEY_PATH) != KEY_PATH or files.key.is_file():
        return None
    elif sys.stdin.isatty():
        key = getpass.getpass("The agent's key (logferry keys create agent NAME): ")
    else:
        raise Problem(
            "The agent needs a key.",
            "Give its file with --key-file (- for standard input), or on AWS use --aws-identity.",
            status=2,
        )
    if not KEY.fullmatch(key.strip()):
        raise Problem(f"This is no agent key: {KEY_FORMAT}.", "`logferry keys create agent NAME` makes one.", status=2)
    return key.strip()


def _check(plan: _Plan, files: AgentFiles) -> None:
    """Let the program that the service will run check the settings, as the user that will run it.

    Raises:
        Problem: The settings are invalid, or the user cannot run the program.
    """
    settings = dict(plan.settings)
    if settings.pop(KEY_SETTING, None) == KEY_PATH:
        # The key is written after the check, and is not the user's before.
        settings[PLAIN_KEY] = plan.key or files.key.read_text().strip()
    elif KEY_SETTING in plan.settings:
        settings[KEY_SETTING] = plan.settings[KEY_SETTING]
    status, said = systemd_host.check([*plan.options.command, "--check-config"], settings, plan.user)
    if status == 2:
        reason = "; ".join(line for line in said.splitlines()[1:] if line.strip()) or said.strip()
        raise Problem(f"The agent's settings are invalid: {reason}.", "Nothing was changed.", status=2)
    if status != 0:
        last = (said.strip().splitlines() or [f"status {status}"])[-1]
        raise Problem(
            f"{plan.options.user} cannot run {sys.executable} ({last}).",
            "Install the package where every user may read it, such as with `pipx install --global`.",
        )


def _write(plan: _Plan, files: AgentFiles) -> None:
    owner = (plan.user.pw_uid, plan.user.pw_gid) if plan.user is not None and os.geteuid() == 0 else None
    try:
        text = environment_text(plan.settings)
    except ValueError as error:
        raise Problem(f"{error}.", "Nothing was changed.", status=2) from None
    if plan.settings.get(KEY_SETTING) == KEY_PATH:
        files.write(files.key, f"{plan.key or files.key.read_text().strip()}\n", 0o600, owner)
    files.write(files.environment, text, 0o600)
    if plan.options.user != "root":
        # The agent reads its key at every connect.
        files.key.parent.chmod(files.key.parent.stat().st_mode | 0o011)
    spool = files.at(plan.options.spool)
    if not spool.exists() and plan.options.spool != STATE_FOLDER:
        spool.mkdir(parents=True, mode=0o700)
        if owner is not None:
            os.chown(spool, *owner)
    files.write(files.unit, unit_text(plan.options), 0o644)


def _wait_until_connected(spool: Path) -> None:
    """Wait until the agent is connected to the cloud and healthy.

    Raises:
        Problem: It is not within `HEALTHY_S`, or it says why it cannot be.
    """
    until = time.monotonic() + HEALTHY_S
    while time.monotonic() < until:
        with suppress(OSError):
            if ask(spool, "/readyz")[0] == 200:
                return
            status, body = ask(spool, "/healthz")
            if status != 200:
                raise _not_working(" ".join(body.decode("utf-8", "replace").splitlines()))
        state, restarts = systemd_host.service_state(SERVICE)
        if state == "failed" or restarts > 0:
            break
        time.sleep(POLL_S)
    raise _not_working(systemd_host.last_words(SERVICE) or f"it is not connected after {HEALTHY_S:.0f} s")


def _not_working(reason: str) -> Problem:
    return Problem(
        f"The service is installed, but the agent does not work yet: {reason}.",
        "It keeps trying. `journalctl -u logferry-agent` has its log. To change a setting, repeat the command with it.",
    )


# --- uninstall --------------------------------------------------------------------------------------------------


def _uninstall(files: AgentFiles, *, purge: bool, yes: bool) -> None:
    spool = files.settings().get(SPOOL, STATE_FOLDER)
    if purge and not yes:
        _ask_before_the_spool_goes(spool, files.spool_bytes(spool))
    installed = files.unit.is_file()
    if installed and files.root == Path("/"):
        systemd_host.run("systemctl", "disable", "--now", SERVICE)
    files.remove_service()
    if installed and files.root == Path("/"):
        systemd_host.run("systemctl", "daemon-reload")
    if purge:
        files.remove_settings()
        files.remove_spool(spool)
    done = "The service is removed" if installed else "No service is installed"
    left = (
        ""
        if purge
        else f" Settings and key stay in {files.environment.parent}, the spool in {spool}; --purge removes them."
    )
    _say(f"{done}.{left}")


def _ask_before_the_spool_goes(spool: str, size: int) -> None:
    """Ask on the terminal.

    Raises:
        Problem: The answer is no, or nobody can be asked.
    """
    if not sys.stdin.isatty():
        raise Problem("Nobody can be asked whether to remove the spool.", "Add --yes.", status=2)
    sys.stderr.write(
        f"The spool {spool} has {format_size(size)}. Lines in it that are not delivered yet are lost.\n"
        "Remove it? [y/N] "
    )
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise Problem("Nothing was changed.")


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
