"""Ask a broker whether it serves: one Metadata request, spoken by hand.

A port that accepts connections says little; a broker that lists itself has registered with its
controller and takes requests. Written out because only `stream_app.streaming` may use a client.
"""

from __future__ import annotations

import socket
import struct

_METADATA, _VERSION = 3, 2  # version 2 is the first that tells the cluster id
_TIMEOUT_S = 2.0
_MAX_RESPONSE_BYTES = 64 * 1024  # one broker and no topic; more is not an answer of Kafka


def serving_cluster(host: str, port: int) -> str | None:
    """Cluster id of the broker at the address, or None if none serves there yet."""
    try:
        with socket.create_connection((host, port), _TIMEOUT_S) as connection:
            connection.settimeout(_TIMEOUT_S)
            # header: api key, version, correlation id, no client id; body: an empty topic list
            request = struct.pack(">hhihi", _METADATA, _VERSION, 1, -1, 0)
            connection.sendall(struct.pack(">i", len(request)) + request)
            (size,) = struct.unpack(">i", _read(connection, 4))
            return _cluster_id(_read(connection, size))
    except (OSError, struct.error, EOFError, UnicodeDecodeError):
        return None


def _read(connection: socket.socket, size: int) -> bytes:
    if not 0 < size <= _MAX_RESPONSE_BYTES:
        raise EOFError
    data = b""
    while len(data) < size:
        if not (more := connection.recv(size - len(data))):
            raise EOFError
        data += more
    return data


def _cluster_id(response: bytes) -> str | None:
    _correlation, brokers = struct.unpack_from(">ii", response)
    if brokers < 1:
        return None
    at = 8
    for _ in range(brokers):  # node id, host, port, rack
        _, at = _string(response, at + 4)
        _, at = _string(response, at + 4)
    cluster, _ = _string(response, at)
    return cluster


def _string(response: bytes, at: int) -> tuple[str | None, int]:
    """Read a nullable string (int16 length, -1 = null); returns it and where the next field is."""
    (length,) = struct.unpack_from(">h", response, at)
    at += 2
    if length < 0:
        return None, at
    return response[at : at + length].decode(), at + length
