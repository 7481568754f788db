"""How good the lists are, measured the way they are used: on a stream, before learning from it."""

from stream_app.evaluation.baselines import (
    Baseline,
    DecayedPopularity,
    Popularity,
    TransitionCounts,
)
from stream_app.evaluation.replay import (
    BaselineLists,
    Lists,
    RecommenderLists,
    past_rows,
    replay,
    tune_half_life,
    users_of,
)
from stream_app.evaluation.scoreboard import Score, Scoreboard

__all__ = [
    "Baseline",
    "BaselineLists",
    "DecayedPopularity",
    "Lists",
    "Popularity",
    "RecommenderLists",
    "Score",
    "Scoreboard",
    "TransitionCounts",
    "past_rows",
    "replay",
    "tune_half_life",
    "users_of",
]
