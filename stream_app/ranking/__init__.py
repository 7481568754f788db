"""From users to ranked lists: sources, filters, scorers and rerankers over live counts."""

from stream_app.ranking.batch import UserBatch, user_batch
from stream_app.ranking.lists import ListBuilder
from stream_app.ranking.pipeline import Pipeline, Ranked
from stream_app.ranking.seen import SeenIndex
from stream_app.ranking.wiring import (
    DEFAULT_FILTERS,
    FILTERS,
    NEXT_EVENT,
    LiveStores,
    build_lists,
    build_pipeline,
)

__all__ = [
    "DEFAULT_FILTERS",
    "FILTERS",
    "NEXT_EVENT",
    "ListBuilder",
    "LiveStores",
    "Pipeline",
    "Ranked",
    "SeenIndex",
    "UserBatch",
    "build_lists",
    "build_pipeline",
    "user_batch",
]
