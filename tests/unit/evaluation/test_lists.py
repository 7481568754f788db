"""Scores become lists in one total order, whatever the ties."""

import numpy as np
import pytest
from event_tables import table_of
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stream_app.evaluation.errors import EvaluationError
from stream_app.evaluation.histories import Histories
from stream_app.evaluation.lists import top_items, top_lists, without_seen
from stream_app.evaluation.protocols import Split, leave_one_out

INF = np.inf


class Fixed:
    """A method with the same scores for everyone."""

    name = "fixed"

    def __init__(self, *scores: float) -> None:
        self._scores = np.array(scores, np.float32)

    def fit(self, split: Split) -> None:
        pass

    def scores(self, histories: Histories) -> np.ndarray:
        return np.repeat(self._scores[None], len(histories), axis=0)


def test_equal_scores_go_to_the_older_item() -> None:
    scores = np.array([[1, 2, 2, 1, 2], [0, -0.0, 0, -0.0, 0]], np.float32)
    assert top_items(scores, 4).tolist() == [[1, 2, 4, 0], [0, 1, 2, 3]]


def test_items_that_are_never_recommended_leave_places_empty() -> None:
    scores = np.array([[-INF, 3, -INF, -1], [-INF] * 4], np.float32)
    assert top_items(scores, 3).tolist() == [[1, 3, -1], [-1, -1, -1]]


def test_a_list_is_as_long_as_the_catalogue_at_most() -> None:
    assert top_items(np.array([[1, 2]], np.float32), 5).tolist() == [[1, 0]]


@given(
    arrays(
        np.float32,
        st.tuples(st.integers(1, 4), st.integers(1, 9)),
        elements=st.sampled_from([-INF, -3.5, -1e-30, -0.0, 0.0, 1e-30, 2.0, INF]),
    ),
    st.integers(1, 9),
)
def test_lists_are_those_of_a_full_stable_sort(scores: np.ndarray, k: int) -> None:
    for row, found in zip(scores, top_items(scores, k), strict=True):
        order = np.argsort(-row, kind="stable")
        expected = [item for item in order.tolist() if row[item] > -INF][:k]
        assert [item for item in found.tolist() if item >= 0] == expected


def test_what_the_user_had_is_left_out_unless_repeats_are_asked_for() -> None:
    split = leave_one_out(table_of("u a", "u b", "u c", "v d", "v a", "v c"), repeats=True)
    items = split.table.item_ids
    histories = split.test.histories
    names = {
        repeats: [
            "".join(items[at] for at in row if at >= 0)
            for row in top_lists(Fixed(4, 3, 2, 1), histories, 4, repeats=repeats)
        ]
        for repeats in (True, False)
    }
    assert names == {True: ["abcd", "abcd"], False: ["cd", "bc"]}


@pytest.mark.parametrize("method", [Fixed(1, 2), Fixed(1, 2, float("nan"), 4)])
def test_scores_of_a_wrong_shape_or_nan_are_refused(method: Fixed) -> None:
    split = leave_one_out(table_of("u a", "u b", "u c", "v d"))
    with pytest.raises(EvaluationError, match="fixed: scores of shape"):
        top_lists(method, split.test.histories, 2, repeats=False)


def test_seen_items_leave_a_list_from_elsewhere_and_unknown_ones_keep_their_place() -> None:
    split = leave_one_out(table_of("u a", "u b", "u c", "v d"))
    lists = np.array([[0, -1, 3, 1, 2]], np.int32)  # a, unknown, d, b, c; a and b were seen
    assert without_seen(lists, split.test.histories, 3).tolist() == [[-1, 3, 2]]
