"""Lists in the rows: no repeats within the time, and a list that is made again is the same list."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from small_release import small_release

from schemas import Scenario
from schemas.messages import Click, Recommendation, RecommendationRequest
from stream_app.answers import Asked
from stream_app.decisions import replay
from stream_app.plan import Plan
from stream_app.recommender import Recommender, SourceMessage
from stream_app.users import Outcome, UserState

settings.register_profile("unhurried", deadline=None)  # a busy machine is no failure
settings.load_profile("unhurried")

RELEASE = small_release()
FILTERS = ("bought", "clicked", "served:10m")
MINUTE_MS = 60_000


def recommender(filters: Sequence[str] = FILTERS) -> Recommender:
    return Recommender(RELEASE, k=5, plan=Plan(filters=filters), clock=lambda: 0)


def click(user: str, item: int, minute: float, offset: int, **fields: object) -> SourceMessage:
    at_ms = int(minute * MINUTE_MS)
    message = Click(user_id=user, item_id=f"item-{item}", timestamp_ms=at_ms, **fields)  # type: ignore[arg-type]
    return SourceMessage(message, "clicks", 0, offset)


def handle(
    made_by: Recommender, messages: Sequence[SourceMessage], states: dict[str, UserState]
) -> dict[str, Recommendation]:
    """One batch; the rows are changed in place."""
    users = {one.message.user_id for one in messages}
    processed = made_by.process(messages, {user: states.get(user) for user in users})
    states.update(processed.states)
    return {one.user_id: one for one in processed.recommendations}


def ids(made: Recommendation) -> list[str]:
    return [item.item_id for item in made.items]


def test_what_was_served_returns_after_its_time() -> None:
    engine, states = recommender(), dict[str, UserState]()
    first, second, third = (
        ids(handle(engine, [click("ann", 1, minute, offset)], states)["ann"])
        for offset, minute in enumerate((0, 9, 11))
    )
    assert len({*first, *second}) == 10
    assert set(third) & set(first)
    assert not set(third) & set(second)


def test_without_the_filter_nothing_is_remembered() -> None:
    states: dict[str, UserState] = {}
    handle(recommender(("bought", "clicked", "shown")), [click("ann", 1, 0, 0)], states)
    assert (states["ann"].served, states["ann"].last_list) == (b"", 0)


def test_a_list_that_is_made_again_is_the_same_and_changes_no_row() -> None:
    engine, states = recommender(), dict[str, UserState]()
    messages = [click("ann", n, n, n) for n in range(4)]
    handle(engine, messages[:2], states)
    last = handle(engine, messages[2:], states)["ann"]
    written = dict(states)
    again = handle(engine, messages[2:], states)["ann"]
    assert (again.rec_id, ids(again)) == (last.rec_id, ids(last))
    alone = handle(engine, messages[2:3], states)["ann"]  # the batch was cut in another way
    assert ids(alone) == ids(last)
    assert states == written


def test_after_a_list_that_was_not_sent_the_next_one_goes_on() -> None:
    """The row was written, the list was not: its items stay away like those of a list that was."""
    engine, states = recommender(), dict[str, UserState]()
    lost = ids(handle(engine, [click("ann", 1, 0, 0)], states)["ann"])
    messages = [click("ann", 1, 0, 0), click("ann", 2, 1, 1)]
    assert not set(ids(handle(engine, messages, states)["ann"])) & set(lost)


def test_a_retry_of_a_producer_gets_the_last_list_again() -> None:
    engine, states = recommender(), dict[str, UserState]()
    first = handle(engine, [click("ann", 1, 0, 0, event_id="e1")], states)["ann"]
    served = states["ann"].served
    retry = [click("ann", 1, 0, 1, event_id="e1")]
    second = handle(engine, retry, states)["ann"]
    assert (ids(second), second.rec_id != first.rec_id) == (ids(first), True)
    assert (states["ann"].served, states["ann"].duplicates) == (served, 1)
    third = handle(engine, [*retry, click("ann", 2, 1, 2)], states)["ann"]
    assert not set(ids(third)) & set(ids(first))


def test_a_request_leaves_out_what_was_served_and_writes_nothing() -> None:
    engine, states = recommender(), dict[str, UserState]()
    first = handle(engine, [click("ann", 1, 0, 0)], states)["ann"]
    before = dict(states)
    asked = Asked(RecommendationRequest(user_id="ann", request_id="r", k=20), "requests", 0, 0)
    for _ in range(2):
        ((made,), _) = engine.answer_all([asked], states, {})
        assert not set(ids(made)) & set(ids(first))
        assert len(made.items) == 20
    assert states == before


def test_a_request_can_only_filter_by_what_rows_remember() -> None:
    engine, states = recommender(), dict[str, UserState]()
    first = handle(engine, [click("ann", 1, 0, 0)], states)["ann"]
    want = {"user_id": "ann", "request_id": "r", "k": 5}
    for filters, again, degraded in (
        (("clicked",), True, None),
        (("clicked", "served:1d"), False, None),
        (("clicked", "shown"), False, "filter 'shown' needs a worker with it in the setting"),
    ):
        request = RecommendationRequest(**want, filters=filters)  # type: ignore[arg-type]
        ((made,), _) = engine.answer_all([Asked(request, "requests", 0, 0)], states, {})
        assert (ids(made) == ids(first)) == again, filters
        assert (made.degraded or "").startswith(degraded or ""), made.degraded
        assert (made.degraded is None) == (degraded is None)


def test_a_scenario_that_needs_what_rows_do_not_hold_is_refused() -> None:
    engine = recommender(("shown:0s",))
    scenarios = engine.treatments.scenarios
    scenarios.put("home", Scenario(name="home", filters=("shown:1h",)))
    scenarios.put("mail", Scenario(name="mail", filters=("served:1h",)))
    assert list(scenarios.refused) == ["mail"]
    assert "served:0s there remembers and keeps nothing out" in scenarios.refused["mail"]


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 60), max_size=8), st.data())
@settings(max_examples=40)
def test_any_replayed_suffix_in_any_batches_gives_the_same_rows(
    seed: int, cuts: list[int], data: st.DataObject
) -> None:
    random = np.random.default_rng(seed)
    minutes = np.cumsum(random.random(60) * 4) - 6 * (random.random(60) < 0.2)
    messages = [
        click(
            ("ann", "bob")[random.integers(0, 2)],
            int(random.integers(0, 45)),
            max(0.0, minute),
            offset,
            event_id=f"e{random.integers(0, 50)}" if random.random() < 0.3 else None,
        )
        for offset, minute in enumerate(minutes.tolist())
    ]
    engine, states = recommender(), dict[str, UserState]()
    for start, end in pairwise([0, *sorted(cuts), 60]):
        handle(engine, messages[start:end], states)
    written = dict(states)
    committed = data.draw(st.integers(0, 60), label="offsets committed up to")
    more = data.draw(st.lists(st.integers(committed, 60), max_size=5), label="batches after")
    for start, end in pairwise([committed, *sorted(more), 60]):
        for user, made in handle(engine, messages[start:end], states).items():
            assert len(made.items) == 5, user
    assert states == written


def test_what_was_served_is_no_candidate_of_a_decision_and_the_list_is_made_again_from_it() -> None:
    filters = (*FILTERS, "shown:1h")
    engine = Recommender(RELEASE, k=5, plan=Plan(filters=filters), clock=lambda: 0, decisions=1.0)
    states: dict[str, UserState] = {}
    batches = [[click("ann", n, n, n)] for n in (0, 1, 1, 2)]
    batches[2] = [click("ann", 1, 1, 1), click("ann", 0, 0, 0)]  # read again, in another batch
    for batch in batches:
        processed = engine.process(batch, {"ann": states.get("ann")})
        states.update(processed.states)
        ((decision,), (made,)) = processed.decisions, processed.recommendations
        again = replay(decision, engine.bundle)
        assert (again.items, again.forbidden) == (made.items, ())


def test_of_a_user_with_one_new_event_the_list_is_new() -> None:
    engine, states = recommender(), dict[str, UserState]()
    old = click("ann", 1, 0, 0)
    handle(engine, [old], states)
    processed = engine.process(
        [old, click("ann", 2, 1, 1), click("bob", 1, 0, 2)], {**states, "bob": None}
    )
    assert processed.outcomes == [Outcome.REPLAYED, Outcome.APPLIED, Outcome.APPLIED]
    assert processed.states["ann"].last_list == processed.states["bob"].last_list == 5
    assert len(processed.states["ann"].served) == 2 * len(processed.states["bob"].served)
