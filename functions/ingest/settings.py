"""The settings of the function ingest, from the template."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Each field is the environment variable of the same name in capitals."""

    log_table: str
    """The table of batches."""
    registry_table: str
    """The table of job records and instances."""
    batch_retention_days: int
    """After how many days a stored batch expires."""
    archive_function: str
    """The function that archives jobs. It is told which jobs have ended."""
