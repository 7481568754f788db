"""What rules do to the lists of a recommender, and what is said of it; no Kafka here."""

from __future__ import annotations

import re

import pytest
from small_release import small_release

from schemas import (
    Arm,
    Click,
    ExperimentSpec,
    Item,
    RankedItem,
    Recommendation,
    RecommendationRequest,
    Rule,
    RuleTrace,
)
from stream_app.objectives import Objectives
from stream_app.plan import Plan
from stream_app.reasons import Sentences
from stream_app.reasons.text import as_text
from stream_app.recommender import Recommender

NOW = 1_700_000_000_000


class Shop:
    """Forty items with prices, the even ones wine; rules take effect at once."""

    def __init__(self, **options) -> None:
        self.now_ms = NOW
        self.recommender = Recommender(small_release(40), clock=lambda: self.now_ms, **options)
        self.rules = self.recommender.treatments.rules
        self.say(*range(40))

    def say(self, *numbers: int, wine: bool | None = None) -> None:
        items = [
            Item(
                item_id=f"item-{n}",
                price=float(n),
                categories=("wine",) if (n % 2 == 0 if wine is None else wine) else (),
            )
            for n in numbers
        ]
        self.recommender.catalogue.apply([(item.item_id, item) for item in items])
        self.settle()

    def put(self, rule_id: str, items: str, **fields) -> None:
        self.rules.put(rule_id, Rule(rule_id=rule_id, items=items, **fields))
        self.settle()

    def withdraw(self, rule_id: str) -> None:
        self.rules.put(rule_id, None)

    def settle(self) -> None:
        while self.rules.work():
            pass

    def list(self, user: str = "ann", *clicked: str) -> Recommendation:
        events = [
            Click(user_id=user, item_id=one, timestamp_ms=NOW) for one in clicked or ["item-1"]
        ]
        return self.recommender.recommend(events)[0]

    def ask(self, user: str = "ann", **fields) -> Recommendation:
        request = RecommendationRequest(user_id=user, request_id="q", **fields)
        return self.recommender.answer(request)[0]


def ids(made: Recommendation) -> list[str]:
    return [item.item_id for item in made.items]


def is_wine(item: RankedItem) -> bool:
    return int(item.item_id.removeprefix("item-")) % 2 == 0


WINE = "'wine' in item.categories"


@pytest.fixture
def shop() -> Shop:
    return Shop()


def test_what_is_excluded_is_in_no_list_until_the_rule_is_withdrawn(shop) -> None:
    before = shop.list("ann")
    assert any(map(is_wine, before.items))
    assert before.rules == ()
    shop.put("no wine", WINE, exclude=True)
    made = shop.list("bob")
    assert len(made.items) == 10
    assert not any(map(is_wine, made.items))
    assert made.rules == (RuleTrace("no wine", "exclude"),)
    shop.withdraw("no wine")
    again = shop.list("cid")
    assert any(map(is_wine, again.items))
    assert again.rules == ()


def test_an_item_that_becomes_wine_is_gone_with_the_next_list(shop) -> None:
    shop.put("no wine", WINE, exclude=True)
    first = shop.list("ann").items[0].item_id
    shop.say(int(first.removeprefix("item-")), wine=True)
    assert first not in ids(shop.list("bob"))
    shop.say(int(first.removeprefix("item-")), wine=False)
    assert ids(shop.list("cid"))[0] == first


def test_a_pin_puts_an_item_where_no_source_brings_it(shop) -> None:
    last = ids(shop.ask(k=40))[-1]
    shop.put("hero", f"item.item_id == '{last}'", pin=3)
    made = shop.list("ann")
    assert ids(made)[2] == last
    assert made.items[2].rank == 3
    assert made.rules == (RuleTrace("hero", "pin", (3,)),)
    assert len(made.items) == 10


def test_a_pinned_item_that_the_user_must_not_see_is_not_shown(shop) -> None:
    shop.put("hero", "item.item_id == 'item-7'", pin=1)
    assert ids(shop.list("ann"))[0] == "item-7"
    made = shop.list("ann", "item-7")
    assert "item-7" not in ids(made), "clicked"
    assert len(made.items) == 10
    assert made.rules == (RuleTrace("hero", "pin"),)
    assert "item-7" not in ids(shop.ask("bob", exclude=("item-7",)))
    shop.put("no", "item.item_id == 'item-7'", exclude=True)
    assert "item-7" not in ids(shop.list("cid"))
    shop.withdraw("no")
    shop.recommender.catalogue.apply([("item-7", None)])
    assert "item-7" not in ids(shop.list("dan")), "delisted"


