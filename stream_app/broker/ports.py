"""Find free ports for the broker, and notice early that a wanted one is taken."""

from __future__ import annotations

import contextlib
import errno
import secrets
import socket
from collections.abc import Collection

from stream_app.broker.errors import BrokerError

# Below the ports that Linux and macOS hand out to outgoing connections: a client that tries to
# reconnect while the broker is down could otherwise get the very port, and connect to itself.
_PORTS = range(20_000, 32_000)
_ATTEMPTS = 100


def check_port(host: str, port: int) -> None:
    """Raise `BrokerError` if something listens on the port already, or it may not be used."""
    try:
        _bind(host, port).close()
    except (OSError, OverflowError) as error:
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        problem = "is taken by another process" if taken else f"cannot be used ({error})"
        raise BrokerError(
            f"port {port} on {host} {problem}; choose another port, or none for a free one"
        ) from error


def free_ports(host: str, wanted: int | None) -> tuple[int, int]:
    """Return the broker's port (`wanted`, or a free one) and a free one for its controller."""
    broker = wanted or _free_port(host)
    (controller,) = more_ports(host, 1, {broker})
    return broker, controller


def more_ports(host: str, count: int, taken: Collection[int]) -> list[int]:
    """Return free ports that differ from each other and from those taken."""
    found: list[int] = []
    while len(found) < count:
        if (port := _free_port(host)) not in (*found, *taken):
            found.append(port)
    return found


def _free_port(host: str) -> int:
    for _ in range(_ATTEMPTS):
        port = secrets.choice(_PORTS)
        with contextlib.suppress(OSError):
            _bind(host, port).close()
            return port
    raise BrokerError(
        f"found no free port on {host} between {_PORTS.start} and {_PORTS.stop - 1}; "
        "close programs that listen there"
    )


def _bind(host: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # As Java does: the closed connections of the last broker on this port do not matter.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except BaseException:
        sock.close()
        raise
    return sock
