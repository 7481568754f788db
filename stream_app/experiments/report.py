"""What the arms of an experiment are worth: rates by arm, and differences to the control.

Users are judged by the arm that they were dealt to. Whoever has lists of another one (the arm was
switched off, or the shares were changed meanwhile) is left out of the rates, for he has seen both.
"""

from __future__ import annotations

from collections import Counter
from statistics import NormalDist

import msgspec

from schemas import ExperimentSpec, control_of
from stream_app.attribution.clusters import Clusters, Estimate, Rate, interval
from stream_app.attribution.join import ARM, BOUGHT, CLICKED, MADE, SHOWN, Users
from stream_app.experiments.split import Split
from stream_app.experiments.statistics import always_valid, chi_square, difference

CONFIDENCE = 0.95
MISMATCH_P = 0.001
"""Below it the split is not what it should be (Fabijan et al., Diagnosing Sample Ratio Mismatch in
Online Controlled Experiments, KDD 2019): at more, one good experiment in twenty would be blamed."""
METRICS = {"click": CLICKED, "purchase": BOUGHT}
NOUNS = {"click": "click rate", "purchase": "purchase rate"}


class Difference(msgspec.Struct, frozen=True):
    """An arm's rate less the control's, with an interval; null where there are no two users."""

    value: float | None
    low: float | None
    high: float | None
    sentence: str


class ArmReport(msgspec.Struct, frozen=True):
    """What became of the lists of an arm."""

    name: str
    control: bool
    off: bool
    scenario: str | None
    dealt: int
    """Users who were dealt to the arm and have a list."""
    users: int
    """Those of them whose lists are all of this arm: the others are left out."""
    made: int
    shown: int
    clicked: int
    bought: int
    click_rate: Rate
    purchase_rate: Rate
    click_difference: Difference | None
    """Null for the control."""
    purchase_difference: Difference | None


class ExperimentReport(msgspec.Struct, frozen=True):
    """The answer of `stream-app experiment report`."""

    name: str
    since_ms: int
    until_ms: int
    per: str
    """`shown` or `made`: what the rates are of."""
    arms: list[ArmReport]
    moved: int
    """Users who have lists of an arm that they do not belong to, and were left out."""
    mismatch_p: float
    """How likely a split as uneven as this one is by chance, if each arm gets its share."""
    warnings: list[str]