def test_the_next_of_several_is_pinned_to_who_has_seen_the_first(shop) -> None:
    shop.put("hero", "item.item_id in ['item-7', 'item-9']", pin=1)
    first = ids(shop.list("ann"))[0]
    second = {"item-7": "item-9", "item-9": "item-7"}[first]
    assert ids(shop.list("ann", first))[0] == second
    assert ids(shop.list("bob"))[0] == first


def test_of_two_pins_for_a_place_the_higher_priority_has_it(shop) -> None:
    shop.put("a", "item.item_id == 'item-7'", pin=1)
    shop.put("b", "item.item_id == 'item-9'", pin=1, priority=1)
    assert ids(shop.list("ann"))[:2] == ["item-9", "item-7"]


def test_boosts_move_items_and_buried_ones_come_last(shop) -> None:
    plain = shop.ask(k=40)
    wines = [item for item in plain.items if is_wine(item)]
    shop.put("more", WINE, boost=15.0)
    made = shop.ask(k=40)
    assert [is_wine(item) for item in made.items] == [True] * len(wines) + [False] * (
        len(made.items) - len(wines)
    )
    scores = {item.item_id: item.score for item in plain.items}
    for item in made.items:
        lift = 15.0 if is_wine(item) else 0.0
        assert item.score == pytest.approx(scores[item.item_id] + lift, abs=1e-3)
    assert made.rules == (RuleTrace("more", "boost", tuple(range(1, len(wines) + 1))),)
    shop.put("last", WINE, bury=True)
    made = shop.ask(k=40)
    assert [item.item_id for item in made.items][-len(wines) :] == [one.item_id for one in wines]
    assert len(made.items) == len(plain.items), "buried is not excluded"


def test_a_quota_is_kept_in_every_list_and_pages_cut_what_is_said_of_it(shop) -> None:
    shop.put("few", WINE, at_most=2)
    for made in (shop.list("ann"), shop.ask("ann", k=17), shop.ask("bob", k=5)):
        assert sum(map(is_wine, made.items)) <= 2
        (few,) = made.rules
        assert few.ranks == tuple(item.rank for item in made.items if is_wine(item))
    assert len(shop.list("ann").items) == 10
    shop.put("none", "true", at_most=0)
    assert shop.list("ann").items == ()


def test_diverse_lists_keep_pins_and_quotas() -> None:
    shop = Shop(plan=Plan(objectives=Objectives(diversity=2.0)))
    shop.put("hero", "item.item_id == 'item-8'", pin=2)
    shop.put("few", WINE, at_most=2)
    made = shop.list("ann")
    assert ids(made)[1] == "item-8"
    assert sum(map(is_wine, made.items)) == 2
    assert len(made.items) == 10


def test_a_rule_for_some_lists_leaves_the_others_as_they_are(shop) -> None:
    shop.put("phones", WINE, exclude=True, when="request.context.device == 'phone'")
    shop.put("new", WINE, at_most=1, when="user.events < 2")
    shop.put("basket", "true", boost=1.0, scenarios=("basket",))
    plain, phone = shop.ask("zoe"), shop.ask("zoe", context={"device": "phone"})
    assert [one.rule_id for one in plain.rules] == ["new"]
    assert [one.rule_id for one in phone.rules] == ["new", "phones"]
    assert not any(map(is_wine, phone.items))
    both = shop.recommender.recommend(
        [Click(user_id="new", item_id="item-1", timestamp_ms=NOW)]
        + [Click(user_id="old", item_id=f"item-{n}", timestamp_ms=NOW) for n in (1, 3)]
    )
    assert [[one.rule_id for one in made.rules] for made in both] == [["new"], []]
    asked = shop.ask("zoe", scenario="basket")
    assert [one.rule_id for one in asked.rules] == ["basket", "new"]


def test_a_rule_for_an_arm_holds_for_its_users_only(shop) -> None:
    arms = (Arm("plain", 0.5), Arm("dry", 0.5))
    experiment = ExperimentSpec(name="page", arms=arms)
    shop.recommender.treatments.experiments.put("page", experiment)
    shop.put("dry", WINE, exclude=True, when="experiment == 'page' && arm == 'dry'")
    seen = set()
    for number in range(20):
        made = shop.list(f"user-{number}")
        assert made.experiment is not None
        dry = made.experiment.arm == "dry"
        seen.add(dry)
        assert [one.rule_id for one in made.rules] == ["dry"] * dry
        assert any(map(is_wine, made.items)) != dry
    assert seen == {True, False}


