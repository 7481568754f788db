"""Puts together what every worker reads whole: the catalogue, trends, and what operators say."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import faust

from agents.catalogue_wiring import attach_catalogue
from agents.challengers import to_all, with_challengers
from agents.feeds import ControlFeed, Feeds, settle_rules
from agents.trends import TrendAgent
from schemas import (
    EXPERIMENTS,
    ITEM_TRENDS,
    ITEMS,
    RULES,
    SCENARIOS,
    decode_experiment,
    decode_rule,
    decode_scenario,
    topic_name,
)
from stream_app.inspector import Feed
from stream_app.observability.metrics import Metrics
from stream_app.releases import Releases
from stream_app.settings import Settings
from stream_app.streaming.broadcast import Broadcast
from stream_app.streaming.connection import client_options
from stream_app.streaming.publisher import Publisher
from stream_app.text import TextEncoder


def attach_feeds(
    app: faust.App,
    settings: Settings,
    releases: Releases,
    metrics: Metrics,
    publisher: Publisher,
    encoder: TextEncoder | None,
    counts: Mapping[str, int],
    thread: ThreadPoolExecutor,
    feed: Feed | None = None,
) -> tuple[Broadcast, TrendAgent, Callable[[], Awaitable[None]]]:
    """The reader of all these topics, what publishes trends, and a report to make now and then.

    `thread` is where batches are made; `feed` is told of dead letters.
    """
    prefix, everyone = settings.topic_prefix, [one.treatments for one in releases.all]
    scenarios = ControlFeed(
        decode_scenario, to_all([one.scenarios.put for one in everyone]), thread
    )
    experiments = ControlFeed(
        decode_experiment, to_all([one.experiments.put for one in everyone]), thread
    )
    rules = ControlFeed(decode_rule, to_all([one.rules.put for one in everyone]), thread)
    trends = topic_name(prefix, ITEM_TRENDS)
    shared = TrendAgent(releases.main.trends, trends, publisher, thread)
    catalogue = attach_catalogue(
        app, settings, releases.main, metrics, publisher, encoder, counts, thread, feed
    )
    feeds = Feeds(
        {
            topic_name(prefix, SCENARIOS): scenarios.take,
            topic_name(prefix, EXPERIMENTS): experiments.take,
            **with_challengers(catalogue, releases.challengers, topic_name(prefix, ITEMS), thread),
            trends: shared.take,
            # After the items: then each rule looks at each of them once.
            topic_name(prefix, RULES): rules.take,
        },
        partial(settle_rules, [one.rules for one in everyone], thread),
    )
    broadcast = Broadcast(
        client_options(settings), {name: counts[name] for name in feeds.topics}, feeds.take
    )

    async def report() -> None:
        loop = asyncio.get_running_loop()
        seen, shown = await loop.run_in_executor(thread, releases.look)
        newest = broadcast.newest_ms.items()
        newest_ms = {topic.removeprefix(prefix): at_ms for topic, at_ms in newest}
        metrics.catalogue(seen, broadcast.remaining, newest_ms)
        if shown is not None:
            metrics.shown(shown)
        said = releases.main.treatments
        held, book = said.scenarios, said.rules
        metrics.control(SCENARIOS.name, len(held), len(held.refused) + scenarios.rejected)
        metrics.control(EXPERIMENTS.name, said.experiments.running, experiments.rejected)
        metrics.control(RULES.name, len(book), len(book.refused) + rules.rejected)

    return broadcast, shared, report
