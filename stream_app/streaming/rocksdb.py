"""Rows on disk in RocksDB, for more users than fit into memory (extra `rocksdb`).

One database per partition. What a restart finds there spares reading the whole changelog: only what
was written since is read. See `stores` for why it can only be behind.
"""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from itertools import islice
from pathlib import Path
from struct import Struct
from typing import IO, Any

from stream_app.errors import UserError
from stream_app.streaming.stores import MAX_AGE_MS, Position, Rows

_META = b"m"
_USER = b"u"
_AFTER_USERS = b"v"
_POSITION = Struct(">QQQ")  # next offset, newest epoch, when (Unix ms)


class RocksRows:
    """Sealed rows in one RocksDB per partition below a directory of this worker alone."""

    def __init__(
        self,
        directory: Path,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """Raises `UserError` when the package is missing or another worker uses the directory."""
        try:
            import rocksdict
        except ModuleNotFoundError:
            raise UserError(
                "state_store is rocksdb, but the package rocksdict is not installed: "
                "pip install 'stream-app[rocksdb]'"
            ) from None
        self._rocksdict: Any = rocksdict
        self._directory = directory
        self._lock = _lock(directory)
        self._clock_ms = clock_ms
        self._open: dict[int, Any] = {}

    def open(self, partition: int) -> Position:
        """Open or create the database."""
        if partition not in self._open:
            self._open[partition] = self._database(partition)
        position = self._saved(partition)
        if position is None:  # nothing in it, or too old to be trusted
            self.clear(partition)
        return position or Position()

    def close(self, partition: int) -> None:
        """Close the database; its files stay for a later assignment."""
        database = self._open.pop(partition, None)
        if database is not None:
            database.close()

    def release(self) -> None:
        """Close everything; another process may use the directory now."""
        for partition in list(self._open):
            self.close(partition)
        self._lock.close()

    def clear(self, partition: int) -> None:
        """Replace the database by an empty one."""
        self._open.pop(partition).close()
        shutil.rmtree(self._path(partition), ignore_errors=True)
        self._open[partition] = self._database(partition)

    def get(self, partition: int, users: Collection[bytes]) -> list[bytes | None]:
        """The rows of users of an open partition, in their order."""
        rows: list[bytes | None] = self._open[partition].get([_USER + user for user in users])
        return rows

    def write(self, partition: int, rows: Rows, position: Position) -> None:
        """Keep or remove rows and remember the position in one atomic write."""
        batch = self._rocksdict.WriteBatch(raw_mode=True)
        for user, row in rows.items():
            if row is None:
                batch.delete(_USER + user)
            else:
                batch.put(_USER + user, row)
        batch.put(_META, _POSITION.pack(*position, self._clock_ms()))
        self._open[partition].write(batch)

    def count(self, partition: int) -> int:
        """RocksDB's own estimate of the number of rows."""
        value = self._open[partition].property_int_value("rocksdb.estimate-num-keys")
        return max(0, (value or 0) - 1)

    def scan(self, partition: int, size: int) -> Iterator[list[tuple[bytes, bytes]]]:
        """All rows in slices. No iterator is open between two: the database could not be closed."""
        begin: bytes | None = _USER
        while begin is not None:
            found = list(islice(self._open[partition].items(from_key=begin), size))
            rows = [(key[len(_USER) :], row) for key, row in found if key < _AFTER_USERS]
            begin = found[-1][0] + b"\0" if len(rows) == size else None
            if rows:
                yield rows

    def compact(self, partition: int) -> None:
        """Write all files anew: until then they hold the values and keys of removed rows.

        All of it and not only around a key, because the database would note that key in its log.
        """
        options = self._rocksdict.CompactOptions()
        options.set_bottommost_level_compaction(self._rocksdict.BottommostLevelCompaction.force())
        database = self._open[partition]
        database.flush()
        database.compact_range(None, None, compact_opt=options)

    def reopen(self, partition: int) -> None:
        """The list of files names the first and last key of former ones until it is begun anew."""
        self._open.pop(partition).close()
        self._open[partition] = self._database(partition)

    def drop_unused(self) -> None:
        """Delete databases of partitions that are not open and were not used for `MAX_AGE_MS`."""
        for path in self._directory.glob("[0-9]*"):
            if int(path.name) in self._open:
                continue
            newest_s = max((file.stat().st_mtime for file in path.glob("*")), default=0.0)
            if self._clock_ms() - newest_s * 1000 > MAX_AGE_MS:
                shutil.rmtree(path, ignore_errors=True)

    def _saved(self, partition: int) -> Position | None:
        saved = self._open[partition].get(_META)
        if saved is None:
            return None
        next_offset, newest_epoch, at_ms = _POSITION.unpack(saved)
        age_ms = self._clock_ms() - at_ms
        return Position(next_offset, newest_epoch) if 0 <= age_ms < MAX_AGE_MS else None

    def _path(self, partition: int) -> Path:
        return self._directory / str(partition)

    def _database(self, partition: int) -> Any:
        path = self._path(partition)
        path.parent.mkdir(parents=True, exist_ok=True)
        options = self._rocksdict.Options(raw_mode=True)
        options.create_if_missing(True)
        return self._rocksdict.Rdict(str(path), options)


def _lock(directory: Path) -> IO[bytes]:
    """Hold the directory until the file is closed, at the latest with the process."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = (directory / "lock").open("wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise UserError(
            f"another worker keeps its rows in {directory}: give every worker of this machine a "
            "state_dir of its own"
        ) from None
    return file
