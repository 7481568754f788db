"""One door to all readers: a path in, a table of events out, whatever the format."""

from __future__ import annotations

from collections.abc import Callable, Set
from pathlib import Path

from stream_app.datasets.events import DatasetError, EventTable, TableBuilder
from stream_app.datasets.lines import open_text
from stream_app.datasets.movielens import add_movielens
from stream_app.datasets.otto import add_otto
from stream_app.datasets.sequences import add_sequences
from stream_app.datasets.tabular import add_events
from stream_app.datasets.yoochoose import BUYS, CLICKS, HEADER, add_yoochoose

AUTO = "auto"
FORMATS: dict[str, Callable[[Path, TableBuilder], None]] = {
    "events": add_events,
    "movielens": add_movielens,
    "otto": add_otto,
    "sequences": add_sequences,
    "yoochoose": add_yoochoose,
}
HEAD = 4096  # characters: enough to tell one format from another


def open_dataset(
    path: Path | str,
    format: str = AUTO,
    *,
    max_bad: int = 0,
    erased: Set[str] = frozenset(),
    on_progress: Callable[[int], None] = lambda _: None,
    on_rejected: Callable[[TableBuilder], None] = lambda _: None,
) -> EventTable:
    """Read a data set as events in time order.

    `format` is a name of `FORMATS`; `auto` looks at the file. `max_bad` records may be rejected
    before the reading ends with an error, and events of the users `erased` are left out.
    `on_progress` is told the events read so far; `on_rejected` gets the builder, which knows what
    was rejected and left out, when all is read. Raises `DatasetError` naming file and line.
    """
    path = Path(path)
    if format == AUTO:
        format = detect(path)
    add = FORMATS.get(format)
    if add is None:
        raise DatasetError(f"no format {format!r}; there are {', '.join((AUTO, *FORMATS))}")
    name = f"movielens:{path.name}" if format == "movielens" else path.name
    into = TableBuilder(name, max_bad=max_bad, erased=erased, on_progress=on_progress)
    add(path, into)
    on_rejected(into)
    return into.table()


def detect(path: Path) -> str:
    """The format of a file or directory, by its name and beginning; raises `DatasetError`."""
    if not path.exists():
        raise DatasetError(f"{path}: no such file or directory")
    if path.is_dir():
        if (path / "ratings.csv").is_file():
            return "movielens"
        if any((path / name).is_file() for name in (CLICKS, BUYS)):
            return "yoochoose"
        raise DatasetError(f"{path}: a directory of MovieLens or YooChoose was expected")
    if path.suffix.lower() == ".parquet":
        return "events"
    with open_text(path) as file:
        first = file.read(HEAD).lstrip().split("\n", 1)[0]
    if first.startswith("{"):
        return "otto" if '"events"' in first and '"session"' in first else "events"
    if first.split("\t")[:3] == HEADER or path.name in (CLICKS, BUYS):
        return "yoochoose"
    if "user_id" in first.rstrip().split(","):
        return "events"
    if len(first.split()) == 2 and "," not in first:
        return "sequences"
    raise DatasetError(
        f"{path}:1: no known format ({first[:80]!r}); convert the file to CSV with user_id, "
        f"item_id and timestamp, or name its format: {', '.join(FORMATS)}"
    )
