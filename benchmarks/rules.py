"""CPU microseconds per list with rules in force, and what a new rule or a changed item costs.

    python -m benchmarks rules [--items 8000] [--rounds 9]

Every round measures all sets of rules, so that a slow moment of the machine falls on all; ratios
are medians over rounds. Items and users are random (benchmarks/recommender.py).
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import msgspec
import numpy as np

from benchmarks.recommender import full_rows, measure, random_bundle
from schemas import Item, Rule
from stream_app.catalog import Catalog, ItemTable
from stream_app.recommender import Recommender
from stream_app.rules import RuleBook
from stream_app.users import decode_state, encode_state

CATEGORIES = 50
PARTS = 8
"""Groups of users that a batch falls into where rules ask for the number of their events."""
WHOLE = "process (all below)"
EFFECTS = (
    *({"boost": 0.5}, {"boost": -0.5}, {"boost": 1.0}, {"boost": -1.0}, {"boost": 0.1}),
    *({"exclude": True}, {"exclude": True}, {"bury": True}, {"at_most": 2}, {"pin": 3}),
)
"""Of ten rules."""


def rules(count: int, when: str | None = None) -> list[Rule]:
    """So many rules about a category each, half of them boosts; `{n}` in `when` is their number."""
    return [
        Rule(
            rule_id=f"r{number:03}",
            items=f"'c{number % CATEGORIES}' in item.categories",
            when=when and when.format(n=number),
            **EFFECTS[number % len(EFFECTS)],
        )
        for number in range(count)
    ]


SETS: dict[str, list[Rule]] = {
    "no rules": [],
    "1 rule, a boost": rules(1),
    "1 rule, an exclusion": rules(6)[5:],
    "1 rule, a quota": rules(9)[8:],
    "1 rule, a pin": rules(10)[9:],
    "10 rules": rules(10),
    "100 rules": rules(100),
    "10 rules with when, all true": rules(10, "user.events > {n}"),
    "100 rules with when, 10 true": rules(100, "user.events > 0 && {n} < 10"),
    f"10 rules with when, {PARTS} groups": rules(10, f"user.events % {PARTS} <= {{n}}"),
}


def say_of_items(catalog: Catalog, table: ItemTable) -> None:
    """Every item has one of the categories, a price and an attribute."""
    for position, item_id in enumerate(catalog.ids):
        table.say(
            position,
            Item(
                item_id=item_id,
                title=f"The item of number {position}",
                categories=(f"c{position % CATEGORIES}", "all"),
                attributes={"colour": "red" if position % 3 else "blue"},
                price=position % 100 / 2,
            ),
        )


def settle(book: RuleBook) -> tuple[float, float]:
    """Have all items looked at; CPU seconds, and of the longest slice."""
    spent = [0.0]
    more = True
    while more:
        began = time.thread_time()
        more = book.work()
        spent.append(time.thread_time() - began)
    return sum(spent), max(spent)


def with_rules(items: int, chosen: list[Rule], random: np.random.Generator) -> Recommender:
    """A recommender with rules in force."""
    recommender = Recommender(random_bundle(items, random), clock=lambda: 1_700_000_000_000)
    say_of_items(recommender.bundle.catalog, recommender.catalogue.table)
    book = recommender.treatments.rules
    for rule in chosen:
        book.put(rule.rule_id, rule)
    settle(book)
    assert len(book) == len(chosen)
    return recommender


def lists(items: int, batch: int, rounds: int) -> None:
    """Print what lists cost."""
    made = {
        name: with_rules(items, chosen, np.random.default_rng(0)) for name, chosen in SETS.items()
    }
    first = next(iter(made.values()))
    rows = {
        user: encode_state(msgspec.structs.replace(decode_state(row), events=100 + number % PARTS))
        for number, (user, row) in enumerate(
            full_rows(first, 2_000, np.random.default_rng(1)).items()
        )
    }
    spent: dict[str, list[float]] = {name: [] for name in made}
    for turn in range(1 + rounds):
        for name, recommender in made.items():
            seconds = measure(recommender, dict(rows), batch, 4)
            if turn:  # the first warms caches
                spent[name].append(1e6 * seconds[WHOLE] / (4 * batch))
    plain = spent["no rules"]
    print(f"{items} items, batches of {batch}, {rounds} rounds")
    print(f"{'':36} {'engine':>8} us/list   of no rules")
    for name, values in spent.items():
        ratio = median(one / other for one, other in zip(values, plain, strict=True))
        print(f"{name:36} {median(values):8.1f}           {ratio:9.2f}")


CONDITIONS = {
    "item.price < 25.0": "item.price < 25.0",
    "'c3' in item.categories": "'c3' in item.categories",
    "item.attributes.colour == 'red'": "item.attributes.colour == 'red'",
    "categories.exists(startsWith)": "item.categories.exists(c, c.startsWith('c3'))",
    "title.matches(20 characters)": "item.title.matches('number [0-9]+[05]$')",
}


def changes(items: int) -> None:
    """Print what a new rule and a changed item cost."""
    catalog = Catalog([f"item-{n}" for n in range(items)], np.zeros((items, 1), np.float32))
    table = ItemTable(catalog)
    say_of_items(catalog, table)
    print(f"\na new rule over {items} items: CPU in all, and in the longest slice")
    for name, text in CONDITIONS.items():
        book = RuleBook(catalog, table)
        book.put("r", Rule(rule_id="r", items=text, boost=1.0))
        whole, longest = settle(book)
        print(f"  {name:34} {1e3 * whole:8.1f} ms  {1e3 * longest:6.2f} ms")
    for count in (10, 100):
        book = RuleBook(catalog, table)
        for rule in rules(count):
            book.put(rule.rule_id, rule)
        settle(book)
        for position in range(500):
            said = table.item(position)
            assert said is not None
            table.say(position, said)
        whole, longest = settle(book)
        print(f"  500 items said again, {count:3} rules{'':7} {1e3 * whole:8.1f} ms  "
              f"{1e3 * longest:6.2f} ms")  # fmt: skip


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=8_000)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    lists(options.items, options.batch, options.rounds)
    for items in (10_000, 100_000):
        changes(items)


if __name__ == "__main__":
    main()
