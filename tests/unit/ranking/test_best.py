"""Selection of the best candidates."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from ranked_users import NOBODY

from stream_app.ranking.candidates import Ranking
from stream_app.ranking.rerankers import Best

scores = arrays(
    np.float32,
    st.tuples(st.integers(1, 3), st.integers(1, 30)),
    elements=st.one_of(
        st.just(float("-inf")),
        st.floats(-(2.0**99), 2.0**99, width=32),
        st.sampled_from([0.0, -0.0, 1.0]),
    ),
)


@given(scores, st.integers(1, 40))
def test_it_orders_by_score_and_ties_by_column(values: np.ndarray, width: int) -> None:
    items = np.arange(values.size, dtype=np.int32).reshape(values.shape)
    got = Best(width).rerank(Ranking(items, values), NOBODY)
    order = np.argsort(-values, axis=1, kind="stable")[:, :width]
    expected = np.take_along_axis(values, order, axis=1)
    np.testing.assert_array_equal(got.scores, expected)
    chosen = np.take_along_axis(items, order, axis=1)
    np.testing.assert_array_equal(got.items, np.where(np.isinf(expected), -1, chosen))
