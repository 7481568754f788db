"""What holds for a whole batch, whoever its users are: made of rules and what requests want."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class Pin(NamedTuple):
    """A place of a list and what belongs there."""

    place: int
    """From 0."""
    items: NDArray[np.int32]
    """Catalogue positions; the first that a user may be shown is taken."""


class Quota(NamedTuple):
    """A group of items of which a list holds only so many."""

    items: NDArray[np.bool_]
    """By catalogue position, and False at the end, for position -1."""
    at_most: int


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """Arrays are by catalogue position, `[N + 1]` or longer: the last entry is for position -1."""

    allowed: NDArray[np.bool_] | None = None
    """What may be recommended, False at the end; None: everything."""
    boosts: Floats | None = None
    """What is added to the scores of items, in nats; None: nothing."""
    pins: tuple[Pin, ...] = ()
    """Of two that want the same place the first has it, the other the next."""
    quotas: tuple[Quota, ...] = ()


FREE = Terms()
