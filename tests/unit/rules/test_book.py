"""Rules as masks, boosts, pins and quotas, while rules and items come and go."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import Item, Rule
from stream_app.catalog import Catalog, ItemTable
from stream_app.ranking import FREE
from stream_app.rules import RuleBook, Situation
from stream_app.rules import book as book_module
from stream_app.rules import live as live_module
from stream_app.rules.book import BURIED, MAX_RULES, MOST_TERMS, PIN_CHOICES

ANYBODY = Situation({}, 0, "default", {}, "", "")
NOW = 1_700_000_000_000
PRICES = (None, 0.0, 5.0, 10.0)
COLOURS = ("red", "blue")


class Shop:
    """A catalogue, what is said of its items, and rules over them."""

    def __init__(self, items: int = 8, popularity: np.ndarray | None = None) -> None:
        self.catalog = Catalog([f"i{n}" for n in range(items)], np.zeros((items, 2), np.float32))
        self.table = ItemTable(self.catalog)
        self.book = RuleBook(self.catalog, self.table, popularity)

    def say(self, position: int, **fields) -> None:
        self.table.say(position, Item(item_id=self.catalog.ids[position], **fields))

    def put(self, rule_id: str, items: str, **fields) -> None:
        self.book.put(rule_id, Rule(rule_id=rule_id, items=items, **fields))

    def settle(self) -> None:
        while self.book.work():
            pass

    def terms(self, situation: Situation = ANYBODY, now_ms: int = NOW, within=None):
        return self.book.terms(self.book.active(situation, now_ms), within)

    def names(self, situation: Situation = ANYBODY, now_ms: int = NOW) -> list[str]:
        return [one.rule.rule_id for one in self.book.active(situation, now_ms)]


def ids(mask: np.ndarray) -> list[int]:
    return np.flatnonzero(mask).tolist()


def test_without_rules_nothing_follows_and_nothing_is_remembered() -> None:
    shop = Shop()
    shop.say(1, price=3.0)
    assert shop.book.active(ANYBODY, NOW) == ()
    assert shop.terms() is FREE
    assert not shop.book.work()
    assert shop.table.touched is None


def test_what_each_effect_becomes() -> None:
    shop = Shop()
    shop.say(1, categories=("wine",))
    shop.say(2, categories=("wine",))
    wine = "'wine' in item.categories"
    shop.put("no", "item.item_id == 'i7'", exclude=True)
    shop.put("more", wine, boost=0.5)
    shop.put("less", "item.item_id == 'i2'", boost=-2.0)
    shop.put("last", "item.item_id == 'i3'", bury=True)
    shop.put("first", wine, pin=1)
    shop.put("few", wine, at_most=1)
    shop.settle()
    terms = shop.terms()
    assert terms.allowed is not None
    assert terms.boosts is not None
    assert ids(~terms.allowed) == [7, 8]  # the last is no item
    assert terms.boosts.tolist() == [0, 0.5, -1.5, BURIED, 0, 0, 0, 0, 0]
    assert [(pin.place, pin.items.tolist()) for pin in terms.pins] == [(0, [1, 2])]
    assert [(ids(one.items), one.at_most) for one in terms.quotas] == [([1, 2], 1)]
    assert len(terms.quotas[0].items) == 9


@st.composite
def stories(draw: st.DrawFn) -> list[tuple]:
    """Rules that come and go, and items that change or join, in any order."""
    rules = st.tuples(
        st.just("rule"),
        st.sampled_from("abc"),
        st.sampled_from(
            [
                None,
                "item.price < 7.0",
                "!item.has_price",
                "item.attributes.colour == 'red'",
                "'x' in item.categories || item.item_id == 'i1'",
            ]
        ),
    )
    items = st.tuples(
        st.just("item"),
        st.integers(0, 12),
        st.sampled_from(PRICES),
        st.sampled_from(COLOURS),
        st.booleans(),
    )
    gone = st.tuples(st.just("gone"), st.integers(0, 7))
    work = st.tuples(st.just("work"))
    return draw(st.lists(st.one_of(rules, items, gone, work), max_size=30))


def brute_force(shop: Shop, text: str) -> list[bool]:
    found = []
    for position, item_id in enumerate(shop.catalog.ids):
        said = shop.table.item(position) or Item(item_id=item_id)
        found.append(
            {
                "item.price < 7.0": said.price is not None and said.price < 7,
                "!item.has_price": said.price is None,
                "item.attributes.colour == 'red'": said.attributes.get("colour") == "red",
                "'x' in item.categories || item.item_id == 'i1'": "x" in said.categories
                or item_id == "i1",
            }[text]
        )
    return found


@given(stories())
@settings(max_examples=80, deadline=None)
def test_masks_are_those_of_a_brute_force_evaluation(story) -> None:
    shop = Shop()
    held: dict[str, str] = {}
    for what, *rest in story:
        if what == "rule":
            rule_id, text = rest
            if text is None:
                held.pop(rule_id, None)
                shop.book.put(rule_id, None)
            else:
                held[rule_id] = text
                shop.put(rule_id, text, exclude=True)
        elif what == "item":
            number, price, colour, is_x = rest
            position = shop.catalog.index_or_add(f"i{number}")
            categories = ("x",) if is_x else ()
            shop.say(position, price=price, attributes={"colour": colour}, categories=categories)
        elif what == "gone":
            shop.table.delist(rest[0])
        else:
            shop.book.work(0.0)
    shop.settle()
    assert len(shop.book) == len(held)
    expected = np.zeros(len(shop.catalog), np.bool_)
    for text in held.values():
        expected |= brute_force(shop, text)
    allowed = shop.terms().allowed
    if not held:
        assert allowed is None
    else:
        assert allowed is not None
        assert allowed.tolist() == [*~expected, False]


def test_an_item_that_joined_is_in_no_list_before_rules_that_exclude_have_seen_it() -> None:
    shop = Shop()
    shop.put("no", "item.price > 5.0", exclude=True)
    shop.settle()
    position = shop.catalog.index_or_add("new")
    allowed = shop.terms().allowed
    assert allowed is not None
    assert not allowed[position]
    shop.settle()
    allowed = shop.terms().allowed
    assert allowed is not None
    assert allowed[position]
    shop.say(position, price=6.0)
    shop.settle()
    allowed = shop.terms().allowed
    assert allowed is not None
    assert not allowed[position]


def test_the_old_rule_stands_until_the_new_one_has_seen_every_item() -> None:
    shop = Shop(items=1_000)
    shop.put("no", "item.item_id == 'i1'", exclude=True)
    shop.settle()
    shop.put("no", "item.item_id == 'i2'", exclude=True)
    steps = 0
    while shop.book.work(0.0):
        allowed = shop.terms().allowed
        assert allowed is not None
        assert ids(~allowed) == [1, 1_000]
        assert shop.book.status[:2] == (1, 1)
        steps += 1
    assert steps > 100
    allowed = shop.terms().allowed
    assert allowed is not None
    assert ids(~allowed) == [2, 1_000]


def test_a_bad_rule_is_refused_with_its_place_and_the_old_one_stands(degraded_by) -> None:
    shop = Shop()
    shop.put("no", "item.item_id == 'i1'", exclude=True)
    shop.settle()
    before = shop.terms()
    for items, when, says in [
        ("item.prise < 1.0", None, "items: line 1, column 5: undeclared reference"),
        ("true", "user.age > 3", "when: line 1, column 5: undeclared reference"),
    ]:
        shop.put("no", items, when=when, exclude=True)
        shop.settle()
        assert shop.book.refused["no"].startswith(says)
        assert shop.terms() is before
        assert shop.book.status == (1, 0, 1)
    assert degraded_by() == {"control_refused": 2}
    shop.put("no", "item.item_id == 'i2'", exclude=True)
    shop.settle()
    assert shop.book.refused == {}
    shop.put("bad", "item.prise < 1.0", exclude=True)
    shop.book.put("bad", None)
    assert shop.book.refused == {}


def test_a_rule_that_takes_too_long_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(live_module, "ITEM_S", 0.0)
    monkeypatch.setattr(live_module, "FREE_S", 0.0)
    shop = Shop(items=200)
    shop.put("slow", "item.title.matches('(x+)+y')", exclude=True)
    shop.settle()
    assert "of processor time an item" in shop.book.refused["slow"]
    assert len(shop.book) == 0
    assert not shop.book.work()


def test_no_more_rules_than_there_is_room_for(monkeypatch) -> None:
    shop = Shop()
    for number in range(MAX_RULES):
        shop.put(f"r{number}", "false", exclude=True)
    shop.settle()
    shop.put("more", "true", exclude=True)
    shop.put("r0", "true", bury=True)  # is there already
    shop.settle()
    assert list(shop.book.refused) == ["more"]
    assert "withdraw one first" in shop.book.refused["more"]
    monkeypatch.setattr(book_module, "MAX_REFUSED", 3)
    for number in range(10):
        shop.put(f"bad{number}", "?", exclude=True)
    assert len(shop.book.refused) == 3


def test_rules_hold_from_their_beginning_until_their_end() -> None:
    shop = Shop()
    shop.put("later", "true", boost=1.0, from_ms=NOW + 10)
    shop.put("until", "true", boost=1.0, until_ms=NOW + 20)
    shop.put("between", "true", boost=1.0, from_ms=NOW + 5, until_ms=NOW + 10)
    shop.settle()
    for now, expected in [
        (NOW, ["until"]),
        (NOW + 4, ["until"]),
        (NOW + 5, ["between", "until"]),
        (NOW + 9, ["between", "until"]),
        (NOW + 10, ["later", "until"]),
        (NOW + 19, ["later", "until"]),
        (NOW + 20, ["later"]),
        (NOW, ["until"]),
    ]:
        assert shop.names(now_ms=now) == expected


def test_rules_hold_for_the_lists_that_they_are_for() -> None:
    shop = Shop()
    shop.put("home", "true", boost=1.0, scenarios=("home", "default"))
    shop.put("phone", "true", boost=1.0, when="request.context.device == 'phone'")
    shop.put("arm", "true", boost=1.0, when="arm == 'b' && user.events >= 2")
    shop.settle()
    assert shop.names() == ["home"]
    assert shop.names(ANYBODY._replace(scenario="basket")) == []
    assert shop.names(ANYBODY._replace(arm="b", events=2)) == ["arm", "home"]
    phone = ANYBODY._replace(context={"device": "phone"}, scenario="basket")
    assert shop.names(phone) == ["phone"]
    for number in range(2 * MOST_TERMS):  # anybody can name any scenario
        assert shop.names(ANYBODY._replace(scenario=f"s{number}")) == []


def test_the_order_of_rules_is_that_of_priority_then_name() -> None:
    shop = Shop()
    for rule_id, priority in [("c", 0), ("a", 0), ("b", 5), ("z", -1)]:
        shop.put(rule_id, "true", pin=1, priority=priority)
    shop.settle()
    assert shop.names() == ["b", "a", "c", "z"]


def test_terms_are_made_once_until_something_changes() -> None:
    shop = Shop()
    shop.put("more", "item.price > 1.0", boost=1.0)
    shop.settle()
    terms = shop.terms()
    assert shop.terms() is terms
    shop.say(1, price=0.5)
    shop.settle()
    assert shop.terms() is terms, "nothing follows from it"
    shop.say(1, price=5.0)
    shop.settle()
    assert shop.terms() is not terms
    boosts = shop.terms().boosts
    assert boosts is not None
    assert boosts.tolist() == [0, 1, 0, 0, 0, 0, 0, 0, 0]


def test_what_a_request_wants_holds_beside_the_rules() -> None:
    shop = Shop()
    shop.put("no", "item.item_id in ['i1', 'i2']", exclude=True)
    shop.settle()
    within = np.array([True, True, False, True, False, False, False, False, False])
    terms = shop.terms(within=within)
    assert terms.allowed is not None
    assert ids(terms.allowed) == [0, 3]
    assert ids(within) == [0, 1, 3], "the mask of somebody else is not written into"
    assert shop.terms(within=within) is terms
    assert shop.book.terms((), within).allowed is within


def test_few_sets_of_rules_are_kept(monkeypatch) -> None:
    shop = Shop()
    for number in range(6):
        shop.put(f"r{number}", "true", boost=1.0, when=f"user.events != {number}")
    shop.settle()
    made = [shop.terms(ANYBODY._replace(events=n)) for n in range(6)]
    assert all(one is not other for one, other in pairwise(made))
    monkeypatch.setattr(book_module, "MOST_TERMS", 2)
    shop.terms(ANYBODY._replace(events=99))
    for number in range(6):
        shop.terms(ANYBODY._replace(events=number))
    assert len(shop.book._ready) <= 7


def test_a_pin_takes_the_most_popular_of_what_may_be_shown() -> None:
    shop = Shop(items=20, popularity=np.arange(20, dtype=np.float32))
    shop.say(3, popularity=100.0)
    shop.put("first", "item.item_id != 'i19'", pin=1)
    shop.put("no", "item.item_id == 'i18'", exclude=True)
    shop.settle()
    (pin,) = shop.terms().pins
    assert pin.items.tolist() == [3, 17, 16, 15, 14, 13, 12, 11]
    assert len(pin.items) == PIN_CHOICES
    shop.table.delist(17)
    shop.table.at(NOW)
    (pin,) = shop.terms().pins
    assert pin.items.tolist() == [3, 16, 15, 14, 13, 12, 11, 10]


@pytest.mark.parametrize("count", [1, 3, 60])
def test_boosts_do_not_add_up_without_end(count) -> None:
    shop = Shop()
    for number in range(count):
        shop.put(f"r{number}", "true", boost=20.0)
    shop.put("last", "item.item_id == 'i0'", bury=True)
    shop.settle()
    boosts = shop.terms().boosts
    assert boosts is not None
    assert boosts[1] == min(100, 20 * count)
    assert boosts[0] < -800
