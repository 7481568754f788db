"""Reasons to prefer a candidate."""

from stream_app.ranking.scorers.affinity import Affinity
from stream_app.ranking.scorers.popularity import Popularity
from stream_app.ranking.scorers.transition import Transition

__all__ = ["Affinity", "Popularity", "Transition"]
