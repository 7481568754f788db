"""Puts the catalogue's part of a worker together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import faust
from aiokafka.errors import ProducerClosed

from agents.catalogue import BATCH_MAX, CatalogueFeed, ItemAgent
from agents.feeds import Handler
from schemas import DEAD_LETTERS, ITEM_VECTORS, ITEMS, topic_name
from stream_app.bundle import Bundle
from stream_app.inspector import Feed
from stream_app.observability.metrics import Metrics
from stream_app.recommender import Recommender
from stream_app.settings import Settings, SettingsError
from stream_app.streaming import topics
from stream_app.streaming.connection import client_options
from stream_app.streaming.group_reader import GroupReader
from stream_app.streaming.publisher import Publisher, PublisherStopped
from stream_app.text import TextEncoder

log = logging.getLogger(__name__)


def load_text_encoder(settings: Settings, bundle: Bundle) -> TextEncoder | None:
    """The encoder that the release reads texts with, if both are there; says what is missing."""
    spec = bundle.manifest.text
    if not settings.text_encoder:
        if spec is not None:
            log.info("no text_encoder is set: items that the release does not have join the "
                     "catalogue without a vector of their text")  # fmt: skip
        return None
    encoder = TextEncoder.load(settings.text_encoder)
    if spec is None:
        log.warning("release %s knows no texts: items that it does not have join the catalogue "
                    "without a vector", bundle.release)  # fmt: skip
        return None
    if encoder.digest != spec.sha256:
        raise SettingsError(
            f"text_encoder {settings.text_encoder} has the digest {encoder.digest}, but release "
            f"{bundle.release} was trained with {spec.encoder}, {spec.sha256}: give the directory "
            "that it was trained with"
        )
    return encoder


def attach_catalogue(
    app: faust.App,
    settings: Settings,
    recommender: Recommender,
    metrics: Metrics,
    publisher: Publisher,
    encoder: TextEncoder | None,
    counts: Mapping[str, int],
    thread: ThreadPoolExecutor,
    feed: Feed | None = None,
) -> dict[str, Handler]:
    """What takes up the records of the catalogue, by topic.

    The worker's part of the texts is read by a task of `app`; `thread` is where batches are made.
    `feed` is told of dead letters.
    """
    items, vectors, letters = (
        topic_name(settings.topic_prefix, topic) for topic in (ITEMS, ITEM_VECTORS, DEAD_LETTERS)
    )
    options = client_options(settings)
    listings = CatalogueFeed(recommender.catalogue, items, thread)
    agent = ItemAgent(
        recommender.catalogue, thread, recommender.bundle.manifest.text, encoder, publisher,
        metrics,
        vectors=vectors,
        dead_letters=letters,
        letter_partitions=counts[letters],
        partition_of=topics.partitioner(counts[items]),
        vector_partition_of=topics.partitioner(counts[vectors]),
        feed=feed,
    )  # fmt: skip
    reader = GroupReader(
        options, items, topics.catalogue_group(settings.app_id), agent.handle, agent.lacks,
        batch_max=BATCH_MAX, session_s=settings.session_timeout_s,
    )  # fmt: skip

    async def read_texts() -> None:
        with suppress(asyncio.CancelledError, PublisherStopped, ProducerClosed):
            await reader.run()

    app.task(read_texts)
    return dict.fromkeys((items, vectors), listings.take)
