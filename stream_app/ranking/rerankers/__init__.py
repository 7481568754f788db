"""Decisions with the whole list in view."""

from stream_app.ranking.rerankers.best import Best

__all__ = ["Best"]
