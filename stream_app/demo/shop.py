"""What the demo says of its movies: titles and genres, for pages and reasons that name them."""

from __future__ import annotations

from pathlib import Path

from schemas import Item
from stream_app.datasets.movielens import read_movielens_genres, read_movielens_titles
from stream_app.settings import Settings
from stream_app.streaming.clients import event_sender


def read_items(data: Path) -> list[Item]:
    """The movies of a MovieLens directory as items. Raises `DatasetError`."""
    genres = read_movielens_genres(data)
    return [
        Item(item_id=movie, title=title, categories=tuple(genres[movie]))
        for movie, title in read_movielens_titles(data).items()
    ]


async def list_items(settings: Settings, items: list[Item]) -> None:
    """Write items to their topic; returns when the broker has them."""
    async with event_sender(settings) as sender:
        for sent in [await sender.send_item(item.item_id, item) for item in items]:
            await sent
