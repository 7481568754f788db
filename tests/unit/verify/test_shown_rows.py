"""Every impression is in the row of its user, once and in order, and what is wrong is named."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import schemas
from schemas import DeadLetter, ErasureReceipt, ErasureRequest, Impression
from stream_app.source_messages import ShownMessage, source_impression
from stream_app.streaming.rows import Stamp, seal
from stream_app.users.codec import encode_state
from stream_app.users.shown import SHOWN_BYTES, apply_impression
from stream_app.users.state import UserState
from stream_app.verify.events import EventLog
from stream_app.verify.gathered import Gathered, Source
from stream_app.verify.impressions import Impressions, without_impressions
from stream_app.verify.letters import Letters
from stream_app.verify.lists import ListLog
from stream_app.verify.report import Kind, Report
from stream_app.verify.rows import Rows

NOW = 1_700_000_000_000
NAME = "impressions/0"


@dataclass
class Record:
    """As a consumer gives it."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp: int = NOW
    timestamp_type: int = 1


def shown(user: str, offset: int, *items: str) -> Record:
    message = Impression(user_id=user, rec_id="r", item_ids=items, timestamp_ms=NOW - 9_000)
    return Record(offset, user.encode(), schemas.encode(message))


def history(size: int, seed: int = 1) -> list[Record]:
    dice = Random(seed)
    users = ("ann", "bob", "eve")
    return [
        shown(dice.choice(users), n, *(str(dice.randrange(30)) for _ in range(dice.randint(1, 9))))
        for n in range(size)
    ]


def rows_after(records: list[Record]) -> dict[str, UserState]:
    states: dict[str, UserState] = {}
    for record in records:
        message = schemas.decode_impression(record.value, key=record.key)
        place = ShownMessage(message, "impressions", 0, record.offset)
        state = states.get(message.user_id, UserState())
        states[message.user_id], _ = apply_impression(state, source_impression(place))
    return states


@dataclass
class Checked:
    """What a worker has left behind."""

    records: list[Record]
    states: dict[str, UserState]
    source: Source = field(default_factory=lambda: Source("impressions", 0, None))
    found: Gathered = field(init=False)
    report: Report = field(default_factory=Report)

    def __post_init__(self) -> None:
        letters = Letters((NAME,))
        self.found = Gathered(
            0, [], "changelog", "lists", "letters", Rows(), ListLog(1), letters, EventLog(())
        )
        for number, (user, state) in enumerate(self.states.items()):
            value = seal(encode_state(state), Stamp(5, NOW))
            self.found.rows.add([Record(number, user.encode(), value)])
        self.source = replace(self.source, end=1 + max(r.offset for r in self.records))
        self.source.limit = self.source.end

    def kinds(self) -> dict[Kind, int]:
        check = Impressions(self.found, self.source, self.report)
        for record in self.records:
            check.add(record)
        for finding in check.findings():
            self.report.add(finding)
        return {kind: self.report.count(kind) for kind in Kind if self.report.count(kind)}


@given(st.integers(0, 2**32 - 1), st.integers(1, 300), st.data())
def test_what_is_consistent_is_no_finding(seed: int, size: int, data: st.DataObject) -> None:
    records = history(size, seed)
    states = rows_after(records)
    assert Checked(records, states).kinds() == {}
    start = data.draw(st.integers(0, size - 1), label="retention has deleted what is before")
    hidden = Checked(records[start:], states)
    hidden.source.start = start
    assert hidden.kinds() == {}


