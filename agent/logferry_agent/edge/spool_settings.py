"""The settings of the spool and of sending from it. `settings.Settings` adds them to all others."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class SpoolSettings(BaseModel):
    """The settings of the spool and of sending from it."""

    model_config = ConfigDict(frozen=True)

    spool_dir: Path = Field(Path("/var/lib/logferry"), description="Folder of the spool and the dead letters.")
    spool_limit: int = Field(1 << 30, ge=1 << 16, description="Bytes that the spool may hold.")
    spool_policy: Literal["block", "drop-oldest"] = Field(
        "block",
        description="What the agent does when the spool is full. `block`: it stops reading. `drop-oldest`: it drops the"
        " oldest unsent batches, and gap entries take their place.",
    )
    spool_sync: Literal["normal", "full"] = Field(
        "normal",
        description="How the spool is written. `normal`: nothing is lost when the agent crashes; after a crash of the"
        " host, the agent reads again what the engine still has. `full`: the agent waits for the disk at every write,"
        " and reads nothing again after a power cut.",
    )
    flush_interval: float = Field(
        30.0, ge=0, description="Seconds that lines of a job may wait for a fuller batch while nobody watches it."
    )
    answer_timeout: float = Field(
        10.0, gt=0, description="Seconds after which the agent repeats an unanswered request."
    )
