"""Readers that turn files of other people's shapes into one table of events in time order."""

from stream_app.datasets.events import DatasetError, EventTable
from stream_app.datasets.movielens import read_movielens, read_movielens_titles
from stream_app.datasets.tabular import read_events

__all__ = [
    "DatasetError",
    "EventTable",
    "read_events",
    "read_movielens",
    "read_movielens_titles",
]
