"""What the template tells the function archive."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Every field is an environment variable of the same name in capitals."""

    log_table: str
    """Where batches are read from, and deleted."""
    registry_table: str
    """Job records, how far each job is archived, and the index of the archive."""
    archive_bucket: str
    """Where segments and rows are put."""
    archive_retention_days: int
    """Days until what is archived expires; 0 is never."""
