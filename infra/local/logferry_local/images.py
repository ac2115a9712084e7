"""Make images without a registry: the samples' (a static busybox and three scripts) and the base of the agent's image.

From the shell: `python -m logferry_local.images base TAG` makes the agent's base from Debian packages.
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from logferry_local.checkout import Checkout, find_checkout
from logferry_local.debian import download, is_debian, unpack
from logferry_state.errors import LocalCloudError, StepFailedError

SAMPLE_IMAGE = "logferry-sample"
REGISTRY_BUSYBOX = "busybox:1.36"
TOOLS = (
    "sh",
    "awk",
    "cat",
    "date",
    "echo",
    "env",
    "head",
    "ls",
    "mkdir",
    "printf",
    "seq",
    "sleep",
    "tail",
    "test",
    "tr",
    "true",
    "wc",
    "yes",
)
BASE_PACKAGES = ("python3", "python3-venv", "ca-certificates", "busybox-static", "libstdc++6")
"""libstdc++6 is for google-re2, whose wheels do not contain it."""
HOST_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def make_sample_image(checkout: Checkout, tag: str = SAMPLE_IMAGE) -> None:
    """Make the image of the sample containers.

    Its busybox is Debian's static one, else a registry's.

    Raises:
        StepFailedError: A command failed.
    """
    busybox = _busybox(checkout)
    if busybox is None:
        _docker("pull", "-q", REGISTRY_BUSYBOX)
        _docker(
            "build",
            "-q",
            "-t",
            tag,
            "-f",
            "-",
            str(checkout.root / "infra" / "samples"),
            stdin=f"FROM {REGISTRY_BUSYBOX}\nCOPY *.sh /samples/\n".encode(),
        )
        return
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        _add(tar, "bin/busybox", busybox.read_bytes(), 0o755)
        for name in TOOLS:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        _add(tar, "etc/passwd", b"root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n", 0o644)
        _add(tar, "etc/group", b"root:x:0:\nnogroup:x:65534:\n", 0o644)
        for script in sorted((checkout.root / "infra" / "samples").glob("*.sh")):
            _add(tar, f"samples/{script.name}", script.read_bytes(), 0o755)
        folder = tarfile.TarInfo("tmp")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
        tar.addfile(folder)
    _docker("import", "-", tag, stdin=content.getvalue())


def make_agent_base(tag: str, cache: Path) -> None:
    """Make an image with Python, venv, certificates and a shell from Debian packages (about 60 MB).

    Raises:
        StepFailedError: A command failed.
    """
    with tempfile.TemporaryDirectory(prefix="logferry-base-") as made:
        root = Path(made)
        unpack(download(BASE_PACKAGES, cache), root)
        subprocess.run(["ldconfig", "-r", str(root)], check=False, capture_output=True)
        _fill_with_busybox(root)
        (root / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")
        (root / "etc" / "group").write_text("root:x:0:\nnogroup:x:65534:\n")
        for name, mode in (("tmp", 0o1777), ("root", 0o700), ("proc", 0o755), ("sys", 0o755), ("dev", 0o755)):
            (root / name).mkdir(exist_ok=True)
            (root / name).chmod(mode)
        if HOST_CERTIFICATES.is_file():
            # The install script of ca-certificates makes its bundle, and it did not run.
            shutil.copy(HOST_CERTIFICATES, root / "etc" / "ssl" / "certs" / HOST_CERTIFICATES.name)
        with subprocess.Popen(["tar", "-c", "-C", str(root), "."], stdout=subprocess.PIPE) as packed:
            done = subprocess.run(
                ["docker", "import", "-", tag], stdin=packed.stdout, capture_output=True, text=True, check=False
            )
        if done.returncode != 0:
            raise StepFailedError(
                f"Importing {tag} failed: {done.stderr.strip()[-300:]}", "Check that the Docker Engine answers."
            )


def _fill_with_busybox(root: Path) -> None:
    """Link every command that busybox has and no package brought."""
    busybox = root / "bin" / "busybox"
    names = subprocess.run([str(busybox), "--list"], capture_output=True, text=True, check=True).stdout.split()
    for name in names:
        if not any(
            (root / folder / name).exists() or (root / folder / name).is_symlink()
            for folder in ("bin", "usr/bin", "sbin", "usr/sbin")
        ):
            (root / "bin" / name).symlink_to("busybox")


def _busybox(checkout: Checkout) -> Path | None:
    """Return a statically linked busybox for this machine; None where there is no Debian to take it from."""
    if not is_debian():
        return None
    kept = checkout.builds / "debian" / "busybox"
    if not kept.is_file():
        (package,) = (
            file
            for file in download(["busybox-static"], checkout.builds / "debian")
            if file.name.startswith("busybox-static_")
        )
        with tempfile.TemporaryDirectory(prefix="logferry-busybox-") as made:
            unpack([package], Path(made))
            found = next(path for name in ("bin/busybox", "usr/bin/busybox") if (path := Path(made) / name).is_file())
            shutil.copy(found, kept)
    return kept


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def _docker(*words: str, stdin: bytes | None = None) -> None:
    done = subprocess.run(
        ["docker", *words], input=stdin if stdin is not None else b"", capture_output=True, check=False
    )
    if done.returncode != 0:
        raise StepFailedError(
            f"`docker {words[0]}` failed: {done.stderr.decode(errors='replace').strip()[-300:]}",
            "Check that the Docker Engine answers.",
        )


def main() -> int:
    """Run the command line. Return the exit status."""
    words = argparse.ArgumentParser(prog="logferry_local.images")
    words.add_argument("image", choices=["base", "sample"])
    words.add_argument("tag")
    given = words.parse_args()
    try:
        checkout = find_checkout()
        if given.image == "base":
            make_agent_base(given.tag, checkout.builds / "debian-base")
        else:
            make_sample_image(checkout, given.tag)
    except LocalCloudError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
