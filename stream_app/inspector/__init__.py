"""The page built into a worker: what it does now, and why a user's list is as it is."""

from stream_app.inspector.feed import Feed
from stream_app.inspector.server import Inspector, InspectorError, start_inspector
from stream_app.inspector.worker import Row, Seen, UnreachableError, Worker

__all__ = [
    "Feed",
    "Inspector",
    "InspectorError",
    "Row",
    "Seen",
    "UnreachableError",
    "Worker",
    "start_inspector",
]
