"""The agent's settings: one model, from flags, environment (`LOGFERRY_*`) and a TOML file, in that order.

docs/agent-settings.md is generated from it.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import ssl
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from logferry_protocol.addresses import clear_host

from .core.batching.processing import ProcessingOptions
from .core.container import label_settings
from .core.redaction.patterns import compile_pattern
from .core.redaction.redaction import BUILT_IN
from .edge.credentials import AwsRole, Credential, CredentialError, Key

KEY = re.compile(r"lfa_[a-z0-9]{12}_[A-Za-z0-9_-]{43}")
KEY_LOOKS = "an agent's key looks like lfa_<12 characters>_<43 characters>"

EXECUTE_API = re.compile(r"([a-z0-9]+)\.execute-api\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?")
"""Host of API Gateway's own addresses: the API's id, and its region."""

SIZE_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}

Patterns = Annotated[list[str], NoDecode]


class SettingsError(Exception):
    """The settings are not valid; the sentence lists what is wrong."""


class Settings(BaseSettings):
    """All that can be set. Sizes may be written `512m`, `1g`; lists with commas."""

    model_config = SettingsConfigDict(env_prefix="LOGFERRY_", frozen=True, extra="forbid", env_ignore_empty=True)

    agents_url: str = Field(
        description="Address of the agents' WebSocket API, `wss://…/live` (stack output `AgentsUrl`)."
    )
    insecure: bool = Field(
        False,
        description="Allow `ws://` to another host: the key, and every line, cross the network for anybody to read."
        " Without it such an address is refused; to this host (127.0.0.0/8, ::1, localhost) it always works.",
    )
    agent_key: SecretStr | None = Field(None, description="The agent's key, `lfa_…`.")
    agent_key_file: Path | None = Field(
        None, description="A file that holds the key; read again at every connect, so a key can be rotated in place."
    )
    aws_identity: bool = Field(
        False,
        description="Sign in as the host's AWS role (ECS task, EC2 instance, or whatever else the AWS SDK finds)"
        " instead of with a key; the role must be mapped to an agent.",
    )
    aws_audience: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="Id of the agents' API, which such a sign-in is for; unset: the one in `agents_url`.",
    )
    aws_region: str | None = Field(
        None,
        pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$",
        description="Region whose STS vouches for the role; unset: the one in `agents_url`.",
    )
    ca_file: Path | None = Field(None, description="Certificates (PEM) to trust beside the system's own.")

    spool_dir: Path = Field(Path("/var/lib/logferry"), description="Folder of the spool and the dead letters.")
    spool_limit: int = Field(1 << 30, ge=1 << 16, description="Bytes that the spool may hold.")
    spool_policy: Literal["block", "drop-oldest"] = Field(
        "block",
        description="When it is full: stop reading, or drop the oldest unsent batches, a gap entry in their place.",
    )
    spool_sync: Literal["normal", "full"] = Field(
        "normal",
        description="`normal` survives every crash of the agent, and of the host what the engine still has;"
        " `full` waits for the disk at every write, and survives a power cut without reading anything again.",
    )
    flush_interval: float = Field(
        30.0, ge=0, description="Seconds that lines of a job that nobody watches may wait for a fuller batch."
    )
    answer_timeout: float = Field(10.0, gt=0, description="Seconds after which an unanswered request is sent again.")

    docker_host: str | None = Field(
        None,
        description="Address of the engine (unix, tcp, ssh); unset: DOCKER_HOST and its TLS variables, else Docker's"
        " context (DOCKER_CONTEXT, `docker context use`), else the socket at its usual place.",
    )
    docker_root: Path | None = Field(
        None, description="Where the engine's data root is mounted for the agent; unset: the engine's own path."
    )
    source: Literal["auto", "file", "api"] = Field(
        "auto",
        description="How to read: the log files where they are readable, else the engine's API; or one of them only.",
    )
    discover: Literal["all", "labelled"] = Field(
        "all",
        description="All containers but those labelled `logferry.enable=false`, or only those labelled"
        " `logferry.enable=true`. The label undoes none of the settings below.",
    )
    include_names: Patterns = Field(
        [],
        description="Only containers whose own name (no link's alias) matches one of these shell patterns. Where"
        " several `include_` settings are given, a container that one of them matches is read.",
    )
    exclude_names: Patterns = Field(
        [],
        description="Not containers whose name matches one of these. What one `exclude_` setting matches is left out,"
        " whatever `include_` settings and labels say.",
    )
    include_images: Patterns = Field(
        [],
        description="Only containers whose image matches one of these: the name that the container was created with,"
        " also after its tag moved. A pattern without tag or digest stands for every one; an image's id or digest"
        " counts from 12 digits on.",
    )
    exclude_images: Patterns = Field(
        [], description="Not containers whose image matches one of these, as for `include_images`."
    )
    include_labels: Patterns = Field(
        [], description="Only containers with one of these labels, `key` or `key=pattern`."
    )
    exclude_labels: Patterns = Field([], description="Not containers with one of these labels.")
    start_at: str = Field(
        "1h",
        pattern=r"^(beginning|now|\d+[smhd])$",
        description="How far back to read containers that ran before the agent first came: `beginning`, `now`,"
        " or a span: `90s`, `15m`, `1h`, `7d`.",
    )
    max_deleted_bytes: int = Field(
        1 << 30, ge=0, description="Unread bytes kept alive in log files that the engine deleted, over all containers."
    )
    list_interval: float = Field(
        60.0, gt=0, description="Seconds between two whole listings of the engine's containers."
    )
    host: str | None = Field(None, max_length=255, description="Host name recorded with jobs; unset: the engine's.")

    redact: Patterns = Field(
        [],
        description="Replace secrets before anything leaves the host, in lines and in labels: "
        + ", ".join(f"`{name}`" for name in BUILT_IN)
        + ", or `all`.",
    )
    redact_patterns: list[str] = Field(
        [],
        description="Further regular expressions (RE2's, docs/patterns.md): a match is replaced, or the group `secret`"
        " of it (a JSON list).",
    )
    merge_start: str | None = Field(
        None,
        description="Regular expression (RE2's, docs/patterns.md) of a line that starts an entry: lines that do not"
        " match join the one before.",
    )
    merge_wait: float = Field(
        1.0,
        gt=0,
        le=60,
        description="Seconds that an entry waits for lines to join it. Until it goes on it is in the spool as it was"
        " read, not redacted yet: after a restart, lines still join it.",
    )
    rate_limit: int = Field(
        0,
        ge=0,
        description="Lines a second that one container may send, on average; 0: any number. A gap counts the rest.",
    )
    allow_labels: Patterns = Field(
        list(label_settings.ALL),
        description="Which settings a container may choose by a label of its own, `logferry.NAME` (docs/labels.md);"
        " `none`: none of them.",
    )

    metrics_address: str | None = Field(
        None,
        pattern=r"^.*:\d+$",
        description="Where to serve /metrics, /healthz and /readyz, as `127.0.0.1:9464`; unset: nowhere.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="The agent's own log.")
    log_format: Literal["auto", "json", "text"] = Field("auto", description="`auto`: text on a terminal, else JSON.")

    @field_validator("spool_limit", "max_deleted_bytes", mode="before")
    @classmethod
    def _size(cls, value: Any) -> Any:
        if isinstance(value, str) and (match := re.fullmatch(r"(\d+)\s*([kmgt]?)i?b?", value.strip().lower())):
            return int(match[1]) * SIZE_UNITS[match[2]]
        return value

    @field_validator(
        "include_names",
        "exclude_names",
        "include_images",
        "exclude_images",
        "include_labels",
        "exclude_labels",
        "redact",
        "allow_labels",
        mode="before",
    )
    @classmethod
    def _list(cls, value: Any) -> Any:
        if isinstance(value, str):
            return [part.strip() for part in value.split(",") if part.strip()]
        return value

    @field_validator("agents_url")
    @classmethod
    def _address(cls, value: str) -> str:
        if not value.startswith(("ws://", "wss://")) or not urlsplit(value).hostname:
            raise ValueError("an address that begins with wss:// (or ws:// locally)")
        return value

    @field_validator("agent_key")
    @classmethod
    def _key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not KEY.fullmatch(value.get_secret_value()):
            raise ValueError(KEY_LOOKS)
        return value

    @field_validator("ca_file")
    @classmethod
    def _certificates(cls, value: Path | None) -> Path | None:
        if value is not None:
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(value)
            except OSError as error:
                raise ValueError(f"{value} cannot be read as certificates in PEM: {error}") from error
        return value

    @field_validator("metrics_address")
    @classmethod
    def _port(cls, value: str | None) -> str | None:
        if value is not None and int(value.rpartition(":")[2]) > 65_535:
            raise ValueError("a port is at most 65535")
        return value

    @field_validator("redact")
    @classmethod
    def _known_redactions(cls, value: list[str]) -> list[str]:
        if unknown := set(value) - {*BUILT_IN, "all"}:
            known = ", ".join([*BUILT_IN, "all"])
            raise ValueError(f"no such redaction: {', '.join(sorted(unknown))}; there are {known}")
        return value

    @field_validator("allow_labels")
    @classmethod
    def _known_labels(cls, value: list[str]) -> list[str]:
        names = [name.removeprefix(label_settings.PREFIX) for name in value]
        if names == ["none"]:
            return []
        if unknown := set(names) - set(label_settings.ALL):
            known = ", ".join(label_settings.ALL)
            raise ValueError(f"no setting of a label: {', '.join(sorted(unknown))}; there are {known}, or none alone")
        return names

    @field_validator("redact_patterns", "merge_start")
    @classmethod
    def _expressions(cls, value: list[str] | str | None) -> list[str] | str | None:
        for pattern in [value] if isinstance(value, str) else value or []:
            matches_nothing = compile_pattern(pattern).match(b"") is not None
            if matches_nothing and isinstance(value, list):
                raise ValueError(f"{pattern!r} matches the empty text, and so everywhere")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, then the environment, then the file."""
        path = init_settings.init_kwargs.pop("config_file", None)  # type: ignore[attr-defined]
        file = (TomlConfigSettingsSource(settings_cls, Path(path)),) if path else ()
        return (init_settings, env_settings, *file)

    def key(self) -> str:
        """The key as it is now.

        Raises:
            CredentialError: its file cannot be read, or holds no key.
        """
        if self.agent_key_file is None:
            return self.agent_key.get_secret_value() if self.agent_key is not None else ""
        try:
            key = self.agent_key_file.read_text().strip()
        except (OSError, ValueError) as error:
            raise CredentialError(f"the key's file {self.agent_key_file} cannot be read: {error}") from error
        if not KEY.fullmatch(key):
            raise CredentialError(f"the file {self.agent_key_file} holds no agent's key: {KEY_LOOKS}")
        return key

    @property
    def presses(self) -> bool:
        """Whether batches may be made where a log is read: from files, each line by itself."""
        return self.source != "api" and self.processing.by_line

    @property
    def processing(self) -> ProcessingOptions:
        """What is to be done with the lines."""
        return ProcessingOptions(
            redact=tuple(self.redact),
            redact_patterns=tuple(self.redact_patterns),
            merge_start=self.merge_start,
            merge_wait_s=self.merge_wait,
            rate_limit=self.rate_limit,
        )

    def credential(self) -> Credential:
        """How the agent signs in.

        Raises:
            SettingsError: not at all, or in two ways, or what the way needs is missing.
        """
        has_key = self.agent_key is not None or self.agent_key_file is not None
        if not self.aws_identity:
            if not has_key:
                raise SettingsError(
                    "agent_key: is needed (LOGFERRY_AGENT_KEY, LOGFERRY_AGENT_KEY_FILE, or in the file), or on AWS"
                    " aws_identity (LOGFERRY_AWS_IDENTITY=true) instead of a key"
                )
            return Key(self.key)
        if has_key:
            raise SettingsError("aws_identity: is instead of a key: leave agent_key and agent_key_file out, or this")
        if importlib.util.find_spec("botocore") is None:
            raise SettingsError("aws_identity: needs botocore: pip install 'logferry-agent[aws]'")
        found = EXECUTE_API.fullmatch(urlsplit(self.agents_url).hostname or "")
        audience = self.aws_audience or (found and found[1])
        region = self.aws_region or (found and found[2])
        if not audience or not region:
            missing = "aws_audience" if not audience else "aws_region"
            raise SettingsError(f"{missing}: is needed, because agents_url is not an address of API Gateway's own")
        return AwsRole(audience, region)


