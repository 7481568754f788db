"""Small event tables, written as words."""

from stream_app.datasets import EventTable
from stream_app.datasets.events import Row

CLICK = 2


def table_of(*events: str, start_ms: int = 1_000, step_ms: int = 1_000) -> EventTable:
    """Events `user item` in order, one every `step_ms`."""
    rows = [Row(*event.split(), start_ms + at * step_ms, CLICK) for at, event in enumerate(events)]
    return EventTable.from_rows(rows, "made up")
