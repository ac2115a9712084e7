"""What the template tells the function query."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Every field is an environment variable of the same name in capitals."""

    log_table: str
    """Where batches are read."""
    registry_table: str
    """Job records and tickets."""
    archive_function: str
    """The function that erases deleted jobs."""
    archive_bucket: str
    """Where archived batches are read."""
    viewer_origins: tuple[str, ...]
    """Origins whose pages may ask for a ticket."""
