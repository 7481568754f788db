"""Item indexes: the nearest items of a user vector."""

from stream_app.retrieval.base import ItemIndex
from stream_app.retrieval.build import INDEX_KINDS, build_index
from stream_app.retrieval.exact import ExactIndex
from stream_app.retrieval.hnsw import HnswIndex
from stream_app.retrieval.live import LiveIndex
from stream_app.retrieval.neighbours import Neighbours
from stream_app.retrieval.recall import recall
from stream_app.retrieval.within import Within

__all__ = [
    "INDEX_KINDS",
    "ExactIndex",
    "HnswIndex",
    "ItemIndex",
    "LiveIndex",
    "Neighbours",
    "Within",
    "build_index",
    "recall",
]
