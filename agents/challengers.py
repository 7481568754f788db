"""Keeps the other releases of a worker as informed as the main one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

from agents.catalogue import CatalogueFeed
from agents.feeds import Handler
from stream_app.recommender import Recommender


def to_all(puts: Sequence[Callable[[str, Any], object]]) -> Callable[[str, Any], None]:
    """A record of operators goes to every release."""

    def put(name: str, message: Any) -> None:
        for one in puts:
            one(name, message)

    return put


def with_challengers(
    handlers: Mapping[str, Handler],
    challengers: Sequence[Recommender],
    items: str,
    engine: Executor,
) -> dict[str, Handler]:
    """The handlers of the catalogue's topics, for the other releases as well.

    `items` is the full name of the topic of items.
    """
    if not challengers:
        return dict(handlers)
    feeds = [CatalogueFeed(one.catalogue, items, engine) for one in challengers]

    def both(main: Handler) -> Handler:
        async def take(records: Sequence[Any]) -> None:
            await main(records)
            for feed in feeds:
                await feed.take(records)

        return take

    made = {main: both(main) for main in dict.fromkeys(handlers.values())}
    return {topic: made[main] for topic, main in handlers.items()}
