"""Paths in a checkout of Logferry, from which the local cloud is deployed."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from logferry_state.errors import LocalCloudError


@dataclass(frozen=True, slots=True)
class Checkout:
    """The folder that holds template.yaml, and what set-up made beside it."""

    root: Path

    @property
    def template(self) -> Path:
        """The template, for AWS and the local cloud."""
        return self.root / "template.yaml"

    @property
    def web(self) -> Path:
        """The viewer's sources."""
        return self.root / "web"

    @property
    def viewer_files(self) -> Path:
        """The built viewer."""
        return self.root / "web" / "dist"

    @property
    def builds(self) -> Path:
        """The results of `sam build`, shared by all state folders."""
        return self.root / ".build"

    @property
    def cloud_python(self) -> Path:
        """The Python that runs the emulator and, through it, the functions."""
        return self.root / ".venv-cloud" / "bin" / "python"

    @property
    def sam(self) -> Path:
        """The SAM CLI."""
        return self.root / ".venv-sam" / "bin" / "sam"

    @property
    def tools(self) -> Path:
        """The folder with uv, which the layer's build calls by name."""
        return self.root / ".venv-tools" / "bin"

    @property
    def logferry(self) -> Path:
        """The command `logferry`, for other processes to call."""
        return Path(sys.executable).parent / "logferry"


def find_checkout() -> Checkout:
    """Return the checkout that this package was installed from, in place.

    Raises:
        LocalCloudError: It is not a checkout, or was not set up.
    """
    checkout = Checkout(Path(__file__).resolve().parents[3])
    if not checkout.template.is_file():
        raise LocalCloudError(
            "The local cloud is deployed from a checkout of Logferry, but this is not one.",
            "Clone the repository and run `make setup` in it.",
        )
    missing = [
        path.parents[1].name
        for path in (checkout.cloud_python, checkout.sam, checkout.tools / "uv")
        if not path.exists()
    ]
    if missing:
        raise LocalCloudError(f"The set-up is incomplete ({', '.join(missing)} is missing).", "Run `make setup`.")
    return checkout
