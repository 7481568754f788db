"""The inspector of a worker on a real Kafka: what it shows is what the topics say."""

from __future__ import annotations

import asyncio
import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from schemas import Click, Item, Purchase, Rule, decode, encode
from stream_app.broker import EmbeddedKafka
from stream_app.demo.session import free_port
from stream_app.settings import Settings
from stream_app.streaming import topics
from tests.integration.conftest import BUNDLE, PARTITIONS
from tests.integration.shop import catalogue, say
from tests.integration.topics import dead_letters, erase, lists, read, send, send_raw, wait_for
from tests.integration.worker import WorkerProcess

NOW = 1_700_000_000_000
USER = "ann/1"
SEEN = ("260", "1196", "1210")
TITLES = {
    "260": "Star Wars (1977)", "1196": "The Empire Strikes Back (1980)",
    "1210": "Return of the Jedi (1983)", "2571": "The Matrix (1999)",
}  # fmt: skip


@dataclass
class Page:
    """A worker with an inspector, and calls to it."""

    settings: Settings
    worker: WorkerProcess

    @property
    def port(self) -> int:
        return self.settings.inspector_port

    def get(self, path: str, body: Any = None) -> tuple[int, Any]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            None if body is None else json.dumps(body).encode(),
            {} if body is None else {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def show(self, path: str) -> Any:
        status, shown = self.get(path)
        assert status == 200, shown
        return shown

    def user(self, user: str = USER, language: str = "en") -> Any:
        return self.show(f"/api/users/{quote(user, safe='')}?lang={language}")


@pytest.fixture(scope="module")
def page(kafka: EmbeddedKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A worker with some movies by title, and a user who has seen three."""
    settings = Settings(
        bootstrap_servers=kafka.bootstrap, app_id="inspector", topic_prefix="inspector.",
        bundle=str(BUNDLE), metrics_port=free_port(), session_timeout_s=6,
        inspector_port=free_port(), inspector_writes=True,
    )  # fmt: skip
    asyncio.run(topics.create(settings, PARTITIONS, replication=1))
    log: Path = tmp_path_factory.mktemp("inspector") / "worker.log"
    worker = WorkerProcess(settings, log)
    try:
        worker.wait_until_ready()
        say(settings, *((one, Item(item_id=one, title=title)) for one, title in TITLES.items()))
        wait_for(lambda: catalogue(worker, "listed") == len(TITLES), "the titles")
        send(
            settings,
            [Click(user_id=USER, item_id=one, timestamp_ms=NOW + n) for n, one in enumerate(SEEN)],
        )
        wait_for(lambda: bool(lists(settings)), "a list")
        yield Page(settings, worker)
        assert worker.terminate() == 0
        assert "Traceback" not in worker.output
    finally:
        worker.kill()


def test_the_overview_is_of_this_worker(page) -> None:
    shown = page.show("/api/overview")
    assert (shown["app_id"], shown["ready"], shown["writes"]) == ("inspector", True, True)
    assert shown["release"]["release"] == "movielens-small@0.1.0"
    assert shown["release"]["age_s"] > 0
    assert shown["catalogue"]["listed"] == len(TITLES)
    clicks = [one for one in shown["partitions"] if one["topic"] == "inspector.clicks"]
    assert [one["partition"] for one in clicks] == list(range(PARTITIONS))
    assert "INFO" in page.worker.output
    assert f"the inspector is at http://127.0.0.1:{page.port}" in page.worker.output


def test_a_user_has_the_list_that_was_sent_with_reasons(page) -> None:
    shown = page.user()
    assert [one["item_id"] for one in shown["history"]] == list(reversed(SEEN))
    assert shown["history"][0]["title"] == TITLES[SEEN[-1]]
    sent = [made for made in lists(page.settings) if made.user_id == USER][-1]
    listed = shown["list"]["items"]
    assert [one["item_id"] for one in listed] == [one.item_id for one in sent.items]
    assert [tuple(part["name"] for part in one["sources"]) for one in listed] == [
        one.sources for one in sent.items
    ]
    assert any(title in listed[0]["reason"] for title in TITLES.values())
    assert shown["partition"] == sent.trigger.partition
    assert not page.user(language="zh")["list"]["items"][0]["reason"].isascii()
    assert USER in {one["user_id"] for one in page.show("/api/users")["users"]}


def test_a_click_through_the_page_is_a_real_event(page) -> None:
    before = page.user()
    clicked = before["list"]["items"][0]["item_id"]
    path = f"/api/users/{quote(USER, safe='')}/events"
    status, sent = page.get(path, {"item_id": clicked})
    assert status == 202
    assert sent["topic"] == "inspector.clicks"
    (record,) = [one for one in read(page.settings, "clicks") if one.offset == sent["offset"]
                 and one.partition == sent["partition"]]  # fmt: skip
    event = decode(Click, record.value, key=record.key, now_ms=sent["at_ms"])
    assert (event.user_id, event.item_id, event.action) == (USER, clicked, "click")
    assert (event.event_id, event.timestamp_ms) == (sent["event_id"], sent["at_ms"])
    wait_for(lambda: page.user()["history"][0]["item_id"] == clicked, "the click in the history")
    after = page.user()
    assert after["events"] == before["events"] + 1
    assert clicked not in {one["item_id"] for one in after["list"]["items"]}
    assert after["list"]["items"] != before["list"]["items"]
    status, sent = page.get(path, {"item_id": "2571", "action": "purchase"})
    assert (status, sent["topic"]) == (202, "inspector.purchases")
    wait_for(lambda: page.user()["history"][0]["action"] == "purchase", "the purchase")
    assert not dead_letters(page.settings)


def test_lists_are_shown_as_they_are_made(page) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=30)
    connection.request("GET", "/api/live?user=live")
    response = connection.getresponse()
    try:
        assert _next(response, "tick")["ready"] is True
        send(page.settings, [Purchase(user_id="live", item_id="260", timestamp_ms=NOW)])
        made = _next(response, "list")
        tick = _next(response, "tick")
    finally:
        connection.close()
    assert made["user_id"] == "live"
    assert 0 <= made["freshness_ms"] < 30_000
    sent = [one for one in lists(page.settings) if one.user_id == "live"]
    assert made["rec_id"] == sent[-1].rec_id
    assert [one["item_id"] for one in made["items"]] == [one.item_id for one in sent[-1].items]
    assert tick["freshness"]["events"] >= 1
    assert tick["p50_ms"] is not None


def _next(response: http.client.HTTPResponse, wanted: str) -> Any:
    name = ""
    for line in response:
        field, _, value = line.decode().strip().partition(": ")
        if field == "event":
            name = value
        elif field == "data" and name == wanted:
            return json.loads(value)
    raise AssertionError(f"the stream ended without {wanted}")


def test_an_item_has_neighbours_and_followers(page) -> None:
    shown = page.show("/api/items/260")
    assert (shown["title"], shown["state"]) == (TITLES["260"], "listed")
    assert {"1196", "1210"} & {one["item_id"] for one in shown["neighbours"]}
    assert {"1196", "1210"} & {one["item_id"] for one in shown["followed_by"]}
    found = page.show("/api/items?q=star%20wars")["items"]
    assert found == [{"item_id": "260", "title": TITLES["260"]}]


def test_a_rule_is_shown_with_what_it_did(page) -> None:
    rule = Rule(rule_id="hero", items="item.item_id == '2571'", pin=1)
    send_raw(page.settings, f"{page.settings.topic_prefix}rules", [(b"hero", encode(rule))])
    wait_for(
        lambda: [one["state"] for one in page.show("/api/control")["rules"]] == ["in force"],
        "the rule in force",
    )
    send(page.settings, [Click(user_id="ruled", item_id="260", timestamp_ms=NOW)])
    wait_for(lambda: page.get("/api/users/ruled")[0] == 200, "the user")
    shown = page.user("ruled")["list"]
    assert shown["items"][0]["item_id"] == "2571"
    assert shown["rules"][0]["rule_id"] == "hero"
    assert "hero" in shown["items"][0]["rules"][0]
    (hero,) = page.show("/api/control")["rules"]
    assert (hero["kind"], hero["value"], hero["items"]) == ("pin", 1, 1)
    assert hero["lists"] >= 1
    assert hero["places"] >= 1


def test_a_dead_letter_is_shown_without_its_payload(page) -> None:
    key, bad = b"ann", b'{"user_id": "ann", "item_id": "x", "timestamp_ms": "soon"}'
    send_raw(page.settings, f"{page.settings.topic_prefix}clicks", [(key, bad)])
    wait_for(lambda: page.show("/api/dead-letters")["total"] == 1, "the dead letter")
    (shown,) = page.show("/api/dead-letters")["dead_letters"]
    (letter,) = dead_letters(page.settings)
    assert (shown["reason"], shown["offset"]) == (letter.reason, letter.offset)
    assert "timestamp_ms" in shown["detail"]
    assert "soon" not in str(shown)
    send_raw(page.settings, f"{page.settings.topic_prefix}items", [(b"x", b'{"item_id": "y"}')])
    wait_for(lambda: page.show("/api/dead-letters")["total"] == 2, "that of the item")
    assert page.show("/api/dead-letters")["dead_letters"][0]["topic"] == "inspector.items"


def test_an_erased_user_is_gone(page) -> None:
    send(page.settings, [Click(user_id="gone", item_id="260", timestamp_ms=NOW)])
    wait_for(lambda: page.get("/api/users/gone")[0] == 200, "the user")
    erase(page.settings, "gone")
    wait_for(lambda: page.get("/api/users/gone")[0] == 404, "the erasure")
    assert "gone" not in {one["user_id"] for one in page.show("/api/users")["users"]}


def test_a_second_worker_sends_no_events_and_says_who_has_a_user(page, start_worker) -> None:
    """It takes half of the partitions: each of the two knows the users of its own."""
    settings = replace(
        page.settings, metrics_port=free_port(), inspector_port=free_port(), inspector_writes=False
    )
    other = Page(settings, start_worker(settings).wait_until_ready())
    path, both = f"/api/users/{quote(USER, safe='')}", (page, other)
    wait_for(
        lambda: sorted(one.get(path)[0] for one in both) == [200, 404],
        "one of the workers to have the user",
    )
    _, answer = next(one for one in both if one.get(path)[0] == 404).get(path)
    assert answer["here"] is False
    assert answer["partition"] in range(PARTITIONS)
    assert "inspector of the worker that has it" in answer["hint"]
    status, answer = other.get(f"{path}/events", {"item_id": "260"})
    assert (status, answer["hint"]) == (403, "start the worker with inspector_writes")
    other.worker.terminate()


def test_a_worker_that_others_could_look_into_does_not_start(page, start_worker) -> None:
    settings = replace(page.settings, app_id="open", metrics_port=free_port())
    asyncio.run(topics.create(settings, PARTITIONS, replication=1))
    worker = start_worker(replace(settings, inspector_host="0.0.0.0"))
    assert worker.wait() == 2
    assert "0.0.0.0 is not a loopback address" in worker.output
    assert "Set inspector_token_file" in worker.output
    assert "Traceback" not in worker.output
