"""A ring without each of its events: what would have been if the event had never come."""

from __future__ import annotations

import numpy as np
import pytest
from small_release import STATE_SIZE, small_release

from schemas import Click
from stream_app.advance import Advancer
from stream_app.bundle import Bundle
from stream_app.reasons.leave_one_out import encoded, without_each
from stream_app.recommender import Recommender, SourceMessage
from stream_app.users import UserState, events_of


def messages(items: list[int]) -> list[SourceMessage]:
    return [
        SourceMessage(
            Click(user_id="ann", item_id=f"item-{item}", timestamp_ms=1_000 + 7_000 * at * at),
            "clicks", 0, at,
        )
        for at, item in enumerate(items)
    ]  # fmt: skip


def row_of(bundle: Bundle, items: list[int]) -> UserState:
    """What the stream makes of clicks that are seconds to minutes apart, event by event."""
    recommender, state = Recommender(bundle), None
    for message in messages(items):
        state = recommender.process([message], {"ann": state}).states["ann"]
    assert state is not None
    return state


def advancer(bundle: Bundle) -> Advancer:
    window = bundle.manifest.encoder.window
    return Advancer(bundle.encoder, bundle.catalog, bundle.release, window=window)


def vector(row: UserState) -> np.ndarray:
    return np.frombuffer(row.vector, np.float16).astype(np.float32)


ITEMS = [3, 8, 3, 20, 11, 39, 77, 0, 5, 14, 2]  # one twice, one that the catalogue does not hold


def test_each_event_is_left_out_once() -> None:
    ring = row_of(small_release(), ITEMS).history
    rows = without_each(ring)
    assert len(rows) == 1 + len(ITEMS)
    assert rows[0].history == ring
    for at, row in enumerate(rows[1:]):
        expected = np.delete(events_of(ring), at)
        np.testing.assert_array_equal(events_of(row.history), expected)
    assert [row.history for row in without_each(b"")] == [b""]
    assert [row.history for row in without_each(ring[:18])] == [ring[:18], b""]


def test_all_at_once_is_one_by_one(bundle: Bundle) -> None:
    rows = without_each(row_of(bundle, ITEMS).history)
    together = encoded(advancer(bundle), rows)
    assert together is not None
    for row, made in zip(rows, together, strict=True):
        alone = encoded(advancer(bundle), [row])
        assert alone is not None
        assert made.history == row.history
        # Matrix products of other shapes round differently.
        np.testing.assert_allclose(vector(made), vector(alone[0]), atol=2e-3)


def test_a_row_without_an_event_is_that_of_a_stream_without_it(bundle: Bundle) -> None:
    made = encoded(advancer(bundle), without_each(row_of(bundle, ITEMS).history))
    assert made is not None
    for left_out in (0, 4, len(ITEMS) - 1):
        recommender, state = Recommender(bundle), None
        for at, message in enumerate(messages(ITEMS)):
            if at != left_out:
                state = recommender.process([message], {"ann": state}).states["ann"]
        np.testing.assert_allclose(vector(made[1 + left_out]), vector(state), atol=2e-3)


def test_a_vector_that_is_not_finite_is_no_result() -> None:
    bundle = small_release()

    class Broken(type(bundle.encoder)):  # type: ignore[misc]
        def step(self, states, items, features):  # type: ignore[no-untyped-def]
            new, users = super().step(states, items, features)
            return new, np.full_like(users, np.nan)

    rows = without_each(row_of(bundle, ITEMS).history)
    broken = Advancer(Broken(), bundle.catalog, bundle.release)
    assert broken._encoder.state_size == STATE_SIZE
    assert encoded(broken, rows) is None


@pytest.mark.parametrize("count", [0, 1])
def test_a_ring_of_none_or_one(bundle: Bundle, count: int) -> None:
    made = encoded(advancer(bundle), without_each(row_of(bundle, ITEMS).history[: 18 * count]))
    assert made is not None
    assert [len(row.vector) > 0 for row in made] == [True, False][1 - count :]
