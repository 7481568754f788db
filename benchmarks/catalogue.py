"""How soon lists follow the catalogue: from an item's record to lists with it, or without it.

The example release is served with the weight of the personal part alone, so that a new item is
shown to whoever it is nearest to, by its text. Titles are those of movies with another year. For
each item it is known beforehand after which movie a new user is shown it; new users click that one
every `PROBE_S` seconds, and their lists are looked at:

- new: from before the item's record is sent until the receipt of the first list that holds it;
- gone: from before its removal is sent until the receipt of the last list that holds it.

`--untouched` needs no text encoder: the release is as it is, items say nothing, and are found by
exploration alone, whoever clicks. Then `new` depends on how many lists are made, one a `PROBE_S`.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import shutil
import tempfile
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.worker import BUNDLE, PARTITIONS
from schemas import RECOMMENDATIONS, Click, Item, Recommendation, decode_output
from stream_app.broker import EmbeddedKafka
from stream_app.demo.session import free_port, worker_process
from stream_app.plan import Plan
from stream_app.recommender import Recommender
from stream_app.settings import Settings
from stream_app.streaming import topics
from stream_app.streaming.clients import EventSender, event_sender, follower
from stream_app.text import TextEncoder
from stream_app.text.items import item_text

MOVIES = BUNDLE.parent / "ml-latest-small" / "movies.csv"
PROBE_S = 0.05
WITHIN_S = 20.0
WATCHED_S = 2.0
"""So long lists are looked at after a removal."""
WEIGHTS = {"personal": 1.0, "transition": 0.0, "trending": 0.0}
SURE_RANK = 8


def personal_release(folder: Path) -> Path:
    """The example release with `WEIGHTS`, in a directory of its own."""
    path = folder / "bundle"
    shutil.copytree(BUNDLE, path)
    manifest = json.loads((path / "manifest.json").read_text("utf-8"))
    manifest["ranking"] |= WEIGHTS
    (path / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    return path


def items_with_users(bundle: Path, encoder: TextEncoder, count: int) -> list[tuple[Item, str]]:
    """New items, and for each a movie after which a new user is shown it."""
    recommender = Recommender.load(bundle, plan=Plan(filters=()))
    loaded = recommender.bundle
    with MOVIES.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    chosen = np.random.default_rng(1).permutation(len(rows))[: 30 * count]
    items = [
        Item(
            item_id=f"new-{rows[row]['movieId']}",
            title=rows[row]["title"].rsplit(" (", 1)[0] + " (2031)",
            categories=tuple(rows[row]["genres"].split("|")),
        )
        for row in chosen
    ]
    assert loaded.text is not None
    vectors = loaded.text.project(encoder.encode([item_text(item) for item in items]))
    ids = loaded.catalog.ids[:4000]
    events = [Click(user_id=one, item_id=one, timestamp_ms=0) for one in ids]
    recommender.recommend(events)
    users = np.stack([np.frombuffer(recommender._memory[one].vector, np.float16) for one in ids])
    nearness = users.astype(np.float32) @ vectors.T
    known = users.astype(np.float32) @ loaded.catalog.vectors.T
    bound = np.sort(known, axis=1)[:, -SURE_RANK]
    found = []
    for at, item in enumerate(items):
        best = int(np.argmax(nearness[:, at] - bound))
        if nearness[best, at] > bound[best]:
            found.append((item, ids[best]))
    return found[:count]


class Probe:
    """Sends clicks of users like the one who gets the item, and watches their lists."""

    def __init__(self, sender: EventSender) -> None:
        self._sender = sender
        self._users = 0
        self.shown: dict[str, list[float]] = defaultdict(list)
        """Receipt times of lists that hold an item, by item."""

    async def click(self, item_id: str) -> None:
        """A new user clicks an item, and another probe is due after `PROBE_S`."""
        self._users += 1
        now_ms = time.time_ns() // 1_000_000
        event = Click(user_id=f"user-{self._users}", item_id=item_id, timestamp_ms=now_ms)
        await self._sender.send(event)
        await asyncio.sleep(PROBE_S)

    async def watch(self, settings: Settings) -> None:
        """Note every list; never returns."""
        async with follower(settings, [RECOMMENDATIONS.name], from_start=False) as records:
            while True:
                for record in await records.poll(0.5):
                    at = time.monotonic()
                    for item in decode_output(Recommendation, record.value).items:
                        self.shown[item.item_id].append(at)


async def measure(
    settings: Settings, wanted: list[tuple[Item, str]]
) -> tuple[list[float], list[float]]:
    """Seconds until new, and until gone, of each item."""
    new, gone = [], []
    async with event_sender(settings) as sender:
        probe = Probe(sender)
        watching = asyncio.create_task(probe.watch(settings))
        for _ in range(20):
            await probe.click("1")
        for item, history in wanted:
            began = time.monotonic()
            await (await sender.send_item(item.item_id, item))
            while not probe.shown[item.item_id] and time.monotonic() < began + WITHIN_S:
                await probe.click(history)
            if not probe.shown[item.item_id]:
                raise SystemExit(f"item {item.item_id} was never shown")
            new.append(probe.shown[item.item_id][0] - began)
            began = time.monotonic()
            await (await sender.send_item(item.item_id, None))
            while time.monotonic() < began + WATCHED_S:
                await probe.click(history)
            gone.append(max(0.0, probe.shown[item.item_id][-1] - began))
        watching.cancel()
    return new, gone


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--text-encoder", help="of `text-encoder export`")
    how.add_argument("--untouched", action="store_true", help="items of which nothing is known")
    parser.add_argument("--items", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, EmbeddedKafka() as kafka:
        folder = Path(name)
        settings = Settings(
            bootstrap_servers=kafka.bootstrap, app_id="bench", bundle=str(BUNDLE), filters="",
            metrics_port=free_port(),
        )  # fmt: skip
        if options.untouched:
            wanted = [(Item(item_id=f"new-{number}"), "1") for number in range(options.items)]
        else:
            bundle = personal_release(folder)
            encoder = TextEncoder.load(options.text_encoder)
            wanted = items_with_users(bundle, encoder, options.items)
            settings = replace(
                settings, bundle=str(bundle), text_encoder=options.text_encoder, exploration=0.0
            )
        asyncio.run(topics.create(settings, PARTITIONS, replication=1))
        with worker_process(settings, folder / "worker.log"):
            new, gone = asyncio.run(measure(settings, wanted))
    print(f"{len(wanted)} items, a list looked at every {1000 * PROBE_S:.0f} ms; seconds")
    for what, seconds, aim in (("new, first list with it", new, 2), ("gone, last list", gone, 1)):
        p50, p95 = np.percentile(seconds, [50, 95])
        print(f"  {what:24} p50 {p50:.3f}  p95 {p95:.3f}  max {max(seconds):.3f}  (aim {aim})")


if __name__ == "__main__":
    main()
