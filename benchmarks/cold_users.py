"""Cold users: lists from a profile text, from the first events, and from both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from benchmarks.cold_models import Data, Floats, train
from stream_app.datasets import EventTable
from stream_app.evaluation.cold import EVENTS_KNOWN, K, cold_user_figure, cold_users, favourites
from stream_app.evaluation.histories import Histories
from stream_app.evaluation.lists import top_lists
from stream_app.evaluation.protocols import Split, time_split
from stream_app.text import TextEncoder
from stream_app.training.config import ModelConfig, TrainingConfig
from stream_app.training.learner import Learner
from stream_app.users.actions import PURCHASE
from stream_app.users.features import event_gaps, sequence_features

AT_ONCE = 64  # users encoded together

PROFILE_EVENT = sequence_features(np.array([PURCHASE], np.uint8), event_gaps(np.zeros(1, np.int64)))
"""A profile enters as a purchase of what it says."""


class Encoded:
    """The same for users with few events, which may begin with a profile."""

    def __init__(self, name: str, learner: Learner, vectors: Floats, table: EventTable) -> None:
        """`vectors` `[N, d]` of all items of the table; zeros for one without."""
        self.name = name
        self._learner, self._vectors = learner, vectors
        self._features = _features(table)
        self._without = ~vectors.any(axis=1)
        self.first: Floats | None = None
        """`[B, d]` what each history begins with, where it is not its first event."""

    def fit(self, split: Split) -> None:
        """It is trained already."""

    @torch.no_grad()
    def scores(self, histories: Histories) -> Floats:
        users = np.zeros((len(histories), self._vectors.shape[1]), np.float32)
        for cut, part in histories.blocks(AT_ONCE):
            first = self.first[cut] if self.first is not None else None
            users[cut] = self._users(part, first)
        scores: Floats = users @ self._vectors.T
        scores[:, self._without] = -np.inf
        return scores

    def _users(self, histories: Histories, first: Floats | None) -> Floats:
        window = self._learner.config.window
        events = histories.window(window)
        known = events >= 0
        table = histories.log.table
        item = self._vectors[table.items[events]] * known[..., None]
        features = self._features[events] * known[..., None]
        lengths = np.minimum(histories.lengths, window)
        if first is not None:
            item = np.concatenate([first[:, None], item], axis=1)
            begin = np.broadcast_to(PROFILE_EVENT, (len(first), 1, PROFILE_EVENT.shape[-1]))
            features = np.concatenate([begin, features], axis=1)
            lengths = lengths + 1
        users = np.zeros((len(histories), item.shape[2]), np.float32)
        if item.shape[1]:
            found = self._learner.encoder(
                torch.from_numpy(item.astype(np.float32)), torch.from_numpy(features)
            ).numpy()
            rows = np.flatnonzero(lengths)
            users[rows] = found[rows, lengths[rows] - 1]
        return users


class Popular:
    """The most frequent items of the past, for everybody."""

    name = "popularity"

    def fit(self, split: Split) -> None:
        items = len(split.table.item_ids)
        self._counts = np.bincount(split.past.items, minlength=items).astype(np.float32)

    def scores(self, histories: Histories) -> Floats:
        return np.repeat(self._counts[None], len(histories), axis=0)


class Direct:
    """Cosine of the items to the profile's own vector; the events are not looked at."""

    def __init__(self, name: str, users: Floats, vectors: Floats) -> None:
        self.name = name
        self._users, self._vectors = users, vectors

    def fit(self, split: Split) -> None:
        """Nothing is learned."""

    def scores(self, histories: Histories) -> Floats:
        scores: Floats = self._users @ self._vectors.T
        return scores


def users_table(
    data: Data, encoder: TextEncoder, config: TrainingConfig, seeds: int
) -> list[dict[str, Any]]:
    """New users of the last fifth of the timeline: by profile, by events, by both."""
    split = time_split(data.table)
    asked = cold_users(split)
    print(f"\n### {data.name}, {len(asked.users)} new users, NDCG@10 (HR@10) by events known\n")
    print("| method | seed | " + " | ".join(map(str, EVENTS_KNOWN)) + " |")
    print("|---|---|" + "---|" * len(EVENTS_KNOWN))
    genres = favourites(asked.firsts, lambda item: _genres(data, item))
    titles = ["; ".join(data.texts[data.table.item_ids[at]].split(" (")[0] for at in firsts[:3])
              for firsts in asked.firsts]  # fmt: skip
    rows = [_curve("popularity", 0, asked, lambda _: _fitted(Popular(), split))]
    for seed in range(seeds):
        learner, vectors = train(split, replace(config, seed=seed), data.encoded)
        model = Encoded("events", learner, vectors, split.table)
        rows.append(_curve("events", seed, asked, lambda _, model=model: model))
        projection = learner.items.projection()
        assert projection is not None
        for name, profile in (("3 genres", genres), ("3 titles as text", titles)):
            first = projection.project(encoder.encode(profile))
            direct = Direct(f"{name}, directly", first, vectors)
            rows.append(_curve(direct.name, seed, asked, lambda _, direct=direct: direct, (0,)))
            both = Encoded(f"{name}, then events", learner, vectors, split.table)
            both.first = first
            rows.append(_curve(both.name, seed, asked, lambda _, both=both: both))
    return rows


def _curve(
    name: str, seed: int, asked: Any, method: Any, known: Sequence[int] = EVENTS_KNOWN
) -> dict[str, Any]:
    found = {}
    for count in known:
        cases = asked.cases[count]
        lists = top_lists(method(count), cases.histories, K, repeats=False)
        found[count] = cold_user_figure(lists, cases)
    cells = [f"{found[n].ndcg:.4f} ({found[n].hr:.3f})" if n in found else "" for n in EVENTS_KNOWN]
    print(f"| {name} | {seed} | {' | '.join(cells)} |", flush=True)
    return {"method": name, "seed": seed} | {str(n): one._asdict() for n, one in found.items()}


def _features(table: EventTable) -> Floats:
    """Features of every event of the table `[n, f]`, with the gap to its user's event before."""
    order = np.argsort(table.users, kind="stable")
    features = np.empty((len(table), ModelConfig().features), np.float32)
    for events in np.split(order, np.flatnonzero(np.diff(table.users[order])) + 1):
        gaps = event_gaps(table.timestamps_ms[events])
        features[events] = sequence_features(table.actions[events], gaps)
    return features


def _genres(data: Data, item: int) -> list[str]:
    text = data.texts.get(data.table.item_ids[item], "")
    return text.rpartition("). ")[2].split(", ") if "). " in text else []


def _fitted(method: Popular, split: Split) -> Popular:
    method.fit(split)
    return method
