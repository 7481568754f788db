"""Parquet files, record by record, through pyarrow where it is installed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from stream_app.datasets.events import DatasetError

BATCH = 65_536  # rows decoded at a time: some MB of Python values, whatever the file's row groups


def parquet_records(
    path: Path, columns: Sequence[str], shape: str
) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Yield `(row, values)` with a value for each of `columns`, None for one that is not there.

    `columns` are those of `stream_app.datasets.tabular`; a column of a timestamp type is in ms.
    Raises `DatasetError` without pyarrow, for a file that it cannot read, and without the columns
    that `shape` tells of.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise DatasetError(
            f"{path}: reading Parquet needs pyarrow: pip install 'stream-app[parquet]', or convert "
            "the file to CSV"
        ) from error
    done = 0
    try:
        with parquet.ParquetFile(path) as file:
            there = [name for name in columns if name in file.schema_arrow.names]
            times = {"timestamp_ms", "timestamp"}.intersection(there)
            if not times or not {"user_id", "item_id"}.issubset(there):
                names = ", ".join(file.schema_arrow.names)
                raise DatasetError(f"{path}: the columns are {names[:80]}; {shape}")
            for batch in file.iter_batches(BATCH, columns=there):
                values = _values(batch, columns, pyarrow)
                yield from enumerate(zip(*values, strict=True), start=done + 1)
                done += len(batch)
    except (OSError, pyarrow.ArrowException) as error:
        raise DatasetError(f"{path}: not readable as Parquet ({error})") from error


def _values(batch: Any, columns: Sequence[str], pyarrow: Any) -> list[list[Any]]:
    """The values of each of `columns`; times of a timestamp type move to `timestamp_ms`."""
    found: dict[str, list[Any]] = {}
    for name in batch.schema.names:
        column = batch.column(name)
        if pyarrow.types.is_timestamp(column.type):
            column = column.cast(pyarrow.timestamp("ms"), safe=False).cast(pyarrow.int64())
            name = "timestamp_ms"
        found.setdefault(name, column.to_pylist())
    nothing = [None] * len(batch)
    return [found.get(name, nothing) for name in columns]
