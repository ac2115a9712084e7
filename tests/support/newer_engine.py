"""Run a second, newer Docker Engine beside the machine's own, for tests that must pass on both.

It is Debian 13's (26.1) on Debian 12, as root. Its packages come from the mirror that the machine's apt uses and are
unpacked into a cache folder; nothing is installed. It has its own network namespace, data root, socket and cgroup
parent, so that the machine's engine, its bridge and its firewall rules are not touched.

From the shell: `python -m tests.support.newer_engine` runs one and prints its DOCKER_HOST, until Ctrl-C.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from logferry_local.checkout import find_checkout
from logferry_local.file_locks import wait_for_lock
from logferry_local.polling import wait_until
from logferry_state.processes import spawn, stop

SUITE = "trixie"
PACKAGES = ("docker.io", "containerd", "tini")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
CGROUP_PARENT = "logferry-newer"
READY_WITHIN_S = 60.0


def unavailable_reason() -> str | None:
    """Return why this machine cannot run one, or None when it can."""
    if os.geteuid() != 0:
        return "only root may run a second engine"
    if not KEYRING.is_file() or shutil.which("apt-get") is None:
        return "the second engine is taken from Debian's packages, and this is no Debian"
    missing = [name for name in ("unshare", "runc", "ip") if shutil.which(name, path=_path()) is None]
    return f"{', '.join(missing)} is missing" if missing else None


@contextlib.contextmanager
def newer_engine() -> Iterator[str]:
    """Run an empty engine for the length of a block; yield its DOCKER_HOST."""
    root = unpacked()
    # Short, because a socket's path may have 107 bytes only.
    folder = Path(tempfile.mkdtemp(prefix="lf26-", dir="/tmp"))
    host = f"unix://{folder}/docker.sock"
    serve = [
        *("dockerd", f"--data-root={folder}/data", f"--exec-root={folder}/exec", f"--pidfile={folder}/dockerd.pid"),
        *("-H", host, f"--cgroup-parent=/{CGROUP_PARENT}", f"--init-path={root}/usr/bin/tini-static"),
        f"--userland-proxy-path={root}/usr/sbin/docker-proxy",
    ]
    # `ip netns exec` would mount a new /sys, without the cgroups that dockerd needs.
    command = ["unshare", "--net", "--", "sh", "-c", 'ip link set lo up; exec "$@"', "sh", *serve]
    environment = {**os.environ, "PATH": f"{root}/usr/sbin:{root}/usr/bin:{_path()}"}
    environment.pop("DOCKER_HOST", None)
    process = spawn(command, log=folder / "log", env=environment)
    try:
        if not wait_until(lambda: _answers(host), timeout_s=READY_WITHIN_S, every_s=0.1):
            raise RuntimeError(f"the second engine did not start: {(folder / 'log').read_text()[-2000:]}")
        yield host
    finally:
        stop(process, grace_s=40)
        _clean(folder)


def copy_image(host: str, image: str) -> None:
    """Copy an image of the machine's own engine to the other one."""
    with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as saved:
        subprocess.run(["docker", "-H", host, "load"], stdin=saved.stdout, check=True, capture_output=True)
    assert saved.returncode == 0


def unpacked() -> Path:
    """Return the packages' files, fetched once per checkout."""
    cache = find_checkout().builds / f"engine-{SUITE}"
    root = cache / "root"
    with wait_for_lock(cache / "lock"):
        if (root / "usr" / "sbin" / "dockerd").exists():
            return root
        fresh = cache / "fresh"
        shutil.rmtree(fresh, ignore_errors=True)
        (cache / "lists" / "partial").mkdir(parents=True, exist_ok=True)
        (cache / "archives" / "partial").mkdir(parents=True, exist_ok=True)
        (cache / "sources.list").write_text(f"deb [signed-by={KEYRING}] {_mirror()} {SUITE} main\n")
        _apt(cache, "update")
        _apt(cache, "download", *PACKAGES)
        for package in sorted(cache.glob("*.deb")):
            # Not Debian 13's runc: it wants a newer C library than Debian 12 has; dockerd finds the machine's own.
            subprocess.run(["dpkg-deb", "-x", str(package), str(fresh)], check=True)
        fresh.rename(root)
    return root


def _mirror() -> str:
    """Return the address of the Debian mirror that the machine uses."""
    for path in (Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))):
        with contextlib.suppress(OSError):
            for address in re.findall(
                r"^(?:URIs:|deb)\s.*?(https?://\S+/debian)/?(?:\s|$)", path.read_text(), re.MULTILINE
            ):
                return str(address)
    raise RuntimeError("no Debian mirror is named in /etc/apt")


def _apt(cache: Path, *words: str) -> None:
    own = {
        "Dir::Etc::sourcelist": cache / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": cache / "lists",
        "Dir::Cache::archives": cache / "archives",
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        "APT::Sandbox::User": "root",
        "Debug::NoLocking": "1",
    }
    options = [word for name, value in own.items() for word in ("-o", f"{name}={value}")]
    subprocess.run(
        ["apt-get", "-q", *options, *words], check=True, capture_output=True, cwd=cache, stdin=subprocess.DEVNULL
    )


def _answers(host: str) -> bool:
    return _docker(host, ["version", "--format", "{{.Server.Version}}"]).returncode == 0


def _docker(host: str, words: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["docker", "-H", host, *words], capture_output=True, stdin=subprocess.DEVNULL, check=False)


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"


def _clean(folder: Path) -> None:
    """Remove mounts first, then files, then the cgroups that the engine made."""
    for line in reversed(Path("/proc/mounts").read_text().splitlines()):
        if (place := line.split()[1]).startswith(f"{folder}/"):
            subprocess.run(["umount", "--lazy", place], check=False, capture_output=True)
    shutil.rmtree(folder, ignore_errors=True)
    for group in (*Path("/sys/fs/cgroup").glob(f"*/{CGROUP_PARENT}"), Path("/sys/fs/cgroup") / CGROUP_PARENT):
        with contextlib.suppress(OSError):
            group.rmdir()


def main() -> None:
    """Run one until it is interrupted."""
    if reason := unavailable_reason():
        raise SystemExit(reason)
    with newer_engine() as host, contextlib.suppress(KeyboardInterrupt):
        print(f"DOCKER_HOST={host}", flush=True)
        while True:
            input()


if __name__ == "__main__":
    main()
