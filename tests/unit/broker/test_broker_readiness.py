"""Whatever listens on a port, only a serving Kafka counts as one."""

from __future__ import annotations

import socket
import struct
import threading

import pytest

from stream_app.broker.readiness import serving_cluster


def frame(body: bytes) -> bytes:
    return struct.pack(">i", len(body)) + body


def string(text: str) -> bytes:
    return struct.pack(">h", len(text)) + text.encode()


BROKER = struct.pack(">i", 1) + string("127.0.0.1") + struct.pack(">i", 9092) + string("")


def answer_of(response: bytes) -> str | None:
    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1024)
            connection.sendall(response)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        answer = serving_cluster(*listener.getsockname())
        thread.join()
    return answer


def test_the_cluster_id_is_read_behind_the_brokers():
    brokers = struct.pack(">ii", 1, 2) + BROKER + BROKER
    assert answer_of(frame(brokers + string("cluster") + b"more")) == "cluster"


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        frame(struct.pack(">ii", 1, 0) + string("cluster")),  # it lists no broker yet
        frame(struct.pack(">ii", 1, 1) + BROKER + struct.pack(">h", -1)),
        frame(struct.pack(">ii", 1, 1) + BROKER[:7]),
        frame(struct.pack(">ii", 1, 2**31 - 1)),
        frame(struct.pack(">ii", 1, 1) + BROKER + struct.pack(">h", 2) + b"\xff\xfe"),
    ],
)
def test_other_answers_are_none(response):
    assert answer_of(response) is None


def test_a_closed_port_is_none():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
    assert serving_cluster(*address) is None
