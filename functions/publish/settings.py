"""What the template tells the function publish."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Every field is an environment variable of the same name in capitals."""

    viewer_bucket: str
    """Where the viewer's files go."""
    distribution: str
    """The CloudFront distribution that serves them."""
    viewer_config: str
    """What /config.json says, as JSON."""
