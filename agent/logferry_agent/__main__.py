"""The command `logferry-agent`, also `logferry agent`: run the agent, check its settings, or show its state."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from logferry_protocol import __version__

from .edge.health import ask

if TYPE_CHECKING:
    import argparse

SPOOL_DIR = "/var/lib/logferry"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: its arguments; None for the process's own.

    Returns:
        The exit status.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    # The image's health check runs every 30 s, so it must not load the whole agent.
    if given in (["health"], ["health", "--live"]):
        return health(_spool_folder(), live=len(given) > 1)
    # What the imports create stays. Searching it for garbage takes a tenth of the start, and of every full collection
    # later.
    gc.disable()
    try:
        return _main(given)
    finally:
        gc.enable()


def _spool_folder(flag: str = "") -> Path:
    """Return the spool's folder: the flag's, else the environment's, else the default."""
    return Path(flag or os.environ.get("LOGFERRY_SPOOL_DIR") or SPOOL_DIR)


def health(folder: Path, *, live: bool = False) -> int:
    """Print the health of the agent that uses a spool folder.

    Args:
        folder: the spool's folder.
        live: fail only where a restart of the agent helps. A cloud that refuses the agent, or cannot be reached, is no
            such reason. An orchestrator that replaces unhealthy tasks would replace them for ever.

    Returns:
        The exit status: 0 when it is healthy.
    """
    try:
        status, body = ask(folder, "/livez" if live else "/healthz")
    except OSError as error:
        status, body = 503, f"no agent answers in {folder}: {error}\n".encode()
    sys.stdout.write(body.decode())
    return 0 if status == 200 else 1


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line, with a flag for each setting."""
    import argparse  # noqa: PLC0415 - see main

    from .settings import add_flags  # noqa: PLC0415

    parser = argparse.ArgumentParser(
        prog="logferry agent",
        description="Deliver every line of every container to Logferry, exactly once.",
        epilog="`logferry agent install` makes it a service of systemd, `uninstall` removes that. Each has --help.",
    )
    commands = ["run", "status", "health"]
    parser.add_argument("command", nargs="?", choices=commands, default="run", help="run (default), status or health")
    parser.add_argument(
        "--config", metavar="FILE", help="read settings from this TOML file (also LOGFERRY_CONFIG_FILE)"
    )
    parser.add_argument("--check-config", action="store_true", help="check the settings, print them, and exit")
    parser.add_argument("--live", action="store_true", help="health: fail only where a restart of the agent helps")
    parser.add_argument("--json", action="store_true", help="print the status as JSON")
    parser.add_argument("--version", action="version", version=__version__)
    add_flags(parser)
    return parser


def _main(given: list[str]) -> int:
    from .settings import SettingsError, effective_lines, flags_of, load, misspelled_names  # noqa: PLC0415

    arguments = build_parser().parse_args(given)
    flags = flags_of(arguments)
    if arguments.command == "health":
        return health(_spool_folder(flags.get("spool_dir", "")), live=arguments.live)
    if arguments.command == "status":
        from .edge.status_and_logging import print_status  # noqa: PLC0415

        return print_status(_spool_folder(flags.get("spool_dir", "")), as_json=arguments.json)
    try:
        settings = load(flags, arguments.config)
    except SettingsError as error:
        sys.stderr.write(f"The agent's settings are invalid:\n{error}\n")
        return 2
    sys.stderr.writelines(f"{warning}\n" for warning in misspelled_names(os.environ))
    if arguments.check_config:
        sys.stdout.write("\n".join(effective_lines(settings)) + "\n")
        return 0
    from .edge.preencode_pool import PreencodePool  # noqa: PLC0415

    pool = PreencodePool() if settings.preencodes and PreencodePool.is_useful() else None
    if pool is not None:
        pool.start()  # while the rest is loaded: a backlog is most likely now
    from .edge.default_socket import OnlyPodmanError  # noqa: PLC0415
    from .edge.docker_client import connect  # noqa: PLC0415
    from .edge.endpoint import EndpointError  # noqa: PLC0415

    try:
        connection = connect(settings.docker_host)
    except (EndpointError, OnlyPodmanError) as error:
        if pool is not None:
            pool.stop()
        sys.stderr.write(f"The agent cannot find the Docker Engine: {error}\n")
        # Docker may be installed later, so a supervisor should try again; a wrong context stays wrong.
        return 1 if isinstance(error, OnlyPodmanError) else 2
    connection.prefetch_identity()
    from .app import run  # noqa: PLC0415
    from .edge.descriptors import raise_limit  # noqa: PLC0415
    from .edge.status_and_logging import set_up_logging  # noqa: PLC0415

    raise_limit()
    gc.freeze()
    gc.enable()
    set_up_logging(settings.log_level, settings.log_format)
    return run(settings, connection, pool)


if __name__ == "__main__":
    sys.exit(main())
