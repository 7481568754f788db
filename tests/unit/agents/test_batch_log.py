"""The line of a batch: places and lists, few enough, and users only where they are wanted."""

from __future__ import annotations

import logging

import pytest
from test_engine import click, load, make_engine, no_rows

from agents import batch_log
from agents.records import Record, Work
from stream_app.observability import logging as ours


@pytest.fixture(scope="module")
def batch() -> tuple[list[Record], Work]:
    records = [click(f"user-{n}", 318, n) for n in range(40)] + [
        click("user-0", 318, 40)._replace(value=b"{user-0")
    ]
    return records, make_engine(load()).work(records, no_rows(records))


def test_a_line_has_places_and_the_first_lists(batch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    records, work = batch
    batch_log.say(records, work, "4bf9")
    (record,) = caplog.records
    assert record.getMessage().startswith(
        f"records: 41 (clicks/2 0-40); lists: 40 ({work.made[0].rec_id} of clicks/2@0, "
    )
    assert record.getMessage().endswith("; dead letters: 1")
    assert "user-" not in record.getMessage()
    fields = record.fields
    assert (fields["offsets"], fields["lists_made"]) == ({"clicks/2": (0, 40)}, 40)
    assert fields["trace_id"] == "4bf9"
    assert len(fields["lists"]) == batch_log.LIMIT
    assert fields["lists"][1] == {
        "rec_id": work.made[1].rec_id, "topic": "clicks", "partition": 2, "offset": 1,
    }  # fmt: skip


def test_users_are_named_where_that_is_wanted(
    batch, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(ours._State, "user_ids", True)
    batch_log.say(*batch, None)
    (record,) = caplog.records
    assert "clicks/2@0 for user-0, " in record.getMessage()
    assert record.fields["lists"][0]["user_id"] == "user-0"
    assert "trace_id" not in record.fields


def test_without_debug_nothing_is_put_together(batch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    batch_log.say(*batch, None)
    assert caplog.records == []
