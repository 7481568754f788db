"""What operators and producers say now, for commands that make lists as workers do."""

from __future__ import annotations

from schemas import (
    ITEM_VECTORS,
    ITEMS,
    RULES,
    SCENARIOS,
    Topic,
    decode_item,
    decode_item_vector,
    decode_rule,
    decode_scenario,
    topic_name,
)
from stream_app.recommender import Recommender
from stream_app.settings import Settings
from stream_app.streaming.compacted import Decode, Message, read_compacted
from stream_app.streaming.topics import partition_counts


async def bring_up_to_date(settings: Settings, recommender: Recommender) -> None:
    """Have a recommender know the scenarios, rules and items that are on the topics.

    The items are read only where a scenario or a rule holds: without, what is said of them changes
    hardly a list, and there may be millions. Topics that do not exist hold nothing. Raises
    `NoBrokerError`, `AccessError`, `UserError`, and errors of the Kafka client.
    """
    scenarios = await _read(settings, SCENARIOS, decode_scenario)
    rules = await _read(settings, RULES, decode_rule)
    if scenarios or rules:
        items = await _read(settings, ITEMS, decode_item)
        vectors = await _read(settings, ITEM_VECTORS, decode_item_vector)
        recommender.catalogue.apply(list(items.items()), list(vectors.items()))
    treatments = recommender.treatments
    for name, scenario in scenarios.items():
        treatments.scenarios.put(name, scenario)
    for rule_id, rule in rules.items():
        treatments.rules.put(rule_id, rule)
    while treatments.rules.work():
        pass


async def _read(
    settings: Settings, topic: Topic, decode: Decode[Message]
) -> dict[str, Message | None]:
    """What a topic says now; what is no valid message is passed over, as workers do."""
    if not await partition_counts(settings, [topic_name(settings.topic_prefix, topic)]):
        return {}
    return (await read_compacted(settings, topic, decode))[0]
