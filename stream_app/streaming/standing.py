"""What operators and producers say now, for commands that make lists as workers do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from schemas import (
    ITEM_VECTORS,
    ITEMS,
    RULES,
    SCENARIOS,
    Item,
    ItemVector,
    RejectedMessage,
    Topic,
    decode_item,
    decode_output,
    decode_rule,
    decode_scenario,
    topic_name,
)
from stream_app.recommender import Recommender
from stream_app.settings import Settings
from stream_app.streaming.clients import follower
from stream_app.streaming.topics import partition_counts

Found = TypeVar("Found")
Decode = Callable[[Any], tuple[str, Found | None]]


async def bring_up_to_date(settings: Settings, recommender: Recommender) -> None:
    """Have a recommender know the scenarios, rules and items that are on the topics.

    The items are read only where a scenario or a rule holds: without, what is said of them changes
    hardly a list, and there may be millions. Topics that do not exist hold nothing. Raises
    `NoBrokerError`, `AccessError`, `UserError`, and errors of the Kafka client.
    """
    scenarios = await _read(
        settings, SCENARIOS, lambda one: decode_scenario(one.value, key=one.key)
    )
    rules = await _read(settings, RULES, lambda one: decode_rule(one.value, key=one.key))
    if scenarios or rules:
        items: dict[str, Item | None] = await _read(
            settings, ITEMS, lambda one: decode_item(one.value, key=one.key)
        )
        vectors: dict[str, ItemVector | None] = await _read(settings, ITEM_VECTORS, _vector)
        recommender.catalogue.apply(list(items.items()), list(vectors.items()))
    treatments = recommender.treatments
    for name, scenario in scenarios.items():
        treatments.scenarios.put(name, scenario)
    for rule_id, rule in rules.items():
        treatments.rules.put(rule_id, rule)
    while treatments.rules.work():
        pass


async def _read(settings: Settings, topic: Topic, decode: Decode[Found]) -> dict[str, Found | None]:
    """The last valid record of every key, in the order of their last records."""
    name = topic_name(settings.topic_prefix, topic)
    if not await partition_counts(settings, [name]):
        return {}
    found: dict[str, Found | None] = {}
    async with follower(settings, [name], from_start=True) as records:
        async for record in records.to_end():
            try:
                key, value = decode(record)
            except (RejectedMessage, UnicodeDecodeError, AttributeError):
                continue  # as workers pass it over
            found.pop(key, None)
            found[key] = value
    return found


def _vector(record: Any) -> tuple[str, ItemVector | None]:
    if record.value is None:
        return record.key.decode(), None
    made = decode_output(ItemVector, record.value)
    return made.item_id, made