@given(st.integers(0, 2**32 - 1), st.data())
def test_one_entry_more_or_less_or_elsewhere_is_found(seed: int, data: st.DataObject) -> None:
    records = history(40, seed)
    states = rows_after(records)
    user = data.draw(st.sampled_from(sorted(states)))
    ring = states[user].shown
    at = SHOWN_BYTES * data.draw(st.integers(0, len(ring) // SHOWN_BYTES - 1))
    entry, other = ring[at : at + SHOWN_BYTES], b"\7\7\7\7\7\7\7\7"
    for damaged, kinds in (
        (ring[:at] + ring[at + SHOWN_BYTES :], {Kind.LOST: 1}),
        (ring[:at] + entry + ring[at:], {Kind.DUPLICATED: 1}),
        (ring[:at] + other + ring[at:], {Kind.ALTERED: 1}),
        (ring[:at] + other + ring[at + SHOWN_BYTES :], {Kind.LOST: 1, Kind.ALTERED: 1}),
    ):
        changed = msgspec.structs.replace(states[user], shown=damaged)
        assert Checked(records, states | {user: changed}).kinds() == kinds


def test_another_order_is_found() -> None:
    records = [shown("ann", 0, "1", "2"), shown("ann", 1, "3")]
    states = rows_after(records)
    ring = states["ann"].shown
    turned = msgspec.structs.replace(states["ann"], shown=ring[8:] + ring[:8])
    assert Checked(records, {"ann": turned}).kinds() == {Kind.MISORDERED: 1}


def test_what_no_row_has_passed_is_lost_below_the_limit() -> None:
    records = [shown("ann", 0, "1"), shown("bob", 1, "2"), shown("ann", 2, "3")]
    states = rows_after(records[:1])
    assert Checked(records, states).kinds() == {Kind.LOST: 2}
    live = Checked(records, states)
    live.source.limit = 1
    assert live.kinds() == {}


def test_a_rejected_one_needs_a_dead_letter() -> None:
    records = [Record(0, b"ann", b"{"), shown("ann", 1, "1")]
    states = rows_after(records[1:])
    assert Checked(records, states).kinds() == {Kind.LOST: 1}
    answered = Checked(records, states)
    letter = DeadLetter(
        reason="decode_error", detail="", topic="impressions", partition=0, offset=0,
        timestamp_ms=NOW, key=b"ann", value=b"{",
    )  # fmt: skip
    assert answered.found.letters.add(letter)
    assert answered.kinds() == {}
    applied = Checked([shown("ann", 0, "1")], rows_after([shown("ann", 0, "1")]))
    applied.found.letters.add(letter)
    assert applied.kinds() == {Kind.ALTERED: 2}  # the offset, and the item


def test_a_row_cannot_know_what_the_topic_does_not_hold() -> None:
    records = [shown("ann", 0, "1")]
    state = rows_after([*records, shown("ann", 5, "2")])["ann"]
    assert Checked(records, {"ann": state}).kinds() == {Kind.BEYOND: 1}


def test_after_an_erasure_only_what_came_later_is_in_the_row() -> None:
    records = [shown("ann", 0, "1"), shown("ann", 1, "2")]
    records[1].timestamp = NOW + 10
    checked = Checked(records, rows_after(records[1:]))
    request = Record(0, b"ann", schemas.encode(ErasureRequest(user_id="ann")), timestamp=NOW + 5)
    checked.found.erasures.source, checked.found.erasures.commit = "erasures/0", 1
    checked.found.erasures.add_request(request)
    assert checked.kinds() == {}
    assert checked.report.notes["erased_events"] == 1


def test_what_may_be_gone_with_an_erased_row_is_not_judged() -> None:
    records = [shown("ann", 0, "1"), shown("ann", 1, "2")]
    checked = Checked(records, rows_after(records[1:]))
    erasures = checked.found.erasures
    erasures.source, erasures.commit = "erasures/0", 1
    value = schemas.encode(ErasureRequest(user_id="ann"))
    erasures.add_request(Record(0, b"ann", value, timestamp=NOW - 5))
    receipt = ErasureReceipt(
        topic="erasures", partition=0, offset=0, appended_ms=NOW, erased_at_ms=NOW,
        outcome="erased", applied={NAME: 0},
    )  # fmt: skip
    erasures.add_receipt(Record(0, None, schemas.encode(receipt)))
    assert checked.kinds() == {}
    assert checked.report.unchecked["users_with_uncertain_impressions"] == 1


@pytest.mark.parametrize("later_ms", [0, 10**6])
def test_after_a_removal_only_what_is_surely_newer_must_be_there(later_ms: int) -> None:
    records = [shown("ann", 0, "1"), shown("ann", 1, "2")]
    records[1].timestamp = NOW + later_ms
    checked = Checked(records, rows_after(records[:1]))
    tombstone = Record(9, b"ann", None, (("epoch", b"5"),))
    checked.found.rows.add([tombstone])
    assert checked.kinds() == ({Kind.LOST: 1} if later_ms else {})
    begun = Checked(records, {})
    row = seal(encode_state(rows_after(records[1:])["ann"]), Stamp(5, NOW))
    begun.found.rows.add([tombstone, Record(10, b"ann", row)])
    assert begun.kinds() == {}


def test_the_row_of_events_has_no_offset_of_impressions() -> None:
    state = rows_after([shown("ann", 3, "1")])["ann"]
    assert without_impressions(state, NAME).offsets == {}
    assert without_impressions(state, "impressions/1") is state
