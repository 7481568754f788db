"""Switches an arm off that does harm: the same report again and again, with bounds that allow it.

Looking every minute for a difference that an ordinary interval calls real finds one sooner or
later, whatever the truth. So time is cut into windows from the experiment's beginning. Within one,
the bound is valid at all looks together (`statistics.always_valid`); of the probability of being
wrong, window `n` gets the share 6 / (pi n)^2, which over all windows adds up to 1, and each arm an
equal part. Nothing has to be remembered between two looks, so a guard can be restarted at any time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec

from schemas import ExperimentSpec, control_of
from stream_app.errors import UserError
from stream_app.experiments.report import NOUNS, Arms
from stream_app.experiments.running import is_running


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What an arm must not do."""

    metric: str = "click"
    """`click` or `purchase`: the rate that is watched."""
    below: float = 0.0
    """An arm goes when its rate is surely lower than the control's by more than `-below`."""
    alpha: float = 0.05
    """Probability that any arm goes off that should not, over all time."""
    scale: float = 0.01
    """The size of the differences that one looks for; it decides how soon which are found."""
    window_ms: int = 86_400_000
    min_users: int = 100
    """Of an arm and of the control; with fewer nothing is decided."""


class Verdict(msgspec.Struct, frozen=True):
    """What a look says of an arm."""

    arm: str
    off: bool
    """It is to be switched off."""
    users: int
    difference: float | None
    at_most: float | None
    """Bound of the difference to the control; null while too little is known."""
    sentence: str


class Window(msgspec.Struct, frozen=True):
    """The stretch of time that a look is of."""

    number: int
    """From 1."""
    since_ms: int


def window_of(spec: ExperimentSpec, limit: Limit, now_ms: int) -> Window | None:
    """The window that `now_ms` (Unix ms) is in; None while the experiment does not run.

    Raises UserError for one that does not say when it began.
    """
    if spec.from_ms is None:
        raise UserError(
            f"experiment {spec.name!r} says no from_ms; put it again with `stream-app experiment "
            "put`, which writes the time"
        )
    if not is_running(spec, now_ms):
        return None
    passed = (now_ms - spec.from_ms) // limit.window_ms
    return Window(passed + 1, spec.from_ms + passed * limit.window_ms)


def judge(spec: ExperimentSpec, arms: Arms, limit: Limit, window: Window) -> list[Verdict]:
    """A verdict on each arm that is neither off nor the control."""
    share = 6 / (math.pi * window.number) ** 2
    alpha = limit.alpha * share / (len(spec.arms) - 1)
    control = control_of(spec)
    return [
        _verdict(arm.name, control, arms, limit, alpha)
        for arm in spec.arms
        if arm.name != control and arm.name not in spec.off
    ]


def _verdict(name: str, control: str, arms: Arms, limit: Limit, alpha: float) -> Verdict:
    users, noun = arms.users(name), NOUNS[limit.metric]
    fewest = min(users, arms.users(control))
    bound = arms.surely_at_most(name, limit.metric, alpha, limit.scale)
    if fewest < limit.min_users or not math.isfinite(bound):
        said = f"{name}: too little is known ({fewest} users, {limit.min_users} are needed)."
        return Verdict(name, False, users, None, None, said)
    found = arms.against_control(name, limit.metric).value
    off = bound < limit.below
    verb = "switched off" if off else "stays"
    about = f"its {noun} is {100 * found:+.2f} points against {control}"
    said = f"{name}: {verb}; {about}, surely at most {100 * bound:+.2f}."
    return Verdict(name, off, users, found, bound, said)
