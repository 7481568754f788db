"""The metrics port answers whatever the rest of the process does."""

from __future__ import annotations

import http.client
import socket
import threading

import pytest
from prometheus_client import CollectorRegistry, Counter

from stream_app.observability.server import MetricsServerError, start_metrics_server
from stream_app.settings import Settings


class Worker:
    """The answers that a worker gives."""

    live = (True, "running")
    ready = (False, "recovering state, 5 records to read")


@pytest.fixture
def worker():
    return Worker()


@pytest.fixture
def server(worker):
    registry = CollectorRegistry()
    Counter("things", "Things.", registry=registry).inc(3)
    server = start_metrics_server(
        0, live=lambda: worker.live, ready=lambda: worker.ready, registry=registry
    )
    yield server
    server.close()


def ask(server, path, method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    answer = response.status, response.getheader("Content-Type"), response.read().decode()
    connection.close()
    return answer


def test_metrics_are_shown_in_the_format_that_is_asked_for(server):
    status, kind, body = ask(server, "/metrics")
    assert (status, kind.split(";")[0]) == (200, "text/plain")
    assert "things_total 3.0" in body
    status, kind, body = ask(server, "/metrics", Accept="application/openmetrics-text")
    assert (status, kind.split(";")[0]) == (200, "application/openmetrics-text")
    assert body.endswith("# EOF\n")


def test_health_follows_the_worker(server, worker):
    assert ask(server, "/health/live") == (200, "text/plain; charset=utf-8", "running\n")
    status, _, body = ask(server, "/health/ready?verbose=1")
    assert (status, body) == (503, "recovering state, 5 records to read\n")
    worker.ready = (True, "serving")
    assert ask(server, "/health/ready")[0] == 200


def test_a_check_that_fails_has_not_passed(server, worker):
    del Worker.ready
    try:
        status, _, body = ask(server, "/health/ready")
    finally:
        Worker.ready = (False, "")
    assert status == 503
    assert "AttributeError" in body
    assert ask(server, "/health/live")[0] == 200


@pytest.mark.parametrize("path", ["/", "/health", "/health/", "/live", "/metrics/x"])
def test_other_paths_are_not_found(server, path):
    status, _, body = ask(server, path)
    assert (status, body.split(";")[0]) == (404, "not found")


def test_head_has_no_body_and_other_methods_are_refused(server):
    assert ask(server, "/metrics", "HEAD")[::2] == (200, "")
    assert ask(server, "/metrics", "POST")[0] == 501


def test_a_slow_client_holds_up_nobody(server):
    with socket.create_connection(("127.0.0.1", server.port)) as slow:
        slow.sendall(b"GET /metr")
        assert ask(server, "/health/live")[0] == 200


def test_it_answers_while_the_main_thread_is_blocked(server):
    answers = []
    client = threading.Thread(target=lambda: answers.append(ask(server, "/health/live")[0]))
    client.start()
    client.join()
    assert answers == [200]


def test_a_taken_port_is_named(server):
    with pytest.raises(MetricsServerError, match=rf"port {server.port} on 127.0.0.1 .*in use"):
        start_metrics_server(server.port, live=lambda: (True, ""), ready=lambda: (True, ""))


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 70_000), ("203.0.113.1", 0)])
def test_an_impossible_address_is_named(host, port):
    with pytest.raises(MetricsServerError, match=f"metrics port {port} on {host} cannot be opened"):
        start_metrics_server(port, host, live=lambda: (True, ""), ready=lambda: (True, ""))


def test_a_closed_server_frees_its_port(worker):
    first = start_metrics_server(0, live=lambda: worker.live, ready=lambda: worker.ready)
    first.close()
    second = start_metrics_server(first.port, live=lambda: worker.live, ready=lambda: worker.ready)
    assert second.port == first.port
    second.close()


def up():
    return True, "running"


@pytest.mark.parametrize(
    ("host", "warned"),
    [("127.0.0.1", False), ("localhost", False), ("0.0.0.0", True), ("", True)],
)
def test_only_the_loopback_is_silent(caplog, host, warned):
    """There is no login: who binds it to another address is told so."""
    start_metrics_server(0, host, live=up, ready=up, registry=CollectorRegistry()).close()
    assert ("can be read without a login, unencrypted" in caplog.text) == warned


def test_the_loopback_is_the_default():
    assert Settings().metrics_host == "127.0.0.1"
    server = start_metrics_server(0, live=up, ready=up, registry=CollectorRegistry())
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.2", server.port), 5)
    server.close()