def test_a_rule_ends_with_its_time(shop) -> None:
    shop.put("no wine", WINE, exclude=True, until_ms=NOW + 1000)
    assert not any(map(is_wine, shop.list("ann").items))
    shop.now_ms = NOW + 1000
    assert any(map(is_wine, shop.list("bob").items))


def test_rules_and_the_categories_of_a_request_hold_together(shop) -> None:
    shop.put("cheap", "item.price > 20.0", exclude=True)
    made = shop.ask("zoe", categories=("wine",))
    numbers = [int(item.item_id.removeprefix("item-")) for item in made.items]
    assert len(numbers) == 10
    assert all(number % 2 == 0 and number <= 20 for number in numbers)


def test_items_that_join_by_clicks_are_looked_at_between_batches(shop) -> None:
    shop.put("no", "item.item_id.startsWith('new-')", exclude=True)
    shop.put("yes", "item.item_id == 'fresh'", pin=1)
    shop.list("ann", "new-1", "fresh")
    made = shop.list("bob")
    assert ids(made)[0] == "fresh"
    assert "new-1" not in ids(made)


def test_the_same_rules_give_the_same_lists(shop) -> None:
    other = Shop()
    for one in (shop, other):
        one.put("few", WINE, at_most=2)
        one.put("more", "item.price > 30.0", boost=2.0)
    other.withdraw("few")
    other.put("few", WINE, at_most=2)
    assert shop.list("ann").items == other.list("ann").items


def explained(shop: Shop, user: str = "ann", item: str | None = None):
    return shop.recommender.explain(user, item)


def test_an_explanation_says_what_each_rule_did(shop) -> None:
    shop.list("ann")
    before = {one.item_id: one for one in explained(shop).items}
    shop.put("few", WINE, at_most=2)
    shop.put("more", "item.price > 30.0", boost=0.5)
    shop.put("no", "item.item_id in ['item-7', 'item-8']", exclude=True, priority=1)
    shop.put("hero", "item.item_id == 'item-5'", pin=4)
    made = shop.recommender.answer(RecommendationRequest(user_id="ann", request_id="q"))[0]
    found = explained(shop)
    assert [one.item_id for one in found.items] == ids(made)
    assert [(one.rule_id, one.effect, one.ranks) for one in found.rules] == [
        (one.rule_id, one.effect, one.ranks) for one in made.rules
    ]
    by_id = {one.rule_id: one for one in found.rules}
    assert [one.rule_id for one in found.rules] == ["no", "few", "hero", "more"]
    assert (by_id["few"].value, by_id["few"].items) == (2, 20)
    assert by_id["few"].candidates > 2
    assert (by_id["no"].items, by_id["no"].candidates) == (2, 2)
    assert by_id["hero"].ranks == (4,)
    for one in found.items:
        raised = 0.5 if "more (boost 0.5)" in one.rules else 0.0
        assert sum(part.score for part in one.parts) == pytest.approx(one.score, abs=1e-3)
        if one.item_id in before:
            assert one.score == pytest.approx(before[one.item_id].score + raised, abs=2e-3)
        assert [part.score for part in one.parts if part.scorer == "terms"] == [raised]


def test_an_item_that_is_not_there_names_the_rule_that_kept_it_out(shop) -> None:
    first = shop.list("ann").items[0].item_id
    shop.put("no", f"item.item_id == '{first}'", exclude=True)
    (one,) = explained(shop, item=first).items
    assert one.status == "filtered"
    assert one.filters == ("rule no",)
    assert one.rules == ("no (exclude)",)
    text = as_text(explained(shop, item=first), Sentences("en", None))
    assert "rule no: exclude, about 1 items, 1 of them candidates, kept out" in text
    assert "not in the list: filtered by rule no" in text
    shop.put("few", WINE, at_most=1)
    text = as_text(explained(shop), Sentences("en", None))
    assert re.search(r"rule few: at_most 1, about 20 items, \d+ of them candidates, \d+ left out; "
                     r"ranks \d+\n", text)  # fmt: skip
    assert "rules about it: few (at_most 1)" in text
