"""Features of events: the same rows for training and for serving, one by one or together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.users import ACTIONS, FEATURES, action_code, event_gaps, sequence_features
from stream_app.users.features import ACTION_SLOTS, FIRST, GAP

rows = st.lists(st.tuples(st.integers(0, 255), st.integers(-1, 2**45)), max_size=30)


@given(rows)
def test_events_together_have_the_features_of_events_one_by_one(
    events: list[tuple[int, int]],
) -> None:
    actions = np.array([a for a, _ in events], np.uint8)
    gaps = np.array([g for _, g in events], np.int64)
    together = sequence_features(actions, gaps)
    assert together.shape == (len(events), FEATURES)
    assert together.dtype == np.float32
    for row in range(len(events)):
        alone = sequence_features(actions[row : row + 1], gaps[row : row + 1])
        np.testing.assert_array_equal(alone[0], together[row])


def test_one_action_one_gap_and_a_flag_for_the_first_event() -> None:
    month_ms = 30 * 86_400_000
    actions = np.array([action_code("purchase"), action_code("click"), 0], np.uint8)
    got = sequence_features(actions, np.array([-1, month_ms, 0], np.int64))
    assert got[:, :ACTION_SLOTS].argmax(axis=1).tolist() == [5, 2, 0]
    assert got[:, :ACTION_SLOTS].sum(axis=1).tolist() == [1, 1, 1]
    np.testing.assert_allclose(got[:, GAP], [0, 1, 0], atol=1e-6)
    assert got[:, FIRST].tolist() == [1, 0, 0]


def test_gaps_are_between_consecutive_events() -> None:
    assert event_gaps(np.array([5, 5, 9], np.int64)).tolist() == [-1, 0, 4]
    assert event_gaps(np.array([], np.int64)).tolist() == []


def test_unknown_actions_count_as_other() -> None:
    assert action_code("hover") == 0
    assert [action_code(name) for name in ACTIONS] == list(range(len(ACTIONS)))
    assert len(ACTIONS) <= ACTION_SLOTS


def test_actions_without_gaps_are_refused() -> None:
    with pytest.raises(ValueError, match="2 actions but 1 gaps"):
        sequence_features(np.zeros(2, np.uint8), np.zeros(1, np.int64))
