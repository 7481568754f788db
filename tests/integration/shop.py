"""A small release that reads texts, and a shop that lists and delists items over a real Kafka."""

from __future__ import annotations

import asyncio
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from schemas import Click, Item, ItemVector, decode_output
from stream_app.bundle import write_bundle
from stream_app.bundle.text import TextProjector, TextSpec
from stream_app.settings import Settings
from stream_app.streaming.clients import event_sender
from stream_app.text import Projection, TextEncoder
from stream_app.users import FEATURES
from tests.integration.topics import lists, read, send, wait_for
from tests.integration.worker import WorkerProcess

# The makers of small releases stand beside the unit tests, which import them by their own names.
sys.path.append(str(Path(__file__).parents[1] / "unit"))

from sample_bundle import bundle_parts
from small_text import write_text_encoder

USERS = 40
NOW = 1_700_000_000_000


def small_shop(settings: Settings, folder: Path) -> Settings:
    """Settings with a release of 60 items and a text encoder, both made in `folder`."""
    encoder = TextEncoder.load(write_text_encoder(folder / "encoder"))
    parts = bundle_parts(features=FEATURES)
    dim = parts["encoder"].dim
    matrix = np.random.default_rng(3).standard_normal((encoder.dim, dim)).astype(np.float32)
    spec = TextSpec(encoder="small", sha256=encoder.digest, dim=encoder.dim, delta_max=0.5)
    projector = TextProjector(spec, Projection(np.zeros(encoder.dim, np.float32), matrix))
    write_bundle(folder / "bundle", **parts, text=projector)
    return replace(
        settings, bundle=str(folder / "bundle"), text_encoder=str(folder / "encoder"), filters=""
    )


def say(settings: Settings, *items: tuple[str, Item | None]) -> None:
    """List or delist items, one after the other."""

    async def run() -> None:
        async with event_sender(settings) as sender:
            for item_id, item in items:
                await (await sender.send_item(item_id, item))

    asyncio.run(run())


def vectors(settings: Settings) -> dict[str, ItemVector]:
    """What `item-vectors` holds now."""
    held: dict[str, ItemVector] = {}
    for record in read(settings, "item-vectors"):
        held.pop(record.key.decode(), None)
        if record.value is not None:
            held[record.key.decode()] = decode_output(ItemVector, record.value)
    return held


def shown(settings: Settings, crowd: str) -> set[str]:
    """All that a crowd of new users is recommended after a click each."""
    users = {f"{crowd}-{n}": f"item-{n}" for n in range(USERS)}
    send(settings, [Click(user_id=u, item_id=i, timestamp_ms=NOW) for u, i in users.items()])
    wait_for(lambda: users.keys() <= {made.user_id for made in lists(settings)}, "all lists")
    return {
        item.item_id for made in lists(settings) if made.user_id in users for item in made.items
    }


def figure(worker: WorkerProcess, name: str) -> float:
    """A metric of the worker; -1 while it is not there."""
    found = re.search(rf"^{re.escape(name)} (\S+)$", worker.get("/metrics")[1], re.M)
    return float(found[1]) if found else -1.0


def catalogue(worker: WorkerProcess, state: str) -> float:
    """Items of the worker's catalogue in a state."""
    return figure(worker, f'stream_app_catalogue_items{{state="{state}"}}')
