"""The settings of the function query, from the template."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Each field is the environment variable of the same name in capitals."""

    log_table: str
    """The table of batches."""
    registry_table: str
    """The table of job records and tickets."""
    archive_function: str
    """The function that erases deleted jobs."""
    archive_bucket: str
    """The bucket of archived batches."""
    viewer_origins: tuple[str, ...]
    """The origins whose pages may ask for a ticket."""
