"""Accuracy of top-k lists, and what they are like: all vectorised over questions.

HR, NDCG, MRR and recall are computed from the places of the wanted items alone; relevance is
binary. Definitions: Järvelin and Kekäläinen 2002 (NDCG), Castells, Hurley and Vargas 2015
(novelty, diversity). A test compares them with ranx.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream_app.evaluation.histories import NOTHING
from stream_app.evaluation.protocols import Cases

Ints = NDArray[np.int64]
Values = NDArray[np.float64]
Lists = NDArray[np.int32]

MISSED = np.iinfo(np.int64).max
"""Place of an item that is not in the list."""

ACCURACY = ("hr", "ndcg", "mrr", "recall")


def places_of(lists: Lists, cases: Cases) -> Ints:
    """Where each target `[M]` stands in the list of its question, from 0 on, or `MISSED`."""
    found = lists[cases.owners] == cases.targets[:, None]
    return np.where(found.any(axis=1), found.argmax(axis=1), MISSED)


def accuracy(places: Ints, offsets: Ints, k: int) -> dict[str, Values]:
    """HR, NDCG, MRR and recall at `k` of each question, each float64 `[C]`.

    `places` `[M]` are those of the targets of question after question, which begin at `offsets`
    `[C + 1]`; every question has a target. With one target each, recall is the hit rate.
    """
    counts = np.diff(offsets)
    hit = places < k
    gains = np.where(hit, 1 / np.log2(np.where(hit, places, 0) + 2.0), 0.0)
    best = np.cumsum(1 / np.log2(np.arange(k) + 2.0))
    hits = _sums(hit.astype(np.float64), offsets)
    first = np.minimum.reduceat(places, offsets[:-1]) if len(counts) else places
    return {
        "hr": (hits > 0).astype(np.float64),
        "ndcg": _sums(gains, offsets) / best[np.minimum(counts, k) - 1],
        "mrr": np.where(first < k, 1 / (np.minimum(first, k) + 1.0), 0.0),
        "recall": hits / counts,
    }


def self_information(users: NDArray[np.int32], items: NDArray[np.int32], count: int) -> Values:
    """Novelty of each of `count` items `[N]` in bits: minus the log of the share of users with it.

    `users` and `items` `[n]` are the events of the past. An item that nobody had counts as one
    that one user had: the figure would be infinite.
    """
    pairs = np.unique(users.astype(np.int64) * count + items)
    owners = np.bincount(pairs % count, minlength=count)
    everyone = max(len(np.unique(users)), 1)
    bits: Values = np.log2(everyone / np.maximum(owners, 1))
    return bits


def novelty(lists: Lists, information: Values) -> Values:
    """Mean self-information of the items of each list, float64 `[C]`; NaN for an empty list."""
    shown = lists != NOTHING
    bits = np.where(shown, information[lists], 0.0)
    return _ratio(bits.sum(axis=1), shown.sum(axis=1))


def diversity(lists: Lists, vectors: NDArray[np.float32], block: int = 4096) -> Values:
    """Mean distance, 1 - cosine, between the items of each list, float64 `[C]`.

    `vectors` `[N, d]` are unit length. NaN for a list with fewer than two items. The pairs are not
    formed: the squared length of the sum of the vectors holds all their products.
    """
    values = [np.zeros(0)]
    for start in range(0, len(lists), block):
        part = lists[start : start + block]
        shown = part != NOTHING
        found = vectors[part].astype(np.float64) * shown[..., None]
        lengths = np.square(found).sum(axis=(1, 2))
        products = np.square(found.sum(axis=1)).sum(axis=1) - lengths
        counts = shown.sum(axis=1)
        values.append(1 - _ratio(products, counts * (counts - 1)))
    return np.concatenate(values)


def coverage(lists: Lists, items: int) -> float:
    """Share of `items` items that stand in any list."""
    return len(np.unique(lists[lists != NOTHING])) / max(items, 1)


def _sums(values: Values, offsets: Ints) -> Values:
    """Sums of the consecutive parts of `values` that begin at `offsets`."""
    totals = np.concatenate([[0.0], np.cumsum(values)])
    sums: Values = np.diff(totals[offsets])
    return sums


def _ratio(numerator: Values, denominator: NDArray[np.int64]) -> Values:
    ratio = np.full(len(numerator), np.nan)
    np.divide(numerator, denominator, out=ratio, where=denominator > 0)
    return ratio
