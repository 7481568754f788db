"""Every event gets a latency once, from the first list that covers it."""

from hypothesis import given
from hypothesis import strategies as st

from stream_app.demo.coverage import Coverage

SOURCE = "clicks/0"


def test_a_list_covers_everything_up_to_its_offset() -> None:
    coverage = Coverage()
    for offset in range(3):
        coverage.sent("ann", SOURCE, offset, position=offset + 10, sent_at=float(offset))
    assert coverage.received("ann", {SOURCE: 1}, now=5.0) == 11
    assert coverage.latencies_ms == [5000.0, 4000.0]
    assert (coverage.open, coverage.lists) == (1, 1)


def test_a_repeated_list_covers_nothing_new() -> None:
    coverage = Coverage()
    coverage.sent("ann", SOURCE, 0, position=0, sent_at=0.0)
    assert coverage.received("ann", {SOURCE: 0}, now=1.0) == 0
    assert coverage.received("ann", {SOURCE: 0}, now=2.0) is None
    assert len(coverage.latencies_ms) == 1


def test_a_list_can_outrun_the_receipt_of_its_event() -> None:
    coverage = Coverage()
    assert not coverage.knows("ann", SOURCE, 0)
    coverage.sent("ann", SOURCE, 0, position=0, sent_at=0.0)
    assert coverage.knows("ann", SOURCE, 0)
    assert not coverage.knows("bob", SOURCE, 0)


@given(st.lists(st.integers(0, 19), max_size=40))
def test_every_event_is_covered_exactly_once(applied: list[int]) -> None:
    coverage = Coverage()
    for offset in range(20):
        coverage.sent("ann", SOURCE, offset, position=offset, sent_at=0.0)
    for offset in applied:
        coverage.received("ann", {SOURCE: offset}, now=1.0)
    covered = max(applied) + 1 if applied else 0
    assert len(coverage.latencies_ms) == covered
    assert coverage.open == 20 - covered
