"""Something of everything that the inspector shows, on topics of its own."""

from __future__ import annotations

import asyncio
import json
import time

from schemas import Click, Item
from stream_app.datasets import read_movielens_titles
from stream_app.settings import Settings
from stream_app.streaming import topics
from tests.integration.conftest import BUNDLE, PARTITIONS
from tests.integration.shop import say
from tests.integration.topics import send_raw

LIKED = ("1", "318", "2571", "6", "296")
OTHERS = ("2", "50", "47", "110", "260", "356", "593")
HOSTILE = "<img src=x onerror=alert(1)><b>bold</b> \u202etxt"
"""The title of item 260."""
SAID = {
    "rules": {"rule_id": "less-film", "items": "'Film' in item.categories", "boost": -0.1},
    "scenarios": {"name": "kids", "categories": ["Film"], "diversity": 2.0},
    "experiments": {
        "name": "home",
        "arms": [{"name": "plain", "share": 0.5}, {"name": "kind", "share": 0.5}],
    },
}
"""What operators say: one record of each topic."""


def create(settings: Settings) -> None:
    """The topics of these settings."""
    asyncio.run(topics.create(settings, PARTITIONS, replication=1))


def publish(settings: Settings) -> int:
    """Titles, one of them hostile, and what operators say; returns how many items are named."""
    titles = read_movielens_titles(BUNDLE.parent / "ml-latest-small")
    named = {item: titles[item] for item in (*LIKED, *OTHERS)} | {"260": HOSTILE}
    tags = {"<i>key</i>": "<script>1</script>"}
    say(
        settings,
        *(
            (item, Item(item_id=item, title=title, categories=("Film",), attributes=tags))
            for item, title in named.items()
        ),
    )
    for topic, record in SAID.items():
        key = record.get("rule_id") or record["name"]
        value = json.dumps(record).encode()
        send_raw(settings, settings.topic_prefix + topic, [(str(key).encode(), value)])
    return len(named)


def clicks(user: str, *items: str) -> list[Click]:
    """A minute ago, one after the other."""
    now = int(time.time() * 1000) - 60_000
    return [
        Click(user_id=user, item_id=item, timestamp_ms=now + at) for at, item in enumerate(items)
    ]
