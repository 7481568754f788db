"""Decisions with the whole list in view."""

from stream_app.ranking.rerankers.best import Best
from stream_app.ranking.rerankers.diverse import Diverse
from stream_app.ranking.rerankers.explore import Explore
from stream_app.ranking.rerankers.ruled import Ruled

__all__ = ["Best", "Diverse", "Explore", "Ruled"]
