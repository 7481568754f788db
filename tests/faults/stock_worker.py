"""The control: our engine on the consumer, the tables and the recovery of stock Faust.

A plain agent, `async for event in stream.events()`, as Faust's documentation has it. The row goes
into a `faust.Table`, the list is acknowledged by the broker before the event is. Run as
`python -m tests.faults.stock_worker [--window SECONDS]`: the option widens, and does not make, the
gap in Faust's recovery between the seek to the committed offsets and the clearing of the stream
queues, in which fetched events are thrown away.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import faust

from agents.engine import Engine, Outgoing, Record
from schemas import (
    DEAD_LETTERS,
    DECISIONS,
    ERASURE_RECEIPTS,
    ERASURES,
    RECOMMENDATIONS,
    REQUESTS,
    topic_name,
)
from stream_app.bundle import load_bundle
from stream_app.recommender import Recommender
from stream_app.settings import Settings
from stream_app.streaming import topics
from stream_app.streaming.rows import Stamp, seal, unseal
from stream_app.streaming.topics import changelog_topic

RAW = {"key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw"}
EPOCH = 1
"""Stock Faust numbers no owners: all rows are of one epoch, and the last on the topic counts."""


def main() -> None:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--window", type=float, default=0.0)
    window_s = parser.parse_args().window
    settings = Settings.load()
    logging.basicConfig(level=logging.INFO)
    logging.getLogger("aiokafka").setLevel(logging.WARNING)
    partitions = asyncio.run(topics.check(settings))
    app = create_app(settings, partitions)
    _serve_health(app, settings.metrics_port)
    _count_thrown_away(app)
    if window_s:
        _widen(app, window_s)
    _agent(app, settings, partitions)
    faust.Worker(
        app, loglevel=None, redirect_stdouts=False, override_logging=False, quiet=True
    ).execute_from_commandline()


def create_app(settings: Settings, partitions: int) -> faust.App:
    """A stock application, with the timing of our worker."""
    return faust.App(
        settings.app_id,
        broker="kafka://" + settings.bootstrap_servers,
        autodiscover=False,
        datadir=str(Path(gettempdir()) / "stream-app-stock"),
        store="memory://",
        topic_partitions=partitions,
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        broker_commit_interval=settings.commit_interval_s,
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=settings.session_timeout_s / 5,
        broker_rebalance_timeout=30.0,
        broker_request_timeout=90.0,
        consumer_auto_offset_reset="earliest",
        producer_linger=0,
        web_enabled=False,
    )


def _agent(app: faust.App, settings: Settings, partitions: int) -> None:
    sources = topics.source_topics(settings)
    engine = Engine(
        Recommender(load_bundle(settings.bundle), k=settings.list_length),
        sources=sources,
        changelog=changelog_topic(settings.app_id),
        recommendations=topic_name(settings.topic_prefix, RECOMMENDATIONS),
        dead_letters=topic_name(settings.topic_prefix, DEAD_LETTERS),
        erasures=topic_name(settings.topic_prefix, ERASURES),
        receipts=topic_name(settings.topic_prefix, ERASURE_RECEIPTS),
        requests=topic_name(settings.topic_prefix, REQUESTS),
        decisions=topic_name(settings.topic_prefix, DECISIONS),
        profiles=topics.profiles_topic(settings),
    )
    outputs = {
        name: app.topic(name, **RAW)
        for name in (
            topic_name(settings.topic_prefix, RECOMMENDATIONS),
            topic_name(settings.topic_prefix, DEAD_LETTERS),
        )
    }
    table = app.Table(
        "users", default=bytes, partitions=partitions, key_type=bytes, value_type=bytes
    )

    async def send(record: Outgoing) -> None:
        topic, partition, key, value, headers = record
        sent = await outputs[topic].send(
            key=key, value=value, partition=partition, headers=list(headers)
        )
        await sent  # until the broker has it

    async def recommend(stream: Any) -> None:
        async for event in stream.events():
            record = _record(event.message)
            known = table.get(record.key) if record.key else None
            rows = {record.key: unseal(known) if known else None} if record.key else {}
            work = engine.work([record], rows)
            for row in work.rows:
                table[row.key] = seal(row.value, Stamp(EPOCH, time.time_ns() // 1_000_000))
            for outgoing in (*work.lists, *work.dead):
                await send(outgoing)

    app.agent(app.topic(*sources, **RAW), name="recommend")(recommend)


def _record(message: Any) -> Record:
    return Record(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        timestamp_ms=round(message.timestamp * 1000),
        key=message.key,
        value=message.value,
        headers=tuple(message.headers or ()),
    )


def _widen(app: faust.App, window_s: float) -> None:
    """Wait between the seek that ends recovery and what follows it."""

    async def started() -> None:
        consumer = app.consumer
        seek = consumer.perform_seek

        async def slowly() -> None:
            await seek()
            await asyncio.sleep(window_s)

        consumer.perform_seek = slowly

    app.task(started)


def _count_thrown_away(app: faust.App) -> None:
    """Say in the log how many source events of the present assignment a clearing drops."""
    flow: Any = app.flow_control
    resume = flow.resume

    def counted() -> None:
        dropped = [
            event.message
            for queue in flow._queues
            for event in queue._queue
            if event.message.generation_id == app.consumer_generation_id
        ]
        if dropped:
            last = dropped[-1]
            print(
                f"THROWN AWAY {len(dropped)} events, last {last.topic}/{last.partition} "
                f"offset {last.offset}",
                flush=True,
            )
        resume()

    flow.resume = counted


def _serve_health(app: faust.App, port: int) -> None:
    """`/health/ready`, for the harness."""

    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            ready = app.started and app.tables.actives_ready and not app.rebalancing
            self.send_response(200 if ready else 503)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Health)
    threading.Thread(target=server.serve_forever, daemon=True).start()


if __name__ == "__main__":
    main()
