"""Decides under which key each file is uploaded, how long it may be cached, and what /config.json says."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

CONTENT_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".wasm": "application/wasm",
    ".txt": "text/plain; charset=utf-8",
}

IMMUTABLE: Final = "public, max-age=31536000, immutable"
"""For files with a hash of their content in the name."""
REVALIDATE: Final = "no-cache"
"""For the page itself and what it reads first, so that a new deployment shows at the next load."""

CONFIG: Final = "config.json"


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of the viewer, as an object of the bucket."""

    key: str
    content_type: str
    cache_control: str


def plan(files: Iterable[str]) -> list[Upload]:
    """Return the uploads of the viewer's files (paths relative to its folder), the page last.

    The page names the other files, so it must not be there before them.
    """
    uploads = [
        Upload(
            name,
            CONTENT_TYPES.get(PurePosixPath(name).suffix, "application/octet-stream"),
            IMMUTABLE if name.startswith("assets/") else REVALIDATE,
        )
        for name in files
        if name != CONFIG
    ]
    return sorted(uploads, key=lambda upload: (upload.key == "index.html", upload.key))


def config_file(config: Mapping[str, Any]) -> bytes:
    """Return the content of /config.json.

    Args:
        config: the custom resource's property `Config`. CloudFormation passes texts and maps. An empty text is a
            parameter that nobody set, and is left out.
    """
    return json.dumps(_without_empty(config)).encode()


def _without_empty(config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _without_empty(value) if isinstance(value, Mapping) else value
        for name, value in config.items()
        if value != ""
    }
