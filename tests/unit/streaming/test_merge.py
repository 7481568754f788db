"""Of several rows of a user the one of the highest epoch is valid, and of those the last."""

import itertools
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from stream_app.streaming.merge import Merge
from stream_app.streaming.rows import EPOCH_HEADER, Stamp, seal

DAMAGED = b"no row at all"


class Record(NamedTuple):
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    offset: int = 0


def row(epoch: int, text: str = "", user: bytes = b"ann") -> Record:
    return Record(user, seal(text.encode(), Stamp(epoch, 0)))


def removal(epoch: int, user: bytes = b"ann") -> Record:
    return Record(user, None, ((EPOCH_HEADER, str(epoch).encode()),))


class Kept:
    """A merge with a dictionary as store."""

    def __init__(self, **options: int) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.merge = Merge(lambda users: [self.rows.get(user) for user in users], **options)

    def fold(self, *records: Record) -> "Kept":
        for user, value in self.merge.fold(records).items():
            if value is None:
                self.rows.pop(user, None)
            else:
                self.rows[user] = value
        return self


def test_the_later_of_one_owner() -> None:
    kept = Kept().fold(row(2, "a"), row(2, "b"))
    assert kept.rows == {b"ann": row(2, "b").value}
    assert not kept.merge.stale


def test_a_row_of_a_former_owner_is_refused_and_has_to_be_covered() -> None:
    kept = Kept().fold(row(2, "new"), row(1, "late"))
    assert kept.rows == {b"ann": row(2, "new").value}
    assert kept.merge.stale == {b"ann"}
    assert kept.merge.late == 1


def test_nothing_is_stale_when_a_valid_row_follows() -> None:
    kept = Kept().fold(row(2, "new"), row(1, "late")).fold(row(2, "newer"))
    assert kept.rows == {b"ann": row(2, "newer").value}
    assert not kept.merge.stale


def test_a_removal_is_not_undone_by_a_former_owner() -> None:
    kept = Kept().fold(row(1), removal(2)).fold(row(1, "late"))
    assert kept.rows == {}
    assert kept.merge.stale == {b"ann"}


def test_a_user_comes_back_after_a_removal() -> None:
    kept = Kept().fold(row(1), removal(2), row(2, "again"))
    assert kept.rows == {b"ann": row(2, "again").value}
    assert not kept.merge.stale


def test_a_late_removal_is_refused() -> None:
    kept = Kept().fold(row(3, "new"), removal(2), Record(b"ann", None))
    assert kept.rows == {b"ann": row(3, "new").value}
    assert kept.merge.stale == {b"ann"}


def test_a_damaged_row_replaces_nothing_but_is_kept_alone() -> None:
    """Somebody has to see it: its user's events become dead letters."""
    kept = Kept().fold(Record(b"bob", DAMAGED), row(1), Record(b"ann", DAMAGED))
    assert kept.rows == {b"ann": row(1).value, b"bob": DAMAGED}
    assert kept.merge.stale == {b"ann"}
    assert kept.fold(row(0, "mended", b"bob")).rows[b"bob"] == row(0, "mended").value


def test_records_without_a_key_are_passed_over() -> None:
    assert Kept().fold(Record(None, b"x")).rows == {}


def test_below_the_floor_everything_is_late() -> None:
    kept = Kept(floor=5).fold(row(4, user=b"never seen"))
    assert kept.rows == {}
    assert kept.merge.stale == {b"never seen"}


@given(
    st.lists(
        st.tuples(st.sampled_from([b"a", b"b"]), st.integers(0, 4), st.booleans()), max_size=30
    ),
    st.lists(st.integers(0, 30), max_size=5),
)
def test_the_outcome_is_the_order_of_epochs_then_of_the_topic(
    written: list[tuple[bytes, int, bool]], cuts: list[int]
) -> None:
    records = [
        removal(epoch, user) if gone else row(epoch, str(place), user)
        for place, (user, epoch, gone) in enumerate(written)
    ]
    expected: dict[bytes, Record] = {}
    for record, (user, epoch, _) in zip(records, written, strict=True):
        held = expected.get(user)
        if held is None or epoch >= written[records.index(held)][1]:
            expected[user] = record
    kept = Kept()
    edges = sorted({0, len(records), *(cut for cut in cuts if cut < len(records))})
    for start, end in itertools.pairwise(edges):
        kept.fold(*records[start:end])
    assert kept.rows == {u: r.value for u, r in expected.items() if r.value is not None}
    last = {record.key: record for record in records}
    assert kept.merge.stale == {u for u, r in last.items() if r is not expected[u]}
    assert kept.merge.newest_epoch == max((epoch for _, epoch, _ in written), default=0)
