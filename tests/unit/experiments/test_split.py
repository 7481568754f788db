"""Users are dealt to arms evenly, by salt alone, and stay where they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import Arm, Experiment, ExperimentSpec
from stream_app.experiments import Assigned, Experiments, Split, points
from stream_app.experiments.statistics import chi_square

USERS = [f"user-{number}" for number in range(20_000)]
ids = st.text(min_size=1, max_size=40)


def spec(name: str = "page", **fields: Any) -> ExperimentSpec:
    fields.setdefault("arms", (Arm("a", 0.5), Arm("b", 0.5)))
    return ExperimentSpec(name=name, **fields)


def own(split: Split, users: list[str]) -> list[str | None]:
    return [one.own if one else None for one in split.assign(users)]


def test_a_point_is_what_it_has_always_been() -> None:
    """These numbers are a promise: another hash would move every user of every experiment."""
    expected = [0.2598701083262741, 0.7647159143573565, 0.5998125920348991]
    assert points("page", ["ann", "bob", "Zoë"]).tolist() == expected


@pytest.mark.parametrize("salt", ["page", "page2", "", "\0"])
def test_points_are_uniform(salt: str) -> None:
    counts = np.bincount((points(salt, USERS) * 20).astype(int), minlength=20)
    assert chi_square(counts, np.full(20, 1 / 20)) > 1e-4


def test_points_of_two_salts_are_independent() -> None:
    """Also of salts that are alike, and of one that ends where the user begins."""
    for one, other in (("page", "page2"), ("a", "b"), ("x", "xu")):
        cells = (points(one, USERS) * 5).astype(int) * 5 + (points(other, USERS) * 5).astype(int)
        assert chi_square(np.bincount(cells, minlength=25), np.full(25, 1 / 25)) > 1e-4
    assert points("x", ["uann"]) != points("xu", ["ann"])


@given(st.lists(ids, max_size=20), st.lists(ids, max_size=20), ids)
def test_a_user_has_one_point_whoever_is_beside(
    some: list[str], more: list[str], salt: str
) -> None:
    together = points(salt, [*some, *more]).tolist()
    assert together == points(salt, some).tolist() + points(salt, more).tolist()
    assert all(0 <= point < 1 for point in together)


@given(
    st.lists(st.integers(1, 30), min_size=2, max_size=5),
    st.integers(1, 30),
    st.lists(ids, min_size=1, max_size=30),
)
def test_an_arm_added_at_the_end_moves_nobody_between_the_others(
    shares: list[int], added: int, users: list[str]
) -> None:
    total = sum(shares) + added
    arms = tuple(Arm(f"arm{n}", share / total) for n, share in enumerate(shares))
    before = own(Split([spec(arms=arms)]), users)
    after = own(Split([spec(arms=(*arms, Arm("new", added / total)))]), users)
    assert all(a == b or (b is None and a == "new") for b, a in zip(before, after, strict=True))


@given(st.floats(0.01, 0.5), st.floats(0.5, 1.0), st.lists(ids, min_size=1, max_size=30))
def test_a_larger_share_of_users_moves_nobody_between_arms(
    small: float, large: float, users: list[str]
) -> None:
    before, after = (own(Split([spec(share=share)]), users) for share in (small, large))
    assert all(b is None or a == b for b, a in zip(before, after, strict=True))


def test_shares_are_kept_and_the_rest_is_in_no_arm() -> None:
    arms = (Arm("a", 0.2), Arm("b", 0.3))
    dealt = own(Split([spec(arms=arms, start=0.25, share=0.5)]), USERS)
    counts = np.array([dealt.count("a"), dealt.count("b"), dealt.count(None)])
    assert chi_square(counts, np.array([0.1, 0.15, 0.75])) > 1e-4


def test_ten_tenths_are_everybody() -> None:
    arms = tuple(Arm(f"arm{n}", 0.1) for n in range(10))
    split = Split([spec(arms=arms, start=0.3, share=0.7)])
    (part,) = split._parts
    assert (part[1], part[3][-1]) == (1.0, 1.0)


def test_experiments_beside_each_other_share_no_user_and_do_not_move_each_other() -> None:
    first = spec("first", share=0.5)
    second = spec("second", start=0.5, share=0.5)
    alone, both = Split([first]).assign(USERS), Split([second, first]).assign(USERS)
    assert all(one == two for one, two in zip(alone, both, strict=True) if one is not None)
    assert all(both)
    # Dealt by salts of their own: the arms of users in `second` say nothing of those in `first`.
    again = own(Split([spec("second")]), USERS)
    pairs = [f"{one.own}{other}" for one, other in zip(alone, again, strict=True) if one]
    counts = np.array([pairs.count(pair) for pair in ("aa", "ab", "ba", "bb")])
    assert chi_square(counts, np.full(4, 0.25)) > 1e-4


def test_of_two_that_want_the_same_users_the_first_by_name_has_them() -> None:
    split = Split([spec("late"), spec("early", share=0.5)])
    names = {one.experiment.name for one in split.assign(USERS) if one}
    assert names == {"early", "late"}
    places = points("stream-app users", USERS)
    for place, one in zip(places.tolist(), split.assign(USERS), strict=True):
        assert one is not None
        assert one.experiment.name == ("early" if place < 0.5 else "late")


def test_users_of_an_arm_that_is_off_are_served_as_the_control() -> None:
    arms = (Arm("a", 0.5, "calm"), Arm("b", 0.5, "loud"))
    on, off = Split([spec(arms=arms)]), Split([spec(arms=arms, off=("b",))])
    for before, after in zip(on.assign(USERS[:200]), off.assign(USERS[:200]), strict=True):
        assert before is not None
        assert after == Assigned(Experiment("page", "a"), "calm", "default", before.own)


def test_the_same_salt_deals_users_alike() -> None:
    one, other = spec("one", salt="s"), spec("other", salt="s")
    assert own(Split([one]), USERS[:500]) == own(Split([other]), USERS[:500])


def test_an_experiment_runs_from_its_beginning_to_its_end() -> None:
    experiments = Experiments()
    assert experiments.split(5) is None
    experiments.put("page", spec(from_ms=10, until_ms=20))
    experiments.put("next", spec("next", from_ms=20, until_ms=30))
    found = {}
    for now_ms in (9, 10, 19, 20, 29, 30, 10, 40):
        split = experiments.split(now_ms)
        assigned = split.assign(["ann"])[0] if split else None
        found[now_ms] = assigned and assigned.experiment.name
    assert found == {9: None, 10: "page", 19: "page", 20: "next", 29: "next", 30: None, 40: None}
    experiments.put("page", None)
    assert experiments.split(10) is None
    assert experiments.split(20) is experiments.split(21)


def test_only_so_many_run(caplog: pytest.LogCaptureFixture, degraded_by) -> None:
    arms = (Arm("a", 0.5), Arm("b", 0.5))
    many = [spec(f"e{n:02}", arms=arms, start=n / 60, share=1 / 60) for n in range(60)]
    split = Experiments(many).split(0)
    assert split is not None
    assert len({one.experiment.name for one in split.assign(USERS) if one}) == 50
    assert "experiment e50: more than 50 run" in caplog.text
    assert degraded_by() == {"control_refused": 10}
