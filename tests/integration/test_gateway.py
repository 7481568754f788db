"""Events in and lists out over HTTP, with a worker on a real Kafka behind."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from stream_app.settings import Settings
from tests.integration.topics import lists, read, states, wait_for
from tests.integration.worker import WorkerProcess

TOKEN = "a token that nobody would guess"


@dataclass
class Gateway:
    """A gateway in a process of its own, and calls to it."""

    process: subprocess.Popen[str]
    address: str
    headers: dict[str, str]

    def call(
        self, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and answer of a GET, or of a POST where there is a body."""
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body)
        request = urllib.request.Request(
            self.address + path,
            data.encode() if isinstance(data, str) else data,
            {"Content-Type": "application/json"} | self.headers | (headers or {}),
        )
        try:
            with urllib.request.urlopen(request, timeout=40) as response:
                text = response.read().decode()
                return response.status, json.loads(text) if text.startswith("{") else text
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())


def start(settings: Settings, *options: str, token: str = "") -> Gateway:
    process = subprocess.Popen(
        [sys.executable, "-m", "stream_app", "gateway", "--port", "0", *options],
        env=settings.environment() | {"STREAM_APP_GATEWAY_TOKEN": token, "PATH": ""},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.match(r"serving (http://\S+) ", line)
    assert found, line
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return Gateway(process, found[1], headers)


@pytest.fixture
def gateway(settings: Settings) -> Iterator[Gateway]:
    made = start(settings)
    yield made
    made.process.kill()
    made.process.wait()


def ids(made: dict[str, Any]) -> list[str]:
    return [item["item_id"] for item in made["items"]]


def test_a_click_over_http_changes_the_list_over_http(settings, start_worker, gateway) -> None:
    start_worker(settings).wait_until_ready()
    path = "/v1/users/ann%2F1/recommendations?k=5&timeout_ms=20000"
    status, before = gateway.call(path)
    assert (status, len(before["items"]), before["user_id"]) == (200, 5, "ann/1")
    events = [{"user_id": "ann/1", "item_id": item} for item in ("1", "3114")]
    assert gateway.call("/v1/events", events) == (200, {"sent": 2})
    wait_for(lambda: "ann/1" in states(settings), "the row")
    status, after = gateway.call(path)
    assert status == 200
    assert ids(after) != ids(before)
    excluded = "".join(f"&exclude={item}" for item in ids(after))
    assert set(ids(gateway.call(path + excluded)[1])).isdisjoint(ids(after))
    assert "after 2355" in str(gateway.call(path + "&seed=2355")[1])
    shown = {"user_id": "ann/1", "rec_id": after["rec_id"], "item_ids": ids(after)}
    assert gateway.call("/v1/impressions", shown) == (200, {"sent": 1})
    assert gateway.call("/v1/impressions", {"user_id": "ann/1"})[0] == 400
    assert len(read(settings, "impressions")) == 1
    said = {"user_id": "ann/1", "text": "the sea", "attributes": {"member": True}}
    assert gateway.call("/v1/profiles", said) == (200, {"sent": 1})
    assert gateway.call("/v1/profiles", {"user_id": "ann/1", "text": 5})[0] == 400
    wait_for(lambda: states(settings)["ann/1"].profile != b"", "the profile in the row")
    assert "no text encoder" in gateway.call(path + "&query=the+sea")[1]["degraded"]
    assert gateway.call("/health") == (200, "serving\n")


def test_many_callers_get_the_lists_of_their_users(settings, start_worker, gateway) -> None:
    start_worker(settings).wait_until_ready()
    users = [f"user-{number}" for number in range(40)]

    def ask(user: str) -> str:
        path = f"/v1/users/{user}/recommendations?timeout_ms=20000"
        return gateway.call(path)[1]["user_id"]

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(ask, users)) == users
    assert len({made.request_id for made in lists(settings)}) == 40


def test_what_cannot_be_done_is_said(settings, gateway) -> None:
    status, answer = gateway.call("/v1/events", [{"user_id": "ann"}])
    assert status == 400
    assert "event 1 of 1: Object missing required field `item_id`" in answer["error"]
    assert gateway.call("/v1/events", b"x" * (2 << 20))[0] == 413
    assert gateway.call("/v1/users/ann/recommendations?k=0")[0] == 400
    assert gateway.call("/nowhere")[0] == 404
    assert gateway.call("/v1/events")[0] == 405
    plain = {"Content-Type": "text/plain"}  # what a page of another origin may send unasked
    assert gateway.call("/v1/events", {"user_id": "a", "item_id": "1"}, plain)[0] == 400
    assert gateway.call("/health", None, {"Host": "evil.example"})[0] == 403
    status, answer = gateway.call("/v1/users/ann/recommendations?timeout_ms=300")
    assert (status, answer) == (504, {"error": "no worker has answered within 0.3 s"})
    assert not lists(settings)


def test_a_token_lets_in_and_nothing_else_does(settings) -> None:
    gateway = start(settings, "--host", "0.0.0.0", token=TOKEN)
    try:
        gateway.address = gateway.address.replace("0.0.0.0", "127.0.0.1")
        assert gateway.call("/health")[0] == 200
        gateway.headers = {}
        assert gateway.call("/health")[0] == 401
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(20) == 0
    finally:
        gateway.process.kill()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--host", "0.0.0.0"), "0.0.0.0 is not a loopback address"),
        (("--token-file", "nowhere"), "--token-file nowhere cannot be read"),
    ],
)
def test_what_would_be_unsafe_does_not_start(
    settings, options: tuple[str, ...], message: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stream_app", "gateway", *options],
        env=settings.environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert message in done.stderr


def test_it_goes_on_when_the_worker_comes_back(settings, start_worker, gateway) -> None:
    worker: WorkerProcess = start_worker(settings).wait_until_ready()
    path = "/v1/users/ann/recommendations?timeout_ms=20000"
    assert gateway.call(path)[0] == 200
    worker.kill()
    assert gateway.call("/v1/users/ann/recommendations?timeout_ms=500")[0] == 504
    start_worker(settings).wait_until_ready()
    assert gateway.call(path)[0] == 200
