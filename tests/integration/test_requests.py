"""Lists that are asked for, on a real Kafka: the owner of the user answers, and nothing is kept."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner

from schemas import Click, Recommendation, RecommendationRequest
from stream_app.cli.request import command
from stream_app.demo.session import free_port
from stream_app.errors import UserError
from stream_app.settings import Settings
from tests.integration.topics import ask, dead_letters, lists, read, send, states, wait_for

NOW = 1_700_000_000_000


def request(user: str, name: str, **fields: Any) -> RecommendationRequest:
    return RecommendationRequest(user_id=user, request_id=name, **fields)


def answers(settings: Settings) -> dict[str, Recommendation]:
    return {made.request_id: made for made in lists(settings) if made.request_id}


def ids(made: Recommendation) -> list[str]:
    return [item.item_id for item in made.items]


def test_requests_are_answered_by_the_owner_of_the_user(settings, start_worker) -> None:
    second = replace(settings, metrics_port=free_port())
    for worker in (start_worker(settings), start_worker(second)):
        worker.wait_until_ready()
    users = [f"user-{number}" for number in range(8)]
    send(settings, [Click(user_id=user, item_id="318", timestamp_ms=NOW) for user in users])
    wait_for(lambda: len(states(settings)) == 8, "the rows")
    rows = read(settings, "clicks")
    placed = ask(settings, *(request(user, f"q-{user}", k=25) for user in users))
    wait_for(lambda: len(answers(settings)) == 8, "answers")
    for user, record in zip(users, placed, strict=True):
        made = answers(settings)[f"q-{user}"]
        assert (made.user_id, len(made.items), made.trigger) == (user, 25, None)
        assert "318" not in ids(made)
        assert made.applied == states(settings)[user].offsets
        assert record.topic == settings.topic_prefix + "recommendation-requests"
    partitions = {record.key.decode(): record.partition for record in rows}
    for record in read(settings, "recommendations"):
        assert record.partition == partitions[record.key.decode()]


def test_what_cannot_be_answered_stops_nobody(settings, start_worker) -> None:
    start_worker(settings).wait_until_ready()
    ask(
        settings,
        request("ann", "late", deadline_ms=1),
        RecommendationRequest(user_id="ann", request_id="too long", k=10_000),
        request("stranger", "cold", seed_items=("1", "3114"), exclude=("2355",)),
    )
    wait_for(lambda: "cold" in answers(settings), "an answer")
    made = answers(settings)["cold"]
    assert made.applied == {}
    assert {"1", "3114", "2355"}.isdisjoint(ids(made))
    assert len(made.items) == 10
    wait_for(lambda: len(dead_letters(settings)) == 1, "a dead letter")
    (letter,) = dead_letters(settings)
    assert (letter.reason, letter.key) == ("validation_error", b"ann")
    assert "late" not in answers(settings)
    assert not states(settings)


def test_a_request_that_waited_for_a_killed_worker_is_answered_once_more_at_most(
    settings, start_worker
) -> None:
    worker = start_worker(settings).wait_until_ready()
    send(settings, [Click(user_id="ann", item_id="318", timestamp_ms=NOW)])
    wait_for(lambda: "ann" in states(settings), "the row")
    ask(settings, request("ann", "first"))
    wait_for(lambda: "first" in answers(settings), "an answer")
    worker.kill()
    ask(settings, request("ann", "second"))
    start_worker(settings).wait_until_ready()
    wait_for(lambda: "second" in answers(settings), "an answer")
    made = [one for one in lists(settings) if one.request_id]
    assert {one.rec_id for one in made if one.request_id == "first"} == {made[0].rec_id}
    assert ids(answers(settings)["second"]) == ids(made[0])


def test_the_command_asks_and_prints(settings, start_worker) -> None:
    start_worker(settings).wait_until_ready()
    send(settings, [Click(user_id="ann", item_id="318", timestamp_ms=NOW)])
    wait_for(lambda: len(lists(settings)) == 1, "a list")
    environment = settings.environment()

    def run(*arguments: str) -> str:
        result = CliRunner(env=environment).invoke(command, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    text = run("ann", "-k", "3").splitlines()
    assert [line.split()[0] for line in text[1:]] == ["1", "2", "3"]
    first = json.loads(run("ann", "--json"))
    page = [item["item_id"] for item in first["items"]]
    options = [part for item in page for part in ("--exclude", item)]
    second = json.loads(run("ann", "--json", *options))
    assert set(page).isdisjoint(item["item_id"] for item in second["items"])


def test_the_command_says_that_nobody_answers(settings) -> None:
    runner = CliRunner(env=settings.environment())
    with pytest.raises(UserError, match=r"no answer within 1 s to .*is a worker running"):
        runner.invoke(command, ["ann", "--timeout", "1"], catch_exceptions=False)
    result = runner.invoke(command, ["ann", "-k", "900"])
    assert result.exit_code == 2
