"""Sends the seeded stream at a constant rate, whatever happens to broker and workers."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import Any

from confluent_kafka import Producer

from stream_app.settings import Settings
from tests.faults.ledger import Ledger
from tests.faults.stream import EventStream, Message

DELIVERY_TIMEOUT_MS = 300_000
"""Longer than any outage of a run: a send that fails for good would be on no ledger."""


class Load(threading.Thread):
    """An idempotent producer in a thread; `stop` returns when everything is acknowledged."""

    def __init__(self, settings: Settings, seed: int, rate: float) -> None:
        super().__init__(name="load", daemon=True)
        self.ledger = Ledger()
        self._prefix = settings.topic_prefix
        self._stream = EventStream(seed)
        self._rate = rate
        self._ending = threading.Event()
        self._error: BaseException | None = None
        self._producer = Producer(
            {
                "bootstrap.servers": settings.bootstrap_servers,
                "enable.idempotence": True,
                "acks": "all",
                "partitioner": "murmur2_random",  # Kafka's own: librdkafka's default differs
                "linger.ms": 5,
                "message.timeout.ms": DELIVERY_TIMEOUT_MS,
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,
            }
        )

    def run(self) -> None:
        """Send until `stop`."""
        try:
            began, sent = time.monotonic(), 0
            while not self._ending.is_set():
                due = (time.monotonic() - began) * self._rate
                while sent < due:
                    self._send(next(self._stream))
                    sent += 1
                self._producer.poll(0.005)
        except BaseException as error:
            self._error = error

    def stop(self) -> None:
        """End the load. Raises what ended it before, or AssertionError for sends without answer."""
        self._ending.set()
        self.join()
        if self._error is not None:
            raise self._error
        left = self._producer.flush(DELIVERY_TIMEOUT_MS / 1000)
        assert left == 0, f"{left} sends have no answer from the broker"

    def _send(self, message: Message) -> None:
        while True:
            try:
                self._producer.produce(
                    self._prefix + message.topic,
                    key=message.key,
                    value=message.value,
                    on_delivery=partial(self._delivered, message),
                )
                return
            except BufferError:  # the broker is away: wait for room
                self._producer.poll(0.1)

    def _delivered(self, message: Message, error: Any, record: Any) -> None:
        if error is not None:
            self.ledger.failed.append(str(error))
        else:
            self.ledger.acknowledged(message, record.partition(), record.offset())
