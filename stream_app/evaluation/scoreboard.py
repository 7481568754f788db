"""Hit rate, NDCG and MRR of lists against what the user did next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2


@dataclass(slots=True)
class Score:
    """Sums over predictions: with one wanted item NDCG is `1 / log2(1 + rank)`, MRR `1 / rank`."""

    predictions: int = 0
    hits: int = 0
    gain: float = 0.0
    reciprocal_rank: float = 0.0

    def add(self, items: Sequence[str], wanted: str) -> None:
        """Count one list against the one item that came next."""
        self.predictions += 1
        if wanted in items:
            rank = items.index(wanted) + 1
            self.hits += 1
            self.gain += 1 / log2(1 + rank)
            self.reciprocal_rank += 1 / rank

    @property
    def hit_rate(self) -> float:
        return self.hits / self.predictions if self.predictions else 0.0

    @property
    def ndcg(self) -> float:
        return self.gain / self.predictions if self.predictions else 0.0

    @property
    def mrr(self) -> float:
        return self.reciprocal_rank / self.predictions if self.predictions else 0.0

    def asdict(self) -> dict[str, float]:
        """Predictions, hit rate, NDCG and MRR by name."""
        return {
            "predictions": self.predictions,
            "hit_rate": self.hit_rate,
            "ndcg": self.ndcg,
            "mrr": self.mrr,
        }


@dataclass(slots=True)
class Scoreboard:
    """One method's scores: all users, and those with and without a past in the training window."""

    all: Score
    returning: Score
    new: Score

    @classmethod
    def empty(cls) -> Scoreboard:
        return cls(Score(), Score(), Score())

    def add(self, items: Sequence[str], wanted: str, *, returning: bool) -> None:
        """Count one list of a returning or a new user."""
        self.all.add(items, wanted)
        (self.returning if returning else self.new).add(items, wanted)

    def asdict(self) -> dict[str, dict[str, float]]:
        """`Score.asdict` by group."""
        return {
            "all": self.all.asdict(),
            "returning": self.returning.asdict(),
            "new": self.new.asdict(),
        }
