"""A click in, a fresh ranked list out, on a real Kafka."""

from __future__ import annotations

import json
from dataclasses import replace

import confluent_kafka
import pytest

import schemas
from schemas import Click, Purchase
from stream_app.settings import Settings
from tests.integration.topics import lists, read, send, states, wait_for

NOW = 1_700_000_000_000


def clicks(user_id: str, *items: str) -> list[Click]:
    return [
        Click(user_id=user_id, item_id=item, timestamp_ms=NOW + place * 1000)
        for place, item in enumerate(items)
    ]


def test_a_click_gives_a_list_and_a_second_one_changes_it(settings, start_worker) -> None:
    start_worker(settings).wait_until_ready()
    send(settings, clicks("ann", "318"))
    wait_for(lambda: len(lists(settings)) == 1, "a list")
    send(settings, clicks("ann", "318", "2571")[1:])
    wait_for(lambda: len(lists(settings)) == 2, "a second list")
    first, second = lists(settings)
    assert [item.rank for item in first.items] == list(range(1, 11))
    assert len({item.item_id for item in first.items}) == 10
    assert "318" not in {item.item_id for item in first.items}
    assert {"318", "2571"}.isdisjoint({item.item_id for item in second.items})
    assert [i.item_id for i in first.items] != [i.item_id for i in second.items]
    assert first.trigger.offset == 0
    assert second.trigger.timestamp_ms == NOW + 1000
    assert second.rec_id != first.rec_id
    assert first.degraded is None


def test_both_topics_feed_one_row(settings, start_worker) -> None:
    start_worker(settings).wait_until_ready()
    bought = Purchase(user_id="ann", item_id="2571", timestamp_ms=NOW + 1000, quantity=2)
    send(settings, [*clicks("ann", "318"), bought])
    wait_for(lambda: "ann" in states(settings) and states(settings)["ann"].events == 2, "both")
    row = states(settings)["ann"]
    assert {source.rsplit("/")[0] for source in row.offsets} == {
        settings.topic_prefix + "clicks",
        settings.topic_prefix + "purchases",
    }
    assert lists(settings)[-1].applied == row.offsets


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_either_encoding_in_and_out(settings, start_worker, encoding) -> None:
    settings = replace(settings, output_encoding=encoding)
    start_worker(settings).wait_until_ready()
    send(settings, clicks("ann", "318"), encoding="json" if encoding == "msgpack" else "msgpack")
    wait_for(lambda: len(lists(settings)) == 1, "a list")
    value = read(settings, "recommendations")[0].value
    assert (value[:1] == b"{") == (encoding == "json")


def test_a_librdkafka_producer_with_murmur2_reaches_the_same_row(settings, start_worker) -> None:
    """librdkafka's own default partitioner is CRC32: the README names the setting."""
    start_worker(settings).wait_until_ready()
    users = [f"user-{number}" for number in range(20)]
    sent = send(settings, [event for user in users for event in clicks(user, "318")])
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": settings.bootstrap_servers, "partitioner": "murmur2_random"}
    )
    placed: dict[str, int] = {}

    def on_delivery(error: object, message: confluent_kafka.Message) -> None:
        assert error is None
        placed[message.key().decode()] = message.partition()

    for user in users:
        value = {"user_id": user, "item_id": "2571", "timestamp_ms": NOW + 5000, "unknown": [1]}
        producer.produce(
            settings.topic_prefix + "purchases",
            key=user,
            value=json.dumps(value),
            on_delivery=on_delivery,
        )
    assert producer.flush(30) == 0
    assert [placed[user] for user in users] == [record.partition for record in sent]
    wait_for(lambda: sum(s.events for s in states(settings).values()) == 40, "all events")


def test_outputs_go_to_the_partition_of_the_event(settings, start_worker) -> None:
    start_worker(settings).wait_until_ready()
    users = [f"user-{number}" for number in range(20)]
    sent = send(settings, [event for user in users for event in clicks(user, "318")])
    wait_for(lambda: len(lists(settings)) == 20, "lists")
    placed = {record.key.decode(): record.partition for record in read(settings, "recommendations")}
    assert placed == {user: record.partition for user, record in zip(users, sent, strict=True)}


def test_event_ids_make_producer_retries_harmless(settings, start_worker) -> None:
    start_worker(settings).wait_until_ready()
    event = Click(user_id="ann", item_id="318", timestamp_ms=NOW, event_id="e1")
    send(settings, [event, event, event])
    covers = settings.topic_prefix + "clicks"
    wait_for(
        lambda: "ann" in states(settings) and max(states(settings)["ann"].offsets.values()) == 2,
        f"three offsets of {covers}",
    )
    row = states(settings)["ann"]
    assert (row.events, row.duplicates) == (1, 2)


def test_metrics_and_health(settings: Settings, start_worker) -> None:
    worker = start_worker(settings).wait_until_ready()
    send(settings, clicks("ann", "318", "2571", "1"))
    wait_for(lambda: lists(settings) != [] and states(settings)["ann"].events == 3, "a list")
    prefix = settings.topic_prefix

    def exported() -> str:
        return worker.get("/metrics")[1]

    applied = f'stream_app_events_total{{outcome="applied",topic="{prefix}clicks"}} 3.0'
    wait_for(lambda: applied in exported(), applied)
    wait_for(lambda: "stream_app_consumer_lag{" in exported(), "lag")
    wait_for(lambda: "stream_app_catalogue_coverage 0.0" in exported(), "the first report")
    for name in (
        "stream_app_feedback_to_recommendation_seconds_bucket",
        "stream_app_batch_size_count",
        "stream_app_stage_seconds_count",
        "stream_app_release_info",
        "stream_app_index_size",
        "stream_app_build_info",
        "stream_app_commit_age_seconds{",
        "stream_app_list_items_total{",
        "stream_app_candidates_total{",
        "stream_app_state_bytes",
        "stream_app_rebalances_total 1.0",
        "process_start_time_seconds",
        "process_resident_memory_bytes",
        "python_info",
    ):
        assert name in exported()
    assert "ann" not in exported()
    assert worker.get("/health/live")[0] == 200
    assert worker.get("/health/ready")[0] == 200
    assert worker.get("/nothing")[0] == 404


def test_unordered_json_keys_and_unknown_actions_are_fine(settings, start_worker) -> None:
    start_worker(settings).wait_until_ready()
    event = Click(user_id="ann", item_id="no such item", timestamp_ms=NOW, action="hovered")
    send(settings, [event], encoding="json")
    wait_for(lambda: len(lists(settings)) == 1, "a list")
    assert schemas.encode(lists(settings)[0], "json")