def load(flags: dict[str, Any], config_file: str | None = None) -> Settings:
    """The effective settings.

    Raises:
        SettingsError: something is missing or not valid.
    """
    path = config_file or os.environ.get("LOGFERRY_CONFIG_FILE")
    if path and not Path(path).is_file():
        raise SettingsError(f"the configuration file {path} does not exist")
    if path:
        flags = {**flags, "config_file": path}
    try:
        settings = Settings(**flags)
    except ValidationError as error:
        raise SettingsError("\n".join(_sentence(detail) for detail in error.errors())) from None
    except ValueError as error:
        raise SettingsError(f"the configuration file {path}: {error}") from None
    if not settings.insecure and (host := clear_host(settings.agents_url)) is not None:
        raise SettingsError(
            f"agents_url: ws:// would send the agent's key and every line to {host!r} in clear: use wss://, or allow it"
            " with --insecure (LOGFERRY_INSECURE=true)"
        )
    if settings.discover == "labelled" and label_settings.ENABLE not in settings.allow_labels:
        raise SettingsError("discover: `labelled` needs the label `logferry.enable`, which allow_labels does not have")
    settings.credential()
    return settings


def misspelt(names: Iterable[str]) -> list[str]:
    """Sentences about variables that are no setting, but look as if they were meant for one."""
    known = [f"LOGFERRY_{name.upper()}" for name in Settings.model_fields] + ["LOGFERRY_CONFIG_FILE"]
    return [
        f"{name} is no setting, and is ignored: is {near[0]} meant?"
        for name in sorted(names)
        if name.startswith("LOGFERRY_") and name not in known and (near := get_close_matches(name, known, 1, 0.9))
    ]


