"""The settings of reading: which containers, from where, and since when. The one list of their fields.

`settings.Settings` adds them to all others, `Selection` decides by them, and `edge.readers` reads by them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _split(value: Any) -> Any:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


CommaList = Annotated[list[str], BeforeValidator(_split)]
"""A list that may be written as one text with commas."""


class EngineSettings(BaseModel):
    """The settings of the engine and of how its logs are read."""

    model_config = ConfigDict(frozen=True)

    docker_host: str | None = Field(
        None,
        description="Address of the engine (unix, tcp or ssh). Unset: DOCKER_HOST and its TLS variables, else Docker's"
        " context (DOCKER_CONTEXT, `docker context use`), else `/var/run/docker.sock`, else the socket of the agent's"
        " user's rootless Docker.",
    )
    docker_root: Path | None = Field(
        None, description="Path of the engine's data root as the agent sees it. Unset: the engine's own path."
    )
    source: Literal["auto", "file", "api"] = Field(
        "auto",
        description="How to read logs. `auto`: from the log files where they are readable, else through the engine's"
        " API. `file` or `api`: only that way.",
    )


class FilterSettings(BaseModel):
    """The settings that choose containers."""

    model_config = ConfigDict(frozen=True)

    discover: Literal["all", "labelled"] = Field(
        "all",
        description="Which containers to read. `all`: all except those labelled `logferry.enable=false`. `labelled`:"
        " only those labelled `logferry.enable=true`. The label overrides none of the `include_` and `exclude_`"
        " settings.",
    )
    include_names: CommaList = Field(
        [],
        description="Read only containers whose own name (not a link's alias) matches one of these shell patterns. With"
        " several `include_` settings, the agent reads a container that matches any of them.",
    )
    exclude_names: CommaList = Field(
        [],
        description="Do not read containers whose name matches one of these shell patterns. An `exclude_` setting wins"
        " over every `include_` setting and label.",
    )
    include_images: CommaList = Field(
        [],
        description="Read only containers whose image matches one of these shell patterns. The image's name is the one"
        " that the container was created with, even if its tag has moved since. A pattern without tag or digest"
        " matches all of them. An image's id or digest matches from 12 digits on.",
    )
    exclude_images: CommaList = Field(
        [], description="Do not read containers whose image matches one of these, as in `include_images`."
    )
    include_labels: CommaList = Field(
        [], description="Read only containers with one of these labels: `key` or `key=pattern`."
    )
    exclude_labels: CommaList = Field([], description="Do not read containers with one of these labels.")


class SourceSettings(FilterSettings, EngineSettings):
    """All settings of reading."""

    start_at: str = Field(
        "1h",
        pattern=r"^(beginning|now|\d+[smhd])$",
        description="How far back to read containers that ran before the agent's first start: `beginning`, `now`, or a"
        " time span such as `90s`, `15m`, `1h` or `7d`.",
    )
    max_deleted_bytes: int = Field(
        1 << 30,
        ge=0,
        description="Unread bytes in deleted log files that the agent keeps open, over all containers.",
    )
    list_interval: float = Field(
        60.0, gt=0, description="Seconds between two complete lists of the engine's containers."
    )
    host: str | None = Field(None, max_length=255, description="Host name recorded with jobs. Unset: the engine's.")
