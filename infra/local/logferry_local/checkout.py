"""Paths in a checkout of Logferry, or in what its wheel carries, from which the local cloud is deployed."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from logferry_state.errors import LocalCloudError, StepFailedError


@dataclass(frozen=True, slots=True)
class Checkout:
    """The folder that holds template.yaml, and where set-up and builds put what they make."""

    root: Path
    cache: Path | None = None
    """Where they put it for a wheel, whose own files stay as they were installed; None: into `root`."""

    @property
    def made(self) -> Path:
        """The folder with environments and builds."""
        return self.root if self.cache is None else self.cache

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
        return self.made / ".build"

    @property
    def cloud_python(self) -> Path:
        """The Python that runs the emulator and, through it, the functions."""
        return self.made / ".venv-cloud" / "bin" / "python"

    @property
    def sam(self) -> Path:
        """The SAM CLI."""
        return self.made / ".venv-sam" / "bin" / "sam"

    @property
    def tools(self) -> Path:
        """The folder with uv, which the layer's build calls by name."""
        return self.made / ".venv-tools" / "bin"

    @property
    def logferry(self) -> Path:
        """The command `logferry`, for other processes to call."""
        return Path(sys.executable).parent / "logferry"


def find_checkout() -> Checkout:
    """Return the checkout that this package was installed from in place, else what its wheel carries.

    Raises:
        LocalCloudError: Neither is there, or the checkout was not set up.
    """
    package = Path(__file__).resolve().parent
    checkout, carried = Checkout(package.parents[2]), package.parent / "logferry_cli" / "stack"
    if not checkout.template.is_file():
        if not (carried / "template.yaml").is_file():
            raise LocalCloudError(
                "This installation of Logferry carries no template to deploy.",
                "Install the wheel again, or run the command from a checkout of the repository.",
            )
        return Checkout(carried, cache_folder())
    missing = [
        path.parents[1].name
        for path in (checkout.cloud_python, checkout.sam, checkout.tools / "uv")
        if not path.exists()
    ]
    if missing:
        raise LocalCloudError(f"The set-up is incomplete ({', '.join(missing)} is missing).", "Run `make setup`.")
    return checkout


def cache_folder() -> Path:
    """Return the folder for what the local cloud of a wheel makes: `logferry` in the user's cache folder."""
    named = os.environ.get("XDG_CACHE_HOME")
    return (Path(named) if named else Path.home() / ".cache") / "logferry"


def set_up(checkout: Checkout) -> None:
    """Install the emulator and the SAM CLI for a wheel, where that is not done. A checkout has them from `make setup`.

    Raises:
        StepFailedError: The set-up failed.
    """
    if checkout.cache is None:
        return
    done = subprocess.run(
        [sys.executable, checkout.root / "infra" / "setup", "local"],
        env={**os.environ, "LOGFERRY_SETUP_FOLDER": str(checkout.cache)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = " ".join(done.stderr.split())
        raise StepFailedError(f"The emulator and the SAM CLI cannot be installed: {said[-600:]}", "")
