"""Find the files that the stack is built from: template.yaml, the functions, the protocol and the viewer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from logferry_cli.problems import Problem

NEEDED: Final = (
    "template.yaml",
    "samconfig.toml",
    "functions",
    "protocol/requirements.txt",
    "infra/nested",
    "infra/targets",
)
"""What every copy of the sources has. A folder without one of these was not copied whole."""
_PACKAGE: Final = Path(__file__).resolve().parent
CARRIED_FOLDER: Final = "stack"
"""The folder, inside this package, that a wheel fills with the same relative paths as a checkout."""


@dataclass(frozen=True, slots=True)
class StackSources:
    """The folder that holds template.yaml, with paths in it that are the same in a checkout and in a wheel."""

    root: Path
    is_checkout: bool
    """Whether the viewer can be built here. A wheel carries it built."""

    @property
    def template(self) -> Path:
        """The template."""
        return self.root / "template.yaml"

    @property
    def samconfig(self) -> Path:
        """What `sam deploy` is told besides its arguments."""
        return self.root / "samconfig.toml"

    @property
    def web(self) -> Path:
        """The viewer's sources, in a checkout."""
        return self.root / "web"

    @property
    def viewer(self) -> Path:
        """The built viewer, whose first page is index.html."""
        return self.root / "web" / "dist"

    @property
    def agent_templates(self) -> Path:
        """The templates and scripts that start an agent on ECS, EC2 and plain hosts."""
        return self.root / "infra" / "agent"

    def missing(self) -> list[str]:
        """Return what is not there of the files that a build needs. The viewer is not counted in a checkout."""
        wanted = NEEDED if self.is_checkout else (*NEEDED, "web/dist/index.html")
        return [name for name in wanted if not (self.root / name).exists()]


def find_stack_sources(package: Path = _PACKAGE) -> StackSources:
    """Return the checkout that the package was installed from in place, else the copy that its wheel carries.

    Args:
        package: The folder of this package.

    Raises:
        Problem: Neither is there, or a file of it is missing.
    """
    checkout = package.parents[1]
    if package.parent.name == "cli" and (checkout / "template.yaml").is_file():
        sources = StackSources(checkout, is_checkout=True)
    else:
        sources = StackSources(package / CARRIED_FOLDER, is_checkout=False)
    if not sources.root.is_dir():
        raise Problem(
            "This installation of Logferry carries no template to deploy.",
            "Install the wheel again, or run the command from a checkout of the repository.",
        )
    if missing := sources.missing():
        raise Problem(
            f"The sources of the stack in {sources.root} are not complete ({', '.join(missing)} missing).",
            "Restore them with git." if sources.is_checkout else "Install the wheel again.",
        )
    return sources
