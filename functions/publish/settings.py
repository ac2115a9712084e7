"""The settings of the function publish, from the template."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Each field is the environment variable of the same name in capitals."""

    viewer_bucket: str
    """The bucket for the viewer's files."""
    distribution: str
    """The CloudFront distribution that serves them. Empty where the HTTP API does."""
