"""Run the steps of `make setup` in order, those of `make lock`, or those of a wheel's local cloud."""

from __future__ import annotations

import time

import environments
import machine
from programs import SetupError, say, system_certificates
from programs import run as run_program
from stamps import ROOT, digest, done, is_done

WEB = ROOT / "web"


def run(arguments: list[str]) -> int:
    """Run the set-up, or lock the requirements; return the exit status.

    Args:
        arguments: `["lock"]`, `["local"]`, or nothing for the set-up. A step that fails prints what to do.
    """
    began = time.monotonic()
    try:
        if arguments == ["lock"]:
            environments.lock()
        elif arguments == ["local"]:
            environments.prepare_local()
        else:
            machine.prepare()
            environments.prepare()
            _web()
    except SetupError as error:
        say(str(error))
        return 1
    if time.monotonic() - began > 2:
        say(f"ready ({time.monotonic() - began:.0f} s)")
    return 0


def _web() -> None:
    """Install the viewer's packages as package-lock.json has them."""
    advice = "Check the network and npm's registry (`npm config get registry`), then run this again."
    stamp = digest(WEB / "package-lock.json", run_program(["node", "--version"], advice))
    if is_done("web", stamp) and (WEB / "node_modules").is_dir():
        return
    say("installing the viewer's packages (npm ci)")
    run_program(
        ["npm", "ci", "--no-audit", "--no-fund", "--prefer-offline"], advice, cwd=WEB, env=system_certificates()
    )
    done("web", stamp)
