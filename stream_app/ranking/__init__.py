"""From users to ranked lists: sources, filters, scorers and rerankers over live counts."""

from stream_app.ranking.batch import UserBatch, user_batch
from stream_app.ranking.candidates import Proposal
from stream_app.ranking.coverage import Shown
from stream_app.ranking.lists import ListBuilder
from stream_app.ranking.pipeline import Evidence, Pipeline, Ranked
from stream_app.ranking.pipelines import Pipelines
from stream_app.ranking.plugins import SourceContext
from stream_app.ranking.seen import SeenIndex
from stream_app.ranking.tally import Tally
from stream_app.ranking.terms import FREE, Pin, Quota, Terms
from stream_app.ranking.wiring import (
    FILTERS,
    LiveStores,
    build_lists,
    build_pipeline,
)

__all__ = [
    "FILTERS",
    "FREE",
    "Evidence",
    "ListBuilder",
    "LiveStores",
    "Pin",
    "Pipeline",
    "Pipelines",
    "Proposal",
    "Quota",
    "Ranked",
    "SeenIndex",
    "Shown",
    "SourceContext",
    "Tally",
    "Terms",
    "UserBatch",
    "build_lists",
    "build_pipeline",
    "user_batch",
]
