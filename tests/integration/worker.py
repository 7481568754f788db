"""A worker in a process of its own, as an operator runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from stream_app.settings import Settings


class WorkerProcess:
    """`stream-app worker` with its settings in the environment and its output in a file."""

    def __init__(
        self,
        settings: Settings,
        log: Path,
        environment: Mapping[str, str] | None = None,
        module: Sequence[str] = ("stream_app", "worker"),
    ) -> None:
        self.settings = settings
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *module],
                env={**os.environ, **settings.environment(), **(environment or {})},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of a page of the metrics port; status 0 when nothing answers."""
        url = f"http://127.0.0.1:{self.settings.metrics_port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except (urllib.error.URLError, OSError):
            return 0, ""

    def wait_until_ready(self, timeout_s: float = 60) -> WorkerProcess:
        deadline = time.monotonic() + timeout_s
        while self.get("/health/ready")[0] != 200:
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, f"not ready:\n{self.output}"
            time.sleep(0.05)
        return self

    def wait(self, timeout_s: float = 30) -> int:
        """The exit code; fails with the worker's output when it does not end."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"did not end in {timeout_s} s:\n{self.output}") from None

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
