"""The texts of the agent's systemd service: its unit, and the file with its environment. Nothing here touches the host.

The unit takes from the agent what it does not need, as `infra/agent/README.md` does for its container.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

SERVICE: Final = "logferry-agent.service"
STATE_FOLDER: Final = "/var/lib/logferry"
"""The spool's default folder. systemd makes it, with the service's user as its owner."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ESCAPED: Final = '"\\`$'
"""Within double quotes, systemd takes a backslash before one of these away, and keeps every other one."""

_UNIT: Final = """\
# Written by `logferry agent install`, which replaces it when it runs again. Changes of yours belong into
# `systemctl edit logferry-agent`, settings into {environment}.
[Unit]
Description=Logferry agent: delivers the log lines of this host's containers
After=network-online.target docker.service
Wants=network-online.target
# A limit of starts would leave the host without an agent until somebody notices.
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart={command}
EnvironmentFile={environment}
Environment=MALLOC_ARENA_MAX=2 PYTHONUNBUFFERED=1
User={user}
{groups}\
Restart=always
RestartSec=10
# The settings are invalid: only a change of them helps.
RestartPreventExitStatus=2
# The agent stops within 10 s; what is not delivered then is in its spool.
TimeoutStopSec=15
{folders}\
UMask=0077
# A log's rotated files stay open until they are read.
LimitNOFILE=65536
MemoryMax=256M

# The agent reads the engine's log files and its socket, connects to the cloud, and writes its spool: no more than that.
CapabilityBoundingSet=
NoNewPrivileges=yes
ProtectSystem=strict
# Not `yes`: the program or the data of a rootless engine may be in a home.
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True, slots=True)
class UnitOptions:
    """What differs between two hosts' units."""

    command: tuple[str, ...]
    """The program with an absolute path, and its arguments."""
    environment: str
    """The path of the file with the environment."""
    user: str = "root"
    group: str | None = None
    """The group that may use the engine's socket, for a user other than root."""
    spool: str = STATE_FOLDER


def unit_text(options: UnitOptions) -> str:
    """Return the unit."""
    own_folder = options.spool == STATE_FOLDER
    folders = (
        "StateDirectory=logferry\nStateDirectoryMode=0700\n"
        if own_folder
        else f"ReadWritePaths={_word(options.spool)}\n"
    )
    return _UNIT.format(
        command=" ".join(_word(word).replace("$", "$$") for word in options.command),
        environment=options.environment,
        user=options.user,
        groups=f"SupplementaryGroups={options.group}\n" if options.group else "",
        folders=folders,
    )


def user_of(unit: str) -> str | None:
    """Return the user of a unit that was written before; None when it names none."""
    found = re.search(r"^User=(\S+)$", unit, re.MULTILINE)
    return found[1] if found else None


def environment_text(variables: Mapping[str, str]) -> str:
    """Return the environment's file.

    Raises:
        ValueError: A value has a control character, which systemd refuses.
    """
    lines = [
        "# The agent's settings (docs/agent-settings.md). `logferry agent install --SETTING VALUE` changes one.",
        "# After a change by hand: systemctl restart logferry-agent",
    ]
    for name, value in sorted(variables.items()):
        if any(ord(one) < 0x20 or 0x7F <= ord(one) < 0xA0 for one in value):
            raise ValueError(f"{name}: a control character is not allowed in a setting")
        quoted = "".join(f"\\{one}" if one in _ESCAPED else one for one in value)
        lines.append(f'{name}="{quoted}"')
    return "\n".join(lines) + "\n"


def parse_environment(text: str) -> dict[str, str]:
    """Return the variables of an environment's file, which people may have edited. Other lines are left out."""
    found = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and _NAME.fullmatch(name.strip()):
            found[name.strip()] = _unquoted(value.strip())
    return found


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == "'":
        return value[1:-1]
    if len(value) > 1 and value[0] == value[-1] == '"':
        return re.sub(r"\\([\"\\`$])", r"\1", value[1:-1])
    return value


def _word(word: str) -> str:
    """Return a word of a unit's setting, quoted where it has to be."""
    word = word.replace("%", "%%")
    if re.fullmatch(r"[A-Za-z0-9_./:@+,=%-]+", word):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
