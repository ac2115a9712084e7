"""Run systemd as process 1, with a Docker Engine of its own, over a copy-on-write view of this machine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from tests.support.engines import wait_for

ROOT = Path(__file__).parents[2]
SYSTEMD = "/lib/systemd/systemd"
PATH = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def why_no_machine() -> str | None:
    """Return why this machine cannot run one; None when it can."""
    if os.geteuid() != 0:
        return "needs root"
    for program in (SYSTEMD, "/usr/sbin/dockerd", "/usr/bin/unshare", "/usr/bin/nsenter"):
        if not Path(program).is_file():
            return f"{program} is not installed"
    if not any(line.split()[2] == "cgroup2" for line in Path("/proc/mounts").read_text().splitlines()):
        return "needs the second version of cgroups"
    return None


class SystemdMachine:
    """A machine that runs until the end of the `with` block."""

    def __enter__(self) -> SystemdMachine:
        self._folder = Path(tempfile.mkdtemp(prefix="logferry-systemd-"))
        self._log = (self._folder.with_suffix(".log")).open("w")
        command = [str(ROOT / "tests" / "support" / "systemd_machine.sh"), str(self._folder), str(ROOT)]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)
        try:
            wait_for(self._is_up, "systemd and the engine are up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(LookupError, ProcessLookupError):
            os.kill(self._init(), signal.SIGKILL)
        self._process.kill()
        self._process.wait(10)
        self._log.close()
        self._folder.with_suffix(".log").unlink()
        mount = next(
            line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if line.split()[2] == "cgroup2"
        )
        wait_for(lambda: _remove_cgroup(Path(mount) / self._folder.name), "every process is gone")
        shutil.rmtree(self._folder)

    def run(self, *words: str, check: bool = True, stdin: str = "") -> str:
        """Run a command in the machine, as root, and return what it writes."""
        namespaces = ["nsenter", "--target", str(self._init()), "--mount", "--pid", "--uts", "--ipc", "--cgroup"]
        environment = ["env", "-i", "-C", str(ROOT), f"PATH={PATH}", "HOME=/root", "DOCKER_HOST="]
        command = [*namespaces, *environment, *words]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120, check=False)
        assert not check or done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def _init(self) -> int:
        """Return the id of the machine's process 1.

        Raises:
            LookupError: There is none.
        """
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        try:
            found = children.read_text().split()
        except OSError as error:
            raise LookupError from error
        if not found:
            raise LookupError
        return int(found[0])

    def _is_up(self) -> bool:
        try:
            if Path(f"/proc/{self._init()}/cmdline").read_bytes().split(b"\0")[0] != SYSTEMD.encode():
                return False
            return self.run("docker", "version", "--format", "{{.Server.Version}}", check=False)[:1].isdigit()
        except LookupError:
            assert self._process.poll() is None, self._folder.with_suffix(".log").read_text()
            return False


def _remove_cgroup(cgroup: Path) -> bool:
    """Remove a control group with those below it. Return whether it is gone: a process that ends keeps it."""
    with suppress(OSError):
        for folder in sorted((path for path in cgroup.rglob("*") if path.is_dir()), reverse=True):
            folder.rmdir()
        cgroup.rmdir()
    return not cgroup.exists()
