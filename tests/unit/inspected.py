"""A worker without Kafka for the inspector's tests, and calls to an inspector over HTTP.

`python tests/unit/inspected.py [PORT]` serves one to look at, with made-up users and events.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry
from small_release import small_release

from agents.engine import Engine, Record
from agents.records import Work
from schemas import Click, Item, encode
from stream_app.inspector import Feed, Inspector, Row, start_inspector
from stream_app.observability.metrics import Metrics
from stream_app.recommender import Recommender
from stream_app.releases import Releases
from stream_app.settings import Settings
from stream_app.users.codec import decode_state
from stream_app.users.state import UserState

NOW = 1_700_000_000_000
ELSEWHERE = b"else"
"""Users with such a name belong to another worker."""


class Seen(NamedTuple):
    ready: bool = True
    state: str = "serving 1 source partitions"
    partitions: dict[tuple[str, int], Any] = {}  # noqa: RUF012 - never written to


@dataclass
class FakeWorker:
    """Applies what is sent at once, with the real engine on its own thread."""

    writes: bool = True
    app_id: str = "test"
    list_length: int = 5
    feed: Feed = field(default_factory=Feed)
    registry: CollectorRegistry = field(
        default_factory=lambda: CollectorRegistry(auto_describe=True)  # as the real one
    )
    states: dict[bytes, bytes] = field(default_factory=dict)
    sent: list[tuple[bool, bytes, bytes]] = field(default_factory=list)
    problem: str = ""
    seen: Seen = Seen()  # noqa: RUF009 - never changed
    fails: Exception | None = None
    kafka_fails: Exception | None = None

    def __post_init__(self) -> None:
        self.engine = ThreadPoolExecutor(1)
        recommender = Recommender(small_release(), k=self.list_length)
        said = [
            (f"item-{n}", Item(item_id=f"item-{n}", title=f"Title {n}", categories=("all",)))
            for n in range(0, 40, 2)
        ]
        recommender.catalogue.apply(said)
        self.releases = Releases(recommender)
        self.metrics = Metrics(self.registry)
        topics = dict.fromkeys(
            ("changelog", "recommendations", "dead_letters", "receipts", "decisions"), "out"
        )
        self._engine = Engine(
            self.releases, sources={"clicks": Click}, erasures="erasures", requests="requests",
            profiles="profiles", **topics,
        )  # fmt: skip
        self._offset = 0

    def handle(self, *values: tuple[bytes, bytes]) -> Work:
        """A batch of clicks as the agent handles it: keys and values."""
        records = []
        for key, value in values:
            records.append(Record("clicks", 0, self._offset, int(time.time() * 1e3), key, value))
            self._offset += 1
        rows = {record.key or b"": self.states.get(record.key or b"") for record in records}
        work = self.engine.submit(self._engine.work, records, rows).result()
        for row in work.rows:
            assert row.key is not None
            assert row.value is not None
            self.states[row.key] = row.value
        self.metrics.batch(work, events=len(records))
        self.metrics.rows(len(self.states), 0)
        self.feed.batch(work, records)
        return work

    def click(self, user: str, *items: str) -> Work:
        events = [Click(user_id=user, item_id=item, timestamp_ms=NOW) for item in items]
        return self.handle(*((user.encode(), encode(event)) for event in events))

    def look(self) -> Seen:
        return self.seen

    async def rows(self, users: Sequence[bytes]) -> list[Row]:
        if self.fails is not None:
            raise self.fails
        return [self._row(user) for user in users]

    def _row(self, user: bytes) -> Row:
        if user.startswith(ELSEWHERE):
            return Row(3, False)
        row = self.states.get(user)
        state: UserState | None = decode_state(row) if row and not self.problem else None
        return Row(0, True, state, self.problem)

    async def publish(self, *, purchase: bool, user: bytes, value: bytes) -> tuple[str, int, int]:
        if self.kafka_fails is not None:
            raise self.kafka_fails
        self.sent.append((purchase, user, value))
        self.handle((user, value))
        return "purchases" if purchase else "clicks", 0, self._offset - 1


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def serve(worker: FakeWorker, **settings: Any) -> Inspector:
    """An inspector of the worker on a free port; close it."""
    made = Settings(**{"inspector_writes": worker.writes, **settings})
    return start_inspector(made, worker, worker.feed, worker.registry)


def call(
    inspector: Inspector,
    path: str,
    body: Any = None,
    headers: dict[str, str] | None = None,
    method: str = "",
) -> Answer:
    """A GET, or a POST where there is a body; bytes are sent as they are."""
    host, _, port = inspector.address.removeprefix("http://").rpartition(":")
    connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=20)
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    given = {} if body is None else {"Content-Type": "application/json"}
    try:
        method = method or ("GET" if body is None else "POST")
        connection.request(method, path, data, given | (headers or {}))
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, response.read())
    finally:
        connection.close()


def main(port: int) -> None:
    """Serve until Ctrl-C."""
    worker = FakeWorker(list_length=10)
    made = Settings(inspector_writes=True)
    inspector = start_inspector(
        replace(made, inspector_port=port), worker, worker.feed, worker.registry
    )
    print(inspector.address, flush=True)
    number = 0
    while True:
        number += 1
        worker.click(f"user-{number % 7}", f"item-{number * number % 40}")
        if number % 20 == 0:
            worker.handle((b"user-1", b"\x80"))
        time.sleep(0.5)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
