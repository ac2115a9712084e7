"""`logferry-agent`, which is also `logferry agent`: runs the agent, checks its settings, or shows its state."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from . import __version__
from .edge.console import print_status, set_up_logging
from .settings import SettingsError, add_flags, flags_of, load, shown


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the arguments say; the process's exit status."""
    parser = argparse.ArgumentParser(
        prog="logferry agent", description="Carries every line of every container to Logferry, exactly once."
    )
    parser.add_argument("command", nargs="?", choices=["run", "status"], default="run", help="run (default), or status")
    parser.add_argument("--config", metavar="FILE", help="a TOML file of settings (also LOGFERRY_CONFIG_FILE)")
    parser.add_argument("--check-config", action="store_true", help="check the settings, print them, and end")
    parser.add_argument("--json", action="store_true", help="status as JSON")
    parser.add_argument("--version", action="version", version=__version__)
    add_flags(parser)
    arguments = parser.parse_args(argv)
    flags = flags_of(arguments)
    if arguments.command == "status":
        return print_status(Path(flags.get("spool_dir") or _spool_dir()), as_json=arguments.json)
    try:
        settings = load(flags, arguments.config)
    except SettingsError as error:
        print(f"The agent's settings are not valid:\n{error}", file=sys.stderr)  # noqa: T201 - before there is a log
        return 2
    if arguments.check_config:
        print("\n".join(shown(settings)))  # noqa: T201 - asked for
        return 0
    set_up_logging(settings.log_level, settings.log_format)
    from .app import run  # noqa: PLC0415 - status and checks need not load the engine's client

    return run(settings)


def _spool_dir() -> str:
    import os  # noqa: PLC0415

    return os.environ.get("LOGFERRY_SPOOL_DIR") or "/var/lib/logferry"


if __name__ == "__main__":
    sys.exit(main())
