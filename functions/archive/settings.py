"""What the template tells the function archive."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Every field is an environment variable of the same name in capitals."""

    log_table: str
    """Where batches are deleted."""
    registry_table: str
    """Where it is noted what is gone."""
