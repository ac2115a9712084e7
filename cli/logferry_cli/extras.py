"""The extras of the package: what the commands need that the command alone is installed without."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from importlib import metadata, util
from pathlib import Path
from typing import Any, Final

from logferry_cli.problems import Problem

PACKAGE: Final = "logferry"
_AGENT: Final = ("docker", "msgspec", "orjson", "prometheus_client", "pydantic_settings", "re2", "structlog")
MODULES: Final[Mapping[str, tuple[str, ...]]] = {
    "agent": _AGENT,
    "local": (*_AGENT, "aiohttp", "localstack_client"),
}
"""The modules that each extra of pyproject.toml installs."""


def missing_module(extra: str) -> str | None:
    """Return the first module of an extra that is not installed; None when the extra is complete."""
    return next((name for name in MODULES[extra] if util.find_spec(name) is None), None)


def missing_extra(command: str, extra: str) -> Problem:
    """Return the problem of a command whose extra is not installed."""
    return Problem(f"`{command}` needs the extra `{extra}`, which is not installed.", _how_to_install(extra))


def _how_to_install(extra: str) -> str:
    """Return how to add the extra: with the program that installed this package, from where it was installed."""
    origin = _origin()
    if origin.get("dir_info", {}).get("editable"):
        return "Run `make setup` in the checkout to install it."
    address = f" @ {origin['url']}" if "url" in origin else ""
    return f"Install it with `{_installer()} '{PACKAGE}[{extra}]{address}'`."


def _installer() -> str:
    # Each of these tools leaves such a file in the environments that it makes.
    if (Path(sys.prefix) / "uv-receipt.toml").is_file():
        return "uv tool install --force"
    if (Path(sys.prefix) / "pipx_metadata.json").is_file():
        return "pipx install --force"
    return f"{sys.executable} -m pip install"


def _origin() -> dict[str, Any]:
    """Return what was noted of the file or address that this package was installed from; empty for an index.

    The note is https://packaging.python.org/en/latest/specifications/direct-url/.
    """
    try:
        noted = metadata.distribution(PACKAGE).read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return {}
    return dict(json.loads(noted)) if noted else {}
