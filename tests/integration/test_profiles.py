"""What users say of themselves, on a real Kafka: a compacted source, erased with the user."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from schemas import Click, Profile, Recommendation, RecommendationRequest
from stream_app.cli.produce import command as produce
from stream_app.cli.request import command as request
from stream_app.recommender import Recommender
from stream_app.settings import Settings
from stream_app.streaming.clients import event_sender
from stream_app.streaming.ownership import NOBODY
from stream_app.streaming.reading import committed_offsets
from stream_app.users.profile import profile_of
from stream_app.verify import Kind, Report, Scope, verify
from stream_app.verify.erased import verify_erased
from tests.integration.conftest import BUNDLE
from tests.integration.installation import Installation
from tests.integration.shop import small_shop
from tests.integration.test_purge import configure
from tests.integration.topics import (
    ask,
    dead_letters,
    erase,
    lists,
    read,
    receipts,
    send,
    send_raw,
    states,
    wait_for,
)

NOW = 1_700_000_000_000


@pytest.fixture
def shop(settings: Settings, tmp_path: Path) -> Settings:
    return small_shop(settings, tmp_path)


def say(settings: Settings, *profiles: Profile) -> None:
    async def run() -> None:
        async with event_sender(settings) as sender:
            for one in profiles:
                await (await sender.send_profile(one.user_id, one))

    asyncio.run(run())


def answer(settings: Settings, name: str) -> Recommendation | None:
    return next((made for made in lists(settings) if made.request_id == name), None)


def offsets(settings: Settings, partition: int) -> list[int]:
    return [one.offset for one in read(settings, "profiles") if one.partition == partition]


def with_holes(settings: Settings) -> None:
    """Say much of one user, and wait until Kafka has compacted that away."""
    topic = settings.topic_prefix + "profiles"
    configure(settings, topic, max_compaction_lag_ms="500", segment_bytes="1048576")
    say(settings, *(Profile(user_id="ann", text=f"word {n}") for n in range(20)))
    (partition,) = {one.partition for one in read(settings, "profiles")}

    async def push() -> None:
        async with event_sender(settings) as sender:
            await sender._producer.send(topic, None, key=NOBODY, partition=partition)

    def compacted() -> bool:
        asyncio.run(push())
        found = offsets(settings, partition)
        return len(found) < found[-1] - found[0] + 1

    wait_for(compacted, "compaction", 90)


def checked(settings: Settings) -> Report:
    return asyncio.run(verify(settings, Scope(settled=True)))


def settled(settings: Settings) -> bool:
    commits = asyncio.run(committed_offsets(settings))
    topic = settings.topic_prefix + "profiles"
    ends = {f"{topic}/{one.partition}": one.offset + 1 for one in read(settings, "profiles")}
    return ends.items() <= commits.items()


def test_what_users_say_is_applied_ranked_and_erased(shop, start_worker, tmp_path) -> None:
    with_holes(shop)
    worker = start_worker(shop).wait_until_ready()
    file = tmp_path / "profiles.jsonl"
    file.write_text(
        '{"user_id": "bob", "text": "rockets", "attributes": {"member": true}}\n'
        '{"user_id": "eve", "text": "boats"}\n{"user_id": "eve", "withdrawn": true}\n'
    )
    result = CliRunner(env=shop.environment()).invoke(
        produce, ["--profiles", str(file)], catch_exceptions=False
    )
    assert result.output == "sent 3 profiles\n"
    wait_for(lambda: {"ann", "bob"} <= states(shop).keys(), "rows")
    wait_for(lambda: profile_of(states(shop)["ann"]).text == "word 19", "the last of ann")
    bob = profile_of(states(shop)["bob"])
    assert bob.attributes == {"member": True}
    assert bob.vector, "the text was read"
    made = [one for one in lists(shop) if one.user_id == "bob"]
    assert made[0].trigger is not None
    assert made[0].trigger.topic == shop.topic_prefix + "profiles"
    assert len(made[0].items) == 10
    assert "profile" in {source for item in made[0].items for source in item.sources}

    send(shop, [Click(user_id="bob", item_id="item-3", timestamp_ms=NOW)])
    wait_for(lambda: states(shop)["bob"].events == 1, "the click")
    assert profile_of(states(shop)["bob"]) == bob
    send_raw(shop, shop.topic_prefix + "profiles", [(b"bob", b'{"user_id": "bob", "text": 5}')])
    wait_for(lambda: len(dead_letters(shop)) == 1, "a dead letter")
    assert dead_letters(shop)[0].reason == "validation_error"

    asked = CliRunner(env=shop.environment()).invoke(
        request, ["stranger", "--query", "rockets", "--json"], catch_exceptions=False
    )
    found = json.loads(asked.output)
    assert found.get("degraded") is None
    assert found["items"][0]["sources"][-1] == "profile"
    assert "stranger" not in states(shop)
    wait_for(lambda: settled(shop), "commits")
    report = checked(shop)
    assert report.ok, report.as_dict()

    (placed,) = erase(shop, "bob")
    wait_for(lambda: len(receipts(shop)) == 1, "the receipt")
    remaining = {one.topic: one.until_ms for one in receipts(shop)[0].remaining}
    assert remaining[shop.topic_prefix + "profiles"] is not None
    last = [one for one in read(shop, "profiles") if one.key == b"bob"][-1]
    assert (last.value, last.partition) == (None, placed.partition)
    wait_for(lambda: settled(shop), "the tombstone to be read")
    assert "bob" not in states(shop), "the tombstone has begun no row"
    (traces,) = asyncio.run(verify_erased(shop, ["bob"], lambda *_: None))
    # What was said may be compacted by now, the row not yet.
    assert (traces.rows > 0, traces.gone) == (True, False)
    assert "profiles" in traces.as_text()
    report = checked(shop)
    assert report.ok, report.as_dict()
    assert worker.terminate() == 0

    blind = start_worker(replace(shop, text_encoder="")).wait_until_ready()
    say(shop, Profile(user_id="dan", text="boats", attributes={"age": 41}))
    ask(shop, RecommendationRequest(user_id="dan", request_id="blind", query="rockets"))
    wait_for(lambda: answer(shop, "blind") is not None, "an answer")
    wait_for(lambda: "dan" in states(shop), "the row")
    dan = profile_of(states(shop)["dan"])
    assert (dan.text, dan.attributes, dan.vector) == ("boats", {"age": 41}, b"")
    degraded = answer(shop, "blind")
    assert degraded is not None
    assert "no text encoder" in (degraded.degraded or "")
    assert "they wait in the rows" in blind.output


def test_the_check_finds_what_was_not_applied(settings: Settings) -> None:
    say(settings, *(Profile(user_id=user, text="the sea") for user in ("ann", "bob", "ann")))
    made = Installation(settings, Recommender.load(BUNDLE))
    made.work()
    assert made.settled().ok, made.settled().as_dict()
    altered = made.state("ann")
    made.put("ann", type(altered)(offsets=altered.offsets))
    report = made.settled()
    assert [one["detail"] for one in report.examples(Kind.ALTERED)] == [
        "the row holds another profile"
    ]
    say(settings, Profile(user_id="carl", text="hills"))
    made.work(skip=lambda record: record.key == b"carl")
    assert made.settled().count(Kind.LOST) == 1
