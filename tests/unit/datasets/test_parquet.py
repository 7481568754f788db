"""Parquet files of events: the same table as from CSV, and errors with the row."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from stream_app.datasets import DatasetError, open_dataset


def write(path: Path, **columns: Any) -> Path:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed: [parquet]")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table(columns), path)
    return path


def test_a_file_of_events(tmp_path: Path) -> None:
    path = write(
        tmp_path / "e.parquet",
        colour=["red", "blue"],
        item_id=[7, 8],
        user_id=["ann", "bob"],
        timestamp_ms=[2_000, 1_000],
        action=["purchase", None],
    )
    table = open_dataset(path)
    assert (table.user_ids, table.item_ids) == (["bob", "ann"], ["8", "7"])
    assert table.timestamps_ms.tolist() == [1_000, 2_000]
    assert [type(one).__name__ for one in table.messages()] == ["Click", "Purchase"]


def test_times_may_have_a_type_of_their_own(tmp_path: Path) -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
    path = write(tmp_path / "e.parquet", user_id=["a"], item_id=["b"], timestamp=[at])
    assert open_dataset(path).timestamps_ms.tolist() == [round(at.timestamp() * 1000)]


def test_a_bad_row_is_named(tmp_path: Path) -> None:
    path = write(
        tmp_path / "e.parquet", user_id=["a", None], item_id=["b", "c"], timestamp=[1.0, 2.0]
    )
    with pytest.raises(DatasetError, match=r"e.parquet, row 2: user_id is None"):
        open_dataset(path)


def test_missing_columns_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "e.parquet", who=["a"], item_id=["b"], timestamp=[1.0])
    with pytest.raises(DatasetError, match=r"the columns are who, item_id, timestamp; an event"):
        open_dataset(path)


def test_without_pyarrow_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "e.parquet").touch()
    with pytest.raises(DatasetError, match=r"pip install 'stream-app\[parquet\]'"):
        open_dataset(tmp_path / "e.parquet")
