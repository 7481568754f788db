"""From the lists of several methods to figures with intervals, for all questions and for groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from stream_app.evaluation.bootstrap import Bootstrap, Sums, interval, mean_of, sums_of
from stream_app.evaluation.lists import Lists
from stream_app.evaluation.metrics import (
    accuracy,
    coverage,
    diversity,
    novelty,
    places_of,
    self_information,
)
from stream_app.evaluation.protocols import Cases, Split, offsets_of
from stream_app.evaluation.result import Difference, Estimate, Scope

Ints = NDArray[np.int64]
Values = NDArray[np.float64]
Figures = dict[str, dict[str, Estimate]]

LENGTHS = (1, 5, 10, 20, 50, 100)
"""Where the buckets of history length begin."""
COMPARED = ("ndcg", "hr")
"""Metrics, at the first `k`, in which every two methods are compared."""
ALL = "all"


@dataclass(frozen=True)
class Group:
    """Some of the questions, or some of the targets of some."""

    name: str
    rows: Ints
    """`[c]` the questions."""
    targets: Ints
    """`[m]` positions in the targets of all questions."""
    offsets: Ints
    """`[c + 1]` where each question's begin in `targets`."""


def groups_of(split: Split) -> list[Group]:
    """All questions; by length of history; new and returning users; cold and warm targets.

    A cold target is an item without an event in the past of the split. Groups without a question,
    and new and returning or cold and warm where all are of one kind, are left out.
    """
    cases = split.test
    everything = np.ones(len(cases.targets), bool)
    owners = cases.owners
    groups = [_group(ALL, cases, everything)]
    known = cases.histories.lengths[owners]
    for begin, end in zip(LENGTHS, [*LENGTHS[1:], None], strict=True):
        name = f"history:{begin}-{end - 1}" if end else f"history:{begin}+"
        groups.append(_group(name, cases, (known >= begin) & (known < (end or np.inf))))
    returning = split.returning[cases.users][owners]
    seen = np.bincount(split.past.items, minlength=len(split.table.item_ids)) > 0
    warm = seen[cases.targets]
    for names, chosen in ((("returning", "new"), returning), (("warm", "cold"), warm)):
        if chosen.any() and not chosen.all():
            groups += [_group(names[0], cases, chosen), _group(names[1], cases, ~chosen)]
    return [group for group in groups if len(group.rows)]


def _group(name: str, cases: Cases, chosen: NDArray[np.bool_]) -> Group:
    targets = np.flatnonzero(chosen)
    rows, counts = np.unique(cases.owners[targets], return_counts=True)
    return Group(name, rows, targets, offsets_of(counts))


class Judge:
    """Measures the lists of methods on the questions of one split."""

    def __init__(
        self, split: Split, vectors: NDArray[np.float32], ks: Sequence[int], bootstrap_seed: int
    ) -> None:
        """`vectors` `[N, d]`, unit length, say how alike items are; `ks` are list lengths."""
        self._split = split
        self._vectors = vectors
        self._ks = ks
        self._groups = groups_of(split)
        past = split.past
        self._information = self_information(past.users, past.items, len(split.table.item_ids))
        asked, self._rows = np.unique(split.test.users, return_inverse=True)
        self._bootstrap = Bootstrap(len(asked), seed=bootstrap_seed)
        self._users = len(asked)
        self._sums: dict[str, dict[tuple[str, str], Sums]] = {}
        self._coverage: dict[str, dict[str, float]] = {}

    @property
    def replicates(self) -> int:
        return self._bootstrap.replicates

    def scopes(self) -> list[Scope]:
        """The groups, with their sizes."""
        return [
            Scope(
                name=group.name,
                questions=len(group.rows),
                users=len(np.unique(self._rows[group.rows])),
                targets=len(group.targets),
            )
            for group in self._groups
        ]

    def add(self, name: str, lists: Lists) -> None:
        """Measure the lists int32 `[C, max(ks)]` of a method."""
        places = places_of(lists, self._split.test)
        sums: dict[tuple[str, str], Sums] = {}
        covered = {}
        for k in self._ks:
            kept = lists[:, :k]
            covered[f"coverage@{k}"] = coverage(kept, len(self._split.table.item_ids))
            for group in self._groups:
                figures = accuracy(places[group.targets], group.offsets, k)
                if group.name not in ("cold", "warm"):  # about targets, not about lists
                    part = kept[group.rows]
                    figures["novelty"] = novelty(part, self._information)
                    figures["diversity"] = diversity(part, self._vectors)
                rows = self._rows[group.rows]
                for metric, values in figures.items():
                    sums[group.name, f"{metric}@{k}"] = sums_of(values, rows, self._users)
        self._sums[name], self._coverage[name] = sums, covered

    def figures(self) -> tuple[dict[str, Figures], list[Difference]]:
        """By method, scope and metric every figure; and the differences of every two methods."""
        keys = [(name, *key) for name, sums in self._sums.items() for key in sums]
        sums = [self._sums[name][group, metric] for name, group, metric in keys]
        draws = self._bootstrap.means(sums)
        means = [mean_of(one) for one in sums]
        columns = {key: at for at, key in enumerate(keys)}
        figures: dict[str, Figures] = {name: {} for name in self._sums}
        for at, (name, group, metric) in enumerate(keys):
            figures[name].setdefault(group, {})[metric] = _estimate(means[at], draws[:, at])
        for name, covered in self._coverage.items():
            figures[name][ALL] |= {metric: Estimate(value) for metric, value in covered.items()}
        return figures, self._differences(columns, means, draws)

    def _differences(
        self, columns: Mapping[tuple[str, str, str], int], means: list[float], draws: Values
    ) -> list[Difference]:
        found = []
        for metric in [f"{metric}@{self._ks[0]}" for metric in COMPARED]:
            for one, other in combinations(self._sums, 2):
                a, b = columns[one, ALL, metric], columns[other, ALL, metric]
                difference = _estimate(means[a] - means[b], draws[:, a] - draws[:, b])
                found.append(Difference(metric, one, other, difference))
        return found


def _estimate(value: float, draws: Values) -> Estimate:
    return Estimate(*(None if np.isnan(one) else one for one in interval(value, draws)))
