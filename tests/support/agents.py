"""Run a real agent as a process, for the containers of one test, shipping to a fake ingest."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.support.fake_ingest import FakeIngestProcess

KEY = "lfa_" + "a" * 12 + "_" + "b" * 43


class AgentProcess:
    """An agent's process. It keeps its spool, and appends to its log, when it is restarted."""

    def __init__(self, sink: FakeIngestProcess, folder: Path, names: str, **settings: str) -> None:
        """names: a shell pattern of the containers' names. settings: LOGFERRY_* by their names in the model."""
        self.folder = folder
        given = {
            "agents_url": sink.url,
            "agent_key": KEY,
            "spool_dir": str(folder),
            "include_names": names,
            "start_at": "beginning",
            "flush_interval": "0.5",
            "answer_timeout": "2",
            "log_format": "json",
            **settings,
        }
        around = {name: value for name, value in os.environ.items() if not name.startswith("LOGFERRY_")}
        self.environment = around | {f"LOGFERRY_{name.upper()}": value for name, value in given.items()}
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """Return its whole log so far."""
        return self.folder.with_suffix(".log").read_text()

    def start(self) -> None:
        """Start it on the spool that it left."""
        command = [sys.executable, "-m", "logferry_agent"]
        with self.folder.with_suffix(".log").open("ab") as log:
            self.process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)

    def end(self, how: signal.Signals) -> int:
        """Kill it, or ask it to exit, and return its exit status."""
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(60)

    def ask(self, *command: str) -> tuple[int, str]:
        """Run `logferry agent status` or `health`; return exit status and output."""
        words = [sys.executable, "-m", "logferry_agent", *command]
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def require_alive(self) -> None:
        """Check that it has not exited by itself."""
        assert self.process is not None
        assert self.process.poll() is None, self.log[-2_000:]

    def __enter__(self) -> AgentProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.end(signal.SIGKILL)
