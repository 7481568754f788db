"""The Faust application of a worker: every setting that delivery and latency depend on, explicit.

Faust reads environment variables for whatever is not given, so nothing is left to chance here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import faust

from stream_app.settings import Settings
from stream_app.streaming import consumer, coordinator, internals, lenient
from stream_app.streaming.connection import faust_credentials
from stream_app.streaming.recovery import RowsManager
from stream_app.streaming.topics import profiles_topic

IDLE_FOR_EVER_S = 10 * 365 * 86_400.0
"""aiokafka leaves the group when nothing was fetched for long, and does not come back while nothing
is: a long recovery, or a worker that is spare, would be lost. To see a hang is the watchdog's part.
"""


def create_app(settings: Settings, partitions: int) -> faust.App:
    """Build the application; topics are made by `stream-app topics create`, never by Faust."""
    internals.check_versions()
    coordinator.install()
    lenient.install()
    app = faust.App(
        settings.app_id,
        broker="kafka://" + ";kafka://".join(settings.bootstrap_servers.split(",")),
        broker_credentials=faust_credentials(settings),
        autodiscover=False,
        datadir=str(Path(gettempdir()) / "stream-app"),  # made at the start, never written to
        TableManager=RowsManager,
        topic_partitions=partitions,
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        stream_wait_empty=True,  # a rebalance waits for the batch in process
        stream_buffer_maxsize=4096,  # some batches; a queue is bounded by count, not by bytes
        broker_commit_interval=settings.commit_interval_s,
        broker_commit_every=None,  # by time only: a commit by count would run inside the drain
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=settings.session_timeout_s / 5,
        broker_rebalance_timeout=max(30.0, settings.session_timeout_s),
        broker_request_timeout=90.0,
        broker_max_poll_interval=IDLE_FOR_EVER_S,
        consumer_auto_offset_reset="earliest",  # latest would skip events of a new partition
        producer_linger=0,
        web_enabled=False,
        web_in_thread=False,
        debug=False,
    )
    consumer.install(app, compacted=(profiles_topic(settings),))
    return app


class RawSchema(faust.Schema):
    """Hands records on as they are; what Faust would do to leave bytes alone costs 10 us each."""

    def compile(self, app: faust.App, **_: Any) -> Callable[..., Awaitable[faust.Event]]:
        """The function that Faust calls for every record."""

        async def decode(message: Any, *, propagate: bool = False) -> faust.Event:
            return faust.Event(app, message.key, message.value, None, message)

        return decode


def raw_topic(app: faust.App, *names: str) -> Any:
    """A source of undecoded records, so that a bad message reaches the agent and not Faust."""
    return app.topic(*names, schema=RawSchema(key_type=bytes, value_type=bytes))
