"""The settings of the function archive, from the template."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Each field is the environment variable of the same name in capitals."""

    log_table: str
    """The table of batches."""
    registry_table: str
    """The table of job records, archive states and the archive's index."""
    archive_bucket: str
    """The bucket for segments and rows."""
    archive_retention_days: int
    """After how many days archived objects expire; 0 means never."""
