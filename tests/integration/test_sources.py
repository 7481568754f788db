"""Candidates that a worker has from others and from producers, on a real Kafka."""

from __future__ import annotations

from dataclasses import replace

from schemas import Click, Item, Scenario, encode
from stream_app.demo.session import free_port
from stream_app.settings import Settings
from stream_app.streaming.topics import partitioner
from tests.integration.conftest import PARTITIONS
from tests.integration.shop import catalogue, figure, say
from tests.integration.topics import lists, send, send_raw, wait_for

NOW = 1_700_000_000_000
HITS = ("hit-1", "hit-2", "hit-3")
MANY = 12


def users_of(partition: int, count: int, prefix: str) -> list[str]:
    """Ids of users whose events come into a partition."""
    belongs = partitioner(PARTITIONS)
    numbered = (f"{prefix}-{n}" for n in range(1_000_000))
    found = (user for user in numbered if belongs(user.encode()) == partition)
    return [next(found) for _ in range(count)]


def clicks(users: list[str], *items: str) -> list[Click]:
    return [
        Click(user_id=user, item_id=item, timestamp_ms=NOW + at)
        for at, item in enumerate(items)
        for user in users
    ]


def newest(settings: Settings, users: list[str]) -> dict[str, set[str]]:
    """What each of some users is recommended after one more click."""
    sent = send(settings, clicks(users, "318"))
    wanted = {(one.partition, one.offset) for one in sent}

    def made() -> dict[str, set[str]]:
        return {
            one.user_id: {item.item_id for item in one.items}
            for one in lists(settings)
            if one.trigger and (one.trigger.partition, one.trigger.offset) in wanted
        }

    wait_for(lambda: len(made()) == len(users), "a list for every user")
    return made()


def test_what_one_partition_clicks_is_trending_for_all_and_a_flood_is_not(
    settings, start_worker
) -> None:
    """Two workers of two partitions each: for one of them, partition 0 is another's."""
    only = "personal=0 transitions=0 related=0 new=0 trending=3"
    settings = replace(settings, sources=only, list_length=3, filters="")
    workers = [
        start_worker(replace(settings, metrics_port=free_port())).wait_until_ready()
        for _ in range(2)
    ]
    crowd = users_of(0, MANY, "crowd")
    (script,) = users_of(0, 1, "script")
    send(settings, [*clicks(crowd, *HITS), *clicks([script], *["flooded"] * 300)])
    readers = [user for other in (1, 2, 3) for user in users_of(other, 1, "reader")]

    def all_see(expected: set[str]) -> bool:
        return all(seen == expected for seen in newest(settings, readers).values())

    wait_for(lambda: all_see(set(HITS)), "the trends in all partitions")
    for worker in workers:
        assert worker.terminate() == 0
    start_worker(settings).wait_until_ready()
    assert all_see(set(HITS)), "trends outlive the workers that counted them"


def test_an_untouched_item_and_a_related_one_reach_lists(settings, start_worker) -> None:
    settings = replace(settings, exploration=1.0)
    worker = start_worker(settings).wait_until_ready()
    heavier = Scenario(name="default", weights={"related": 3.0})
    send_raw(settings, settings.topic_prefix + "scenarios", [(b"default", encode(heavier))])
    say(
        settings,
        ("260", Item(item_id="260", related=("spoon",))),  # named before it is listed
        ("fresh", Item(item_id="fresh")),
        ("spoon", Item(item_id="spoon")),
    )
    wait_for(lambda: catalogue(worker, "listed") == 3, "the catalogue")
    in_force = 'stream_app_control_in_force{topic="scenarios"}'
    wait_for(lambda: figure(worker, in_force) == 1, "the scenario")
    send(settings, clicks(["ann"], "260"))
    wait_for(lambda: len(lists(settings)) == 1, "a list")
    (made,) = lists(settings)
    by_id = {item.item_id: item for item in made.items}
    assert "related" in by_id["spoon"].sources
    assert by_id["spoon"].rank == 1
    assert "new" in by_id["fresh"].sources
    assert by_id["fresh"].rank > 5
    assert by_id["fresh"].propensity == 0.2, "certainly one of five places, and no other item"
    assert made.items[0].propensity == 1.0
    assert len(made.items) == 10
