"""The port of a worker for machines: `/metrics`, `/health/live` and `/health/ready`.

It runs in its own threads: an event loop that is blocked is exactly what it must be able to show.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.exposition import choose_encoder

from stream_app.errors import UserError

log = logging.getLogger(__name__)

Check = Callable[[], tuple[bool, str]]
"""Whether it is so, and why, for people."""

PLAIN_TEXT = "text/plain; charset=utf-8"
CLIENT_TIMEOUT_S = 10  # a client that sends nothing holds a thread no longer than this
POLL_S = 0.1  # how long `close` may take to be noticed


class MetricsServerError(UserError):
    """The port cannot be opened."""


class MetricsServer:
    """The running server."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self._server = server
        self._thread = threading.Thread(
            target=server.serve_forever, args=[POLL_S], name="metrics", daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """The port in use: the one that was found when 0 was asked for."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop answering and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def start_metrics_server(
    port: int,
    host: str = "127.0.0.1",
    *,
    live: Check,
    ready: Check,
    registry: CollectorRegistry = REGISTRY,
) -> MetricsServer:
    """Serve metrics and health on `host`:`port` (0: a free one) from a thread of its own.

    `live` and `ready` are called from that thread and must not block. There is no access control:
    keep the address private. Raises `MetricsServerError` when the address cannot be used.
    """

    server = _listen(host, port, _handler({"live": live, "ready": ready}, registry))
    bound = ip_address(str(server.server_address[0]))
    if not bound.is_loopback:
        log.warning(
            "metrics and health on %s can be read without a login, unencrypted, by anyone who "
            "reaches that address: keep it private, or set metrics_host to 127.0.0.1", bound,
        )  # fmt: skip
    return MetricsServer(server)


def check_address(port: int, host: str) -> None:
    """Raise `MetricsServerError` when the address cannot be used; opens it for a moment only."""
    _listen(host, port, BaseHTTPRequestHandler).server_close()


def _listen(host: str, port: int, handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        daemon_threads = True

    try:
        return Server((host, port), handler)
    except (OSError, OverflowError) as error:
        raise MetricsServerError(
            f"metrics port {port} on {host} cannot be opened: {error}; set another with "
            "--metrics-port, 0 for a free one"
        ) from error


def _handler(checks: dict[str, Check], registry: CollectorRegistry) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = CLIENT_TIMEOUT_S

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                encode, content_type = choose_encoder(self.headers.get("Accept", ""))
                self._answer(200, content_type, encode(registry))
            elif path.removeprefix("/health/") in checks and path.startswith("/health/"):
                passed, text = _checked(checks[path.removeprefix("/health/")])
                self._answer(200 if passed else 503, PLAIN_TEXT, f"{text}\n".encode())
            else:
                known = "/metrics, /health/live, /health/ready\n"
                self._answer(404, PLAIN_TEXT, f"not found; there are {known}".encode())

        do_HEAD = do_GET  # noqa: N815 - the same

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            log.debug(format, *args)

    return Handler


def _checked(check: Check) -> tuple[bool, str]:
    """Run a check; one that fails has not passed."""
    try:
        return check()
    except Exception as error:
        log.exception("a health check failed")
        return False, f"the check failed: {error!r}"
