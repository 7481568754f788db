"""An explanation in steps is the one that is made at once."""

from __future__ import annotations

import pytest
from small_release import small_release

from schemas import Click, Item, Rule
from stream_app.reasons import Explanation, Steps, finished
from stream_app.recommender import Recommender
from stream_app.users.state import HISTORY_LENGTH


@pytest.mark.parametrize("events", [1, 40, HISTORY_LENGTH + 5])
def test_lists_made_in_between_change_nothing(events: int) -> None:
    recommender = Recommender(small_release(), clock=lambda: 10**9)
    recommender.treatments.rules.put("b", Rule(rule_id="b", items="true", boost=1.0))
    recommender.treatments.rules.work()
    recommender.recommend(
        [Click(user_id="ann", item_id=f"item-{n % 15}", timestamp_ms=n) for n in range(events)]
    )
    state = recommender._memory.get("ann")
    assert state is not None
    steps = recommender.explain_in_steps("ann", state)
    whole = recommender.explain(state)
    stops = 0

    def counted() -> Steps[Explanation]:
        nonlocal stops
        try:
            while True:
                next(steps)
                stops += 1
                recommender.explain(state)  # uses the same room
                yield
        except StopIteration as end:
            return end.value

    assert finished(counted()) == whole
    assert stops == 1 + -(-min(events + 1, HISTORY_LENGTH + 1) // 32)
    assert finished(recommender.explain_in_steps("ann", state)) == whole


def test_items_that_join_in_between_do_no_harm() -> None:
    recommender = Recommender(small_release(), clock=lambda: 10**9)
    recommender.treatments.rules.put("b", Rule(rule_id="b", items="true", boost=1.0))
    recommender.treatments.rules.work()
    recommender.recommend([Click(user_id="ann", item_id="item-1", timestamp_ms=1)])
    state = recommender._memory.get("ann")
    assert state is not None
    steps = recommender.explain_in_steps("ann", state)
    for number in range(3):
        if number < 2:  # it has two stops
            next(steps)
        new = f"new-{number}"
        recommender.catalogue.apply([(new, Item(item_id=new))])
        recommender.recommend([Click(user_id="bob", item_id=new, timestamp_ms=2 + number)])
    assert len(finished(steps).items) == 10
