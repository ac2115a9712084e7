"""Choose the ports of a state folder. They are kept, because the deployed stack and open browser pages name them."""

from __future__ import annotations

import socket
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from logferry_state.private_files import replace_private_file

PORTS_FILE = "ports.json"


class Ports(BaseModel):
    """TCP ports on 127.0.0.1."""

    model_config = ConfigDict(frozen=True)

    cloud: int
    viewer: int
    metrics: int


def choose_ports(folder: Path, in_use_by_us: frozenset[str] = frozenset()) -> Ports:
    """Return last time's ports where they are free or held by our own process, else new ones. They are saved."""
    path = folder / PORTS_FILE
    try:
        last = Ports.model_validate_json(path.read_bytes()).model_dump()
    except (FileNotFoundError, ValidationError):
        last = {}
    chosen: dict[str, int] = {}
    for role in Ports.model_fields:
        port = last.get(role, 0)
        chosen[role] = (
            port if port and (role in in_use_by_us or is_free(port)) else free_port(frozenset(chosen.values()))
        )
    ports = Ports(**chosen)
    replace_private_file(path, ports.model_dump_json(indent=2).encode() + b"\n")
    return ports


def is_free(port: int) -> bool:
    """Return whether nothing listens on the port of the loopback address."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port(taken: frozenset[int] = frozenset()) -> int:
    """Return a port that is free now, and not in `taken`."""
    while True:
        with socket.socket() as trial:
            trial.bind(("127.0.0.1", 0))
            port: int = trial.getsockname()[1]
        if port not in taken:
            return port
