"""The agent's settings: one model, filled from flags, the environment (`LOGFERRY_*`) and a TOML file.

A flag wins over the environment, and the environment over the file. `make generate` writes docs/agent-settings.md from
the model.
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

from pydantic import BaseModel, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    ForceDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from logferry_protocol.addresses import clear_host
from logferry_protocol.errors import error_sentence

from .core.batching.processing import ProcessingOptions
from .core.container import label_settings
from .core.container.source_settings import CommaList, SourceSettings
from .core.redaction.patterns import compile_pattern
from .core.redaction.redaction import BUILT_IN
from .edge.credentials import AwsRole, Credential, CredentialError, Key
from .edge.spool_settings import SpoolSettings

KEY = re.compile(r"lfa_[a-z0-9]{12}_[A-Za-z0-9_-]{43}")
KEY_FORMAT = "an agent key has the form lfa_<12 characters>_<43 characters>"

EXECUTE_API = re.compile(r"([a-z0-9]+)\.execute-api\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?")
"""The host in an address of API Gateway's own, with the API's id and its region as groups."""

SIZE_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


class SettingsError(Exception):
    """The settings are invalid. The message lists what is wrong, one setting a line."""


class CloudSettings(BaseModel):
    """The settings of the connection to the cloud."""

    agents_url: str = Field(
        description="Address of the agents' WebSocket API, `wss://…/live` (stack output `AgentsUrl`)."
    )
    insecure: bool = Field(
        False,
        description="Allow `ws://` to another host. The key and every line then cross the network unencrypted."
        " Without this setting the agent refuses such an address. `ws://` to this host (127.0.0.0/8, ::1, localhost)"
        " always works.",
    )
    agent_key: SecretStr | None = Field(None, description="The agent key, `lfa_…`.")
    agent_key_file: Path | None = Field(
        None,
        description="File with the agent key. The agent reads it at every connect, so a key can be rotated in place.",
    )
    aws_identity: bool = Field(
        False,
        description="Sign in with the host's AWS role (ECS task, EC2 instance, or what else the AWS SDK finds) instead"
        " of a key. The role must be mapped to an agent (`logferry roles map`).",
    )
    aws_audience: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="Id of the agents' API that the AWS role signs in to. Unset: the id in `agents_url`.",
    )
    aws_region: str | None = Field(
        None,
        pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$",
        description="Region of the STS that confirms the role. Unset: the region in `agents_url`.",
    )
    ca_file: Path | None = Field(None, description="File with certificates (PEM) to trust besides the system's.")


class Settings(SourceSettings, SpoolSettings, CloudSettings, BaseSettings):
    """Every setting. Sizes may be written as `512m` or `1g`, and lists with commas.

    Each group is a class of its own. Pydantic lists their fields from the last base to the first, and flags and
    docs/agent-settings.md have that order.
    """

    model_config = SettingsConfigDict(
        env_prefix="LOGFERRY_", frozen=True, extra="forbid", env_ignore_empty=True, enable_decoding=False
    )

    redact: CommaList = Field(
        [],
        description="Kinds of secrets to replace in lines and labels before anything leaves the host: "
        + ", ".join(f"`{name}`" for name in BUILT_IN)
        + ", or `all`.",
    )
    redact_patterns: Annotated[list[str], ForceDecode] = Field(
        [],
        description="Further regular expressions to replace (RE2's, docs/patterns.md), as a JSON list. The whole match"
        " is replaced, or only its group `secret` if it has one.",
    )
    merge_start: str | None = Field(
        None,
        description="Regular expression (RE2's, docs/patterns.md) of a line that starts an entry. A line that does not"
        " match joins the entry before it.",
    )
    merge_wait: float = Field(
        1.0,
        gt=0,
        le=60,
        description="Seconds that an entry waits for lines to join it. Until then the spool holds it as it was read and"
        " not redacted yet, so that lines can still join it after a restart.",
    )
    rate_limit: int = Field(
        0,
        ge=0,
        description="Lines per second that one container may send, on average; 0 means no limit. A gap entry counts the"
        " lines that were dropped.",
    )
    allow_labels: CommaList = Field(
        list(label_settings.ALL),
        description="Which settings a container may choose with a label `logferry.NAME` (docs/labels.md). `none`: no"
        " setting.",
    )

    metrics_address: str | None = Field(
        None,
        pattern=r"^.*:\d+$",
        description="Address to serve /metrics, /healthz and /readyz on, such as `127.0.0.1:9464`. Unset: nowhere.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Lowest level that the agent logs."
    )
    log_format: Literal["auto", "json", "text"] = Field(
        "auto", description="Format of the agent's own log. `auto`: text on a terminal, else JSON."
    )

    @field_validator("spool_limit", "max_deleted_bytes", mode="before")
    @classmethod
    def _size(cls, value: Any) -> Any:
        if isinstance(value, str) and (match := re.fullmatch(r"(\d+)\s*([kmgt]?)i?b?", value.strip().lower())):
            return int(match[1]) * SIZE_UNITS[match[2]]
        return value

    @field_validator("agents_url")
    @classmethod
    def _address(cls, value: str) -> str:
        if not value.startswith(("ws://", "wss://")) or not urlsplit(value).hostname:
            raise ValueError("use an address that begins with wss:// (or ws:// locally)")
        return value

    @field_validator("agent_key")
    @classmethod
    def _key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not KEY.fullmatch(value.get_secret_value()):
            raise ValueError(KEY_FORMAT)
        return value

    @field_validator("ca_file")
    @classmethod
    def _certificates(cls, value: Path | None) -> Path | None:
        if value is not None:
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(value)
            except OSError as error:
                raise ValueError(f"the file {value} cannot be read as certificates in PEM format: {error}") from error
        return value

    @field_validator("metrics_address")
    @classmethod
    def _port(cls, value: str | None) -> str | None:
        if value is not None and int(value.rpartition(":")[2]) > 65_535:
            raise ValueError("the port must be at most 65535")
        return value

    @field_validator("redact")
    @classmethod
    def _known_redactions(cls, value: list[str]) -> list[str]:
        if unknown := set(value) - {*BUILT_IN, "all"}:
            known = ", ".join([*BUILT_IN, "all"])
            raise ValueError(f"unknown kind of secret: {', '.join(sorted(unknown))}; use {known}")
        return value

    @field_validator("allow_labels")
    @classmethod
    def _known_labels(cls, value: list[str]) -> list[str]:
        names = [name.removeprefix(label_settings.PREFIX) for name in value]
        if names == ["none"]:
            return []
        if unknown := set(names) - set(label_settings.ALL):
            known = ", ".join(label_settings.ALL)
            raise ValueError(f"unknown label setting: {', '.join(sorted(unknown))}; use {known}, or none alone")
        return names

    @field_validator("redact_patterns", "merge_start")
    @classmethod
    def _expressions(cls, value: list[str] | str | None) -> list[str] | str | None:
        for pattern in [value] if isinstance(value, str) else value or []:
            matches_nothing = compile_pattern(pattern).match(b"") is not None
            if matches_nothing and isinstance(value, list):
                raise ValueError(f"{pattern!r} matches the empty text, so it would match everywhere")
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
        """Return the sources, the strongest first: flags, the environment, the file."""
        path = init_settings.init_kwargs.pop("config_file", None)  # type: ignore[attr-defined]
        file = (TomlConfigSettingsSource(settings_cls, Path(path)),) if path else ()
        return (init_settings, env_settings, *file)

    def key(self) -> str:
        """Return the current agent key.

        Raises:
            CredentialError: the key's file cannot be read, or contains no key.
        """
        if self.agent_key_file is None:
            return self.agent_key.get_secret_value() if self.agent_key is not None else ""
        try:
            key = self.agent_key_file.read_text().strip()
        except (OSError, ValueError) as error:
            raise CredentialError(f"the key file {self.agent_key_file} cannot be read: {error}") from error
        if not KEY.fullmatch(key):
            raise CredentialError(f"the file {self.agent_key_file} contains no agent key: {KEY_FORMAT}")
        return key

    @property
    def preencodes(self) -> bool:
        """Whether a second process may encode backlogs: only from log files, and only if no lines are merged."""
        return self.source != "api" and self.processing.by_line

    @property
    def processing(self) -> ProcessingOptions:
        """How to process lines."""
        return ProcessingOptions(
            redact=tuple(self.redact),
            redact_patterns=tuple(self.redact_patterns),
            merge_start=self.merge_start,
            merge_wait_s=self.merge_wait,
            rate_limit=self.rate_limit,
        )

    def credential(self) -> Credential:
        """Return how the agent signs in.

        Raises:
            SettingsError: neither a key nor an AWS role is set, or both are, or something that one needs is missing.
        """
        has_key = self.agent_key is not None or self.agent_key_file is not None
        if not self.aws_identity:
            if not has_key:
                raise SettingsError(
                    "agent_key: is required: set LOGFERRY_AGENT_KEY, LOGFERRY_AGENT_KEY_FILE, or agent_key in the"
                    " file; on AWS you can set aws_identity (LOGFERRY_AWS_IDENTITY=true) instead of a key"
                )
            return Key(self.key)
        if has_key:
            raise SettingsError(
                "aws_identity: is set together with a key: remove agent_key and agent_key_file to sign in with the AWS"
                " role, or remove aws_identity"
            )
        if importlib.util.find_spec("botocore") is None:
            raise SettingsError("aws_identity: requires botocore: run pip install 'logferry-agent[aws]'")
        found = EXECUTE_API.fullmatch(urlsplit(self.agents_url).hostname or "")
        audience = self.aws_audience or (found and found[1])
        region = self.aws_region or (found and found[2])
        if not audience or not region:
            missing = "aws_audience" if not audience else "aws_region"
            raise SettingsError(f"{missing}: is required, because agents_url is not an address of API Gateway's own")
        return AwsRole(audience, region)


def load(flags: dict[str, Any], config_file: str | None = None) -> Settings:
    """Return the effective settings.

    Args:
        flags: the settings that were given as flags, by name.
        config_file: path of a TOML file; None for the one in LOGFERRY_CONFIG_FILE, if it is set.

    Raises:
        SettingsError: something is missing or invalid.
    """
    path = config_file or os.environ.get("LOGFERRY_CONFIG_FILE")
    if path and not Path(path).is_file():
        raise SettingsError(f"the configuration file {path} does not exist")
    if path:
        flags = {**flags, "config_file": path}
    try:
        settings = Settings(**flags)
    except ValidationError as error:
        raise SettingsError("\n".join(_message(detail) for detail in error.errors())) from None
    except ValueError as error:
        raise SettingsError(f"the configuration file {path}: {error}") from None
    if not settings.insecure and (host := clear_host(settings.agents_url)) is not None:
        raise SettingsError(
            f"agents_url: ws:// would send the agent key and every line to {host!r} unencrypted: use wss://, or allow"
            " it with --insecure (LOGFERRY_INSECURE=true)"
        )
    if settings.discover == "labelled" and label_settings.ENABLE not in settings.allow_labels:
        raise SettingsError(
            "discover: `labelled` requires the label `logferry.enable`, which allow_labels does not allow: add `enable`"
        )
    settings.credential()
    return settings


def misspelled_names(names: Iterable[str]) -> list[str]:
    """Return a warning for each environment variable that is not a setting, but is nearly named like one."""
    known = [f"LOGFERRY_{name.upper()}" for name in Settings.model_fields] + ["LOGFERRY_CONFIG_FILE"]
    return [
        f"{name} is not a setting and is ignored: did you mean {near[0]}?"
        for name in sorted(names)
        if name.startswith("LOGFERRY_") and name not in known and (near := get_close_matches(name, known, 1, 0.9))
    ]


def add_flags(parser: argparse._ActionsContainer) -> None:
    """Add a flag for every setting except the key, which would be visible in the list of processes."""
    for name, field in Settings.model_fields.items():
        if name != "agent_key":
            # A boolean flag may stand alone.
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
    """Return the settings that were given as flags."""
    given = vars(namespace).items()
    return {name.removeprefix("set_"): value for name, value in given if name.startswith("set_") and value is not None}


def effective_lines(settings: Settings) -> Sequence[str]:
    """Return the effective settings for the operator, one `name = value` a line, with the key hidden."""
    return [
        f"{name} = {'(hidden)' if name == 'agent_key' and value is not None else value}"
        for name, value in settings.model_dump(mode="json").items()
    ]


def _message(detail: Any) -> str:
    name = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "missing":
        return f"{name}: is required: set LOGFERRY_{name.upper()}, --{name.replace('_', '-')}, or {name} in the file"
    return error_sentence(detail)
