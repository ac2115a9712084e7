"""`logferry-agent`, which is also `logferry agent`: runs the agent, checks its settings, or shows its state."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from . import __version__
from .edge.health import ask

SPOOL_DIR = "/var/lib/logferry"


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the arguments say; the process's exit status."""
    given = list(sys.argv[1:] if argv is None else argv)
    # The image's health check runs every 30 s: it must not load all of the agent.
    if given == ["health"]:
        return health()
    # What imports make stays: looking for garbage in it takes a tenth of the start, and of every full collection later.
    gc.disable()
    try:
        return _main(given)
    finally:
        gc.enable()


def health() -> int:
    """Ask the agent of this spool folder whether it is well: 0, or 1 and why not."""
    folder = Path(os.environ.get("LOGFERRY_SPOOL_DIR") or SPOOL_DIR)
    try:
        status, body = ask(folder, "/healthz")
    except OSError as error:
        status, body = 503, f"no agent answers in {folder}: {error}\n".encode()
    sys.stdout.write(body.decode())
    return 0 if status == 200 else 1


def _main(given: list[str]) -> int:
    import argparse  # noqa: PLC0415 - see main

    from .settings import SettingsError, add_flags, flags_of, load, misspelt, shown  # noqa: PLC0415

    parser = argparse.ArgumentParser(
        prog="logferry agent", description="Carries every line of every container to Logferry, exactly once."
    )
    commands = ["run", "status", "health"]
    parser.add_argument("command", nargs="?", choices=commands, default="run", help="run (default), status or health")
    parser.add_argument("--config", metavar="FILE", help="a TOML file of settings (also LOGFERRY_CONFIG_FILE)")
    parser.add_argument("--check-config", action="store_true", help="check the settings, print them, and end")
    parser.add_argument("--json", action="store_true", help="status as JSON")
    parser.add_argument("--version", action="version", version=__version__)
    add_flags(parser)
    arguments = parser.parse_args(given)
    flags = flags_of(arguments)
    if arguments.command != "run":
        from .edge.status_and_logging import print_status  # noqa: PLC0415

        folder = Path(flags.get("spool_dir") or os.environ.get("LOGFERRY_SPOOL_DIR") or SPOOL_DIR)
        return print_status(folder, as_json=arguments.json)
    try:
        settings = load(flags, arguments.config)
    except SettingsError as error:
        sys.stderr.write(f"The agent's settings are not valid:\n{error}\n")
        return 2
    sys.stderr.writelines(f"{sentence}\n" for sentence in misspelt(os.environ))
    if arguments.check_config:
        sys.stdout.write("\n".join(shown(settings)) + "\n")
        return 0
    from .edge.preencode_pool import PreencodePool  # noqa: PLC0415

    pool = PreencodePool() if settings.presses and PreencodePool.useful() else None
    if pool is not None:
        pool.start()  # beside what is loaded here: a backlog is likeliest now
    from .edge.docker_client import connect  # noqa: PLC0415
    from .edge.endpoint import EndpointError  # noqa: PLC0415

    try:
        connection = connect(settings.docker_host)
    except EndpointError as error:
        if pool is not None:
            pool.stop()
        sys.stderr.write(f"The engine cannot be found: {error}\n")
        return 2
    connection.ask_ahead()
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
