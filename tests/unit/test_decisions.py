"""Decisions: what a list was made from makes the same list again."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from schemas import Click, Decision, Item, Purchase, RecommendationRequest, Rule, Scenario
from stream_app.answers import Asked
from stream_app.bundle import Bundle, load_bundle
from stream_app.decisions import is_kept, replay
from stream_app.decisions.row import row_problem
from stream_app.errors import UserError
from stream_app.recommender import Processed, Recommender, SourceMessage
from stream_app.users.codec import decode_state
from stream_app.users.state import UserState

BUNDLE = Path(__file__).parents[2] / "examples" / "movielens" / "bundle"
NOW = 1_700_000_000_000
USERS = ("ann", "bob", "cid")
ITEMS = ("260", "1196", "1210", "1", "3114", "318", "296", "593", "50", "858", "110", "527")


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(BUNDLE)


class Worker:
    """A recommender that keeps all decisions, and rows as a worker does."""

    def __init__(self) -> None:
        self.recommender = Recommender.load(BUNDLE, clock=lambda: NOW)
        self.recommender._kept_share = 1.0
        self.rows: dict[str, UserState | None] = dict.fromkeys(USERS)
        self.offset = 0

    def messages(self, *events: Click | Purchase) -> list[SourceMessage]:
        made = []
        for event in events:
            topic = "purchases" if isinstance(event, Purchase) else "clicks"
            made.append(SourceMessage(event, topic, 0, self.offset))
            self.offset += 1
        return made

    def process(self, messages: list[SourceMessage]) -> Processed:
        processed = self.recommender.process(messages, self.rows)
        self.rows |= processed.states
        return processed


def click(user: str, item: str, at: int = 0) -> Click:
    return Click(user_id=user, item_id=item, timestamp_ms=NOW + at)


def some_events(seed: int, count: int = 40) -> list[Click | Purchase]:
    random = np.random.default_rng(seed)
    made: list[Click | Purchase] = []
    for number in range(count):
        user, item = USERS[random.integers(3)], ITEMS[random.integers(len(ITEMS))]
        kind = Purchase if random.random() < 0.2 else Click
        made.append(kind(user_id=user, item_id=item, timestamp_ms=NOW + 1000 * number))
    return made


@pytest.mark.parametrize("size", [1, 3, 40])
def test_every_list_comes_out_again_to_the_bit_and_so_does_its_row(
    bundle: Bundle, size: int
) -> None:
    worker = Worker()
    before: dict[str, UserState | None] = dict.fromkeys(USERS)
    messages = worker.messages(*some_events(1))
    for start in range(0, len(messages), size):
        batch = messages[start : start + size]
        processed = worker.process(batch)
        for decision, made in zip(processed.decisions, processed.recommendations, strict=True):
            again = replay(decision, bundle)
            assert again.items == made.items
            assert again.forbidden == ()
            assert again.affinity_off < 1e-4
            of_user = [one for one in batch if one.message.user_id == made.user_id]
            assert row_problem(decision, before[made.user_id], of_user, bundle) is None
            before[made.user_id] = decode_state(decision.row)
    assert None not in before.values()


def test_what_was_drawn_is_drawn_again(bundle: Bundle) -> None:
    worker = Worker()
    worker.recommender.catalogue.apply(
        [(f"new-{n}", Item(item_id=f"new-{n}", related=("new-1",))) for n in range(5)]
        + [("318", Item(item_id="318", related=("new-2", "new-3")))]
    )
    worker.recommender.treatments.scenarios.put(
        "default", Scenario(name="default", exploration=0.6)
    )
    drawn = 0
    for event in some_events(3, count=60):
        processed = worker.process(worker.messages(event))
        (decision,), (made,) = processed.decisions, processed.recommendations
        assert replay(decision, bundle).items == made.items
        drawn += any("new" in item.sources and item.propensity < 0.4 for item in made.items)
        assert all(item.propensity is not None for item in made.items)
    assert 20 < drawn < 50


@pytest.mark.parametrize(
    "fields",
    [
        {"diversity": 3.0},
        {"filters": ()},
        {"sources": {"personal": 0}},
        {"weights": {"affinity": 0.0}, "popularity_discount": 0.5},
        {"categories": ("Comedy",)},
    ],
)
def test_whatever_the_scenario(bundle: Bundle, fields: dict) -> None:
    worker = Worker()
    some = bundle.catalog.ids[5:900:5]
    worker.recommender.catalogue.apply(
        [(item, Item(item_id=item, categories=("Comedy",))) for item in some]
    )
    worker.recommender.treatments.scenarios.put("default", Scenario(name="default", **fields))
    processed = worker.process(worker.messages(*some_events(2)))
    for decision, made in zip(processed.decisions, processed.recommendations, strict=True):
        assert replay(decision, bundle).items == made.items


def test_whatever_the_rules(bundle: Bundle) -> None:
    worker = Worker()
    rules = worker.recommender.treatments.rules
    some = str(bundle.catalog.ids[5:900:5])
    for rule in (
        Rule(rule_id="more", items=f"item.item_id in {some}", boost=1.0),
        Rule(rule_id="few", items=f"item.item_id in {some}", at_most=2),
        Rule(rule_id="hero", items=f"item.item_id in {some}", pin=3),
        Rule(rule_id="no", items=f"item.item_id == '{bundle.catalog.ids[7]}'", exclude=True),
    ):
        rules.put(rule.rule_id, rule)
    while rules.work():
        pass
    assert len(rules) == 4
    processed = worker.process(worker.messages(*some_events(2)))
    for decision, made in zip(processed.decisions, processed.recommendations, strict=True):
        assert made.rules
        assert replay(decision, bundle).items == made.items


def test_answers_and_items_that_the_release_does_not_have(bundle: Bundle) -> None:
    worker = Worker()
    worker.process(worker.messages(*(click("ann", item) for item in ("318", "new", "296"))))
    worker.process(worker.messages(click("bob", "318"), click("bob", "new")))
    request = RecommendationRequest(
        user_id="bob", request_id="q", k=33, seed_items=("1",), exclude=("296", "50")
    )
    asked = [Asked(request, "recommendation-requests", 0, 7)]
    (made,), (decision,) = worker.recommender.answer_all(asked, worker.rows, {})
    assert len(made.items) == 33
    assert replay(decision, bundle).items == made.items
    assert "seed items" in row_problem(decision, None, [], bundle)
    (decision,) = worker.process(worker.messages(click("cid", "318"))).decisions
    assert "new" in decision.items
    again = replay(decision, bundle)
    assert len(again.items) == 10


def test_a_list_that_the_last_resort_fills(bundle: Bundle) -> None:
    worker = Worker()
    worker.recommender.treatments.scenarios.put(
        "default",
        Scenario(name="default", sources={"personal": 0, "transitions": 0, "trending": 5}),
    )
    processed = worker.process(worker.messages(click("ann", "318")))
    (decision,), (made,) = processed.decisions, processed.recommendations
    assert {"popular"} in [set(item.sources) for item in made.items]
    assert replay(decision, bundle).items == made.items


def test_what_was_changed_is_noticed(bundle: Bundle) -> None:
    worker = Worker()
    messages = worker.messages(click("ann", "318"), click("ann", "296"))
    (decision,) = worker.process(messages).decisions
    (made,) = worker.recommender.recommend([click("ann", "318"), click("ann", "296")])
    parts = bytearray(decision.parts)
    parts[3] ^= 0x80  # the sign of the first affinity
    other = replay(msgspec.structs.replace(decision, parts=bytes(parts)), bundle)
    assert other.items != made.items
    assert other.affinity_off > 0.1
    bad = msgspec.structs.replace(decision, items=("318", *decision.items[1:]))
    assert replay(bad, bundle).forbidden == ("318",)
    assert "2 events came" in row_problem(decision, None, messages[:1], bundle)
    swapped = [messages[1], messages[0]]
    assert "another history" in row_problem(decision, None, swapped, bundle)


def test_another_release_is_refused(bundle: Bundle) -> None:
    worker = Worker()
    (decision,) = worker.process(worker.messages(click("ann", "318"))).decisions
    other: Decision = msgspec.structs.replace(decision, release="movielens-small@9.9.9")
    with pytest.raises(UserError, match=r"made with release movielens-small@9\.9\.9"):
        replay(other, bundle)


def test_the_share_that_is_kept() -> None:
    ids = [f"{number:08x}0000" for number in range(0, 1 << 32, 1 << 20)]
    for share in (0.0, 0.1, 0.5, 1.0):
        assert abs(sum(is_kept(one, share) for one in ids) / len(ids) - share) < 0.01
    assert (
        Recommender.load(BUNDLE)
        .process([SourceMessage(click("ann", "318"), "clicks", 0, 0)], {"ann": None})
        .decisions
        == []
    )
