"""The settings with which a new key is used: where the stack is that it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

_OUTPUTS: Final = {
    "agent": {"LOGFERRY_AGENTS_URL": "AgentsUrl"},
    "viewer": {
        "LOGFERRY_API_URL": "HttpUrl",
        "LOGFERRY_VIEWERS_URL": "ViewersUrl",
        "LOGFERRY_VIEWER_URL": "ViewerUrl",
    },
}
"""By kind of key: each setting, and the output of the stack that is its value."""
_WEBSOCKETS: Final = ("LOGFERRY_AGENTS_URL", "LOGFERRY_VIEWERS_URL")


def connection_settings(kind: Literal["agent", "viewer"], outputs: Mapping[str, str]) -> list[str]:
    """Return the settings as `NAME=value`, for the outputs that the stack has.

    An emulator's outputs have WebSockets at http addresses; the settings are given as ws.
    """
    return [
        f"{name}={_websocket(outputs[output]) if name in _WEBSOCKETS else outputs[output]}"
        for name, output in _OUTPUTS[kind].items()
        if output in outputs
    ]


def _websocket(url: str) -> str:
    return f"ws{url.removeprefix('http')}" if url.startswith("http") else url
