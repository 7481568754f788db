"""A short run of every kind of check: about two minutes; `make faults` does more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stream_app.broker import EmbeddedKafka
from stream_app.users.state import EVENT_DTYPE, HISTORY_LENGTH, UserState
from tests.faults import report, scenarios
from tests.faults.audit import _hash, _same_history
from tests.faults.ledger import ENTRY, Ledger
from tests.faults.run import Plan, run
from tests.faults.stream import EventStream, Kind

COMMAND = "pytest tests/faults"


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("scenario", "cycles", "seed"), [("faults", 8, 11), ("retention", 3, 12)])
def test_nothing_is_lost_repeated_or_stuck(
    tmp_path: Path, scenario: str, cycles: int, seed: int
) -> None:
    plan = scenarios.SCENARIOS[scenario](Plan(cycles, seed, rate=200))
    with EmbeddedKafka() as kafka:
        result = run(plan, tmp_path, kafka)
    assert result.ok, report.markdown(result, COMMAND)
    assert result.counts.total() == cycles
    assert result.audit.sends > 0


def test_the_same_seed_gives_the_same_load() -> None:
    first, again = EventStream(3), EventStream(3)
    assert [next(first) for _ in range(3000)] == [next(again) for _ in range(3000)]


def test_the_load_has_every_kind_and_rare_users() -> None:
    stream = EventStream(4)
    messages = [next(stream) for _ in range(20_000)]
    assert {message.kind for message in messages} == set(Kind)
    seen: dict[int, int] = {}
    for message in messages:
        if message.kind is Kind.EVENT:
            seen[message.user] = seen.get(message.user, 0) + 1
    assert max(seen.values()) > 200, "more than a row remembers"
    assert sum(count == 1 for count in seen.values()) > 500, "users that no later event repairs"


def test_the_ledger_returns_what_it_was_given() -> None:
    ledger = Ledger()
    message = next(EventStream(5))
    ledger.acknowledged(message, 3, 41)
    (entry,) = ledger.entries
    assert (entry["partition"], entry["offset"], entry["user"]) == (3, 41, message.user)
    assert ledger.counts()["event"] == 1


def test_a_tie_at_the_edge_of_a_full_ring_is_no_finding() -> None:
    """Which of two events at one time has left the ring is a matter of arrival."""
    count = HISTORY_LENGTH + 1
    events = np.zeros(count, ENTRY)
    events["timestamp_ms"] = [5, 5, *range(6, 4 + count)]
    events["item"] = range(1, count + 1)
    hashes = [_hash(int(item)) for item in events["item"]]
    rows = [(hashes[kept], 5) for kept in (0, 1)]
    rest = list(zip(hashes[2:], events["timestamp_ms"][2:].tolist(), strict=True))
    for row in rows:
        assert _same_history(ring_of([row, *rest]), events)
    assert not _same_history(ring_of([*rest, (hashes[2], 9)]), events)
    assert not _same_history(ring_of(rest), events)


def ring_of(events: list[tuple[int, int]]) -> UserState:
    packed = np.array([(item, at, 1, 1) for item, at in events], EVENT_DTYPE)
    return UserState(history=packed.tobytes())
