"""What the inspector says of a worker, and what it says when it cannot."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from inspected import FakeWorker, Seen, call, serve

from schemas import Arm, ExperimentSpec, Rule, Scenario
from stream_app.inspector import Inspector, UnreachableError
from stream_app.inspector import engine as engine_module
from stream_app.inspector import pages as pages_module


@pytest.fixture
def worker() -> FakeWorker:
    made = FakeWorker()
    made.click("ann", "item-2", "item-4", "item-7")
    return made


@pytest.fixture
def inspector(worker: FakeWorker) -> Iterator[Inspector]:
    made = serve(worker)
    yield made
    made.close()


def test_the_overview_says_what_runs(inspector) -> None:
    shown = call(inspector, "/api/overview").json
    assert shown["release"]["release"] == "small@1"
    assert shown["release"]["backend"] == "numpy"
    assert shown["release"]["items"] == 40
    assert shown["catalogue"]["listed"] == 20
    assert (shown["users"], shown["ready"], shown["writes"]) == (1, True, True)
    assert shown["languages"][0] == "en"
    assert "click" in shown["actions"]


def test_users_are_those_who_were_active_last(worker, inspector) -> None:
    worker.click("bob", "item-3")
    worker.click("ann", "item-6")
    shown = call(inspector, "/api/users").json["users"]
    assert [one["user_id"] for one in shown] == ["ann", "bob"]
    assert shown[0]["events"] == 4
    assert shown[0]["last_item"]["title"] == "Title 6"
    assert shown[1]["last_item"]["title"] == "item-3"  # nothing is said of it


def test_a_user_is_shown_with_reasons(inspector) -> None:
    shown = call(inspector, "/api/users/ann").json
    assert [one["item_id"] for one in shown["history"]] == ["item-7", "item-4", "item-2"]
    assert (shown["events"], shown["partition"], shown["arms"]) == (3, 0, {})
    items = shown["list"]["items"]
    assert [one["rank"] for one in items] == [1, 2, 3, 4, 5]
    assert not {one["item_id"] for one in items} & {"item-2", "item-4", "item-7"}
    assert all(one["reason"] and one["sources"] for one in items)
    for one in items:
        if one["because"]:
            assert sum(cause["share"] for cause in one["because"]) == pytest.approx(1, abs=1e-3)
    carried = [cause["item_id"] for one in items for cause in one["because"]]
    assert set(carried) <= {"item-2", "item-4", "item-7"}
    assert carried


def test_reasons_are_said_in_the_language_that_is_asked_for(inspector) -> None:
    reasons = [
        call(inspector, f"/api/users/ann?lang={lang}").json["list"]["items"][0]["reason"]
        for lang in ("en", "zh")
    ]
    assert reasons[0].isascii()
    assert not reasons[1].isascii()


def test_an_id_may_hold_anything(worker, inspector) -> None:
    worker.click("ann/ü %", "item-1")
    shown = call(inspector, "/api/users/ann%2F%C3%BC%20%25").json
    assert shown["user_id"] == "ann/ü %"


def test_an_event_is_sent_as_the_user_and_changes_the_list(worker, inspector) -> None:
    before = call(inspector, "/api/users/ann").json
    clicked = before["list"]["items"][0]["item_id"]
    answer = call(inspector, "/api/users/ann/events", {"item_id": clicked})
    assert answer.status == 202
    assert (answer.json["topic"], answer.json["offset"]) == ("clicks", 3)
    after = call(inspector, "/api/users/ann").json
    assert after["history"][0]["item_id"] == clicked
    assert after["history"][0]["at_ms"] == answer.json["at_ms"]
    assert clicked not in {one["item_id"] for one in after["list"]["items"]}


def test_a_purchase_goes_where_purchases_go(worker, inspector, monkeypatch) -> None:
    monkeypatch.setattr(worker, "handle", lambda *_: None)
    body = {"item_id": "item-9", "action": "purchase"}
    assert call(inspector, "/api/users/new/events", body).json["topic"] == "purchases"
    ((purchase, user, _),) = worker.sent
    assert (purchase, user) == (True, b"new")


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b"junk", 400, "the body is no event"),
        (b"", 400, "the body is no event"),
        (b'{"item_id": "\xff"}', 400, "the body is no event"),
        ([], 400, "Expected `object`"),
        ({}, 400, "missing required field `item_id`"),
        ({"item_id": ""}, 400, "length >= 1"),
        ({"item_id": "x" * 257}, 400, "item_id has 257 bytes"),
        ({"item_id": "item-1", "user_id": "bob"}, 400, "unknown field `user_id`"),
        ({"item_id": "item-1", "action": "buy"}, 400, "the action 'buy' is unknown"),
        ({"item_id": "item-99"}, 404, "item 'item-99' is not in the catalogue"),
        (b" " * 5000, 413, "Too Large"),
    ],
)
def test_a_wrong_event_is_not_sent(worker, inspector, body, status: int, error: str) -> None:
    answer = call(inspector, "/api/users/ann/events", body)
    assert answer.status == status
    assert error in answer.json["error"]
    assert not worker.sent


def test_without_writes_no_event_is_sent(worker) -> None:
    worker.writes = False
    inspector = serve(worker)
    try:
        answer = call(inspector, "/api/users/ann/events", {"item_id": "item-1"})
        assert call(inspector, "/api/overview").json["writes"] is False
    finally:
        inspector.close()
    assert answer.status == 403
    assert "inspector_writes" in answer.json["hint"]
    assert not worker.sent


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("/api/users/nobody", 404, "nothing is known of user 'nobody'"),
        ("/api/users/ann?lang=xx", 400, "there are no sentences in 'xx'"),
        (f"/api/users/{'x' * 257}", 400, "user_id has 257 bytes"),
        ("/api/live?user=", 400, "user has 0 bytes"),
        ("/api/items", 400, "q has 0 characters"),
        (f"/api/items?q={'x' * 201}", 400, "q has 201 characters"),
        ("/api/items/item-99", 404, "item 'item-99' is not in the catalogue"),
        ("/api/nowhere", 404, "Not Found"),
    ],
)
def test_what_cannot_be_shown_is_said(inspector, path: str, status: int, error: str) -> None:
    answer = call(inspector, path)
    assert answer.status == status
    assert error in answer.json["error"]


def test_a_user_of_another_worker_is_said_to_be_there(worker, inspector) -> None:
    for answer in (
        call(inspector, "/api/users/else-1"),
        call(inspector, "/api/users/else-1/events", {"item_id": "item-1"}),
    ):
        assert answer.status == 404
        assert (answer.json["partition"], answer.json["here"]) == (3, False)
        assert "inspector of the worker that has it" in answer.json["hint"]
    assert not worker.sent


def test_rows_that_are_still_read_are_nobody_elses(worker, inspector) -> None:
    worker.seen = Seen(ready=False, state="recovering state, 12 records to read")
    answer = call(inspector, "/api/users/else-1")
    assert answer.status == 503
    assert "recovering state, 12 records to read" in answer.json["error"]


def test_a_row_that_may_not_be_shown_is_not(worker, inspector) -> None:
    worker.problem = "the user's erasure is not done yet"
    answer = call(inspector, "/api/users/ann")
    assert (answer.status, answer.json["error"]) == (404, worker.problem)
    assert call(inspector, "/api/users").json == {"users": []}


def test_other_methods_are_refused(inspector) -> None:
    assert call(inspector, "/api/overview", {}).status == 405
    assert call(inspector, "/api/users/ann/events").status == 405
    assert call(inspector, "/api/users/ann", method="DELETE").status == 405
    assert call(inspector, "/api/live", method="HEAD").status == 405


def test_a_worker_that_does_not_answer_is_said_to(worker, inspector) -> None:
    worker.fails = UnreachableError("the worker's event loop has not answered within 5 s")
    for answer in (
        call(inspector, "/api/users/ann"),
        call(inspector, "/api/users/ann/events", {"item_id": "item-1"}),
    ):
        assert answer.status == 503
        assert answer.headers["retry-after"] == "1"
        assert "event loop" in answer.json["error"]


def test_an_event_that_may_arrive_yet_is_not_to_be_sent_again(worker, inspector) -> None:
    worker.kafka_fails = UnreachableError("Kafka has not taken the event within 15 s")
    answer = call(inspector, "/api/users/ann/events", {"item_id": "item-1", "action": "purchase"})
    assert answer.status == 504
    assert "retry-after" not in answer.headers
    assert "whether it has arrived" in answer.json["hint"]


def test_what_needs_no_engine_is_shown_while_it_is_stuck(worker, inspector, monkeypatch) -> None:
    monkeypatch.setattr(engine_module, "PATIENCE_S", 0.1)
    monkeypatch.setattr(pages_module, "GLANCE_S", 0.1)
    release = threading.Event()
    worker.engine.submit(release.wait)
    try:
        assert call(inspector, "/api/overview").json["catalogue"] is None
        assert call(inspector, "/api/dead-letters").status == 200
        answer = call(inspector, "/api/users/ann")
        assert answer.status == 503
        assert "the engine has not answered" in answer.json["error"]
    finally:
        release.set()
    assert call(inspector, "/api/overview").json["catalogue"] is not None


def test_a_fault_of_the_inspector_shows_no_details(worker, inspector) -> None:
    worker.fails = ZeroDivisionError("secret")
    answer = call(inspector, "/api/users/ann")
    assert answer.status == 500
    assert b"secret" not in answer.body


def test_items_are_found_by_title_and_id(inspector) -> None:
    found = call(inspector, "/api/items?q=tItLe%202").json
    assert found["items"][0]["title"] == "Title 2"
    assert {"item_id": "item-20", "title": "Title 20"} in found["items"]
    assert found["complete"] is True
    by_id = call(inspector, "/api/items?q=item-3").json["items"]
    assert by_id == [{"item_id": "item-3", "title": "item-3"}]
    assert len(call(inspector, "/api/items?q=title").json["items"]) == 20


def test_an_item_is_shown_with_what_is_near_it(inspector) -> None:
    shown = call(inspector, "/api/items/item-4").json
    assert (shown["title"], shown["categories"], shown["state"]) == ("Title 4", ["all"], "listed")
    assert shown["available"] is True
    near = [one["similarity"] for one in shown["neighbours"]]
    assert len(near) == 10
    assert near == sorted(near, reverse=True)
    assert "item-4" not in {one["item_id"] for one in shown["neighbours"]}
    assert 0 < sum(one["share"] for one in shown["followed_by"]) <= 1
    assert 0 < shown["trend"]["share"] < 1
    assert call(inspector, "/api/items/item-1").json["state"] == "nothing said"


def test_rules_scenarios_and_experiments_are_shown(worker, inspector) -> None:
    said = worker.releases.main.treatments
    said.rules.put("few", Rule(rule_id="few", items='"all" in item.categories', at_most=1))
    said.rules.put("wrong", Rule(rule_id="wrong", items="item.nothing", exclude=True))
    while said.rules.work():
        pass
    said.scenarios.put("calm", Scenario(name="calm", diversity=1, filters=()))
    said.scenarios.put("bad", Scenario(name="bad", filters=("nothing",)))
    arms = (Arm("a", 0.5), Arm("b", 0.5, "calm"))
    said.experiments.put("test", ExperimentSpec(name="test", arms=arms, off=("b",)))
    worker.click("bob", "item-1")
    shown = call(inspector, "/api/control").json
    few, wrong = shown["rules"]
    assert (few["kind"], few["value"], few["state"], few["items"]) == ("at_most", 1, "in force", 20)
    assert (wrong["state"], wrong["kind"]) == ("refused", None)
    assert "nothing" in wrong["refused"]
    calm, bad = shown["scenarios"]
    assert (calm["name"], calm["refused"]) == ("calm", None)
    assert "nothing" in bad["refused"]
    (experiment,) = shown["experiments"]
    assert (experiment["experiment_id"], experiment["state"]) == ("test", "running")
    assert [one["off"] for one in experiment["arms"]] == [False, True]
    assert sum(one["lists"] for one in experiment["arms"]) == 1
    assert call(inspector, "/api/users/bob").json["arms"] == {"test": "a"}


def test_dead_letters_are_shown_without_what_was_in_them(worker, inspector) -> None:
    worker.handle((b"ann", b"\x81\xa6secret\x01"))
    shown = call(inspector, "/api/dead-letters").json
    assert shown["total"] == 1
    (letter,) = shown["dead_letters"]
    assert (letter["topic"], letter["offset"], letter["reason"]) == (
        "clicks",
        3,
        "validation_error",
    )
    assert letter["detail"]
    assert "secret" not in str(shown)
