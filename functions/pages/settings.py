"""The settings of the function pages, from the template."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Each field is the environment variable of the same name in capitals."""

    viewer_bucket: str
    """The bucket of the viewer's files."""
    content_security_policy: str
    """The header of this name, as CloudFront would send it."""