class Arms:
    """Adds up users by arm."""

    def __init__(self, spec: ExperimentSpec) -> None:
        self._spec = spec
        self._split = Split([spec])
        self._sums: Clusters[str] = Clusters(4)
        self._dealt: Counter[str] = Counter()
        self._moved = 0

    def add(self, users: Users) -> None:
        """Add what happened to the lists of users, as `Join.by_user` gives it."""
        known = []
        for user_id, kinds in users:
            rows = {
                name.removeprefix(f"{self._spec.name}/"): row
                for (dimension, name), row in kinds.items()
                if dimension == ARM and name.startswith(f"{self._spec.name}/")
            }
            if rows:
                known.append((user_id, rows))
        dealt = self._split.assign([user_id for user_id, _ in known])
        stayed: dict[str, list[list[int]]] = {}
        for (_, rows), one in zip(known, dealt, strict=True):
            if one is not None:
                self._dealt[one.own] += 1
            if one is not None and rows.keys() == {one.own}:
                stayed.setdefault(one.own, []).append(rows[one.own])
            else:
                self._moved += 1
        for arm, counts in stayed.items():
            self._sums.add(arm, counts)

    def per(self) -> int:
        """The column that rates are of."""
        return SHOWN if any(self._sums.sums(key)[SHOWN] for key in self._sums.keys()) else MADE  # noqa: SIM118

    def users(self, arm: str) -> int:
        """Users of an arm who are counted."""
        return self._sums.users(arm)

    def rate(self, arm: str, metric: str) -> Estimate:
        """The rate of an arm."""
        return self._sums.ratio(arm, METRICS[metric], self.per())

    def against_control(self, arm: str, metric: str) -> Estimate:
        """The rate of an arm less the control's."""
        return difference(self.rate(arm, metric), self.rate(control_of(self._spec), metric))

    def surely_at_most(self, arm: str, metric: str, alpha: float, scale: float) -> float:
        """A bound that the difference to the control is above with a probability of `alpha` at
        most, however often it is looked at; NaN where nothing is known."""
        found = self.against_control(arm, metric)
        return found.value + always_valid(found.error, alpha, scale)

    def report(self, since_ms: int, until_ms: int) -> ExperimentReport:
        """All of it, of lists from `since_ms` to `until_ms` (Unix ms)."""
        spec = self._spec
        shares = [arm.share for arm in spec.arms]
        p = chi_square([self._dealt[arm.name] for arm in spec.arms], shares)
        return ExperimentReport(
            name=spec.name,
            since_ms=since_ms,
            until_ms=until_ms,
            per=("made", "shown")[self.per()],
            arms=[self._arm(arm.name, arm.scenario) for arm in spec.arms],
            moved=self._moved,
            mismatch_p=p,
            warnings=self._warnings(p),
        )

    def _arm(self, name: str, scenario: str | None) -> ArmReport:
        control = name == control_of(self._spec)
        made, shown, clicked, bought = (int(value) for value in self._sums.sums(name))
        return ArmReport(
            name=name,
            control=control,
            off=name in self._spec.off,
            scenario=scenario,
            dealt=self._dealt[name],
            users=self.users(name),
            made=made,
            shown=shown,
            clicked=clicked,
            bought=bought,
            click_rate=interval(self.rate(name, "click")),
            purchase_rate=interval(self.rate(name, "purchase")),
            click_difference=None if control else self._difference(name, "click"),
            purchase_difference=None if control else self._difference(name, "purchase"),
        )

    def _difference(self, name: str, metric: str) -> Difference:
        found = self.against_control(name, metric)
        control = control_of(self._spec)
        if not found.error > 0:
            known = found.value if found.value == found.value else None
            return Difference(
                known, None, None, f"{name}: too little is known of its {NOUNS[metric]}."
            )
        # Several arms are several chances of being wrong: Bonferroni.
        wrong = (1 - CONFIDENCE) / (len(self._spec.arms) - 1)
        half = NormalDist().inv_cdf(1 - wrong / 2) * found.error
        low, high = found.value - half, found.value + half
        return Difference(found.value, low, high, _sentence(name, control, metric, low, high))

    def _warnings(self, p: float) -> list[str]:
        warnings = []
        if p < MISMATCH_P:
            found = ", ".join(f"{arm.name} {self._dealt[arm.name]:,}" for arm in self._spec.arms)
            warnings.append(
                f"sample ratio mismatch (p = {p:.1g}): users are {found}, which is not what the "
                "shares say; find out why before you believe any difference"
            )
        if self._moved:
            warnings.append(
                f"{self._moved:,} users have lists of an arm that they do not belong to now, and "
                "are left out: an arm was switched off, or shares were changed, within this time"
            )
        if self.per() == MADE and self._sums.keys():
            warnings.append("no impression answers these lists: rates are per item made, not seen")
        return warnings


def _sentence(name: str, control: str, metric: str, low: float, high: float) -> str:
    rate, low, high = NOUNS[metric], 100 * low, 100 * high
    if low > 0:
        by = f"by {low:.2f} to {high:.2f} points"
        return f"{name}: its {rate} is higher than that of {control}, {by}."
    if high < 0:
        by = f"by {-high:.2f} to {-low:.2f} points"
        return f"{name}: its {rate} is lower than that of {control}, {by}."
    said = f"{name}: no difference to {control} in {rate} is shown; it lies between"
    return f"{said} {low:+.2f} and {high:+.2f} points."
