"""The moving parts of the demo: a broker, its topics and one worker process, up and down again."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas import Item
from stream_app.broker import EmbeddedKafka
from stream_app.demo.shop import list_items
from stream_app.errors import UserError
from stream_app.settings import Settings
from stream_app.streaming import topics

READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0


@contextmanager
def session(bundle: Path, partitions: int, items: list[Item]) -> Iterator[Settings]:
    """A broker with topics, `items` on theirs, and a serving worker, for the time of the block.

    Raises `BrokerError`, or `UserError` with the worker's last words when it does not come up.
    """
    with (
        tempfile.TemporaryDirectory(prefix="stream-app-demo-") as folder,
        EmbeddedKafka() as kafka,
    ):
        settings = Settings(
            bootstrap_servers=kafka.bootstrap,
            app_id="demo",
            bundle=str(bundle),
            metrics_port=free_port(),
            inspector_port=free_port(),
            inspector_writes=True,
            # Movies that the release does not know are listed as well: they get into lists by what
            # people watch, as the baselines' do, and not by a draw.
            exploration=0.0,
        )
        asyncio.run(topics.create(settings, partitions, replication=1))
        asyncio.run(list_items(settings, items))
        with worker_process(settings, Path(folder) / "worker.log"):
            yield settings


@contextmanager
def worker_process(settings: Settings, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker in a process of its own, ready to serve; stopped with SIGTERM after the block."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "stream_app", "worker"],
            env={**os.environ, **settings.environment()},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_ready(process, settings, log)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """A TCP port on the loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_ready(process: subprocess.Popen[bytes], settings: Settings, log: Path) -> None:
    url = f"http://{settings.metrics_host}:{settings.metrics_port}/health/ready"
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise UserError(f"the worker ended with code {process.returncode}:\n{_tail(log)}")
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise UserError(f"the worker is not ready after {READY_TIMEOUT_S:.0f} s:\n{_tail(log)}")


def _tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
