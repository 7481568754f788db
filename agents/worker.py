"""Puts a worker together and runs it: settings in, exit code out."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import product
from pathlib import Path

import faust
from aiokafka.errors import ProducerClosed

from agents.batch_traces import BatchTraces
from agents.catalogue_wiring import load_text_encoder
from agents.engine import Engine
from agents.feeds_wiring import attach_feeds
from agents.inspecting import InspectedWorker
from agents.recommend import RecommendAgent
from agents.trends import FLUSH_S
from schemas import (
    DEAD_LETTERS,
    DECISIONS,
    ERASURE_RECEIPTS,
    ERASURES,
    RECOMMENDATIONS,
    REQUESTS,
    topic_name,
)
from stream_app.encoders.load import AUTO, unavailable
from stream_app.inspector import Feed, start_inspector
from stream_app.observability.logging import add_context
from stream_app.observability.metrics import Metrics
from stream_app.observability.server import start_metrics_server
from stream_app.observability.tracing import Tracing, start_tracing
from stream_app.releases import Releases
from stream_app.serving import challenging, serving
from stream_app.settings import Settings
from stream_app.streaming import topics
from stream_app.streaming.app import create_app, raw_topic
from stream_app.streaming.changelog import ChangelogReader
from stream_app.streaming.connection import client_options
from stream_app.streaming.erasures import Erasures
from stream_app.streaming.expiry import Expiry, StreamClock
from stream_app.streaming.group_view import view_group
from stream_app.streaming.ownership import UserRows
from stream_app.streaming.probe import Snapshot, loops, main_loop, snapshot
from stream_app.streaming.publisher import Publisher, PublisherStopped
from stream_app.streaming.purge import INTERVAL_S, Purge
from stream_app.streaming.retention import (
    Retention,
    problems,
    read_configs,
    refuse_unsafe,
    retention_of,
)
from stream_app.streaming.rocksdb import RocksRows
from stream_app.streaming.stores import MemoryRows, RowStore
from stream_app.streaming.stuck import Limits, StuckRules
from stream_app.streaming.watchdog import Watchdog
from stream_app.text import TextEncoder

log = logging.getLogger(__name__)

DAY_MS = 24 * 60 * 60 * 1000
REPORT_S = 2.0


def run(settings: Settings) -> None:
    """Run a worker until SIGTERM or SIGINT; ends the process with its exit code.

    Raises `SettingsError`, `BundleError`, `TopicsError` or `NoBrokerError` before anything runs.
    """
    recommender = serving(settings)
    bundle = recommender.bundle
    counts = asyncio.run(topics.describe(settings))
    partitions = topics.checked(settings, counts, without=topics.not_for_workers(settings))
    add_context(release=bundle.release)
    tracing = start_tracing(
        settings.trace_endpoint, settings.trace_sample, "stream-app-worker", settings.app_id
    )
    encoder = load_text_encoder(settings, bundle)
    recommender.read_texts_with(encoder)
    releases = Releases(recommender, challenging(settings))
    for challenger in releases.challengers:
        spec = challenger.bundle.manifest.text
        same = encoder is not None and spec is not None and spec.sha256 == encoder.digest
        challenger.read_texts_with(encoder if same else None)
        log.info("serving release %s to arms that name it", challenger.bundle.release)
    metrics = Metrics()
    metrics.release(recommender.bundle)
    for one in releases.all:
        if one.tally is not None:
            metrics.watch(one.tally.funnel, one.treatments.rules)
    app = build(
        settings, partitions, releases, metrics, _retention(settings), encoder, counts, tracing
    )
    gc.collect()
    gc.freeze()  # what is loaded by now stays: no collection needs to look at it again
    log.info("serving release %s on %s", bundle.release, bundle.encoder.backend)
    for name in AUTO if settings.backend == "auto" else ():
        if why := unavailable(name, settings.precision):
            log.info("encoder backend %s was not tried: %s", name, why)
    worker = faust.Worker(
        app,
        loglevel=None,  # logging is set up by the command
        redirect_stdouts=False,
        override_logging=False,
        quiet=True,
    )
    worker.spinner = None  # it writes control characters, terminal or not
    try:
        worker.execute_from_commandline()
    finally:
        if tracing is not None:
            tracing.close()


def build(
    settings: Settings,
    partitions: int,
    releases: Releases,
    metrics: Metrics,
    retention: Retention,
    encoder: TextEncoder | None,
    counts: Mapping[str, int],
    tracing: Tracing | None = None,
) -> faust.App:
    """The application with its agents, its health port and its watchdog, not yet running.

    `counts` are the partitions by topic, `partitions` those of the topics keyed by user.
    """
    app = create_app(settings, partitions)
    sources = topics.source_topics(settings)
    impressions = topics.impressions_topic(settings)
    changelog = topics.changelog_topic(settings.app_id)
    erase = topic_name(settings.topic_prefix, ERASURES)
    requests = topic_name(settings.topic_prefix, REQUESTS)
    profiles = topics.profiles_topic(settings)
    partition_of = topics.partitioner(partitions)
    engine = Engine(
        releases,
        sources=sources,
        impressions=impressions,
        changelog=changelog,
        recommendations=topic_name(settings.topic_prefix, RECOMMENDATIONS),
        dead_letters=topic_name(settings.topic_prefix, DEAD_LETTERS),
        erasures=erase,
        receipts=topic_name(settings.topic_prefix, ERASURE_RECEIPTS),
        requests=requests,
        decisions=topic_name(settings.topic_prefix, DECISIONS),
        profiles=profiles,
        holdings=retention.holdings,
        encoding="json" if settings.output_encoding == "json" else "msgpack",
        partition_of=partition_of,
    )
    options = client_options(settings)
    publisher = Publisher(options, settings.app_id)
    rows = UserRows(_store(settings), changelog, ChangelogReader(options, changelog), publisher)
    erasures = Erasures(ChangelogReader(options, erase))
    # One thread computes: what changes the catalogue takes effect between two batches.
    thread = ThreadPoolExecutor(1, thread_name_prefix="engine")
    feed = Feed() if settings.inspector_port else None
    broadcast, trends, report = attach_feeds(
        app, settings, releases, metrics, publisher, encoder, counts, thread, feed
    )
    _repeat(app, trends.flush, FLUSH_S)
    app.tables.attach(rows, publisher, changelog, erasures, broadcast)
    _repeat(app, report, REPORT_S)
    clock = StreamClock()
    agent = RecommendAgent(
        engine, rows, erasures, clock, publisher, metrics,
        settings.batch_max, settings.session_timeout_s, thread, feed,
        BatchTraces(tracing, settings.app_id) if tracing is not None else None,
    )  # fmt: skip
    consumed = topics.consumed_topics(settings)
    app.agent(raw_topic(app, *consumed), name="recommend")(agent.__call__)
    purge = Purge(rows, erasures, retention.pushed_ms, retention.deleted[erase], topics=(profiles,))
    _repeat(app, purge.sweep, INTERVAL_S)
    if settings.user_retention_days:
        _expire(app, Expiry(rows, clock, round(settings.user_retention_days * DAY_MS)), metrics)
    look = _watch(app, settings, frozenset(consumed), partitions, agent, metrics)
    if feed is not None:
        inspected = InspectedWorker(
            settings, releases, thread, rows, erasures, publisher,
            sources=sources, requests=erase, partition_of=partition_of,
            look=look, loop=partial(main_loop, app),
        )  # fmt: skip
        start_inspector(settings, inspected, feed)
    return app


def _retention(settings: Settings) -> Retention:
    """What receipts say about the topics; and say, or refuse, what is wrong with them."""
    found = asyncio.run(read_configs(settings))
    refuse_unsafe(settings, found)
    for problem in problems(settings, found):
        log.warning("%s", problem)
    return retention_of(settings, found)


def _store(settings: Settings) -> RowStore:
    if settings.state_store == "rocksdb":
        return RocksRows(Path(settings.state_dir) / settings.app_id)
    return MemoryRows()


def _expire(app: faust.App, expiry: Expiry, metrics: Metrics) -> None:
    async def sweep() -> None:
        metrics.expired(await expiry.sweep())

    _repeat(app, sweep, expiry.interval_s)


def _repeat(app: faust.App, sweep: Callable[[], Awaitable[object]], interval_s: float) -> None:
    """Sweep over the rows again and again, until the worker stops."""

    async def repeat() -> None:
        with suppress(asyncio.CancelledError):
            while not app.should_stop:
                await asyncio.sleep(interval_s)
                try:
                    await sweep()
                except (ProducerClosed, PublisherStopped):
                    if not app.should_stop:
                        raise

    app.task(repeat)


def _watch(
    app: faust.App,
    settings: Settings,
    sources: frozenset[str],
    partitions: int,
    agent: RecommendAgent,
    metrics: Metrics,
) -> Callable[[], Snapshot]:
    """Start what watches the worker; returns how to look at it from any thread."""

    def look() -> Snapshot:
        return snapshot(app, sources, agent.activity.standing)

    limits = Limits(
        start_s=settings.start_timeout_s,
        stuck_s=settings.stuck_timeout_s,
        shutdown_s=settings.shutdown_timeout_s,
        session_s=settings.session_timeout_s,
        rebalance_s=app.conf.broker_rebalance_timeout,
    )
    watchdog = Watchdog(
        look,
        partial(loops, app),
        StuckRules(limits, frozenset(product(sources, range(partitions)))),
        partial(view_group, client_options(settings), settings.app_id),
        metrics.progress,
    )

    def ready() -> tuple[bool, str]:
        seen = look()
        if seen.ready and watchdog.spare:
            return True, "spare: others have all source partitions"
        return seen.ready and bool(seen.partitions) and not seen.missing, seen.state

    start_metrics_server(
        settings.metrics_port, settings.metrics_host, live=watchdog.health, ready=ready
    )
    watchdog.start()
    return look
