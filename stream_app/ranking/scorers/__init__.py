"""Reasons to prefer a candidate."""

from stream_app.ranking.scorers.action_value import ActionValue
from stream_app.ranking.scorers.affinity import Affinity
from stream_app.ranking.scorers.discount import PopularityDiscount
from stream_app.ranking.scorers.learned import Learned
from stream_app.ranking.scorers.popularity import Popularity
from stream_app.ranking.scorers.profile import ProfileMatch
from stream_app.ranking.scorers.related import RelatedTo
from stream_app.ranking.scorers.transition import Transition

__all__ = [
    "ActionValue",
    "Affinity",
    "Learned",
    "Popularity",
    "PopularityDiscount",
    "ProfileMatch",
    "RelatedTo",
    "Transition",
]
