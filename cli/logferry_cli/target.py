"""Find the cloud to read from: the local one of a state folder, or a deployed one named by flags and environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from logferry_cli.problems import Problem
from logferry_cli.terminal import sanitize_word
from logferry_protocol.addresses import clear_host
from logferry_state.errors import NotRunningError
from logferry_state.state import default_folder, load_keys, load_state

ApiUrlOption = Annotated[
    str | None,
    typer.Option(
        "--api-url", envvar="LOGFERRY_API_URL", help="Address of a deployment's HTTP API or viewer.", metavar="URL"
    ),
]
ViewersUrlOption = Annotated[
    str | None,
    typer.Option(
        "--viewers-url",
        envvar="LOGFERRY_VIEWERS_URL",
        help="Address of its WebSocket for viewers (wss://…/live).",
        metavar="URL",
    ),
]
ViewerKeyOption = Annotated[
    str | None,
    typer.Option(
        # --help must never print the environment's value.
        "--viewer-key",
        envvar="LOGFERRY_VIEWER_KEY",
        show_envvar=False,
        help="A viewer key (lfv_…). Prefer LOGFERRY_VIEWER_KEY, which other users of this machine cannot see.",
        metavar="KEY",
    ),
]

InsecureOption = Annotated[
    bool,
    typer.Option(
        "--insecure",
        envvar="LOGFERRY_INSECURE",
        help="Allow http:// and ws:// to another host: the key and all lines are then sent unencrypted.",
    ),
]

ADVICE: Final = (
    "Start a local cloud with `logferry up`, or name a deployed one with LOGFERRY_API_URL, LOGFERRY_VIEWERS_URL and "
    "LOGFERRY_VIEWER_KEY."
)


@dataclass(frozen=True, slots=True)
class Target:
    """What a reading command needs. URLs end without a slash; `viewers_url` is None where it must be requested."""

    api_url: str
    viewers_url: str | None
    viewer_key: str
    insecure: bool = False
    """Whether the key may be sent to another host unencrypted."""


def find_target(
    state: Path, api_url: str | None, viewers_url: str | None, viewer_key: str | None, insecure: bool = False
) -> Target:
    """Return what flags and environment name; for what they leave out, the local cloud of the state folder.

    Raises:
        Problem: Neither is there, a URL or the key is not valid, or the key would be sent unencrypted.
        LocalCloudError: The state folder cannot be read.
    """
    if api_url is not None:
        if viewer_key is None:
            raise Problem(f"No viewer key is given for {api_url}.", "Set one in LOGFERRY_VIEWER_KEY.")
        return Target(
            address(api_url, "http", "LOGFERRY_API_URL", insecure),
            None if viewers_url is None else address(viewers_url, "ws", "LOGFERRY_VIEWERS_URL", insecure),
            _key(viewer_key),
            insecure,
        )
    try:
        local = load_state(state)
    except NotRunningError as error:
        raise Problem(error.sentence, ADVICE) from None
    return Target(
        address(local.http_url, "http", "state.json", insecure),
        address(viewers_url or local.viewers_url, "ws", "state.json", insecure),
        _key(viewer_key or load_keys(state).viewer_key),
        insecure,
    )


def environment_target() -> Target:
    """Return the target that the environment alone names, as for a command without flags.

    Raises:
        Problem: As for `find_target`.
        LocalCloudError: As for `find_target`.
    """
    api_url, viewers_url, viewer_key = (
        os.environ.get(f"LOGFERRY_{name}") or None for name in ("API_URL", "VIEWERS_URL", "VIEWER_KEY")
    )
    insecure = os.environ.get("LOGFERRY_INSECURE", "").lower() in ("1", "true", "yes", "on")
    return find_target(default_folder(), api_url, viewers_url, viewer_key, insecure)


def address(text: str, kind: str, where: str, insecure: bool = False) -> str:
    """Return an address as a URL of `kind`: one address of a gateway serves both kinds.

    Args:
        text: The address.
        kind: `http` or `ws`.
        where: Where it was given, for the error message.
        insecure: Whether it may lead to another host unencrypted.

    Raises:
        Problem: It is not an address, or leads to another host unencrypted and must not.
    """
    scheme, separator, rest = text.strip().rstrip("/").partition("://")
    secure = {"http": False, "ws": False, "https": True, "wss": True}.get(scheme.lower())
    if not separator or not rest or secure is None:
        raise Problem(f"{text[:200]!r} is not an address ({where}).", f"Give an address that begins with {kind}s://.")
    url = f"{kind}{'s' if secure else ''}://{rest}"
    try:
        host = clear_host(url)
    except ValueError:
        raise Problem(
            f"{sanitize_word(text[:200])!r} is not an address ({where}).",
            f"Give an address that begins with {kind}s://.",
        ) from None
    if host is not None and not insecure:
        raise Problem(
            f"{kind}:// would send the key and all lines to {sanitize_word(host[:200])!r} unencrypted ({where}).",
            f"Give an address that begins with {kind}s://, or allow it with --insecure (LOGFERRY_INSECURE=true).",
        )
    return url


def _key(text: str) -> str:
    key = text.strip()
    if key.startswith("lfa_"):
        raise Problem(
            "This is an agent's key, which cannot read.", "Create a viewer key with `logferry keys create viewer`."
        )
    # A share link's secret (lfs_…) reads its one job.
    if not key.startswith(("lfv_", "lfs_")) or not key.isascii() or not key.isprintable() or " " in key:
        raise Problem("The viewer key is not valid (viewer keys begin with lfv_).", "Check LOGFERRY_VIEWER_KEY.")
    return key
