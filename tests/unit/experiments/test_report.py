"""Arms are compared by the users who were dealt to them, and by no others."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from schemas import Arm, ExperimentSpec
from stream_app.attribution.join import Key
from stream_app.cli.experiment import as_text, describe
from stream_app.errors import UserError
from stream_app.experiments import Split
from stream_app.experiments.guard import Limit, Window, judge, window_of
from stream_app.experiments.report import Arms

ARMS = (Arm("as_it_is", 0.5), Arm("calm", 0.25, "calm"), Arm("held_out", 0.25, "popular"))
ALIKE = {"as_it_is": 0.2, "calm": 0.2, "held_out": 0.2}
SPEC = ExperimentSpec(name="page", arms=ARMS, from_ms=1_000)
Rows = list[tuple[str, dict[Key, list[int]]]]


def dealt(spec: ExperimentSpec, users: int) -> list[tuple[str, str]]:
    """User ids and the arms that they belong to."""
    ids = [f"user-{number}" for number in range(users)]
    return [
        (user, one.own) for user, one in zip(ids, Split([spec]).assign(ids), strict=True) if one
    ]


def behave(
    random: np.random.Generator, spec: ExperimentSpec, users: int, rates: dict[str, float]
) -> Rows:
    """Users who differ in their rate, and in how much they are shown."""
    rows: Rows = []
    for user, arm in dealt(spec, users):
        shown = int(random.integers(5, 40))
        rate = rates[arm] * random.beta(2, 2) * 2
        row = [shown, shown, int(random.binomial(shown, rate)), 0]
        rows.append((user, {("all", ""): row, ("arm", f"page/{arm}"): row}))
    return rows


def arms_of(rows: Rows, spec: ExperimentSpec = SPEC) -> Arms:
    arms = Arms(spec)
    arms.add(rows)
    return arms


def test_arms_have_their_own_counts_and_a_difference_to_the_control() -> None:
    rates = {"as_it_is": 0.2, "calm": 0.2, "held_out": 0.1}
    report = arms_of(behave(np.random.default_rng(1), SPEC, 4000, rates)).report(0, 9)
    control, calm, held_out = report.arms
    assert [arm.name for arm in report.arms] == ["as_it_is", "calm", "held_out"]
    assert (control.control, calm.control, control.click_difference) == (True, False, None)
    assert held_out.click_difference is not None
    assert held_out.click_difference.value == pytest.approx(-0.1, abs=0.02)
    assert held_out.click_difference.high is not None
    assert held_out.click_difference.high < 0
    assert held_out.click_difference.sentence.startswith(
        "held_out: its click rate is lower than that of as_it_is, by "
    )
    assert calm.click_difference is not None
    assert calm.click_difference.sentence.startswith("calm: no difference to as_it_is in click")
    assert calm.purchase_difference is not None
    assert calm.purchase_difference.sentence == ("calm: too little is known of its purchase rate.")
    assert report.warnings == []
    assert report.mismatch_p > 1e-3
    assert sum(arm.users for arm in report.arms) == 4000
    text = as_text(report)
    assert text.splitlines()[0] == "page: rates per item shown"
    assert held_out.click_difference.sentence in text


def test_intervals_of_differences_cover_all_together_as_often_as_they_say() -> None:
    random, covered, runs = np.random.default_rng(3), 0, 100
    truth = {"as_it_is": 0.2, "calm": 0.22, "held_out": 0.15}
    for _ in range(runs):
        report = arms_of(behave(random, SPEC, 400, truth)).report(0, 9)
        inside = True
        for arm in report.arms[1:]:
            found = arm.click_difference
            assert found is not None
            assert found.low is not None
            assert found.high is not None
            inside &= found.low <= truth[arm.name] - truth["as_it_is"] <= found.high
        covered += inside
    assert covered / runs > 0.89


def test_users_who_saw_two_arms_are_left_out_and_counted() -> None:
    rows = behave(np.random.default_rng(1), SPEC, 300, ALIKE)
    off = ExperimentSpec(name="page", arms=ARMS, off=("calm",))
    owners = dict(dealt(SPEC, 300))
    moved = [user for user, arm in owners.items() if arm == "calm"]
    for user, counts in rows:
        if user in moved:
            counts["arm", "page/as_it_is"] = [10, 10, 10, 0]
    report = arms_of(rows, off).report(0, 9)
    control, calm, _ = report.arms
    assert (calm.users, calm.dealt, calm.off) == (0, len(moved), True)
    assert control.users == sum(arm == "as_it_is" for arm in owners.values())
    assert report.moved == len(moved)
    assert report.warnings[0].startswith(f"{len(moved)} users have lists of an arm that they do")
    assert report.mismatch_p > 1e-3  # dealt as they should be, whatever came of it


def test_a_split_that_lost_users_is_warned_of() -> None:
    rows = behave(np.random.default_rng(1), SPEC, 2000, ALIKE)
    lost = [row for n, row in enumerate(rows) if ("arm", "page/calm") not in row[1] or n % 3]
    report = arms_of(lost).report(0, 9)
    assert report.warnings[0].startswith("sample ratio mismatch (p = ")
    assert "warning: sample ratio mismatch" in as_text(report)


def test_other_experiments_and_people_in_none_are_not_counted() -> None:
    row = [10, 10, 1, 0]
    rows: Rows = [
        ("user-0", {("arm", "page2/calm"): row}),
        ("user-1", {("all", ""): row}),
        ("user-2", {("source", "page/calm"): row}),
    ]
    report = arms_of(rows).report(0, 9)
    assert [arm.dealt for arm in report.arms] == [0, 0, 0]
    assert (report.moved, report.warnings, report.mismatch_p) == (0, [], 1.0)


def test_without_impressions_it_says_what_rates_are_of() -> None:
    rows: Rows = [(user, {("arm", f"page/{arm}"): [10, 0, 1, 0]}) for user, arm in dealt(SPEC, 50)]
    report = arms_of(rows).report(0, 9)
    assert report.per == "made"
    assert report.warnings == [
        "no impression answers these lists: rates are per item made, not seen"
    ]


def verdicts(rows: Rows, number: int = 1, **limit: Any) -> dict[str, Any]:
    found = judge(SPEC, arms_of(rows), Limit(**limit), Window(number, 0))
    return {verdict.arm: verdict for verdict in found}


def test_the_guard_switches_off_what_does_harm_and_nothing_else() -> None:
    rates = {"as_it_is": 0.2, "calm": 0.2, "held_out": 0.1}
    rows = behave(np.random.default_rng(1), SPEC, 3000, rates)
    found = verdicts(rows)
    assert (found["calm"].off, found["held_out"].off) == (False, True)
    assert "as_it_is" not in found
    assert found["held_out"].at_most < 0
    assert found["held_out"].sentence.startswith("held_out: switched off; its click rate is -")
    # Harm that is allowed is none, and so is what is not known yet.
    assert not verdicts(rows, below=-0.2)["held_out"].off
    few = verdicts(rows[:300])["held_out"]
    assert (few.off, few.at_most) == (False, None)
    assert "too little is known" in few.sentence
    assert not verdicts(rows, metric="purchase")["held_out"].off
    # Later windows must be surer: what they can do wrong adds up over all of them.
    assert verdicts(rows, number=9)["held_out"].at_most > found["held_out"].at_most


def test_the_guard_lets_harmless_arms_run_however_often_it_looks() -> None:
    """Users who come back and are alike in themselves, looked at again and again."""
    random, off, runs = np.random.default_rng(4), 0, 60
    owners = dealt(SPEC, 400)
    for _ in range(runs):
        rates = random.beta(2, 8, len(owners))
        shown = np.zeros(len(owners), int)
        clicked = np.zeros(len(owners), int)
        for _ in range(20):
            here = random.random(len(owners)) < 0.2
            shown += 5 * here
            clicked += random.binomial(5, rates) * here
            rows: Rows = [
                (user, {("arm", f"page/{arm}"): [n, n, c, 0]})
                for (user, arm), n, c in zip(owners, shown.tolist(), clicked.tolist(), strict=True)
                if n
            ]
            if any(one.off for one in verdicts(rows, min_users=20, scale=0.05).values()):
                off += 1
                break
    assert off / runs <= 0.05


def test_windows_follow_each_other_from_the_beginning() -> None:
    limit = Limit(window_ms=100)
    assert window_of(SPEC, limit, 1_000) == Window(1, 1_000)
    assert window_of(SPEC, limit, 1_099) == Window(1, 1_000)
    assert window_of(SPEC, limit, 1_250) == Window(3, 1_200)
    assert window_of(SPEC, limit, 999) is None
    ended = ExperimentSpec(name="page", arms=ARMS, from_ms=1_000, until_ms=1_100)
    assert window_of(ended, limit, 1_100) is None
    with pytest.raises(UserError, match="experiment 'page' says no from_ms; put it again"):
        window_of(ExperimentSpec(name="page", arms=ARMS), limit, 5)
    spent = sum(6 / (math.pi * n) ** 2 for n in range(1, 100_000))
    assert spent == pytest.approx(1, abs=1e-4)


def test_an_experiment_is_described_in_a_line() -> None:
    assert describe(SPEC, 2_000) == (
        "page: running, users 0 to 1, lists of default; as_it_is 50% (control); calm 25% "
        "(scenario calm); held_out 25% (scenario popular)"
    )
    assert describe(SPEC, 0).startswith("page: waiting")
