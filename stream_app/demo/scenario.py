"""What the demo streams: the last fifth of MovieLens, after the past of its returning users."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from schemas import Click, Purchase
from stream_app.datasets import EventTable, read_movielens, read_movielens_titles

TRAINED_FRACTION = 0.8
"""The bundle was trained on this much of the timeline; streaming it would be no test."""


@dataclass(frozen=True)
class Scenario:
    """Events to send, in time order, and what is known about them beforehand."""

    trained: EventTable
    """The part of the timeline that the bundle has seen; warms up the baselines."""
    history: list[Click | Purchase]
    """The past of users who come back in the streamed part, sent before anything is measured."""
    events: list[Click | Purchase]
    """The streamed part."""
    titles: dict[str, str]
    returning: frozenset[str]
    """Users of the streamed part who have a past."""

    @property
    def next_items(self) -> list[str | None]:
        """For each streamed event, the item of the same user's next one; None at the last."""
        following: dict[str, str] = {}
        items: list[str | None] = []
        for event in reversed(self.events):
            items.append(following.get(event.user_id))
            following[event.user_id] = event.item_id
        return items[::-1]


def load_scenario(data: Path, limit: int | None) -> Scenario:
    """Read MovieLens from `data`; stream at most `limit` events. Raises `DatasetError`."""
    table = read_movielens(data)
    trained, streamed = table.split(TRAINED_FRACTION)
    events = [streamed.message(at) for at in range(min(len(streamed), limit or len(streamed)))]
    users = {event.user_id for event in events}
    history = [message for message in trained.messages() if message.user_id in users]
    return Scenario(
        trained=trained,
        history=history,
        events=events,
        titles=read_movielens_titles(data),
        returning=frozenset(message.user_id for message in history),
    )
