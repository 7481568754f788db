"""Experiments: which users see which way of making lists, as an operator says it."""

from __future__ import annotations

from typing import Annotated

import msgspec

from schemas.messages import Id, Name, Timestamp
from schemas.serving import EVENTS

MAX_ARMS = 10

Label = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.\-]{1,64}\Z")]
"""Short and plain: it is a label of metrics and stands on every list."""
Share = Annotated[float, msgspec.Meta(gt=0, le=1)]

_ROUNDING = 1e-9


class Arm(msgspec.Struct, frozen=True, omit_defaults=True):
    """One way of making lists, and the share of the experiment's users who get it."""

    name: Label
    share: Share
    """Of the users of the experiment. Who is in no arm is served as everyone, and not counted."""
    scenario: Name | None = None
    """The scenario that its lists are made with; null serves the arm as everyone, and `popular` by
    popularity alone (a holdout)."""
    release: Annotated[str, msgspec.Meta(min_length=1, max_length=256)] | None = None
    """The model release that its lists are made with, `name@version`; null is the main one of the
    workers. They must serve it as a challenger."""


class ExperimentSpec(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """An experiment (topic `experiments`, key `name`; a null value removes it)."""

    name: Label
    arms: Annotated[tuple[Arm, ...], msgspec.Meta(min_length=2, max_length=MAX_ARMS)]
    """In an order that stays: an arm that is added at the end moves no user between the others."""
    control: Label | None = None
    """The arm that others are compared with; null is the first."""
    lists: Name = EVENTS
    """The scenario whose lists the arms change; those of other scenarios are made as always, and
    are not counted. `default` is lists after events and requests that name no scenario."""
    salt: Id | None = None
    """Users are dealt to arms by it; null is `name`. Another salt deals them anew."""
    start: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0
    """Every user has a place from 0 to 1, the same for all experiments; the experiment has those
    from `start` to `start + share`. Two experiments must not have the same places."""
    share: Share = 1.0
    """Of all users. Raising it brings users in and moves none between arms."""
    from_ms: Timestamp | None = None
    """Unix ms from which it runs; null: at once."""
    until_ms: Timestamp | None = None
    """Unix ms at which it ends; null: when it is removed."""
    off: tuple[Label, ...] = ()
    """Arms that are switched off: their users are served, and named, as the control."""


def control_of(spec: ExperimentSpec) -> str:
    """Name of the arm that others are compared with."""
    return spec.control or spec.arms[0].name


def problem(spec: ExperimentSpec) -> str | None:
    """What is wrong with an experiment although each of its fields is valid, or None."""
    names = [arm.name for arm in spec.arms]
    for name in names:
        if names.count(name) > 1:
            return f"two arms have the name {name!r}"
    if (total := sum(arm.share for arm in spec.arms)) > 1 + _ROUNDING:
        return f"the shares of the arms add up to {total:g}, more than 1"
    if spec.start + spec.share > 1 + _ROUNDING:
        return f"start {spec.start:g} and share {spec.share:g} reach beyond 1"
    control = control_of(spec)
    for what, named in (("control", (control,)), ("off", spec.off)):
        for name in named:
            if name not in names:
                return f"`{what}` names {name!r}; the arms are {', '.join(names)}"
    if control in spec.off:
        return f"the control {control!r} cannot be off: the users of other arms go there"
    for arm in spec.arms:
        if arm.release is not None and spec.lists != EVENTS:
            return (
                f"arm {arm.name!r} has a release, so the experiment has to be on the lists of "
                f"{EVENTS!r}: a user's row is kept by one release"
            )
    begin, end = spec.from_ms, spec.until_ms
    if begin is not None and end is not None and end <= begin:
        return f"until_ms {end} is not after from_ms {begin}"
    return None
