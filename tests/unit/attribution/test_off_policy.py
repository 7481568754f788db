"""Estimates of lists that nobody was shown agree with what they would have been worth."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from schemas import RankedItem, Recommendation, ServingModel
from stream_app.attribution.join import BOUGHT, CLICKED, MADE, SHOWN
from stream_app.attribution.off_policy import OffPolicy, OffPolicyReport, Target, read_target
from stream_app.errors import UserError

MODEL = ServingModel("shop", "1", "onnxruntime-cpu")
ITEMS = 5
RATES = np.array([0.05, 0.1, 0.2, 0.3, 0.4])
"""Click rate of each item at a place, before what the user adds."""
LOGGED = np.array([0.5, 0.2, 0.15, 0.1, 0.05])
WANTED = np.array([0.0, 0.1, 0.1, 0.3, 0.5])
TRUTH = float(WANTED @ RATES)


def made(rec_id: str, user: str, *items: RankedItem) -> Recommendation:
    return Recommendation(rec_id=rec_id, user_id=user, items=items, model=MODEL, generated_at_ms=1)


def simulate(
    random: np.random.Generator, users: int, clip: float = 1e9, target: np.ndarray = WANTED
) -> OffPolicyReport:
    """Each user has some lists of one place, and likes lists more or less than others do."""
    targets: dict[str, dict[tuple[int, str], float]] = {}
    judged = OffPolicy(targets, clip)
    for user in range(users):
        mood = random.uniform(0.5, 1.5)
        for number in range(int(random.integers(2, 12))):
            drawn = int(random.choice(ITEMS, p=LOGGED))
            rec_id = f"{user}-{number}"
            targets[rec_id] = {(1, f"i{n}"): float(p) for n, p in enumerate(target) if p}
            item = RankedItem(f"i{drawn}", 1.0, 1, propensity=float(LOGGED[drawn]))
            happened = [MADE, SHOWN]
            if random.random() < RATES[drawn] * mood:
                happened += [CLICKED, BOUGHT] if random.random() < 0.5 else [CLICKED]
            judged.observe(made(rec_id, str(user), item), item, happened)
    return judged.report("shown", "target")


def test_estimates_find_the_truth_and_their_intervals_hold_it() -> None:
    random, runs, warned = np.random.default_rng(1), 120, 0
    ips, snips, inside = [], [], np.zeros(2)
    for _ in range(runs):
        report = simulate(random, 150)
        for place, rate in enumerate((report.click.ips, report.click.snips)):
            assert rate.low is not None
            assert rate.high is not None
            inside[place] += rate.low <= TRUTH <= rate.high
        ips.append(report.click.ips.value)
        snips.append(report.click.snips.value)
        warned += bool(report.warnings)
    assert warned / runs < 0.03
    assert np.mean(ips) == pytest.approx(TRUTH, abs=0.01)
    assert np.mean(snips) == pytest.approx(TRUTH, abs=0.01)
    assert report.click.logged.high is not None
    assert report.click.logged.high < TRUTH  # what was made was worse
    assert (inside / runs > 0.91).all(), inside / runs
    assert (inside / runs < 0.985).all(), inside / runs


def test_clipped_weights_vary_less_are_too_small_and_say_so() -> None:
    free = simulate(np.random.default_rng(2), 2000)
    clipped = simulate(np.random.default_rng(2), 2000, clip=2)
    assert free.clipped == 0
    assert clipped.clipped > 0
    assert clipped.effective > free.effective
    assert clipped.click.ips.value is not None
    assert clipped.click.ips.value < TRUTH - 0.05
    assert "the mean weight is 0." in clipped.warnings[0]


def test_a_target_like_the_log_gives_what_was_logged() -> None:
    report = simulate(np.random.default_rng(3), 200, target=LOGGED)
    assert report.click.logged == report.click.snips
    assert report.click.ips.value == pytest.approx(report.click.logged.value)
    assert report.purchase.ips.value == pytest.approx(report.purchase.logged.value)
    assert report.effective == pytest.approx(report.places)


def test_without_chance_means_what_was_most_likely() -> None:
    """A drawn item at the second place of every fourth list; it is clicked more often."""
    judged = OffPolicy()
    for number in range(400):
        drawn = number % 4 == 0
        first = RankedItem("a", 2.0, 1, propensity=1.0)
        second = RankedItem("new" if drawn else "b", 1.0, 2, propensity=0.25 if drawn else 0.75)
        one = made(str(number), str(number), first, second)
        judged.observe(one, first, [MADE])
        judged.observe(one, second, [MADE, CLICKED] if drawn or number % 3 == 0 else [MADE])
    report = judged.report("made", "without chance")
    assert report.places == 800
    assert report.weight.value == pytest.approx(1.0)
    assert report.click.snips.value == pytest.approx(100 / 300 / 2, abs=1e-6)
    assert judged.report("shown", "x").places == 0


def test_places_without_chance_and_lists_that_the_target_lacks_tell_nothing() -> None:
    judged = OffPolicy({"r1": {(1, "a"): 1.0}})
    sure, drawn = RankedItem("a", 1.0, 1), RankedItem("a", 1.0, 1, propensity=0.5)
    judged.observe(made("r1", "ann", sure), sure, [MADE])
    judged.observe(made("r2", "ann", drawn), drawn, [MADE])
    report = judged.report("made", "t")
    assert (report.places, report.click.ips.value) == (0, None)
    assert report.warnings == [
        "no place of these lists was left to chance: there is nothing to judge by"
    ]
    judged.observe(made("r1", "ann", drawn), drawn, [MADE, CLICKED])
    report = judged.report("made", "t")
    assert (report.places, report.weight.value, report.click.ips.value) == (1, 2.0, 2.0)
    assert report.warnings == ["these places tell as much as 1: too few to believe in"]


def target(*lines: Any) -> Target:
    return read_target(json.dumps(line).encode() for line in lines)


def test_a_target_is_read_from_lists() -> None:
    found = target(
        {"rec_id": "r1", "items": [{"item_id": "a", "rank": 1, "score": 3.5}], "user_id": "ann"},
        {"rec_id": "r2", "items": [
            {"item_id": "a", "rank": 1, "propensity": 0.25},
            {"item_id": "b", "rank": 1, "propensity": 0.75},
        ]},
    )  # fmt: skip
    assert found == {"r1": {(1, "a"): 1.0}, "r2": {(1, "a"): 0.25, (1, "b"): 0.75}}


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([{"rec_id": "r1"}], "line 1 is no list: .*missing required field `items`"),
        ([{"rec_id": "r", "items": []}] * 2, "line 2: there are two lists for rec_id 'r'"),
        (
            [{"rec_id": "r", "items": [{"item_id": i, "rank": 1} for i in "ab"]}],
            "line 1: rank 1 has more than one item for sure",
        ),
        (
            [{"rec_id": "r", "items": [{"item_id": "a", "rank": 1, "propensity": 1.5}]}],
            "line 1 is no list: Expected `float` <= 1.0",
        ),
        ([], "it holds no list"),
    ],
)
def test_a_target_that_cannot_be_is_refused(lines: list[Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        target(*lines)