def add_flags(parser: argparse.ArgumentParser) -> None:
    """A flag for every setting but the key, which would show in the list of processes."""
    for name, field in Settings.model_fields.items():
        if name != "agent_key":
            # A switch may be given alone.
            alone: dict[str, Any] = {"nargs": "?", "const": "true"} if field.annotation is bool else {}
            parser.add_argument(
                f"--{name.replace('_', '-')}",
                metavar="VALUE",
                help=field.description,
                default=None,
                dest=f"set_{name}",
                **alone,
            )


def flags_of(namespace: argparse.Namespace) -> dict[str, Any]:
    """The settings that were given as flags."""
    given = vars(namespace).items()
    return {name.removeprefix("set_"): value for name, value in given if name.startswith("set_") and value is not None}


def shown(settings: Settings) -> Sequence[str]:
    """The effective settings for a person, one `name = value` a line, secrets hidden."""
    return [
        f"{name} = {'(hidden)' if name == 'agent_key' and value is not None else value}"
        for name, value in settings.model_dump(mode="json").items()
    ]


def _sentence(detail: Any) -> str:
    name = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "missing":
        return f"{name}: is needed (LOGFERRY_{name.upper()}, --{name.replace('_', '-')}, or in the file)"
    return f"{name}: {detail['msg']}"
