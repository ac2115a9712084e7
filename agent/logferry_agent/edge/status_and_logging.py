"""What the agent shows to people: its log, and `logferry agent status`."""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

import structlog

from .health import ask


def set_up_logging(level: str, layout: str) -> None:
    """Log structured records to stderr.

    Args:
        level: The lowest level that is logged.
        layout: `text`, `json`, or `auto`: text on a terminal, JSON elsewhere.
    """
    as_text = sys.stderr.isatty() if layout == "auto" else layout == "text"
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
            if as_text
            else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def print_status(folder: Path, *, as_json: bool) -> int:
    """Print the status of the agent whose spool is in a folder.

    Returns:
        The exit status: 0, 1 when the agent reports troubles, 3 when no agent runs.
    """
    try:
        _, body = ask(folder, "/status")
    except OSError as error:
        why = error.strerror or error
        print(f"No agent answers in {folder} ({why}). Check --spool-dir.", file=sys.stderr)  # noqa: T201
        return 3
    document = json.loads(body)
    print(body.decode() if as_json else "\n".join(render(document)))  # noqa: T201
    return 1 if document["troubles"] else 0


def render(status: dict[str, Any]) -> list[str]:
    """Return the status as lines of text.

    Args:
        status: The document of `/status`.
    """
    engine, spool = status["engine"], status["spool"]
    since = status["connected_since"]
    link = (
        f"connected for {_span(time.time() - since)}" if since else f"not connected: {status['error'] or 'connecting'}"
    )
    fill = f"{_size(spool['bytes'])} of {_size(spool['limit'])}" + (", full" if spool["full"] else "")
    lines = [
        f"agent    {status['version']} on {engine['name']} (Docker {engine['version']})",
        f"cloud    {status['cloud']}, {link}",
        f"spool    {fill} in {spool['path']}",
        *(f"TROUBLE  {trouble}" for trouble in status["troubles"]),
        "",
        f"{'JOB':<14}{'NAME':<28}{'STATE':<12}{'SOURCE':<8}{'LINES':>12}{'WAITING':>10}{'LAG':>8}  LAST ERROR",
    ]
    for job in status["jobs"]:
        lag = _span(time.time() - job["waiting_since"] / 1e6) if job["waiting_since"] else "-"
        watched = " (watched)" if job["watched"] else ""
        lines.append(
            f"{job['job'][:12]:<14}{job['name'][:26]:<28}{job['state'] + watched:<12}{job['source'] or '-':<8}"
            f"{job['tip']:>12,}{job['waiting']:>10,}{lag:>8}  {job['problem'] or ''}".rstrip()
        )
    return lines


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError


def _span(seconds: float) -> str:
    seconds = max(0, int(seconds))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
