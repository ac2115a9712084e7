"""What the template tells the function ingest."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Every field is an environment variable of the same name in capitals."""

    log_table: str
    """Where batches are stored."""
    registry_table: str
    """Job records and instances."""
    batch_retention_days: int
    """Days until a stored batch expires."""
    archive_function: str
    """The function that archives jobs; it is told of those that have ended."""
