"""Which row of a user may be shown, and what is said where there is none."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from schemas import ErasureRequest, encode
from stream_app.settings import Settings
from stream_app.streaming.rows import Stamp, seal
from stream_app.streaming.user_row import NoRowError, _decoded, _erasure, _valid_row
from stream_app.users import UserState
from stream_app.users.codec import encode_state
from stream_app.users.erasure import Erasure, fresh_state

NOW = 1_700_000_000_000
REQUESTS = "shop.erasures/2"


@dataclass
class Record:
    """As a consumer gives it."""

    offset: int
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    key: bytes = b"ann"
    timestamp: int = NOW


def row(events: int, epoch: int) -> bytes:
    return seal(encode_state(UserState(events=events)), Stamp(epoch, NOW))


def shown(value: bytes | None, erasure: Erasure | None = None, known: bool = True) -> UserState:
    return _decoded(value, "ann", erasure, REQUESTS, known, Settings(app_id="shop"))


def test_the_valid_row_is_the_one_that_a_worker_takes_over() -> None:
    late = [Record(0, row(1, 3)), Record(1, row(2, 4)), Record(2, row(3, 3))]
    assert _valid_row(late, b"ann") == late[1].value
    gone = [Record(0, row(1, 3)), Record(1, None, (("epoch", b"3"),)), Record(2, row(3, 2))]
    assert _valid_row(gone, b"ann") is None
    assert _valid_row([*gone, Record(3, row(4, 4))], b"ann") == row(4, 4)
    assert _valid_row([], b"ann") is None


def test_a_row_is_shown() -> None:
    assert shown(row(7, 1)).events == 7


def test_a_damaged_row_is_refused() -> None:
    with pytest.raises(
        NoRowError, match=r"the row of user 'ann' cannot be read: .*checksum.*verify"
    ):
        shown(row(7, 1)[:-1] + b"?")
    with pytest.raises(NoRowError, match="do not begin as a user row"):
        shown(b"")
    with pytest.raises(NoRowError, match="cannot be read: user row of 1 bytes"):
        shown(seal(b"?", Stamp(1, NOW)))


def test_an_unknown_user_a_removed_one_and_an_erased_one_are_told_apart() -> None:
    with pytest.raises(NoRowError, match="user 'ann' is unknown to app_id 'shop': none of their"):
        shown(None, known=False)
    with pytest.raises(NoRowError, match=r"was removed: they were silent .* or erased longer ago"):
        shown(None)
    with pytest.raises(NoRowError, match=r"'ann' was erased \(shop.erasures/2@9\), and no event"):
        shown(None, Erasure(NOW, 9))
    with pytest.raises(NoRowError, match=r"'ann' was erased"):
        shown(None, Erasure(NOW, 9), known=False)  # compacted away meanwhile


def test_a_row_from_before_an_erasure_is_not_shown_and_one_from_after_is() -> None:
    erasure = Erasure(NOW, 9)
    with pytest.raises(
        NoRowError, match=r"was requested \(shop.erasures/2@9\) and is not done yet"
    ):
        shown(row(7, 1), erasure)
    begun = seal(encode_state(fresh_state(REQUESTS, erasure)), Stamp(1, NOW))
    assert shown(begun, erasure).offsets == {REQUESTS: 9}


def test_the_newest_valid_request_counts() -> None:
    request = encode(ErasureRequest(user_id="ann"))
    records = [Record(3, request), Record(5, request, timestamp=NOW + 1), Record(7, b"?")]
    assert _erasure(records) == Erasure(NOW + 1, 5)
    assert _erasure([Record(7, None)]) is None
