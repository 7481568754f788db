"""The encoder alone, as it serves: user vectors against item vectors, without counts or trends.

Cheap enough to check that a shipped bundle still does what its manifest says.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream_app.bundle import Bundle
from stream_app.datasets import EventTable
from stream_app.users.features import event_gaps, sequence_features

Positions = NDArray[np.intp]


def encoder_score(bundle: Bundle, table: EventTable, since: int) -> dict[str, float]:
    """Hit rate@10 and NDCG@10 of the events from position `since` of `table` on.

    As in a replay, an event counts when the same user has an earlier one at or after `since`.
    Every user's history runs from the start of the table; all users step together. Items the user
    had before are not ranked, an item without a vector is a miss.
    """
    order = np.argsort(table.users, kind="stable")
    users, events = table.users[order], order
    starts = np.flatnonzero(np.diff(users, prepend=-1))
    lengths = np.diff(starts, append=len(users))
    # Longest first: the users who still have events are always the first ones.
    longest = np.argsort(-lengths, kind="stable")
    starts, lengths = starts[longest], lengths[longest]
    streamed = np.array([events[s + n - 1] >= since for s, n in zip(starts, lengths, strict=True)])
    return _run(bundle, table, events, starts[streamed], lengths[streamed], since)


def _run(
    bundle: Bundle,
    table: EventTable,
    events: Positions,
    starts: Positions,
    lengths: Positions,
    since: int,
) -> dict[str, float]:
    catalog, encoder = bundle.catalog, bundle.encoder
    places = np.array([catalog.index_of(item) for item in table.item_ids], np.int32)
    known = np.flatnonzero(np.any(catalog.vectors != 0, axis=1))
    has_vector = np.zeros(len(catalog) + 1, bool)
    has_vector[known] = True
    seen = np.zeros((len(starts), len(catalog) + 1), bool)  # the last column: not in the catalogue
    seen[:, :-1] = ~has_vector[:-1]
    states = np.zeros((len(starts), encoder.state_size), np.float32)
    features = _features(table, events, starts, lengths)
    hits, gain, predictions = 0, 0.0, 0
    for position in range(int(lengths.max(initial=1)) - 1):
        active = int((lengths > position + 1).sum())
        at = starts[:active] + position
        items, wanted = places[table.items[events[at]]], places[table.items[events[at + 1]]]
        states[:active], vectors = encoder.step(
            states[:active], catalog.vectors_of(items), features[at]
        )
        seen[np.arange(active), items] = True
        judged = np.flatnonzero(events[at] >= since)
        predictions += len(judged)
        judged = judged[~seen[judged, wanted[judged]]]
        scores = vectors[judged] @ catalog.vectors.T
        own = scores[np.arange(len(judged)), wanted[judged]]
        scores[seen[judged, :-1]] = -np.inf
        ranks = (scores > own[:, None]).sum(axis=1)
        hits += int((ranks < 10).sum())
        gain += float((1 / np.log2(ranks[ranks < 10] + 2)).sum())
    count = max(predictions, 1)
    return {"predictions": predictions, "hit_rate": hits / count, "ndcg": gain / count}


def _features(
    table: EventTable, events: Positions, starts: Positions, lengths: Positions
) -> NDArray[np.float32]:
    """Feature rows of all events, in the order of `events`."""
    gaps = np.zeros(len(events), np.int64)
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        own = slice(start, start + length)
        gaps[own] = event_gaps(table.timestamps_ms[events[own]])
    return sequence_features(table.actions[events], gaps)
