"""Test `make demo` from start to interrupt."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from logferry_local.checkout import find_checkout
from logferry_local.polling import wait_until
from logferry_state.processes import ProcessTable, is_running

pytestmark = [pytest.mark.cloud, pytest.mark.engine, pytest.mark.timeout(600)]


def containers() -> list[str]:
    """Return the names of all sample containers."""
    command = ["docker", "ps", "--all", "--filter", "label=logferry.demo", "--format", "{{.Names}}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


class DemoProcess:
    """`make demo` with a pipe as its terminal, in its own process group."""

    def __init__(self, folder: Path) -> None:
        command = ["make", "--no-print-directory", "demo", f"STATE={folder}"]
        self.process = subprocess.Popen(
            command,
            cwd=find_checkout().root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={name: value for name, value in os.environ.items() if not name.startswith("LOGFERRY_")},
            start_new_session=True,
            # A shell's background job ignores SIGINT, and its children inherit that: this test needs a user's Ctrl-C.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no other thread yet
        )
        self.said = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line

    def address(self) -> str:
        """Return the printed address; fail with the whole output when there is none."""
        pattern = re.compile(r"http://127\.0\.0\.1:\d+/#key=lfv_\S+(?=\s)")
        wait_until(lambda: bool(pattern.search(self.said)) or self.process.poll() is not None, timeout_s=300)
        found = pattern.search(self.said)
        assert found is not None, self.said
        return found[0]

    def ended(self) -> str:
        """Return the whole output once the demo has exited by itself."""
        self.process.wait(120)
        # The process's exit is known before its last output is read.
        self._reader.join(60)
        return self.said

    def end(self) -> None:
        """Clean up, whatever happened."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(120)
        self._reader.join(60)


def test_demo_shows_its_containers_until_interrupted(tmp_path: Path) -> None:
    """Three jobs are listed, the address logs in, and a SIGINT to make alone cleans up."""
    folder = tmp_path / "demo"
    demonstration = DemoProcess(folder)
    try:
        viewer, key = demonstration.address().split("/#key=")
        assert "<title>Logferry" in urllib.request.urlopen(viewer, timeout=60).read().decode()
        mark = re.findall(r"logferry-demo-web\S*", demonstration.said)[0].removeprefix("logferry-demo-web")
        wanted = {f"logferry-demo-{script}{mark}" for script in ("web", "import", "build")}

        def listed() -> set[str]:
            request = urllib.request.Request(f"{viewer}/api/jobs", headers={"Authorization": f"Bearer {key}"})
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return {job["container"]["name"] for job in json.load(answer)["jobs"]}
            except urllib.error.HTTPError as error:
                # On a busy machine a function's first start may exceed its time limit, as on AWS; then retry.
                if error.code not in (502, 503, 504):
                    raise
                return set()

        assert wait_until(lambda: wanted <= listed(), timeout_s=120, every_s=0.5), listed()
        processes = ProcessTable(folder).read()
        assert {"cloud", "viewer", "agent"} <= set(processes)
        demonstration.process.send_signal(signal.SIGINT)
        assert "The demo is stopped and cleaned up." in demonstration.ended()
        assert not [role for role, process in processes.items() if is_running(process)]
        assert not wanted & set(containers())
        assert not folder.exists()
    finally:
        demonstration.end()
