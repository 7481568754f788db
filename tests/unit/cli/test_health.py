"""The health check says what the worker says, and a worker that cannot be asked is not healthy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result
from prometheus_client import CollectorRegistry

from stream_app.cli.health import command
from stream_app.demo.session import free_port
from stream_app.errors import UserError
from stream_app.observability.health import ask
from stream_app.observability.server import MetricsServer, start_metrics_server
from stream_app.settings import Settings


@pytest.fixture
def worker() -> Iterator[MetricsServer]:
    """One that lives and recovers."""
    server = start_metrics_server(
        0,
        live=lambda: (True, "running"),
        ready=lambda: (False, "recovering state"),
        registry=CollectorRegistry(),
    )
    yield server
    server.close()


def check(port: int, *arguments: str, host: str = "127.0.0.1") -> Result:
    environment = {"STREAM_APP_METRICS_PORT": str(port), "STREAM_APP_METRICS_HOST": host}
    return CliRunner().invoke(command, arguments, env=environment)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", ""])
def test_the_exit_code_is_the_workers_answer(worker: MetricsServer, host: str) -> None:
    live, ready = check(worker.port, "live", host=host), check(worker.port, host=host)
    assert (live.exit_code, live.stdout) == (0, "running\n")
    assert (ready.exit_code, ready.stderr) == (1, "recovering state\n")


def test_no_answer_is_not_healthy() -> None:
    port = free_port()
    result = check(port, "live", "--timeout", "0.5")
    assert result.exit_code == 1
    assert f"no answer from 127.0.0.1:{port}" in result.stderr


def test_a_port_that_was_left_to_chance_cannot_be_asked() -> None:
    with pytest.raises(UserError, match="metrics_port is 0"):
        ask(Settings(metrics_port=0), "live", 1)
