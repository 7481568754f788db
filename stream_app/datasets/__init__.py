"""Readers that turn files of other people's shapes into one table of events in time order."""

from stream_app.datasets.events import DatasetError, EventTable, TableBuilder
from stream_app.datasets.formats import AUTO, FORMATS, open_dataset
from stream_app.datasets.movielens import (
    read_movielens,
    read_movielens_genres,
    read_movielens_titles,
)
from stream_app.datasets.otto import read_otto
from stream_app.datasets.sequences import read_sequences
from stream_app.datasets.tabular import read_events
from stream_app.datasets.yoochoose import read_yoochoose

__all__ = [
    "AUTO",
    "FORMATS",
    "DatasetError",
    "EventTable",
    "TableBuilder",
    "open_dataset",
    "read_events",
    "read_movielens",
    "read_movielens_genres",
    "read_movielens_titles",
    "read_otto",
    "read_sequences",
    "read_yoochoose",
]
