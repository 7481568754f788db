"""Methods that learn from the stream as it passes, with the lists that a replay makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from stream_app.evaluation.histories import NOTHING
from stream_app.evaluation.lists import Lists
from stream_app.evaluation.protocols import Split
from stream_app.evaluation.replay import Lists as LiveLists
from stream_app.evaluation.replay import predictions


def replayed_lists(
    split: Split,
    methods: Mapping[str, LiveLists],
    k: int,
    on_event: Callable[[int], None] = lambda _: None,
) -> dict[str, Lists]:
    """Send the stream of `split` through every method; the lists int32 `[C, k]` it had made.

    A question is answered by the list made after its user's event before. `on_event` is told the
    number of events done.
    """
    stream, test = split.stream, split.test
    if stream is None:
        raise ValueError(f"{split.protocol} has no stream to replay")
    lists = {name: np.full((len(test), k), NOTHING, np.int32) for name in methods}
    log = test.histories.log
    asked = log.order[log.starts[test.users] + test.histories.lengths] - len(split.past)
    places = {at: place for place, at in enumerate(asked.tolist())}
    numbers = {item: number for number, item in enumerate(split.table.item_ids)}
    scored = frozenset(split.table.user_ids[user] for user in np.unique(test.users))
    for at, made in predictions(stream, methods, scored=scored, on_event=on_event):
        if (place := places.get(at)) is None:
            continue
        for name, items in made.items():
            shown = [numbers.get(item, NOTHING) for item in items[:k]]
            lists[name][place, : len(shown)] = shown
    return lists
