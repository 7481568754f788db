"""What the learned ranker of a release makes of all that is known of a candidate."""

from __future__ import annotations

import numpy as np

from stream_app.bundle.ranker import Features, Ranker
from stream_app.ranking.batch import Floats
from stream_app.ranking.candidates import Pool
from stream_app.ranking.features import FeatureMaker

TOGETHER = "together"
"""What features do to a score together, beyond what each does alone."""


class Learned:
    """The score of the ranker: a logit of the candidate that the next event is on."""

    name = "learned"

    def __init__(self, ranker: Ranker, features: FeatureMaker) -> None:
        self._ranker = ranker
        self._features = features

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts that a score has."""
        return (*self._ranker.spec.features, TOGETHER)

    def score(self, pool: Pool) -> Floats:
        """One call of the graph."""
        return self._ranker.score(self._features.of(pool))

    def score_parts(self, pool: Pool) -> Floats:
        """What each part adds to the scores, `[P, R, C]`; they add up to the score.

        The part of a feature is how far the score falls when the feature is not known. Of a linear
        ranker that is exact, and nothing is left for `TOGETHER`.
        """
        features = self._features.of(pool)
        whole = self._ranker.score(features)
        parts = np.empty((len(self.parts), *whole.shape), np.float32)
        for place in range(len(self._ranker.spec.features)):
            parts[place] = whole - self._ranker.score(_without(features, place))
        parts[-1] = whole - parts[:-1].sum(axis=0)
        return parts


def _without(features: Features, place: int) -> Features:
    candidates = features.candidates.copy()
    candidates[:, :, place] = np.nan
    return features._replace(candidates=candidates)
